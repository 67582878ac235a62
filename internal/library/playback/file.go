package playback

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // of viewers, wherever the program runs

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/movie"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

const (
	// maxHeld is how many bytes of memory the heads of files take that are kept because
	// a player will ask for another range.
	maxHeld = 64 << 20
	// atOnce is how many files are made at the same time: each looks into all segments
	// of its recording.
	atOnce = 2
)

// What a file is that is none of pictures, as Content-Type has it.
const (
	TypeSound     = "audio/mp4"
	TypeSoundWebM = "audio/webm"
	TypeZIP       = "application/zip"
)

// Clip is a recording, or the part of one that a file is to have.
type Clip struct {
	Recording media.Recording
	From, To  time.Duration // media time; to 0: to the end
}

// file answers with the recording in the folder of key as one file, of which key has the name.
func (s *Server) file(w http.ResponseWriter, r *http.Request, key string) error {
	rec, err := s.recordingOf(r.Context(), key)
	if err != nil {
		return err
	}
	return s.File(w, r, path.Base(key), []Clip{{Recording: rec}})
}

// File answers with clips, which follow each other in time and are of one stream, as one
// file of that name, with ranges and conditions. Of a recording that runs it has what is closed.
// The query of r says what of it is wanted: see wanted. What cannot be one file is a
// fault.Conflict that says which spans can be had, or with split a ZIP of several.
func (s *Server) File(w http.ResponseWriter, r *http.Request, name string, clips []Clip) error {
	want, err := wantedOf(name, r.URL.Query())
	if err != nil {
		return err
	}
	f, err := s.plan(r.Context(), clips, want.Choice)
	if err != nil {
		return err
	}
	if want.split && len(f.plan.Files) > 1 {
		err = s.zip(w, r, f, want)
	} else {
		err = s.one(w, r, f, want)
	}
	if r.Context().Err() != nil {
		return nil //nolint:nilerr // the client has left
	}
	return err
}

// wanted is what the query of a request says.
type wanted struct {
	movie.Choice
	zone  *time.Location // of the file's name
	split bool           // several files, if they cannot be one
}

// wantedOf reads tz, tracks, height and split of a request for a file of that name.
func wantedOf(name string, q url.Values) (want wanted, err error) {
	want.WebM = name == media.WebMName
	if want.zone, err = time.LoadLocation(q.Get("tz")); err != nil {
		return want, fault.Errorf(fault.Invalid, `tz %.100q is no time zone; write it as "Europe/Berlin"`, q.Get("tz"))
	}
	switch tracks := q.Get("tracks"); tracks {
	case "":
	case "audio":
		want.Kinds = []media.Kind{media.Audio}
	case "video":
		want.Kinds = []media.Kind{media.Video}
	default:
		return want, fault.Errorf(fault.Invalid, `tracks %.100q is neither "audio" nor "video"`, tracks)
	}
	if want.Height, err = media.ParseHeight(q.Get("height")); err != nil {
		return want, err
	}
	if split := q.Get("split"); split != "" {
		if want.split, err = strconv.ParseBool(split); err != nil {
			return want, fault.Errorf(fault.Invalid, `split %.100q is neither "true" nor "false"`, split)
		}
	}
	return want, nil
}

// extension is that of a file's name.
func (w *wanted) extension() string {
	switch {
	case w.WebM:
		return path.Ext(media.WebMName)
	case w.isSound():
		return ".m4a"
	}
	return path.Ext(media.FileName)
}

// isSound reports whether the file is to be of sound alone.
func (w *wanted) isSound() bool { return len(w.Kinds) == 1 && w.Kinds[0] == media.Audio }

// contentType is that of the file.
func (w *wanted) contentType() string {
	switch {
	case w.WebM && w.isSound():
		return TypeSoundWebM
	case w.isSound():
		return TypeSound
	}
	return storage.ContentType(w.extension())
}

// name is under which name a file is saved that begins at a time: file systems refuse
// slashes and colons.
func (w *wanted) name(stream string, at time.Time, extension string) string {
	stream = strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|`, r) || media.IsHidden(r) {
			return '_'
		}
		return r
	}, stream)
	return stream + " " + at.In(w.zone).Format("2006-01-02 15.04.05") + extension
}

// planned is what a request asks for.
type planned struct {
	plan  *movie.Plan
	clips []Clip
	hash  hash // of all that the files depend on
	check bool // the storage may have lost segments
}

// plan reads the manifests of clips.
func (s *Server) plan(ctx context.Context, clips []Clip, choice movie.Choice) (*planned, error) {
	h := sha256.New()
	p := &planned{clips: clips}
	var sources []movie.Source
	for _, c := range clips {
		manifest, err := s.manifest(ctx, c.Recording.MPDPath)
		if err != nil {
			return nil, err
		}
		lost := s.losses.has(c.Recording.RecordDir)
		p.check = p.check || lost
		fmt.Fprintf(h, "%q %d %d %v %d\n", c.Recording.RecordDir, c.From, c.To, lost, len(manifest))
		h.Write(manifest)
		sources = append(sources, movie.Source{Dir: c.Recording.RecordDir, Manifest: manifest, From: c.From, To: c.To})
	}
	fmt.Fprintf(h, "%v", choice)
	p.hash = hash(h.Sum(nil))
	var err error
	if p.plan, err = movie.NewPlan(sources, choice); err != nil {
		return nil, fmt.Errorf("make a file of recording %q: %w", clips[0].Recording.RecordDir, err)
	}
	return p, nil
}

// one answers with the only file that is planned.
func (s *Server) one(w http.ResponseWriter, r *http.Request, p *planned, want wanted) error {
	f, err := p.plan.One()
	if err != nil {
		return fmt.Errorf("make one file of recording %q: %w", p.clips[0].Recording.RecordDir, err)
	}
	m, err := s.movie(r.Context(), p, f)
	if err != nil {
		return err
	}
	rec := p.clips[0].Recording
	name := want.name(rec.Stream, p.begins(f), want.extension())
	setHeader(w, name, m.ETag(), cacheValidate)
	w.Header().Set("Content-Type", want.contentType())
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	return s.send(w, r, rec, path.Join(rec.RecordDir, path.Base(r.URL.Path)), time.Time{}, s.reader(r.Context(), p, m))
}

// begins returns when a file begins that is saved: a whole recording when that began.
func (p *planned) begins(f *movie.File) time.Time {
	if c := p.clips[0]; f == p.plan.Files[0] && c.From == 0 {
		return c.Recording.Start
	}
	return f.From
}

// Made is a file that has been made of clips.
type Made struct {
	Name    string // under which it is saved
	Size    int64
	Missing []string // what the storage does not have of it
	Open    func(context.Context) io.ReadCloser
}

// Files makes what File answers with.
func (s *Server) Files(ctx context.Context, name string, clips []Clip, query url.Values) (files []Made, err error) {
	want, err := wantedOf(name, query)
	if err != nil {
		return nil, err
	}
	p, err := s.plan(ctx, clips, want.Choice)
	if err != nil {
		return nil, err
	}
	if !want.split || len(p.plan.Files) == 1 {
		if _, err := p.plan.One(); err != nil {
			return nil, err
		}
	}
	p.check = true
	list, err := s.zipped(ctx, p, want)
	for _, f := range list {
		files = append(files, Made{Name: f.name, Size: f.size, Missing: f.movie.Missing(), Open: func(ctx context.Context) io.ReadCloser {
			return s.reader(ctx, p, f.movie)
		}})
	}
	return files, err
}

// content is a file that was made: a *movie.Movie or a *movie.WebM.
type content interface {
	Size() int64
	ETag() string
	Held() int64
	Missing() []string
	NewReader(ctx context.Context, b storage.Readable) io.ReadSeekCloser
}

// open makes a file of a plan.
func open(ctx context.Context, p *movie.Plan, f *movie.File, how movie.Opening) (m content, missing []string, err error) {
	if p.IsWebM() {
		return p.OpenWebM(ctx, f, how)
	}
	return p.Open(ctx, f, how)
}

// movie returns a file that is planned, made now or before.
func (s *Server) movie(ctx context.Context, p *planned, f *movie.File) (content, error) {
	rec := p.clips[0].Recording
	hash := sha256.Sum256(fmt.Appendf(p.hash[:], "%s", f.Span()))
	return s.movies.get(ctx, hash, func() (content, error) {
		title := movie.Title{Name: rec.Stream, Comment: verdict(rec)}
		m, missing, err := open(ctx, p.plan, f, movie.Opening{Backend: s.backend, Lister: s.lister, Index: s.live.SampleIndex, Check: p.check, Title: title})
		if err != nil {
			return nil, fmt.Errorf("make one file of recording %q: %w", rec.RecordDir, err)
		}
		if len(missing) > 0 {
			s.log.Warn("the file of a recording lacks objects that the storage has lost",
				"stream", rec.Stream, "record_id", rec.RecordID, "record_dir", rec.RecordDir, "objects", len(missing), "first", missing[0])
			s.noteMissing(ctx, p.clips, missing)
		}
		return m, nil
	})
}

// reader returns a reader of a file. If it finds that the storage has lost a segment, the
// next file of these recordings is made without.
func (s *Server) reader(ctx context.Context, p *planned, m content) io.ReadSeekCloser {
	return &attentive{m.NewReader(ctx, s.backend), func() {
		for _, c := range p.clips {
			s.losses.add(c.Recording.RecordDir)
		}
	}}
}

// attentive tells when an object is not there.
type attentive struct {
	io.ReadSeekCloser
	lost func()
}

func (a *attentive) Read(p []byte) (int, error) {
	n, err := a.ReadSeekCloser.Read(p)
	if errors.Is(err, storage.ErrNotFound) || errors.Is(err, io.ErrUnexpectedEOF) || movie.IsStale(err) {
		a.lost()
	}
	return n, err
}

// maxLosses is of how many recordings it is remembered that the storage has lost
// something.
const maxLosses = 1000

// losses are the folders of such recordings. Safe for concurrent use.
type losses struct {
	mu   sync.Mutex
	dirs map[string]bool
}

func (l *losses) has(dir string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dirs[dir]
}

// add notes a folder, and reports whether it is new.
func (l *losses) add(dir string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dirs[dir] {
		return false
	}
	if l.dirs == nil || len(l.dirs) >= maxLosses {
		l.dirs = map[string]bool{} // it is found out again
	}
	l.dirs[dir] = true
	return true
}

// verdict is what the file says of the recording's completeness.
func verdict(rec media.Recording) string {
	if rec.Status == media.StatusRecording {
		return "This is the part of a running recording that was closed when the file was made."
	}
	if rec.Reason == "" {
		return string(rec.Status)
	}
	return string(rec.Status) + ": " + rec.Reason
}

// manifest returns the content of a manifest.
func (s *Server) manifest(ctx context.Context, key string) ([]byte, error) {
	if data, _, ok := s.live.Manifest(key); ok {
		return data, nil
	}
	data, err := storage.ReadAll(ctx, s.backend, key, media.MaxManifest)
	if err != nil {
		return nil, notFound(key, err)
	}
	return data, nil
}

// movies keeps the files that were asked for last. Safe for concurrent use.
type movies struct {
	making chan struct{} // has a place for each file that is being made
	most   int64         // bytes that are kept

	mu     sync.Mutex
	byHash map[hash]*made
	held   int64 // bytes of those that are kept
	uses   int64
}

// hash tells recordings and versions of them apart.
type hash [sha256.Size]byte

// made is a file that is being made, or was. The movie, or the reason why there is none,
// is known when done is closed.
type made struct {
	done  chan struct{}
	movie content
	err   error
	kept  bool
	used  int64 // when it was asked for last
}

func newMovies() *movies {
	return &movies{making: make(chan struct{}, atOnce), most: maxHeld, byHash: map[hash]*made{}}
}

// get returns the file of a hash. If several clients ask for it at the same time, one
// request makes the file and the others wait. If that client leaves, another makes it.
func (m *movies) get(ctx context.Context, of hash, open func() (content, error)) (content, error) {
	for {
		file, mine := m.find(of)
		if mine {
			m.open(ctx, of, file, open)
		}
		select {
		case <-file.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if mine || ctx.Err() != nil || !errors.Is(file.err, context.Canceled) {
			return file.movie, file.err
		}
	}
}

// find returns the file of a hash; mine says that the caller has to make it.
func (m *movies) find(of hash) (file *made, mine bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	file, ok := m.byHash[of]
	if !ok {
		file = &made{done: make(chan struct{})}
		m.byHash[of] = file
	}
	m.uses++
	file.used = m.uses
	return file, !ok
}

// open makes a file.
func (m *movies) open(ctx context.Context, of hash, file *made, open func() (content, error)) {
	defer close(file.done)
	defer m.keep(of, file)
	file.err = context.Canceled // unless it is made
	select {
	case m.making <- struct{}{}:
		defer func() { <-m.making }()
		file.movie, file.err = open()
	case <-ctx.Done():
	}
}

// keep counts a file that was made, and forgets those that were used least recently where
// they are too many. What could not be made is not kept.
func (m *movies) keep(of hash, file *made) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if file.err != nil {
		delete(m.byHash, of)
		return
	}
	file.kept = true
	m.held += file.movie.Held()
	for m.held > m.most {
		oldest := of
		for h, f := range m.byHash {
			if f.kept && f.used < m.byHash[oldest].used {
				oldest = h
			}
		}
		m.held -= m.byHash[oldest].movie.Held()
		delete(m.byHash, oldest)
	}
}
