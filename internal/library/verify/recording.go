// Package verify reads a recording back into access units and checks its
// structure and its ledger. It shares no code with the packages that write
// recordings.
package verify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/Eyevinn/dash-mpd/mpd"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// ManifestName is the file name of a recording's manifest.
const ManifestName = "manifest.mpd"

// Recording is a recording as its manifest and files describe it.
type Recording struct {
	Dir       string        // in the storage
	ID        string        // MPD@id
	Dynamic   bool          // still being recorded
	Start     time.Time     // wall clock of media time 0
	Duration  time.Duration // MPD@mediaPresentationDuration; 0 while Dynamic
	MinBuffer time.Duration // MPD@minBufferTime
	Periods   []Period
	Tracks    []*Track  // in the order of the manifest
	Problems  []Problem // everything that breaks a rule, in the order of reading
	Bytes     int64     // of all files that the manifest names
	// Info is what recording.json says; nil where there is none that can be read.
	Info *media.Recording
}

// Period is a Period of the manifest.
type Period struct {
	ID       string
	Start    time.Duration // on the media timeline
	Duration time.Duration // 0 where the manifest has none
}

// Track is the media of one Representation, over all Periods.
type Track struct {
	ID        string // Representation@id
	Kind      media.Kind
	Timescale uint32 // Hz
	Inits     []Init // in the order of use, each once
	Segments  []Segment
	Samples   []Sample
	// Representations are the attributes that the track has in each of its Periods.
	Representations []Representation
}

// Representation is what the manifest says of a track in a Period.
type Representation struct {
	Period    int // index in Recording.Periods
	Bandwidth int // bit/s
}

// Init is an init segment.
type Init struct {
	Name          string
	Codecs        string // RFC 6381, made from the sample entry
	Width, Height int    // pixels; 0 for audio
	Channels      int    // audio only
	// ParameterSets are the H264 SPS and PPS, the H265 VPS, SPS and PPS, or the
	// AV1 sequence header OBU of the sample entry; nil for other codecs.
	ParameterSets [][]byte
	Periods       []int // indexes in Recording.Periods that use it, rising
}

// Segment is a media segment that the manifest names.
type Segment struct {
	Name     string
	Number   int
	Period   int // index in Recording.Periods
	Time     media.Ticks
	Duration media.Ticks
	Bytes    int64
	Samples  int
	Fillers  int         // of these: may stand for what was not sent, by the ledger or by what they are
	Last     media.Ticks // duration of the last sample
	Longest  media.Ticks // duration of the longest sample
	Key      bool        // begins with a sync sample
	Stills   []Span      // pictures that last longer than a second, with those before them of which they are copies
}

// Sample is an access unit of a track.
type Sample struct {
	Time media.Ticks // on the media timeline, in the order of decoding
	// Composition is when it is shown, less Time.
	Composition media.Ticks
	Duration    media.Ticks
	Key         bool // marked as sync sample
	Data        []byte
	// Sets are the parameter sets of H264 and H265 that stood in Data: key frames
	// have them there, whether the sender sent them with these or not.
	Sets    [][]byte
	Segment int // number
	Period  int // index in Recording.Periods
	// Resolution is the unit in which the container tells time: 1 in MP4, a
	// millisecond in WebM.
	Resolution media.Ticks
}

// Shown returns the media time at which the sample is shown.
func (s *Sample) Shown() media.Ticks { return s.Time + s.Composition }

// Problem is a rule that the recording breaks.
type Problem struct {
	Where string `json:"where"` // file name, or element of the manifest
	What  string `json:"what"`
}

// String returns "where: what".
func (p Problem) String() string { return p.Where + ": " + p.What }

// Layer returns the track of a Representation.
func (r *Recording) Layer(id string) (*Track, bool) {
	for _, t := range r.Tracks {
		if t.ID == id {
			return t, true
		}
	}
	return nil, false
}

// WithLayer returns the recording reduced to one Representation of video and
// all of audio, for a comparison with what the sender sent of that layer.
func (r *Recording) WithLayer(id string) *Recording {
	part := *r
	part.Tracks = slices.DeleteFunc(slices.Clone(r.Tracks), func(t *Track) bool { return t.Kind == media.Video && t.ID != id })
	return &part
}

// Track returns the first track of a kind.
func (r *Recording) Track(k media.Kind) (*Track, bool) {
	for _, t := range r.Tracks {
		if t.Kind == k {
			return t, true
		}
	}
	return nil, false
}

// InPeriods returns the recording reduced to the samples, segments and init
// segments of the Periods with index first to last, for a comparison with one
// of several senders. The media timeline stays the same, problems are left out.
func (r *Recording) InPeriods(first, last int) *Recording {
	part := *r
	part.Problems = nil
	part.Tracks = nil
	for _, t := range r.Tracks {
		p := *t
		p.Segments = slices.DeleteFunc(slices.Clone(t.Segments), func(s Segment) bool { return s.Period < first || s.Period > last })
		p.Samples = slices.DeleteFunc(slices.Clone(t.Samples), func(s Sample) bool { return s.Period < first || s.Period > last })
		p.Inits = slices.DeleteFunc(slices.Clone(t.Inits), func(in Init) bool {
			return !slices.ContainsFunc(in.Periods, func(i int) bool { return i >= first && i <= last })
		})
		if len(p.Samples) > 0 {
			part.Tracks = append(part.Tracks, &p)
		}
	}
	return &part
}

// ReadRecording reads the recording in folder dir with all its media into
// memory and checks it. What is wrong with the recording is in its Problems; an
// error means that there is no manifest that can be read, or that the storage
// failed.
//
// Checked are: the rules of ISO/IEC 23009-1 for static and dynamic manifests;
// that each Period's presentationTimeOffset is its start; that segment numbers
// are consecutive over all Periods and a SegmentTimeline has no hole; that
// every file exists, decodes to its end into boxes that are known, and holds
// exactly the media that the manifest says; that chunks join, sequence numbers
// rise, and video segments start with a sync sample; that the sample entry, or
// WebM's track entry, agrees with @codecs, and the samples with the entry; and
// that a static manifest names every segment that exists, and that the HLS playlists
// beside it, where there are any, name the same, and sample indexes say what the
// segments have.
func ReadRecording(ctx context.Context, backend storage.Backend, dir string) (*Recording, error) {
	return readRecording(ctx, backend, dir, true)
}

// CheckRecording is ReadRecording without the media: the tracks have no Samples. It
// needs memory for one segment only, however long the recording is.
func CheckRecording(ctx context.Context, backend storage.Backend, dir string) (*Recording, error) {
	return readRecording(ctx, backend, dir, false)
}

func readRecording(ctx context.Context, backend storage.Backend, dir string, keep bool) (*Recording, error) {
	r := &reader{
		ctx: ctx, backend: backend, keep: keep, rec: &Recording{Dir: dir},
		inits: map[string]*initSegment{}, state: map[*Track]*trackState{}, used: map[string]bool{}, layouts: map[string]layout{},
	}
	if err := r.readInfo(); err != nil {
		return nil, fmt.Errorf("read recording %s: %w", dir, err)
	}
	data, err := r.read(ManifestName)
	if err != nil {
		return nil, fmt.Errorf("read recording %s: %w", dir, err)
	}
	m, err := parseManifest(data)
	if err != nil {
		return nil, fmt.Errorf("parse manifest of %s: %w", dir, err)
	}
	if err := r.readManifest(m); err != nil {
		return nil, fmt.Errorf("read recording %s: %w", dir, err)
	}
	if !r.rec.Dynamic {
		if err := errors.Join(r.findUnnamed(), r.checkHLS(), r.checkIndexes()); err != nil {
			return nil, fmt.Errorf("read recording %s: %w", dir, err)
		}
	}
	return r.rec, nil
}

// parseManifest parses a manifest. The library's own parser never returns from some
// documents that have text where there are elements, or nothing else, so another one
// reads them first.
func parseManifest(data []byte) (*mpd.MPD, error) {
	if err := checkXML(data); err != nil {
		return nil, err
	}
	m, err := mpd.MPDFromBytes(data)
	if err != nil {
		return nil, fmt.Errorf("read MPD: %w", err)
	}
	return m, nil
}

// mpdTexts are the elements of an MPD that consist of text.
var mpdTexts = map[string]bool{
	"BaseURL": true, "Location": true, "PatchLocation": true, "Title": true, "Source": true, "Copyright": true, "Label": true,
}

// checkXML wants an XML document whose outermost element is MPD.
func checkXML(data []byte) error {
	tokens := xml.NewDecoder(bytes.NewReader(data))
	var open []string
	root := ""
	for {
		token, err := tokens.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read XML: %w", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			open = append(open, token.Name.Local)
			root = cmp.Or(root, token.Name.Local)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			text := bytes.TrimSpace(token)
			if len(text) > 0 && (len(open) == 0 || !mpdTexts[open[len(open)-1]]) {
				return fmt.Errorf("there is text between elements: %.20q", text)
			}
		}
	}
	if root != "MPD" {
		return fmt.Errorf("the document is %q, not MPD", root)
	}
	return nil
}

// reader is one ReadRecording.
type reader struct {
	ctx      context.Context
	backend  storage.Backend
	keep     bool // the samples
	rec      *Recording
	inits    map[string]*initSegment // by name
	state    map[*Track]*trackState
	used     map[string]bool // files that the manifest names
	layouts  map[string]layout
	original bool // it was told that segments are as an original live777 writes them
}

// trackState is what the next segment of a track is checked against.
type trackState struct {
	number   int         // of the last segment
	sequence uint32      // mfhd of the last chunk
	end      media.Ticks // of the last sample
	started  bool        // there was a segment
	period   int         // of the last segment with samples; -1: there was none
	shown    media.Ticks // when the last picture of that is shown
	filled   Spans       // by the ledger
	still    still       // the last picture
}

// problem notes that something breaks a rule.
func (r *reader) problem(where, format string, args ...any) {
	r.rec.Problems = append(r.rec.Problems, Problem{Where: where, What: fmt.Sprintf(format, args...)})
}

// read returns the content of a file of the recording.
func (r *reader) read(name string) ([]byte, error) {
	body, err := r.backend.Get(r.ctx, path.Join(r.rec.Dir, name), 0, -1)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", name, err)
	}
	data, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}

// readNamed reads a file that the manifest names. One that does not exist is a
// problem, and ok is false.
func (r *reader) readNamed(name string) (data []byte, ok bool, err error) {
	r.used[name] = true
	data, err = r.read(name)
	if errors.Is(err, storage.ErrNotFound) {
		r.problem(name, "the manifest names it, but it does not exist")
		return nil, false, nil
	}
	r.rec.Bytes += int64(len(data))
	return data, err == nil, err
}

// findUnnamed notes the segments that exist and that the manifest leaves out.
func (r *reader) findUnnamed() error {
	for o, err := range r.backend.List(r.ctx, r.rec.Dir) {
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		name := strings.TrimPrefix(o.Key, r.rec.Dir+"/")
		if strings.Contains(name, "/") {
			continue // of another recording, in a folder of this one's
		}
		if strings.Contains(name, "_seg_") && !r.used[name] {
			r.problem(name, "exists, but the manifest does not name it")
		}
	}
	return nil
}
