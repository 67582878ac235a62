package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// probeName begins the name of the object that Check writes; its dot keeps it out
// of every listing.
const probeName = ".live777-check-"

// Check asks the server whether the settings are right: it lists objects below
// the root, writes one, looks whether it is there, and removes it. A definite mistake, such as a bucket that does
// not exist, a wrong key or region, or missing permissions, is a fault.Invalid error that
// names the option; a server that cannot be reached, or has trouble of its own,
// is a fault.Unavailable one. It also finds out whether the server knows
// conditional writes, which Add relies on, and check sums, which prove uploads; without
// Check the first Add believes the one, and ETags have to do for the other.
func (s *Store) Check(ctx context.Context) error {
	_, err := s.page(ctx, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: s.name(""), MaxKeys: aws.Int32(1)})
	if err != nil {
		return s.explain("list", err)
	}
	return s.probe(ctx)
}

// probe writes an object and removes it, in a bucket with versions for good. What the
// server shows of it decides how uploads are proved.
func (s *Store) probe(ctx context.Context) error {
	p := &probe{s: s, name: probeName + rand.Text(), content: []byte(rand.Text()), sums: true}
	if err := p.write(ctx); err != nil && !errors.Is(classify(err), fs.ErrExist) { // where a retry met its own object
		return s.explain("write to", err)
	}
	defer func() { s.removeProbe(ctx, s.name(p.name), p.version) }()
	switch err := p.prove(ctx); {
	case errors.Is(err, storage.ErrUnproved):
		return fmt.Errorf("cannot use %s: %w", s.location(), err)
	case err != nil:
		return s.explain("read from", err)
	}
	if s.unconditional.Load() {
		return nil
	}
	first := p.version
	switch err := p.put(ctx); {
	case err == nil: // it has been replaced
		s.setUnconditional()
		s.removeProbe(ctx, s.name(p.name), first)
	case !errors.Is(classify(err), fs.ErrExist):
		return s.explain("write to", err)
	}
	return nil
}

// probe is an object that Check writes.
type probe struct {
	s       *Store
	name    string
	content []byte
	sums    bool // it is sent with a check sum
	version *string
	echo    *string // the check sum of the answer
}

// write puts it, without what the server does not know.
func (p *probe) write(ctx context.Context) error {
	err := p.put(ctx)
	switch errorCode(err) {
	case "NotImplemented", "InvalidRequest", "InvalidArgument", "BadRequest":
		p.sums = false
		err = p.put(ctx)
	}
	if errorCode(err) == "NotImplemented" {
		p.s.setUnconditional()
		p.sums = true
		if err = p.put(ctx); errorCode(err) != "" {
			p.sums = false
			err = p.put(ctx)
		}
	}
	return err
}

func (p *probe) put(ctx context.Context) error {
	in := &s3.PutObjectInput{Bucket: &p.s.bucket, Key: p.s.name(p.name), IfNoneMatch: p.s.onlyNew()}
	if p.sums {
		sum := sha256.Sum256(p.content)
		in.ChecksumSHA256 = aws.String(encode(sum[:]))
	}
	return p.s.renewing(ctx, func() error {
		in.Body = bytes.NewReader(p.content)
		out, err := p.s.client.PutObject(ctx, in, retried)
		if err == nil {
			p.version, p.echo = out.VersionId, out.ChecksumSHA256
		}
		return err
	})
}

// prove makes sure that the server has it, and finds out by what it shows that.
func (p *probe) prove(ctx context.Context) error {
	sum := sha256.Sum256(p.content)
	p.s.checksums.Store(p.sums && aws.ToString(p.echo) == encode(sum[:]))
	return storage.Upload{
		Service: "S3", Size: int64(len(p.content)), SHA256: func() ([]byte, error) { return sum[:], nil },
		Stat: func() (storage.Object, error) { return p.s.stat(ctx, p.name) },
		Get: func() (io.ReadCloser, error) {
			p.s.log.Warn("storage shows neither a check sum nor an ETag of what it has stored: each object is read back once it is uploaded",
				"bucket", p.s.bucket)
			return p.s.get(ctx, p.name, 0, -1)
		},
	}.Prove(ctx)
}

// onlyNew returns the condition that there is no object, where that is understood.
func (s *Store) onlyNew() condition {
	if s.unconditional.Load() {
		return nil
	}
	return aws.String("*")
}

// removeProbe removes what probe wrote. That this is not allowed is no mistake:
// there are buckets from which nothing shall be deleted.
func (s *Store) removeProbe(ctx context.Context, name, version *string) {
	if version == nil {
		version = aws.String("null") // what is written while versioning is suspended
	}
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: name, VersionId: version})
	if err != nil { // versions are unknown there, or may not be deleted
		_, err = s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: name}, retried)
	}
	if err != nil {
		s.log.Warn("objects can be written to storage, but not deleted: recordings cannot be deleted either",
			"bucket", s.bucket, "object", *name, "error", err)
	}
}

// explain says which option a failure of Check comes from.
func (s *Store) explain(verb string, err error) error {
	what := fmt.Sprintf("cannot %s %s", verb, s.location())
	if advice := s.advice(err); advice != "" {
		return fault.Errorf(fault.Invalid, option+"%s: %s: %w", advice, what, classify(err))
	}
	err = classify(err)
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", what, err)
	case errors.Is(err, storage.ErrFull), fault.KindOf(err) == fault.Unavailable && statusOf(err) != 0:
		return fmt.Errorf("%s: %w", what, err) // it is the right server, in trouble
	case fault.KindOf(err) == fault.Unavailable:
		return fault.Errorf(fault.Unavailable, "%s: no answer; is "+option+"endpoint right, and the network up? %w", what, err)
	}
	return fault.Errorf(fault.Invalid, option+"endpoint: %s: this is no answer of an S3 server: %w", what, err)
}

// advice returns the option that has to change and why, or "" where err does not tell.
func (s *Store) advice(err error) string {
	switch errorCode(err) {
	case "NoSuchBucket", "InvalidBucketName":
		return "bucket: there is no such bucket, make it or name another"
	case "InvalidAccessKeyId", "InvalidClientTokenId":
		return "access_key_id: the server does not know this key" + s.origin()
	case "SignatureDoesNotMatch":
		return "secret_access_key: it does not belong to access_key_id" + s.origin()
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidTokenId":
		return "session_token: it has expired or does not belong to access_key_id" + s.origin()
	case "AuthorizationHeaderMalformed", "AuthorizationQueryParametersError", "PermanentRedirect",
		"IllegalLocationConstraintException", "InvalidRegion":
		return s.regionAdvice(err)
	case "AccessDenied", "AllAccessDisabled":
		return "bucket: the credentials" + s.origin() + " lack a permission;" +
			" recordings need s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload"
	}
	if statusOf(err) == http.StatusMovedPermanently {
		return s.regionAdvice(err)
	}
	if missing := (*credentialsError)(nil); errors.As(err, &missing) && !transient(missing) {
		return "access_key_id: it is not set, and neither the environment, a profile nor a role of this machine has credentials"
	}
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	if errors.As(err, &certificate) || errors.As(err, &authority) {
		return "endpoint: the server's certificate is not trusted; AWS_CA_BUNDLE names more authorities"
	}
	if strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return "endpoint: the server does not speak TLS; write http://"
	}
	return ""
}

// origin says where credentials come from that were not set.
func (s *Store) origin() string {
	if s.static {
		return ""
	}
	return " (it is not set: the environment's, the profile's or the role's credentials are used)"
}

func (s *Store) regionAdvice(err error) string {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.Response != nil {
		if region := response.Response.Header.Get("X-Amz-Bucket-Region"); region != "" {
			return fmt.Sprintf("region: it is %q, and the bucket is in %q", s.client.Options().Region, region)
		}
	}
	return fmt.Sprintf("region: the bucket is not in %q", s.client.Options().Region)
}

// transient reports whether a source of credentials was there and failed. That
// nobody answers at the address of EC2's metadata is no failure: this is no
// EC2 instance, and the metadata is asked last.
func transient(err *credentialsError) bool {
	for e := error(err); e != nil; {
		var operation *smithy.OperationError
		if !errors.As(e, &operation) {
			break
		}
		if operation.ServiceID == "ec2imds" {
			return false
		}
		e = operation.Err
	}
	return fault.KindOf(classifyTransport(err.err)) == fault.Unavailable || statusOf(err) >= http.StatusInternalServerError
}
