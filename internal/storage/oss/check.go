package oss

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	alioss "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// probeName is an object that Check writes and deletes. Its dot keeps it out of
// reach of every key.
const probeName = ".live777-check"

// Check finds out whether the bucket can be listed and written with these
// options. What is certainly wrong is a fault.Invalid that names the option; a
// server that cannot be reached now, or a clock that is wrong, is a
// fault.Unavailable.
func (s *Store) Check(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.ListObjectsV2(limited, &alioss.ListObjectsV2Request{Bucket: &s.bucket, Prefix: &s.prefix, MaxKeys: 1})
	if err != nil {
		return s.explain(ctx, "list", err)
	}
	name := s.objectName(probeName)
	if _, err := s.client.PutObject(limited, &alioss.PutObjectRequest{Bucket: &s.bucket, Key: name, Body: strings.NewReader("")}); err != nil {
		return s.explain(ctx, "write to", err)
	}
	if err := s.checkStored(limited, name); err != nil {
		return err
	}
	if _, err := s.client.DeleteObject(limited, &alioss.DeleteObjectRequest{Bucket: &s.bucket, Key: name}); err != nil {
		// Recording needs no deletion.
		s.log.Warn("recordings cannot be deleted from the bucket", "bucket", s.bucket, "error", classify(err))
	}
	s.checkVersioning(limited)
	return nil
}

// checkStored makes sure that what Check has written is there, and warns where uploads
// can only be proved by reading them back.
func (s *Store) checkStored(ctx context.Context, name *string) error {
	head, err := s.client.HeadObject(ctx, &alioss.HeadObjectRequest{Bucket: &s.bucket, Key: name})
	var answer *alioss.ServiceError
	switch {
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("cannot use the bucket %q: %w: it is gone at once; is a proxy or a login page in between, or does a rule of the bucket delete objects?",
			s.bucket, storage.ErrUnproved)
	case err != nil:
		return s.explain(ctx, "read from", err)
	case alioss.ToString(head.ETag) == "" && alioss.ToString(head.HashCRC64) == "":
		s.log.Warn("storage shows neither a check sum nor an ETag of what it has stored: each object is read back once it is uploaded", "bucket", s.bucket)
	}
	return nil
}

// checkVersioning says that Add replaces in this bucket. A key that may not ask
// does not hear it.
func (s *Store) checkVersioning(ctx context.Context) {
	info, err := s.client.GetBucketInfo(ctx, &alioss.GetBucketInfoRequest{Bucket: &s.bucket})
	if err != nil {
		s.log.Debug("the bucket's settings cannot be read", "bucket", s.bucket, "error", classify(err))
		return
	}
	if v := alioss.ToString(info.BucketInfo.Versioning); v != "" {
		s.log.Warn("the bucket has versioning: OSS does not keep nodes that share it from replacing each other's objects; give each a root of its own",
			"bucket", s.bucket, "versioning", v)
	}
}

// explain tells which option an error comes from.
func (s *Store) explain(ctx context.Context, verb string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("check OSS: %w", ctx.Err())
	}
	if errors.Is(err, errNoCredentials) {
		return fault.Wrap(fault.Invalid, err)
	}
	var answer *alioss.ServiceError
	if !errors.As(err, &answer) {
		return fault.Errorf(fault.Unavailable, "recorder.storage.endpoint: cannot reach %s: %w", s.options.Endpoint, networkError(err))
	}
	if answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests || answer.Code == "RequestTimeTooSkewed" {
		return fmt.Errorf("cannot %s the bucket %q: %w", verb, s.bucket, classify(err))
	}
	return fault.Errorf(fault.Invalid, "%s: %s", s.blame(verb, answer), describe(answer))
}

// blame names the option that is wrong, and what to do. The numbers (EC) of the
// errors are those of https://help.aliyun.com/en/oss/user-guide/0002-00000226.
func (s *Store) blame(verb string, e *alioss.ServiceError) string {
	const option = "recorder.storage."
	switch {
	case e.Code == "NoSuchBucket":
		return fmt.Sprintf("%sbucket: there is no bucket %q; make it, or name another", option, s.bucket)
	case e.Code == "InvalidBucketName":
		return fmt.Sprintf("%sbucket: %q is no name of a bucket", option, s.bucket)
	case e.Code == "InvalidAccessKeyId" && s.options.SecurityToken == "":
		return option + "access_key_id: OSS does not know this key; temporary keys need security_token too"
	case e.Code == "InvalidAccessKeyId":
		return option + "access_key_id: OSS does not know this key"
	case e.Code == "SignatureDoesNotMatch":
		return option + "access_key_secret: it does not belong to access_key_id"
	case e.Code == "InvalidSecurityToken":
		return option + "security_token: it does not belong to access_key_id"
	case e.Code == "SecurityTokenExpired":
		return option + "security_token: it has expired"
	case strings.Contains(e.Message, "signing region"), e.EC == "0002-00000226", e.EC == "0002-00000228":
		return fmt.Sprintf("%sregion: the bucket is not in %q", option, s.options.Region)
	case strings.Contains(e.Message, "specified endpoint"):
		return fmt.Sprintf("%sendpoint: the bucket %q is in another region than %s", option, s.bucket, s.options.Endpoint)
	case e.Code == badAnswer:
		return fmt.Sprintf("%sendpoint: %s does not answer as OSS does", option, s.options.Endpoint)
	case e.StatusCode == http.StatusForbidden:
		return fmt.Sprintf("%saccess_key_id: this key may not %s the bucket %q; it needs the rights oss:ListObjects, "+
			"oss:GetObject, oss:PutObject, oss:AbortMultipartUpload and oss:DeleteObject", option, verb, s.bucket)
	}
	return fmt.Sprintf("%sendpoint: %s refuses to %s the bucket %q", option, s.options.Endpoint, verb, s.bucket)
}
