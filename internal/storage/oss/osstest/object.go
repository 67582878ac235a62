package osstest

import (
	"crypto/md5" // OSS's ETag and Content-MD5
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// object is never changed, only replaced.
type object struct {
	content     []byte
	etag        string // without quotes
	contentType string
	modified    time.Time
}

var crcTable = crc64.MakeTable(crc64.ECMA)

func crc(content []byte) string {
	return strconv.FormatUint(crc64.Checksum(content, crcTable), 10)
}

func etag(content []byte) string {
	return fmt.Sprintf("%X", md5.Sum(content))
}

// readBody reads a body whole and holds it against Content-Length and
// Content-MD5.
func readBody(r *http.Request) ([]byte, *apiError) {
	if r.ContentLength < 0 { // OSS takes chunks too; the recorder always knows the length
		return nil, errLength
	}
	content, err := io.ReadAll(r.Body)
	if err != nil || int64(len(content)) != r.ContentLength {
		return nil, errIncomplete
	}
	sum := md5.Sum(content)
	if want := r.Header.Get("Content-Md5"); want != "" && want != base64.StdEncoding.EncodeToString(sum[:]) {
		return nil, errDigest
	}
	return content, nil
}

func (s *Server) putObject(w http.ResponseWriter, r *http.Request, key string) *apiError {
	content, fail := readBody(r)
	if fail != nil {
		return fail
	}
	o := &object{content: content, etag: etag(content), contentType: r.Header.Get("Content-Type"), modified: s.now()}
	if fail := s.commit(r, key, o); fail != nil {
		return fail
	}
	w.Header().Set("Etag", `"`+o.etag+`"`)
	w.Header().Set("X-Oss-Hash-Crc64ecma", crc(content))
	w.WriteHeader(http.StatusOK)
	return nil
}

// commit stores the object, unless there is one and the request forbids to
// replace it.
func (s *Server) commit(r *http.Request, key string, o *object) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fail := s.forbidden(r, key); fail != nil {
		return fail
	}
	s.objects[key] = o
	return nil
}

// forbidden is called with s.mu locked.
func (s *Server) forbidden(r *http.Request, key string) *apiError {
	_, exists := s.objects[key]
	if exists && s.versioning == "" && r.Header.Get("X-Oss-Forbid-Overwrite") == "true" {
		return errExists
	}
	return nil
}

// getObject serves HEAD as well.
func (s *Server) getObject(w http.ResponseWriter, r *http.Request, key string) *apiError {
	s.mu.Lock()
	o, ok := s.objects[key]
	s.mu.Unlock()
	if !ok {
		return errKey
	}
	size := int64(len(o.content))
	first, last, status := int64(0), size-1, http.StatusOK
	if header := r.Header.Get("Range"); header != "" && r.Method == http.MethodGet {
		a, b, ok := parseRange(header, size)
		switch {
		case ok:
			first, last, status = a, b, http.StatusPartialContent
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size))
		case r.Header.Get("X-Oss-Range-Behavior") == "standard":
			return errRange
		}
		// Else OSS takes a range that it does not like for none.
	}
	w.Header().Set("Etag", `"`+o.etag+`"`)
	w.Header().Set("Last-Modified", o.modified.UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", o.contentType)
	w.Header().Set("Content-Length", strconv.FormatInt(last-first+1, 10))
	w.Header().Set("X-Oss-Hash-Crc64ecma", crc(o.content))
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, _ = w.Write(o.content[first : last+1]) // a client that is gone needs no answer
	}
	return nil
}

// parseRange reads "bytes=a-b" and "bytes=a-"; false where the range is not in
// an object of that size.
func parseRange(header string, size int64) (first, last int64, ok bool) {
	a, b, found := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
	first, err := strconv.ParseInt(a, 10, 64)
	if !found || err != nil || first >= size {
		return 0, 0, false
	}
	last = size - 1
	if b != "" {
		end, err := strconv.ParseInt(b, 10, 64)
		if err != nil || end < first {
			return 0, 0, false
		}
		last = min(last, end)
	}
	return first, last, true
}

func (s *Server) deleteObject(w http.ResponseWriter, _ *http.Request, key string) *apiError {
	s.mu.Lock()
	delete(s.objects, key)
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type listedObject struct {
	Key          string
	LastModified string
	ETag         string
	Type         string
	Size         int64
	StorageClass string
}

type listing struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name                  string
	Prefix                string
	MaxKeys               int
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	NextContinuationToken string `xml:",omitempty"`
	KeyCount              int
	Contents              []listedObject
}

// listObjects is ListObjectsV2 without delimiter: the recorder lists no folders.
func (s *Server) listObjects(w http.ResponseWriter, r *http.Request, _ string) *apiError {
	q := r.URL.Query()
	limit := s.pageSize
	if text := q.Get("max-keys"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			return errArgument
		}
		limit = min(limit, n)
	}
	after := q.Get("start-after")
	if token := q.Get("continuation-token"); token != "" {
		last, err := base64.StdEncoding.DecodeString(token)
		if err != nil {
			return errArgument
		}
		after = string(last)
	}
	name := keyEncoding(q)
	page := listing{Name: s.bucket, Prefix: name(q.Get("prefix")), MaxKeys: limit, EncodingType: q.Get("encoding-type")}
	s.mu.Lock()
	var last string
	for _, key := range s.sortedKeys(q.Get("prefix"), after) {
		if len(page.Contents) == limit {
			page.IsTruncated = true
			page.NextContinuationToken = base64.StdEncoding.EncodeToString([]byte(last))
			break
		}
		o := s.objects[key]
		page.Contents = append(page.Contents, listedObject{
			Key: name(key), LastModified: o.modified.UTC().Format("2006-01-02T15:04:05.000Z"), ETag: `"` + o.etag + `"`,
			Type: "Normal", Size: int64(len(o.content)), StorageClass: "Standard",
		})
		last = key
	}
	s.mu.Unlock()
	page.KeyCount = len(page.Contents)
	writeXML(w, page)
	return nil
}

// keyEncoding is how an answer writes keys: XML cannot have all characters.
func keyEncoding(q url.Values) func(key string) string {
	if q.Get("encoding-type") == "url" {
		return url.QueryEscape
	}
	return func(key string) string { return key }
}

// sortedKeys is called with s.mu locked.
func (s *Server) sortedKeys(prefix, after string) []string {
	var keys []string
	for key := range s.objects {
		if strings.HasPrefix(key, prefix) && key > after {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

type bucketInfo struct {
	XMLName xml.Name `xml:"BucketInfo"`
	Bucket  struct {
		Name       string
		Location   string
		Versioning string `xml:",omitempty"`
	}
}

func (s *Server) bucketInfo(w http.ResponseWriter, _ *http.Request, _ string) *apiError {
	var info bucketInfo
	info.Bucket.Name, info.Bucket.Location, info.Bucket.Versioning = s.bucket, "oss-"+s.region, s.versioning
	writeXML(w, info)
	return nil
}

func writeXML(w http.ResponseWriter, v any) {
	body, err := xml.Marshal(v)
	if err != nil {
		panic(err) // types of this package only
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(xml.Header)+len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(append([]byte(xml.Header), body...)) // a client that is gone needs no answer
}
