package oss

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"

	alioss "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

func TestClassify(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		is   error
		kind fault.Kind
	}{
		{"no object", &alioss.ServiceError{StatusCode: 404, Code: "NoSuchKey"}, storage.ErrNotFound, fault.NotFound},
		{"HEAD without a reason", &alioss.ServiceError{StatusCode: 404, Code: badAnswer, RequestTarget: "HEAD http://x/y"}, storage.ErrNotFound, fault.NotFound},
		{"page of a proxy", &alioss.ServiceError{StatusCode: 404, Code: badAnswer, RequestTarget: "GET http://x/y", Snapshot: []byte("<html>")}, nil, fault.Unavailable},
		{"no bucket", &alioss.ServiceError{StatusCode: 404, Code: "NoSuchBucket"}, nil, fault.Unavailable},
		{"exists", &alioss.ServiceError{StatusCode: 409, Code: "FileAlreadyExists"}, fs.ErrExist, fault.Conflict},
		{"immutable", &alioss.ServiceError{StatusCode: 409, Code: "FileImmutable"}, storage.ErrDenied, fault.Unavailable},
		{"clock", &alioss.ServiceError{StatusCode: 403, Code: "RequestTimeTooSkewed"}, nil, fault.Unavailable},
		{"token", &alioss.ServiceError{StatusCode: 403, Code: "SecurityTokenExpired"}, storage.ErrDenied, fault.Unavailable},
		{"quota", &alioss.ServiceError{StatusCode: 403, Code: "QuotaExceeded"}, storage.ErrFull, fault.StorageFull},
		{"network", io.ErrUnexpectedEOF, nil, fault.Unavailable},
		{"our own deadline", context.DeadlineExceeded, nil, fault.Unavailable},
		{"no key", errNoCredentials, nil, fault.Unavailable},
	} {
		err := classify(fmt.Errorf("operation: %w", test.err))
		if fault.KindOf(err) != test.kind || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s: %v of kind %d, want kind %d, %v", test.name, err, fault.KindOf(err), test.kind, test.is)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: looks as if the caller's context had ended", test.name)
		}
	}
}
