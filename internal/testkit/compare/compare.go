// Package compare compares a recording with the log of its sender. It is a tool of
// tests: package verify judges a recording by itself.
package compare

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/load"
)

// Options says what a comparison forgives. The zero value forgives
// nothing but an A/V offset error of up to DefaultMaxAV.
type Options struct {
	// TailUnits is how many of the last sent units of each track may be
	// missing; negative: any number, for a recording that ended before the sender.
	TailUnits int
	// MaxAV is the largest accepted A/V offset error; 0 is DefaultMaxAV,
	// negative: not checked, for a sender without sender reports.
	MaxAV time.Duration
	// MaxStep is the largest accepted change of a track's recorded time against
	// the sender's timestamps, up or down, as a correction or a Period makes it.
	MaxStep time.Duration
	// AllowLost accepts that units of which packets were lost for good, and
	// video units that depend on them, are missing.
	AllowLost bool
	// AllowFillers accepts Opus packets without data where nothing that was sent
	// could be recorded.
	AllowFillers bool
}

// DefaultMaxAV is the A/V offset error that is accepted where nothing else is asked for.
const DefaultMaxAV = 20 * time.Millisecond

// maxResync is the largest change of time that the comparison follows. It is
// below the length of a test file, whose loops repeat the same bytes.
const maxResync = 2 * time.Second

// resyncSamples is the number of following samples that must confirm a change of time.
const resyncSamples = 3

// anchorSamples is how many units that could be one of the first samples are
// tried, for some of the samples may be damaged.
const anchorSamples = 30

// Recording compares a recording with what its sender logged: from the first
// recorded unit on, every unit that was sent must be there bit-exact, in order,
// once and with the sender's timestamps to the tick, or rounded to the unit of
// the container where that is coarser, and audio and video must
// have the relation that the sender's clock gave them. The recording may begin
// later than the sender. What begins in a span that the recording's ledger calls
// filled need not be what was sent; but what was sent then must be there.
func Recording(log *load.Log, rec *verify.Recording, o Options) *Report {
	if o.MaxAV == 0 {
		o.MaxAV = DefaultMaxAV
	}
	report := &Report{Problems: rec.Problems, options: o}
	for _, sent := range log.Tracks() {
		track, ok := rec.Track(sent.Kind)
		if !ok {
			track = &verify.Track{Kind: sent.Kind, Timescale: sent.ClockRate}
		}
		report.Tracks = append(report.Tracks, compareTrack(sent, track, rec.Filled(track), rec.Start, o))
	}
	for _, t := range rec.Tracks {
		if !slices.ContainsFunc(report.Tracks, func(r *TrackReport) bool { return r.Kind == t.Kind }) && !rec.IsFilled(t) {
			report.Problems = append(report.Problems, verify.Problem{Where: t.Kind.String(), What: "was recorded and never sent"})
		}
	}
	report.compareClocks(log)
	return report
}

// matcher is the comparison of one track.
type matcher struct {
	sent   []load.SentUnit
	rec    []verify.Sample
	sums   [][sha256.Size]byte         // of rec
	bySum  map[[sha256.Size]byte][]int // indexes of sent, rising
	byTime []int                       // indexes of sent, by timestamp
	broken []bool                      // of sent: cannot be decoded, for packets were lost for good
	rate   uint32
	codec  string
	opts   Options

	filled  verify.Spans // of the ledger
	neutral map[int]bool // Periods, by index, in which all samples are filled
	offset  offset       // in force
	next    int          // first sent unit that may still match
	last    int          // the last sample that was what was sent; -1: none
	shown   int          // the sent unit whose picture the sample before has; -1: none's
	filling bool         // the sample before is not the sender's
	done    []bool
	report  *TrackReport
}

// offset is recorded time minus sent timestamp: the range of it over all samples
// that have matched. With exact times it is one number. Where a container rounds
// them, the range stays narrower than its unit, for all are rounded from times
// that have one offset.
type offset struct{ low, high int64 }

// offsetOf returns the offset between a sample and a sent unit.
func offsetOf(s *verify.Sample, u *load.SentUnit) offset {
	o := int64(s.Shown()) - u.Timestamp
	return offset{o, o}
}

// and returns the range that has both.
func (o offset) and(p offset) offset { return offset{min(o.low, p.low), max(o.high, p.high)} }

func compareTrack(sent *load.TrackLog, track *verify.Track, filled verify.Spans, start time.Time, o Options) *TrackReport {
	m := &matcher{
		sent: sent.Units, rec: track.Samples, rate: sent.ClockRate, codec: sent.Codec, opts: o,
		bySum: map[[sha256.Size]byte][]int{}, done: make([]bool, len(sent.Units)),
		broken: brokenUnits(sent), filled: filled, last: -1, shown: -1,
		report: &TrackReport{
			Kind: sent.Kind, ClockRate: sent.ClockRate, Sent: len(sent.Units), Recorded: len(track.Samples), First: -1, Last: -1,
		},
	}
	for i := range m.sent {
		m.bySum[m.sent[i].SHA256] = append(m.bySum[m.sent[i].SHA256], i)
		m.byTime = append(m.byTime, i)
	}
	slices.SortStableFunc(m.byTime, func(a, b int) int { return cmp.Compare(m.sent[a].Timestamp, m.sent[b].Timestamp) })
	for i := range m.rec {
		m.sums = append(m.sums, sha256.Sum256(m.rec[i].Data))
	}
	m.findNeutral()
	m.checkInits(sent, track)
	if m.anchor(start) {
		m.match()
	} else {
		m.countFillers()
	}
	m.findMissing()
	return m.report
}

// countFillers counts what stands for media in a track that has nothing of what was
// sent.
func (m *matcher) countFillers() {
	for i := range m.rec {
		if m.opts.AllowFillers && (m.isFiller(m.rec[i].Data) || verify.IsSilence(m.rec[i].Data)) {
			m.report.Fillers++
		}
	}
}

// brokenUnits says which units of a track cannot be decoded: those that lost
// packets for good and, of video, all that follow up to the next key frame.
func brokenUnits(t *load.TrackLog) []bool {
	broken := make([]bool, len(t.Units))
	chain := false
	for i, u := range t.Units {
		if u.Key {
			chain = false
		}
		chain = u.Lost > 0 || chain && t.Kind == media.Video
		broken[i] = chain
	}
	return broken
}

// checkInits compares the parameter sets of the init segments with those sent.
// Periods in which all is filled may have others.
func (m *matcher) checkInits(sent *load.TrackLog, track *verify.Track) {
	if track.Timescale != sent.ClockRate {
		m.report.Other = append(m.report.Other, "the timescale is not the RTP clock rate")
	}
	for _, in := range track.Inits {
		if m.isNeutral(in) {
			continue
		}
		for _, ps := range in.ParameterSets {
			if !has(sent.ParameterSets, ps) {
				m.report.Other = append(m.report.Other, in.Name+" has a parameter set that was not sent")
			}
		}
	}
	for i := range m.rec {
		for _, ps := range m.rec[i].Sets {
			if !m.isFilled(i) && !has(sent.ParameterSets, ps) {
				m.report.Other = append(m.report.Other, fmt.Sprintf("sample %d has a parameter set that was not sent", i))
			}
		}
	}
}

// findNeutral finds the Periods in which nothing is the sender's.
func (m *matcher) findNeutral() {
	m.neutral = map[int]bool{}
	for i := range m.rec {
		p := m.rec[i].Period
		before, known := m.neutral[p]
		m.neutral[p] = (before || !known) && m.isFilled(i) && !m.filled.EndsAt(m.rec[i].Shown().Duration(m.rate))
	}
}

// isNeutral reports whether an init segment serves nothing but filled samples.
func (m *matcher) isNeutral(in verify.Init) bool {
	return !slices.ContainsFunc(in.Periods, func(p int) bool { return !m.neutral[p] })
}

// isFilled reports whether sample i begins in a filled span.
func (m *matcher) isFilled(i int) bool { return m.filled.Has(m.rec[i].Shown().Duration(m.rate)) }

// anchor finds the offset between recorded times and timestamps: the one with
// which most samples fit. Where the file looped, several fit alike; then the one
// nearest to the wall clock wins.
func (m *matcher) anchor(start time.Time) bool {
	type candidate struct {
		offset   offset
		mismatch int
		wall     time.Duration
	}
	var best *candidate
	for i, tried := 0, 0; i < len(m.rec) && tried < anchorSamples; i++ {
		if m.isFilled(i) {
			continue
		}
		for _, j := range m.bySum[m.sums[i]] {
			c := candidate{offset: offsetOf(&m.rec[i], &m.sent[j])}
			c.mismatch = m.mismatch(c.offset)
			c.wall = start.Add(m.rec[i].Shown().Duration(m.rate)).Sub(m.sent[j].Sent).Abs()
			if best == nil || c.mismatch < best.mismatch || c.mismatch == best.mismatch && c.wall < best.wall {
				best = &c
			}
			tried++
		}
	}
	if best == nil {
		return false
	}
	m.offset = best.offset
	return true
}

// mismatch counts the samples that do not fit with an offset.
func (m *matcher) mismatch(o offset) int {
	n := 0
	for i := range m.rec {
		if _, ok := m.at(i, o); !ok && !m.isFilled(i) {
			n++
		}
	}
	return n
}

// at returns the sent unit that sample i is, if the offset holds.
func (m *matcher) at(i int, o offset) (int, bool) {
	for _, j := range m.near(i, o) {
		if m.sent[j].SHA256 == m.sums[i] {
			return j, true
		}
	}
	return 0, false
}

// near returns the sent units whose time is that of sample i, if the offset
// holds: one at most where times are exact.
func (m *matcher) near(i int, o offset) []int {
	s := &m.rec[i]
	after, before := int64(s.Shown()-s.Resolution)-o.low, int64(s.Shown()+s.Resolution)-o.high
	first := sort.Search(len(m.byTime), func(k int) bool { return m.sent[m.byTime[k]].Timestamp > after })
	end := first
	for end < len(m.byTime) && m.sent[m.byTime[end]].Timestamp < before {
		end++
	}
	return m.byTime[first:end]
}

// match walks over the recorded samples.
func (m *matcher) match() {
	for i := range m.rec {
		if j, ok := m.at(i, m.offset); ok && j >= m.next {
			m.accept(i, j)
			continue
		}
		if m.isFilled(i) && !m.filled.EndsAt(m.rec[i].Shown().Duration(m.rate)) {
			m.fill(i)
			continue
		}
		if j, ok := m.resync(i); ok {
			o := offsetOf(&m.rec[i], &m.sent[j])
			m.report.Steps = append(m.report.Steps, Step{
				Time: m.rec[i].Shown(), Ticks: media.Ticks(o.low - m.offset.low), Filled: m.filledBefore(i) > 0,
			})
			m.offset = o
			m.accept(i, j)
			continue
		}
		m.reject(i)
	}
}

// fill notes sample i, which stands in a filled span for what was not sent at its
// time: silence, a picture that was sent before, or one of a Period in which
// nothing is the sender's.
func (m *matcher) fill(i int) {
	r, s := m.report, &m.rec[i]
	unit := Unit{Index: -1, Time: s.Shown(), Size: len(s.Data)}
	before := m.bySum[m.sums[i]]
	before = before[:sort.SearchInts(before, m.next)]
	m.filling = true
	switch {
	case len(before) > 0 && r.Kind == media.Video:
		m.chain(i, before[len(before)-1])
	case r.Kind == media.Audio && (m.isFiller(s.Data) || verify.IsSilence(s.Data)), r.Kind == media.Video && m.neutral[s.Period]:
		m.shown = -1
	default:
		r.Extra = append(r.Extra, unit)
		return
	}
	r.Filled++
}

// chain notes that sample i is the picture of sent unit j, and checks that a
// decoder knows what it depends on: behind a filled span the pictures before it
// must stand in their order, beginning with a key frame.
func (m *matcher) chain(i, j int) {
	r, s := m.report, &m.rec[i]
	unit := Unit{Index: j, Timestamp: m.sent[j].Timestamp, Time: s.Shown(), Size: len(s.Data)}
	if s.Key != m.sent[j].Key {
		r.WrongKey = append(r.WrongKey, unit)
	}
	lost := m.filling && r.Kind == media.Video && !m.sent[j].Key && m.shown != j-1
	if lost || m.broken[j] {
		r.Undecodable = append(r.Undecodable, unit)
	}
	m.shown = j
}

// accept notes that sample i is the sent unit j.
func (m *matcher) accept(i, j int) {
	r := m.report
	m.offset = m.offset.and(offsetOf(&m.rec[i], &m.sent[j]))
	m.done[j] = true
	m.next, m.last = j+1, i
	if r.First < 0 {
		r.First = j
		if !m.rec[i].Key {
			r.Other = append(r.Other, "the first recorded sample is no key frame")
		}
	}
	r.Last = j
	r.Matched++
	r.pairs = append(r.pairs, pair{time: m.rec[i].Shown(), ntp: m.sent[j].NTP})
	if m.isFilled(i) && !m.filled.EndsAt(m.rec[i].Shown().Duration(m.rate)) && !m.isFiller(m.rec[i].Data) {
		r.NotFilled = append(r.NotFilled, Unit{Index: j, Timestamp: m.sent[j].Timestamp, Time: m.rec[i].Shown(), Size: m.sent[j].Size})
	}
	m.chain(i, j)
	m.filling = false
}

// resync finds the unit that sample i is where the time has changed: with the
// new offset the following samples must fit too. Behind a filled span it may have
// changed by as much as that lasts.
func (m *matcher) resync(i int) (int, bool) {
	limit := int64(media.TicksOf(maxResync+m.filledBefore(i), m.rate))
	all := m.bySum[m.sums[i]]
	best, found := 0, false
	var bestStep int64
	for _, j := range all[sort.SearchInts(all, m.next):] {
		o := offsetOf(&m.rec[i], &m.sent[j])
		step := max(o.low-m.offset.low, m.offset.low-o.low)
		if step <= limit && (!found || step < bestStep) && m.confirmed(i, o) {
			best, bestStep, found = j, step, true
		}
	}
	return best, found
}

// filledBefore returns how much is filled between the last sample that was sent
// and sample i.
func (m *matcher) filledBefore(i int) time.Duration {
	if m.last < 0 {
		return 0
	}
	return m.filled.Within(m.rec[m.last].Shown().Duration(m.rate), m.rec[i].Shown().Duration(m.rate))
}

// confirmed reports whether the samples after i fit with an offset, but for those
// in filled spans. At the end of the recording nothing confirms, and a change of
// time is not believed.
func (m *matcher) confirmed(i int, o offset) bool {
	n := 0
	for k := i + 1; k < len(m.rec) && n < resyncSamples; k++ {
		if _, ok := m.at(k, o); ok {
			n++
		} else if !m.isFilled(k) {
			return false
		}
	}
	return n > 0
}

// reject classifies sample i, which is not what was sent at its time.
func (m *matcher) reject(i int) {
	r, s := m.report, m.rec[i]
	unit := Unit{Index: -1, Time: s.Shown(), Size: len(s.Data)}
	if m.isFilled(i) {
		m.fill(i)
		return
	}
	if m.isFiller(s.Data) && m.opts.AllowFillers {
		r.Fillers++
		return
	}
	if m.next < len(m.sent) && m.sent[m.next].SHA256 == m.sums[i] {
		unit.Index, unit.Timestamp = m.next, m.sent[m.next].Timestamp
		unit.Error = media.Ticks(int64(s.Shown()) - m.offset.low - unit.Timestamp)
		r.Mistimed = append(r.Mistimed, unit)
		m.done[m.next] = true
		m.next++
		return
	}
	near := m.near(i, m.offset)
	if len(near) == 0 || near[0] < m.next || m.isInserted(i) {
		r.Extra = append(r.Extra, unit)
		return
	}
	j := near[0]
	unit.Index, unit.Timestamp = j, m.sent[j].Timestamp
	r.Different = append(r.Different, unit)
	m.done[j] = true
	m.next = j + 1
}

// isInserted reports whether the recording goes on behind sample i as if the
// sample were not there.
func (m *matcher) isInserted(i int) bool {
	if i+1 >= len(m.rec) {
		return false
	}
	if _, ok := m.at(i+1, m.offset); ok {
		return false // it took the place of something
	}
	_, ok := m.resync(i + 1)
	return ok
}

// isFiller reports whether a sample is an Opus packet without data.
func (m *matcher) isFiller(data []byte) bool {
	return m.report.Kind == media.Audio && verify.IsFiller(data, m.codec == "multiopus")
}

// findMissing lists the sent units that should have been recorded and were not.
func (m *matcher) findMissing() {
	r := m.report
	from := max(r.First, 0)
	end := len(m.sent) - m.opts.TailUnits
	if m.opts.TailUnits < 0 {
		end = r.Last + 1
	}
	for j := from; j < max(end, r.Last+1); j++ {
		m.missing(j)
	}
}

// missing notes that the sent unit j is missing, if it is.
func (m *matcher) missing(j int) {
	r := m.report
	switch {
	case m.done[j]:
	case m.broken[j] && m.opts.AllowLost:
		r.Lost++
	default:
		r.Missing = append(r.Missing, Unit{Index: j, Timestamp: m.sent[j].Timestamp, Size: m.sent[j].Size})
	}
}

// has reports whether list has an element equal to b.
func has(list [][]byte, b []byte) bool {
	return slices.ContainsFunc(list, func(e []byte) bool { return bytes.Equal(e, b) })
}
