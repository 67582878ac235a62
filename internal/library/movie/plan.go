package movie

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Eyevinn/dash-mpd/mpd"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/manifest"
)

// maxSegments bounds what a broken manifest can make us do, for each track: a day of
// segments of a second.
const maxSegments = 86_400

// Source is a recording, or a part of one.
type Source struct {
	Dir      string
	Manifest []byte        // the MPD
	From, To time.Duration // media time: 0 is where the recording begins. To 0: to the end
}

// Choice is what is wanted of the sources.
type Choice struct {
	Kinds  []media.Kind // nil: all
	Height int          // of the pictures, of which there are several sizes at a time; 0: the biggest
	WebM   bool         // files are to be WebM, and not MP4
}

// Plan is which segments become files. Where what can be in one file changes, another
// file begins.
type Plan struct {
	Files  []*File
	epoch  time.Time // time 0 of all times
	choice Choice
	many   bool // there are several sources
}

// File is what is in one file.
type File struct {
	From, To time.Time // wall clock
	Formats  []string  // of its tracks, as RFC 6381 has them
	Why      string    // why it cannot be MP4, or WebM if that is the choice; empty: it can
	tracks   [2][]*piece
	start    time.Duration // since the epoch; what is before is not shown
	cut      bool          // start is where somebody wants it to begin
}

// piece is the segments of a track in one Period of a source.
type piece struct {
	dir       string
	kind      media.Kind
	codecs    string
	mime      string
	init      string
	template  string // of the names of segments
	timescale uint32
	shift     time.Duration // of the source's media time 0, since the epoch
	from, to  time.Duration // on the source's media timeline, what is wanted; to 0: all
	segments  []segment
}

// segment is a segment that a manifest names.
type segment struct {
	number         int
	name           string
	time, duration media.Ticks
}

func (s *segment) end() media.Ticks { return s.time + s.duration }

// indexed tells the groups of segments apart that share a sample index.
func (s *segment) indexed() int { return (s.number - 1) / media.IndexGroup }

// place returns the index of a kind in File.tracks.
func place(kind media.Kind) int { return int(kind - media.Video) }

// NewPlan reads the manifests of sources, which follow each other in time. It asks the
// storage for nothing. Sources without media of the choice are a fault.NotFound.
func NewPlan(sources []Source, c Choice) (*Plan, error) {
	if len(c.Kinds) == 0 {
		c.Kinds = []media.Kind{media.Video, media.Audio}
	}
	p := &Plan{choice: c, many: len(sources) > 1}
	for i, s := range sources {
		m, err := manifest.ReadMPD(s.Manifest)
		if err != nil {
			return nil, fmt.Errorf("read the manifest of %q: %w", s.Dir, err)
		}
		began, err := time.Parse(time.RFC3339Nano, string(m.AvailabilityStartTime))
		if err != nil {
			return nil, fmt.Errorf("read the manifest of %q: availabilityStartTime: %w", s.Dir, err)
		}
		if i == 0 {
			p.epoch = began
		}
		if err := p.add(&s, m, began.Sub(p.epoch)); err != nil {
			return nil, err
		}
	}
	if len(p.Files) == 0 {
		return nil, fault.New(fault.NotFound, "there is no media in it that was asked for").Coded("nothing_for_file")
	}
	return p, nil
}

// add adds what is wanted of a source, whose media time 0 is shift after the epoch.
func (p *Plan) add(s *Source, m *mpd.MPD, shift time.Duration) error {
	best := map[media.Kind]string{}
	for _, kind := range p.choice.Kinds {
		id, err := p.choice.id(m, kind)
		if err != nil {
			return err
		}
		best[kind] = id
	}
	for _, period := range m.Periods {
		var pieces []*piece
		for _, kind := range p.choice.Kinds {
			r := p.choice.representation(period, kind, best[kind])
			if r == nil {
				continue
			}
			one := &piece{dir: s.Dir, kind: kind, shift: shift, from: s.From, to: s.To}
			if err := one.read(r); err != nil {
				return fmt.Errorf("read the manifest of %q: %w", s.Dir, err)
			}
			if one.crop(); len(one.segments) > 0 {
				pieces = append(pieces, one)
			}
		}
		p.join(pieces)
	}
	return nil
}

// join puts the pieces of a Period into the file before, or into one of its own.
func (p *Plan) join(pieces []*piece) {
	if len(pieces) == 0 {
		return
	}
	n := len(p.Files)
	if n == 0 || !p.Files[n-1].takes(pieces) {
		p.Files = append(p.Files, &File{From: p.epoch.Add(1<<63 - 1), start: 1<<63 - 1, cut: pieces[0].from > 0})
		n++
	}
	f := p.Files[n-1]
	for _, one := range pieces {
		from, to := one.span()
		if from < f.start {
			f.start, f.From = from, p.epoch.Add(from)
		}
		f.To = media.Later(f.To, p.epoch.Add(to))
		f.tracks[place(one.kind)] = append(f.tracks[place(one.kind)], one)
		if !slices.Contains(f.Formats, one.codecs) {
			f.Formats = append(f.Formats, one.codecs)
		}
		if why := p.choice.refuses(one); why != "" {
			f.Why = why
		}
	}
}

// refuses says why a piece cannot be in a file of the container that is wanted; empty if it
// can. It names the other file, which it can be in.
func (c *Choice) refuses(p *piece) string {
	switch {
	case !c.WebM && !strings.HasSuffix(p.mime, "/mp4"):
		return fmt.Sprintf("its %s is %s (%s), which is recorded as WebM and cannot be put into an MP4 file; %s has it", p.kind, p.codecs, p.mime, media.WebMName)
	case c.WebM && p.kind == media.Video && !p.isWebM():
		return fmt.Sprintf("its %s is %s (%s), and a WebM file is made of VP8 alone; %s has it", p.kind, p.codecs, p.mime, media.FileName)
	}
	return ""
}

// takes reports whether a file can go on with pieces: each with the codec and the clock
// rate that its track has.
func (f *File) takes(pieces []*piece) bool {
	for _, one := range pieces {
		for _, before := range f.tracks[place(one.kind)] {
			if before.entry() != one.entry() || before.timescale != one.timescale || before.mime != one.mime {
				return false
			}
		}
	}
	return true
}

// entry returns the four letters of the sample entry.
func (p *piece) entry() string {
	entry, _, _ := strings.Cut(p.codecs, ".")
	return entry
}

// span returns which time of the piece is wanted, since the epoch.
func (p *piece) span() (from, to time.Duration) {
	from = max(p.segments[0].time.Duration(p.timescale), p.from)
	to = p.segments[len(p.segments)-1].end().Duration(p.timescale)
	if p.to > 0 {
		to = min(to, p.to)
	}
	return from + p.shift, to + p.shift
}

// crop leaves out the segments that are behind what is wanted. What is before it is left
// out later, since the key frame may be there, but for a piece that is all before.
func (p *piece) crop() {
	if p.to > 0 {
		to := media.TicksOf(p.to, p.timescale)
		i := slices.IndexFunc(p.segments, func(s segment) bool { return s.time >= to })
		if i >= 0 {
			p.segments = p.segments[:i]
		}
	}
	if n := len(p.segments); n > 0 && p.segments[n-1].end() <= media.TicksOf(p.from, p.timescale) {
		p.segments = nil
	}
}

// read takes what a Representation says.
func (p *piece) read(r *mpd.RepresentationType) error {
	t := r.GetSegmentTemplate()
	template, err := r.GetMedia()
	if err != nil {
		return err
	}
	if !strings.Contains(template, media.NumberField) {
		return fmt.Errorf("the template %q has no %s", template, media.NumberField)
	}
	p.template = template
	if p.init, err = r.GetInit(); err != nil {
		return err
	}
	p.codecs, p.mime, p.timescale = r.GetCodecs(), r.GetMimeType(), 1
	if t.Timescale != nil {
		p.timescale = *t.Timescale
	}
	if p.timescale == 0 {
		return fmt.Errorf("the timescale of %q is 0", r.Id)
	}
	number, at := 1, media.Ticks(0)
	if t.StartNumber != nil {
		number = int(*t.StartNumber)
	}
	for _, s := range t.SegmentTimeline.S {
		if s.R < 0 || s.R >= maxSegments-len(p.segments) {
			return fmt.Errorf("it repeats a segment %d times", s.R)
		}
		if s.T != nil {
			at = media.Ticks(*s.T)
		}
		for range s.R + 1 {
			p.segments = append(p.segments, segment{number, media.SegmentName(template, number), at, media.Ticks(s.D)})
			number, at = number+1, at+media.Ticks(s.D)
		}
	}
	return nil
}

// id returns the id of the Representation of a kind with the most to see, or of the height
// that is wanted, which is taken in all Periods that have it.
func (c *Choice) id(m *mpd.MPD, kind media.Kind) (string, error) {
	var best *mpd.RepresentationType
	var heights []string
	for _, p := range m.Periods {
		for r := range ofKind(p, kind) {
			if h := fmt.Sprint(r.Height); kind == media.Video && !slices.Contains(heights, h) {
				heights = append(heights, h)
			}
			if c.fits(r, kind) && (best == nil || pixels(r) > pixels(best)) {
				best = r
			}
		}
	}
	switch {
	case best != nil:
		return best.Id, nil
	case len(heights) > 0:
		return "", fault.Errorf(fault.NotFound, "there is no video of a height of %d, but of %s", c.Height, strings.Join(heights, ", ")).Coded("height_unknown", "height", c.Height)
	}
	return "", nil
}

// fits reports whether a Representation has the height that is wanted.
func (c *Choice) fits(r *mpd.RepresentationType, kind media.Kind) bool {
	return kind != media.Video || c.Height == 0 || int(r.Height) == c.Height
}

// representation returns that of a Period with an id, else the best of its kind there, nil
// if there is none with segments.
func (c *Choice) representation(p *mpd.Period, kind media.Kind, id string) (best *mpd.RepresentationType) {
	for r := range ofKind(p, kind) {
		switch {
		case r.Id == id:
			return r
		case best == nil || pixels(r) > pixels(best):
			best = r
		}
	}
	return best
}

// ofKind yields the Representations of a Period that have segments.
func ofKind(p *mpd.Period, kind media.Kind) func(yield func(*mpd.RepresentationType) bool) {
	return func(yield func(*mpd.RepresentationType) bool) {
		for _, set := range p.AdaptationSets {
			for _, r := range set.Representations {
				if kindOf(r) == kind.String() && hasSegments(r) && !yield(r) {
					return
				}
			}
		}
	}
}

func kindOf(r *mpd.RepresentationType) string {
	kind, _, _ := strings.Cut(r.GetMimeType(), "/")
	return kind
}

func pixels(r *mpd.RepresentationType) int64 { return int64(r.Width) * int64(r.Height) }

func hasSegments(r *mpd.RepresentationType) bool {
	t := r.GetSegmentTemplate()
	return t != nil && t.SegmentTimeline != nil && len(t.SegmentTimeline.S) > 0
}

// IsWebM reports whether the files are WebM, which OpenWebM makes.
func (p *Plan) IsWebM() bool { return p.choice.WebM }

// One returns the only file of a plan. If there are several, or it cannot be MP4, the
// error is a fault.Conflict that says which spans can be had.
func (p *Plan) One() (*File, error) {
	if len(p.Files) == 1 && p.Files[0].Why == "" {
		return p.Files[0], nil
	}
	why := p.Files[0].Why
	for i := 1; i < len(p.Files) && why == ""; i++ {
		why = p.Files[i-1].differs(p.Files[i])
	}
	var spans []string
	for _, f := range p.Files {
		if f.Why == "" {
			spans = append(spans, f.Span()+" ("+strings.Join(f.Formats, ", ")+")")
		}
	}
	if len(spans) > 0 {
		why += "; what can be had: " + strings.Join(spans, "; ")
	}
	return nil, fault.New(fault.Conflict, why).Coded("not_one_file")
}

// Span returns from when to when the file is.
func (f *File) Span() string {
	const layout = "2006-01-02T15:04:05.000Z"
	return f.From.UTC().Format(layout) + "/" + f.To.UTC().Format(layout)
}

// differs says why another file begins.
func (f *File) differs(next *File) string {
	for i := range f.tracks {
		if len(f.tracks[i]) == 0 || len(next.tracks[i]) == 0 {
			continue
		}
		a, b := f.tracks[i][0], next.tracks[i][0]
		switch {
		case a.entry() != b.entry() || a.mime != b.mime:
			return fmt.Sprintf("its %s changes from %s to %s, which one file cannot have", a.kind, a.codecs, b.codecs)
		case a.timescale != b.timescale:
			return fmt.Sprintf("its %s goes on with another clock rate, which one file cannot have", a.kind)
		}
	}
	return next.Why
}
