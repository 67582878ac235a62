package oss

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	alioss "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// badAnswer is the SDK's code of an error answer that is not OSS's XML.
const badAnswer = "BadErrorResponse"

// callError is the error of a call that the caller of this package sees. ctx is
// the caller's own, not one with a deadline of this package: when it has ended,
// that is the error.
func callError(ctx context.Context, verb, key string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s %q: %w", verb, key, ctx.Err())
	}
	return fmt.Errorf("%s %q: %w", verb, key, classify(err))
}

// classify gives an error of the SDK the kind that storage's callers branch on.
// The codes are those of https://help.aliyun.com/en/oss/developer-reference/error-codes.
func classify(err error) error {
	var classified *fault.Error
	if errors.As(err, &classified) {
		return err
	}
	var answer *alioss.ServiceError
	if !errors.As(err, &answer) {
		return networkError(err)
	}
	text := describe(answer)
	switch {
	case answer.Code == "FileAlreadyExists":
		return fault.Errorf(fault.Conflict, "%w: %s", fs.ErrExist, text)
	case answer.Code == "NoSuchKey", answer.Code == badAnswer && isHead404(answer):
		return fmt.Errorf("%w: %s", storage.ErrNotFound, text)
	case answer.StatusCode == http.StatusInsufficientStorage, strings.Contains(answer.Code, "QuotaExceed"):
		return fmt.Errorf("%w: %s", storage.ErrFull, text)
	case answer.Code == "RequestTimeTooSkewed":
		return fault.Errorf(fault.Unavailable, "the clock of this machine is wrong by more than 15 minutes; set it: %s", text)
	case answer.StatusCode == http.StatusForbidden, answer.StatusCode == http.StatusUnauthorized, answer.Code == "FileImmutable":
		return fmt.Errorf("%w: %s", storage.ErrDenied, text)
	}
	// What is left is either temporary or a bucket that was deleted or moved,
	// which can be mended while the recorder runs.
	return fault.New(fault.Unavailable, text)
}

// isHead404 knows the answer to HEAD of a service that leaves out x-oss-err,
// which would tell a missing object from a missing bucket.
func isHead404(e *alioss.ServiceError) bool {
	return e.StatusCode == http.StatusNotFound && strings.HasPrefix(e.RequestTarget, http.MethodHead+" ") && len(e.Snapshot) == 0
}

// describe says what OSS said, on one line and without the request's data.
func describe(e *alioss.ServiceError) string {
	text := fmt.Sprintf("OSS answers %d %s: %s (request %s", e.StatusCode, e.Code, strings.TrimSuffix(e.Message, "."), e.RequestID)
	if e.EC != "" {
		text += ", EC " + e.EC
	}
	return text + ")"
}

// networkError is for what came before an answer, or instead of one.
func networkError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		// A deadline of this package: the caller's context has not ended, and
		// must not be found in the error.
		return fault.New(fault.Unavailable, "OSS did not answer in time")
	}
	return fault.Wrap(fault.Unavailable, err)
}
