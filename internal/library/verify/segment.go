package verify

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/Eyevinn/dash-mpd/mpd"
	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/media"
)

// initSegment is a decoded init segment.
type initSegment struct {
	Init
	timescale uint32
	handler   string
	trackID   uint32
	trex      *mp4.TrexBox
	check     func(*Sample) error   // of the data, by the codec's file format binding; nil for none
	isSet     func(nal []byte) bool // of samples that are NAL units: a parameter set; nil for others
	webm      bool
}

// readInit reads and checks an init segment. It is nil where that failed, which
// is then a problem.
func (r *reader) readInit(name string, t *Track, rep *mpd.RepresentationType) (*initSegment, error) {
	in, known := r.inits[name]
	if !known {
		var err error
		if in, err = r.loadInit(name); err != nil {
			return nil, err
		}
		r.inits[name] = in
		if in != nil {
			t.Inits = append(t.Inits, in.Init)
		}
	}
	if in == nil {
		return nil, nil
	}
	if handler := map[media.Kind]string{media.Video: "vide", media.Audio: "soun"}[t.Kind]; in.handler != handler {
		r.problem(name, "handler %q in a track of %s", in.handler, t.Kind)
	}
	if in.webm != isWebM(rep) {
		r.problem(name, "is of another container than the manifest says, %q", rep.GetMimeType())
		return nil, nil
	}
	// WebM tells time in its own unit only: the manifest's must be a part of it.
	if in.timescale != t.Timescale && (!in.webm || t.Timescale%in.timescale != 0) {
		r.problem(name, "timescale %d, the manifest says %d", in.timescale, t.Timescale)
		return nil, nil
	}
	if codecs := rep.GetCodecs(); in.Codecs != codecs {
		r.problem(name, "sample entry %q, the manifest says %q", in.Codecs, codecs)
	}
	return in, nil
}

// loadInit reads and decodes an init segment. It is nil where there is none that
// can be decoded, which is then a problem.
func (r *reader) loadInit(name string) (*initSegment, error) {
	data, ok, err := r.readNamed(name)
	if err != nil || !ok {
		return nil, err
	}
	var in *initSegment
	if bytes.HasPrefix(data, webmMagic) {
		in, err = decodeWebMInit(name, data)
	} else {
		in, err = decodeInit(name, data, func(format string, args ...any) { r.problem(name, format, args...) })
	}
	if err != nil {
		r.problem(name, "%v", err)
	}
	return in, nil
}

func decodeInit(name string, data []byte, problem func(string, ...any)) (*initSegment, error) {
	f, err := mp4.DecodeFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("cannot be decoded: %w", err)
	}
	for _, b := range unknownBoxes(f.Children) {
		problem("box %q is not known", b)
	}
	if f.Init == nil || f.Init.Ftyp == nil || f.Init.Moov == nil || len(f.Children) != 2 {
		return nil, fmt.Errorf("is not ftyp and moov, but has %d boxes", len(f.Children))
	}
	moov := f.Init.Moov
	if len(moov.Traks) != 1 || moov.Mvex == nil || moov.Mvex.Trex == nil {
		return nil, fmt.Errorf("has %d tracks, or no track extends defaults", len(moov.Traks))
	}
	trak := moov.Traks[0]
	mdia := trak.Mdia
	if trak.Tkhd == nil || mdia == nil || mdia.Mdhd == nil || mdia.Hdlr == nil || mdia.Minf == nil || mdia.Minf.Stbl == nil || mdia.Minf.Stbl.Stsd == nil {
		return nil, fmt.Errorf("lacks a mandatory box in its track")
	}
	if id := moov.Mvex.Trex.TrackID; id != trak.Tkhd.TrackID {
		problem("trex is of track %d, tkhd of %d", id, trak.Tkhd.TrackID)
	}
	in := &initSegment{
		Init: Init{Name: name}, timescale: mdia.Mdhd.Timescale, handler: mdia.Hdlr.HandlerType,
		trackID: trak.Tkhd.TrackID, trex: moov.Mvex.Trex,
	}
	if err := in.readSampleEntry(mdia.Minf.Stbl.Stsd); err != nil {
		problem("%v", err) // the samples can be read all the same
	}
	return in, nil
}

// unknownBoxes returns the types of all boxes that were skipped and not decoded.
func unknownBoxes(boxes []mp4.Box) []string {
	var unknown []string
	for _, b := range boxes {
		switch b := b.(type) {
		case *mp4.UnknownBox:
			unknown = append(unknown, b.Type())
		case interface{ GetChildren() []mp4.Box }:
			unknown = append(unknown, unknownBoxes(b.GetChildren())...)
		}
	}
	return unknown
}

// readSegment reads a media segment, checks it and appends its samples to t.
func (r *reader) readSegment(t *Track, in *initSegment, s Segment) error {
	state := r.state[t]
	if state.started && s.Time < state.end {
		r.problem(s.Name, "begins at %d, %d ticks before the end of the media before it", s.Time, state.end-s.Time)
	}
	state.number, state.started = s.Number, true
	data, ok, err := r.readNamed(s.Name)
	if err != nil {
		return err
	}
	s.Bytes = int64(len(data))
	t.Segments = append(t.Segments, s)
	if !ok || in == nil {
		state.end = s.Time + s.Duration
		return nil
	}
	first := len(t.Samples)
	decode := r.decodeSegment
	if in.webm {
		decode = r.decodeWebMSegment
	}
	if err := decode(t, in, s, data); err != nil {
		r.problem(s.Name, "%v", err)
	}
	state.end = s.Time + s.Duration
	r.checkSamples(t, in, s, t.Samples[first:])
	t.Segments[len(t.Segments)-1].count(t, t.Samples[first:], state)
	if !r.keep {
		t.Samples = nil
	}
	return nil
}

// count notes what is in a segment.
func (s *Segment) count(t *Track, samples []Sample, state *trackState) {
	s.Samples = len(samples)
	for i := range samples {
		at := samples[i].Time.Duration(t.Timescale)
		if state.filled.Has(at) || t.Kind == media.Audio && (IsFiller(samples[i].Data, true) || IsSilence(samples[i].Data)) {
			s.Fillers++
		}
		s.Longest = max(s.Longest, samples[i].Duration)
		if t.Kind == media.Video {
			s.still(&samples[i], at, at+samples[i].Duration.Duration(t.Timescale), &state.still)
		}
	}
	if len(samples) > 0 {
		s.Last, s.Key = samples[len(samples)-1].Duration, samples[0].Key
	}
}

// still is a picture that lasts.
type still struct {
	key  [sha256.Size]byte // of the last key frame
	long bool              // the last sample does
	Span
}

// still notes that a sample lasts for long. One that is a copy of the last key frame
// goes on with the still before it.
func (s *Segment) still(sample *Sample, at, end time.Duration, last *still) {
	goesOn := false
	if sample.Key {
		sum := sha256.Sum256(sample.Data)
		goesOn = sum == last.key && last.End == at && last.long
		last.key = sum
	}
	if !goesOn {
		last.Start = at
	}
	last.End, last.long = end, end-at > time.Second
	if goesOn || last.long {
		s.Stills = append(s.Stills, last.Span)
	}
}

// checkSamples checks the samples of a segment against its entry in the manifest.
func (r *reader) checkSamples(t *Track, in *initSegment, s Segment, samples []Sample) {
	if len(samples) == 0 {
		r.problem(s.Name, "has no samples")
		return
	}
	var sum media.Ticks
	for i := range samples {
		sum += samples[i].Duration
		if in.check != nil && len(samples[i].Data) > 0 {
			if err := in.check(&samples[i]); err != nil {
				r.problem(s.Name, "sample %d %v", i, err)
			}
		}
		if in.isSet != nil {
			samples[i].takeSets(in.isSet)
		}
		if samples[i].Duration <= 0 || len(samples[i].Data) == 0 {
			r.problem(s.Name, "sample %d has %d bytes and lasts %d ticks", i, len(samples[i].Data), samples[i].Duration)
		}
		if t.Kind == media.Audio && !samples[i].Key {
			r.problem(s.Name, "audio sample %d is not marked as sync sample", i)
		}
	}
	if samples[0].Time != s.Time {
		r.problem(s.Name, "tfdt %d, the manifest says %d", samples[0].Time, s.Time)
	}
	if sum != s.Duration {
		r.problem(s.Name, "samples last %d ticks, the manifest says %d", sum, s.Duration)
	}
	if !samples[0].Key && r.state[t].period != s.Period {
		r.problem(s.Name, "does not start with a sync sample: players cannot begin its Period")
	}
	r.checkPresentation(t, s, samples)
}

// checkPresentation checks when the pictures of a segment are shown: each at a
// time of its own, all behind those of the segment before, and the first where the
// manifest says that the segment begins.
func (r *reader) checkPresentation(t *Track, s Segment, samples []Sample) {
	shown := make([]media.Ticks, len(samples))
	for i := range samples {
		shown[i] = samples[i].Shown()
	}
	slices.Sort(shown)
	for i := range shown[1:] {
		if shown[i] == shown[i+1] {
			r.problem(s.Name, "has two samples that are shown at %d", shown[i])
			break
		}
	}
	state, last := r.state[t], samples[len(samples)-1].Duration
	if state.period == s.Period && shown[0] <= state.shown {
		r.problem(s.Name, "has a sample that is shown at %d, not behind %d of the segment before", shown[0], state.shown)
	}
	if shown[0]-samples[0].Time > last {
		r.problem(s.Name, "is shown from %d on, the manifest says %d", shown[0], s.Time)
	}
	if late := shown[len(shown)-1]; late >= s.Time+s.Duration {
		r.problem(s.Name, "has a sample that is shown at %d, after its segment, which ends at %d", late, s.Time+s.Duration)
	}
	state.period, state.shown = s.Period, shown[len(shown)-1]
}

// decodeSegment appends the samples of a segment: styp, then chunks of moof and
// mdat (ISO/IEC 23000-19 7.3.2 and 7.3.3).
func (r *reader) decodeSegment(t *Track, in *initSegment, s Segment, data []byte) error {
	f, err := mp4.DecodeFile(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("cannot be decoded: %w", err)
	}
	for _, b := range unknownBoxes(f.Children) {
		r.problem(s.Name, "box %q is not known", b)
	}
	var (
		moof *mp4.MoofBox
		next = s.Time
	)
	for i, b := range f.Children {
		if (b.Type() == "styp") != (i == 0) {
			return fmt.Errorf("box %d is %q: a segment has one styp, at its start", i, b.Type())
		}
		switch b := b.(type) {
		case *mp4.MoofBox:
			if moof != nil {
				return fmt.Errorf("a moof without mdat")
			}
			moof = b
		case *mp4.MdatBox:
			if moof == nil {
				return fmt.Errorf("a mdat without moof")
			}
			if next, err = r.decodeChunk(t, in, s, next, moof, b); err != nil {
				return err
			}
			moof = nil
		case *mp4.StypBox, *mp4.PrftBox:
		default:
			return fmt.Errorf("box %q has no place in a segment", b.Type())
		}
	}
	if moof != nil {
		return fmt.Errorf("ends within a chunk")
	}
	return nil
}

// tfhdOriginal is a flag of tfhd that says nothing, and that an original live777 writes where
// default-base-is-moof is meant, which is 0x020000.
const tfhdOriginal = 0x000200

// checkBase checks that tfhd says what data offsets are relative to. Where it does not, they
// are relative to the moof all the same, as it has one track (ISO/IEC 14496-12 8.8.7.1). A
// recording of an original has that in every segment, which is told once.
func (r *reader) checkBase(s Segment, tfhd *mp4.TfhdBox) {
	switch {
	case tfhd.DefaultBaseIfMoof():
	case tfhd.Flags&tfhdOriginal == 0:
		r.problem(s.Name, "tfhd has not the flag default-base-is-moof")
	case !r.original:
		r.original = true
		r.problem(s.Name, "tfhd has the flag 0x000200 in place of default-base-is-moof, as an original live777 writes it: players read it all the same; other segments with it are not told of")
	}
}

// decodeChunk appends the samples of a chunk that has to begin at time next,
// and returns its end.
func (r *reader) decodeChunk(t *Track, in *initSegment, s Segment, next media.Ticks, moof *mp4.MoofBox, mdat *mp4.MdatBox) (media.Ticks, error) {
	traf := moof.Traf
	if len(moof.Trafs) != 1 || moof.Mfhd == nil || traf.Tfhd == nil || traf.Tfdt == nil || len(traf.Truns) != 1 {
		return 0, fmt.Errorf("a moof is not mfhd and one traf with tfhd, tfdt and one trun")
	}
	tfhd, trun := traf.Tfhd, traf.Truns[0]
	state := r.state[t]
	if moof.Mfhd.SequenceNumber <= state.sequence {
		r.problem(s.Name, "mfhd sequence number %d does not rise above %d", moof.Mfhd.SequenceNumber, state.sequence)
	}
	state.sequence = moof.Mfhd.SequenceNumber
	if tfhd.TrackID != in.trackID {
		r.problem(s.Name, "track %d, the init segment has %d", tfhd.TrackID, in.trackID)
	}
	if tfhd.HasBaseDataOffset() || !trun.HasDataOffset() {
		return 0, fmt.Errorf("data offsets are not relative to the moof")
	}
	r.checkBase(s, tfhd)
	if at := int64(moof.StartPos) + int64(trun.DataOffset); at != int64(mdat.PayloadAbsoluteOffset()) {
		return 0, fmt.Errorf("data offset points to byte %d, the mdat's payload is at %d", at, mdat.PayloadAbsoluteOffset())
	}
	at := media.Ticks(traf.Tfdt.BaseMediaDecodeTime())
	if at != next {
		r.problem(s.Name, "chunk begins at %d, want %d", at, next)
	}
	trun.AddSampleDefaultValues(tfhd, in.trex)
	rest := mdat.Data
	for i, sample := range trun.Samples {
		if uint64(sample.Size) > uint64(len(rest)) {
			return 0, fmt.Errorf("sample %d of a chunk has %d bytes, %d are left", i, sample.Size, len(rest))
		}
		shift := media.Ticks(sample.CompositionTimeOffset)
		if shift != 0 && trun.Version == 0 {
			r.problem(s.Name, "sample %d of a chunk has a composition offset without a sign", i)
		}
		if at+shift < s.Time {
			r.problem(s.Name, "sample %d of a chunk is shown at %d, before its segment begins at %d", i, at+shift, s.Time)
		}
		t.Samples = append(t.Samples, Sample{
			Time: at, Composition: shift, Duration: media.Ticks(sample.Dur), Key: mp4.IsSyncSampleFlags(sample.Flags),
			Data: slices.Clone(rest[:sample.Size]), Segment: s.Number, Period: s.Period, Resolution: 1,
		})
		r.layout(s.Name).add(int64(at), int64(mdat.PayloadAbsoluteOffset())+int64(len(mdat.Data)-len(rest)),
			int64(sample.Size), int64(sample.Dur), int64(shift), mp4.IsSyncSampleFlags(sample.Flags))
		at += media.Ticks(sample.Dur)
		rest = rest[sample.Size:]
	}
	if len(rest) > 0 {
		r.problem(s.Name, "%d bytes of a mdat belong to no sample", len(rest))
	}
	return at, nil
}
