package osstest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// minPartSize is the least size of a part that is not the last one.
const minPartSize = 100 << 10

type upload struct {
	key         string
	contentType string
	parts       map[int][]byte
}

func (s *Server) initiateUpload(w http.ResponseWriter, r *http.Request, key string) *apiError {
	s.mu.Lock()
	if fail := s.forbidden(r, key); fail != nil {
		s.mu.Unlock()
		return fail
	}
	s.nextID++
	id := fmt.Sprintf("%032X", s.nextID)
	s.uploads[id] = &upload{key: key, contentType: r.Header.Get("Content-Type"), parts: map[int][]byte{}}
	s.mu.Unlock()
	writeXML(w, struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		Bucket   string
		Key      string
		UploadID string `xml:"UploadId"`
	}{Bucket: s.bucket, Key: keyEncoding(r.URL.Query())(key), UploadID: id})
	return nil
}

func (s *Server) uploadPart(w http.ResponseWriter, r *http.Request, key string) *apiError {
	q := r.URL.Query()
	number, err := strconv.Atoi(q.Get("partNumber"))
	if err != nil || number < 1 || number > 10000 {
		return errArgument
	}
	content, fail := readBody(r)
	if fail != nil {
		return fail
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.uploads[q.Get("uploadId")]
	if !ok || u.key != key {
		return errUpload
	}
	u.parts[number] = content
	w.Header().Set("Etag", `"`+etag(content)+`"`)
	w.Header().Set("X-Oss-Hash-Crc64ecma", crc(content))
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) abortUpload(w http.ResponseWriter, r *http.Request, key string) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.URL.Query().Get("uploadId")
	if u, ok := s.uploads[id]; !ok || u.key != key {
		return errUpload
	}
	delete(s.uploads, id)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type completion struct {
	Parts []struct {
		PartNumber int
		ETag       string
	} `xml:"Part"`
}

func (s *Server) completeUpload(w http.ResponseWriter, r *http.Request, key string) *apiError {
	body, fail := readBody(r)
	if fail != nil {
		return fail
	}
	var list completion
	if xml.Unmarshal(body, &list) != nil || len(list.Parts) == 0 {
		return newError(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed.", "")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.URL.Query().Get("uploadId")
	u, ok := s.uploads[id]
	if !ok || u.key != key {
		return errUpload
	}
	content, fail := u.assemble(list)
	if fail != nil {
		return fail
	}
	if fail := s.forbidden(r, key); fail != nil {
		return fail
	}
	o := &object{
		content: content, etag: fmt.Sprintf("%s-%d", etag(content), len(list.Parts)),
		contentType: u.contentType, modified: s.now(),
	}
	s.objects[key] = o
	delete(s.uploads, id)
	w.Header().Set("X-Oss-Hash-Crc64ecma", crc(content))
	writeXML(w, struct {
		XMLName xml.Name `xml:"CompleteMultipartUploadResult"`
		Bucket  string
		Key     string
		ETag    string
	}{Bucket: s.bucket, Key: keyEncoding(r.URL.Query())(key), ETag: `"` + o.etag + `"`})
	return nil
}

// assemble joins the listed parts; their order and their ETags must be right.
func (u *upload) assemble(list completion) ([]byte, *apiError) {
	var content bytes.Buffer
	for i, p := range list.Parts {
		if i > 0 && p.PartNumber <= list.Parts[i-1].PartNumber {
			return nil, errPartOrder
		}
		part, ok := u.parts[p.PartNumber]
		if !ok || strings.Trim(p.ETag, `"`) != etag(part) {
			return nil, errPart
		}
		if len(part) < minPartSize && i < len(list.Parts)-1 {
			return nil, errPartSize
		}
		content.Write(part)
	}
	return content.Bytes(), nil
}
