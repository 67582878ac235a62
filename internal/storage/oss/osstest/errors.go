package osstest

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"strconv"
)

// apiError is an error answer of OSS: https://help.aliyun.com/en/oss/developer-reference/error-responses.
// The numbers (EC) are those of https://help.aliyun.com/en/oss/user-guide/ pages, where they are known.
type apiError struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	RequestID string `xml:"RequestId"`
	HostID    string `xml:"HostId"`
	Endpoint  string `xml:",omitempty"`
	EC        string `xml:",omitempty"`

	status int
}

func newError(status int, code, message, ec string) *apiError {
	return &apiError{status: status, Code: code, Message: message, EC: ec}
}

var (
	errAnonymous        = newError(http.StatusForbidden, "AccessDenied", "You have no right to access this object because of bucket acl.", "0003-00000001")
	errPayload          = newError(http.StatusBadRequest, "InvalidArgument", "Invalid x-oss-content-sha256 header.", "0002-00000214")
	errSignatureVersion = newError(http.StatusBadRequest, "InvalidArgument", "Invalid signature version.", "")
	errExpires          = newError(http.StatusBadRequest, "InvalidArgument", "Invalid expires parameter.", "")
	errCredential       = newError(http.StatusBadRequest, "InvalidArgument", "Invalid Credential in Authorization header.", "0002-00000213")
	errDate             = newError(http.StatusForbidden, "AccessDenied", "OSS authentication requires a valid Date.", "")
	errSkewed           = newError(http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.", "")
	errExpired          = newError(http.StatusForbidden, "AccessDenied", "Request has expired.", "")
	errRegion           = newError(http.StatusBadRequest, "InvalidArgument", "Invalid signing region in Authorization header.", "0002-00000226")
	errURLRegion        = newError(http.StatusBadRequest, "InvalidArgument", "Invalid signing region in credential.", "0002-00000228")
	errAccessKey        = newError(http.StatusForbidden, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.", "")
	errNoToken          = newError(http.StatusForbidden, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.", "0002-00000003")
	errToken            = newError(http.StatusForbidden, "InvalidSecurityToken", "The security token you provided is invalid.", "0002-00000004")
	errTokenExpired     = newError(http.StatusForbidden, "SecurityTokenExpired", "The security token you provided has expired.", "0002-00000007")
	errSignature        = newError(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.", "")
	errReadOnly         = newError(http.StatusForbidden, "AccessDenied", "You have no right to access this object.", "0003-00000001")
	errBucket           = newError(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist.", "")
	errKey              = newError(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.", "")
	errUpload           = newError(http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist.", "")
	errExists           = newError(http.StatusConflict, "FileAlreadyExists", "The object you specified already exists and can not be overwritten.", "")
	errLength           = newError(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.", "")
	errDigest           = newError(http.StatusBadRequest, "InvalidDigest", "The Content-MD5 you specified did not match what we received.", "")
	errIncomplete       = newError(http.StatusBadRequest, "IncompleteBody", "The request body is incomplete.", "")
	errRange            = newError(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range cannot be satisfied.", "")
	errPart             = newError(http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found.", "")
	errPartOrder        = newError(http.StatusBadRequest, "InvalidPartOrder", "The list of parts was not in ascending order.", "")
	errPartSize         = newError(http.StatusBadRequest, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size.", "")
	errArgument         = newError(http.StatusBadRequest, "InvalidArgument", "An argument of the request is invalid.", "")
	errMethod           = newError(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.", "")
)

// write answers with the error: as XML, and for HEAD, whose answers have no
// body, in the header x-oss-err.
func (e *apiError) write(w http.ResponseWriter, r *http.Request, id string) {
	answer := *e
	answer.RequestID, answer.HostID = id, r.Host
	body, err := xml.Marshal(&answer)
	if err != nil {
		panic(err) // strings only
	}
	body = append([]byte(xml.Header), body...)
	w.Header().Set("Content-Type", "application/xml")
	if r.Method == http.MethodHead {
		w.Header().Set("X-Oss-Err", base64.StdEncoding.EncodeToString(body))
		body = nil
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.status)
	_, _ = w.Write(body) // a client that is gone needs no answer
}
