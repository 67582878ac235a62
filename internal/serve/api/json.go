package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/live777/recorder/internal/base/fault"
)

// maxJSON is the longest accepted JSON body, in bytes.
const maxJSON = 64 << 10

// writeJSON answers with v. What cannot be sent to a client that left is nobody's loss.
func (a *API) writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		a.log.Error("encode response", "error", err)
		status, body = http.StatusInternalServerError, []byte(`{"error":"internal error; the log of the node tells more","code":"internal"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// readJSON decodes a request's body, one JSON object, into the struct v. An
// empty body leaves v as it is. The error is a fault.Invalid that names the
// field, or a fault.TooLarge.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJSON))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return fault.Errorf(fault.TooLarge, "the body is longer than %d bytes", maxJSON)
	case err != nil:
		return fault.New(fault.Invalid, "the body did not come whole") // err has addresses, of a proxy perhaps
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil
	}
	if body[0] != '{' { // null would pass for an object
		return fault.New(fault.Invalid, "the body must be a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fault.New(fault.Invalid, jsonProblem(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "the body has more than one JSON object")
	}
	return nil
}

// jsonProblem says what is wrong in words that do not speak of Go.
func jsonProblem(err error) string {
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrongType):
		return fmt.Sprintf("field %q must be a %s, not a %s", wrongType.Field, wrongType.Type, wrongType.Value)
	case errors.As(err, &syntax):
		return fmt.Sprintf("the body is not valid JSON: %v at byte %d", syntax, syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the body is not valid JSON: it ends too early"
	}
	return "the body is not accepted: " + strings.TrimPrefix(err.Error(), "json: ")
}
