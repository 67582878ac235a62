package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"slices"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// classify marks the SDK's errors that callers branch on. The end of ctx stays
// what it is, errors of bodies too.
func classify(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	var missing *credentialsError
	if errors.As(err, &missing) {
		return fmt.Errorf("%w: %w", storage.ErrDenied, missing)
	}
	code, status := errorCode(err), statusOf(err)
	if code == "" && status == 0 {
		return classifyTransport(err)
	}
	switch sentinel := sentinelOf(code, status); {
	case sentinel != nil:
		return fmt.Errorf("%w: %w", sentinel, err)
	case code == "PreconditionFailed" || status == http.StatusPreconditionFailed:
		return fault.Errorf(fault.Conflict, "%w: %w", fs.ErrExist, err)
	case code == "NoSuchBucket", status == http.StatusConflict, // a conditional write at the same time
		code == "RequestTimeout", code == "RequestTimeTooSkewed",
		status == http.StatusTooManyRequests, status >= http.StatusInternalServerError:
		return fault.Wrap(fault.Unavailable, err)
	}
	return err
}

// sentinelOf returns the error of package storage that an answer stands for.
func sentinelOf(code string, status int) error {
	switch code {
	case "NoSuchKey", "NotFound":
		return storage.ErrNotFound
	case "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "QuotaExceededException",
		"InsufficientStorage", "InsufficientStorageSpace", "StorageFull":
		return storage.ErrFull
	case "RequestTimeTooSkewed": // a 403, which mends itself with the clock
		return nil
	case "AccessDenied", "AllAccessDisabled", "AccountProblem":
		return storage.ErrDenied
	}
	if slices.Contains(invalidCredentialCodes, code) {
		return storage.ErrDenied
	}
	switch status {
	case http.StatusInsufficientStorage:
		return storage.ErrFull
	case http.StatusUnauthorized, http.StatusForbidden:
		return storage.ErrDenied
	}
	return nil
}

// classifyTransport marks what went wrong on the way as fault.Unavailable.
func classifyTransport(err error) error {
	var send *smithyhttp.RequestSendError
	var network net.Error
	switch {
	case errors.As(err, &send), errors.As(err, &network), // a deadline of ctx too
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.Unavailable, err)
	}
	return err
}

// classifyRead is classify for calls that need an object that exists. A key below
// another object is none: MinIO says so in its own way.
func classifyRead(err error) error {
	if errorCode(err) == "XMinioParentIsObject" {
		return fmt.Errorf("%w: %w", storage.ErrNotFound, err)
	}
	return classify(err)
}

// errorCode returns the S3 error code that err tells of, or "".
func errorCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// statusOf returns the status of the answer that err tells of, or 0.
func statusOf(err error) int {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}
