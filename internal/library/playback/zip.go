package playback

import (
	"archive/zip"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/live777/recorder/internal/library/movie"
)

// zip answers with the files that are planned and can be made, in a ZIP without compression,
// of which the length is known before.
func (s *Server) zip(w http.ResponseWriter, r *http.Request, p *planned, want wanted) error {
	rec := p.clips[0].Recording
	files, err := s.zipped(r.Context(), p, want)
	if err != nil {
		return err
	}
	var size counter
	if err := writeZip(&size, files, func(w io.Writer, f *zipped) (uint32, error) { return 0, writeZeros(w, f.size) }); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", TypeZIP)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", cacheValidate)
	h.Set("Content-Length", strconv.FormatInt(int64(size), 10))
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": want.name(rec.Stream, files[0].at, ".zip")}))
	if r.Method == http.MethodHead {
		return nil
	}
	err = writeZip(w, files, func(w io.Writer, f *zipped) (uint32, error) {
		sum := crc32.NewIEEE()
		reader := s.reader(r.Context(), p, f.movie)
		_, err := io.Copy(io.MultiWriter(w, sum), reader)
		_ = reader.Close() // it was read
		return sum.Sum32(), err
	})
	if err != nil && r.Context().Err() == nil { // the client sees that it is too short
		s.log.Error("a ZIP of files broke off while it was sent", "stream", rec.Stream, "record_id", rec.RecordID, "error", err)
	}
	return nil
}

// zipped makes the files that are planned and can be made: as WebM what cannot be MP4, and
// the other way round.
func (s *Server) zipped(ctx context.Context, p *planned, want wanted) (files []zipped, err error) {
	refused := map[string]bool{}
	for _, f := range p.plan.Files {
		refused[f.Span()] = f.Why != ""
	}
	files, err = s.made(ctx, p, want, func(*movie.File) bool { return true })
	if err != nil {
		return nil, err
	}
	if len(files) < len(p.plan.Files) {
		want.WebM = !want.WebM
		other, err := s.plan(ctx, p.clips, want.Choice)
		if err != nil {
			return nil, err
		}
		more, err := s.made(ctx, other, want, func(f *movie.File) bool { return refused[f.Span()] })
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
		slices.SortStableFunc(files, func(a, b zipped) int { return a.at.Compare(b.at) })
	}
	if len(files) == 0 {
		_, err := p.plan.One()
		return nil, fmt.Errorf("make files of recording %q: %w", p.clips[0].Recording.RecordDir, err)
	}
	unique(files)
	return files, nil
}

// made makes the wanted ones of the files that are planned and can be made.
func (s *Server) made(ctx context.Context, p *planned, want wanted, wants func(*movie.File) bool) (files []zipped, err error) {
	for _, f := range p.plan.Files {
		if f.Why != "" || !wants(f) {
			continue
		}
		m, err := s.movie(ctx, p, f)
		if err != nil {
			return nil, err
		}
		files = append(files, zipped{want.name(p.clips[0].Recording.Stream, p.begins(f), want.extension()), f.From, m.Size(), m})
	}
	return files, nil
}

// zipped is a file of a ZIP.
type zipped struct {
	name  string
	at    time.Time
	size  int64
	movie content
}

// unique numbers files that have the name of one before.
func unique(files []zipped) {
	seen := map[string]int{}
	for i := range files {
		name := files[i].name
		if seen[name]++; seen[name] > 1 {
			files[i].name = fmt.Sprintf("%d %s", seen[name], name)
		}
	}
}

// writeZip writes a ZIP of files, whose content is written by body, which returns its
// CRC-32.
func writeZip(w io.Writer, files []zipped, body func(w io.Writer, f *zipped) (uint32, error)) error {
	z := zip.NewWriter(w)
	for i := range files {
		f := &files[i]
		const checksumFollows, isUTF8 = 0x8, 0x800
		h := &zip.FileHeader{
			Name: f.name, Method: zip.Store, Flags: checksumFollows | isUTF8,
			CompressedSize64: uint64(f.size), UncompressedSize64: uint64(f.size),
		}
		h.SetModTime(f.at.UTC()) //nolint:staticcheck // CreateRaw takes no other
		part, err := z.CreateRaw(h)
		if err != nil {
			return fmt.Errorf("write a ZIP: %w", err)
		}
		if h.CRC32, err = body(part, f); err != nil { // it is written behind the content
			return err
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("write a ZIP: %w", err)
	}
	return nil
}

// counter counts what is written.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// writeZeros writes n bytes that are 0.
func writeZeros(w io.Writer, n int64) error {
	zeros := make([]byte, 1<<20)
	for n > 0 {
		part := zeros[:min(n, int64(len(zeros)))]
		if _, err := w.Write(part); err != nil {
			return err
		}
		n -= int64(len(part))
	}
	return nil
}
