//go:build !norecorder

package node

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// atOnce is how many cases run at the same time. They wait most of the time (twelve take
// a quarter of a processor), so it does not depend on their number, as -parallel does.
func atOnce() int {
	if underRace {
		return 12
	}
	return 20
}

// drain is how long what was sent last may take to arrive on a busy machine.
const drain = time.Second

// TestFidelity runs the table of cases, each on a node of its own and over real
// WebRTC: whatever the network and the sender do, what arrived is in the
// recording and its ledger says what did not. The race detector takes several times the
// processors that the media takes, and packets then come late for want of them: it gets
// every fourth case, and all run without it.
func TestFidelity(t *testing.T) {
	all := fidelityCases(testFiles(t))
	queue := make(chan *fidelityCase)
	var workers sync.WaitGroup
	for range atOnce() {
		workers.Go(func() {
			for c := range queue {
				t.Run(c.name, func(t *testing.T) { c.run(t) })
			}
		})
	}
	for i := range all {
		if !underRace || i%4 == 0 {
			queue <- &all[i]
		}
	}
	close(queue)
	workers.Wait()
}

// testFiles reads the test media.
func testFiles(t *testing.T) files {
	t.Helper()
	return files{
		baseline: open(t, "h264_baseline.h264"), slices: open(t, "h264_slices.h264"), high: open(t, "h264_high.h264"),
		small: open(t, "h264_small.h264"), vp9: open(t, "vp9.ivf"), vp9Small: open(t, "vp9_small.ivf"), vp8: open(t, "vp8.ivf"),
		h265: open(t, "h265.h265"), h265Slices: open(t, "h265_slices.h265"), av1: open(t, "av1.ivf"),
		stereo: open(t, "opus_stereo.ogg"), mono: open(t, "opus_mono.ogg"), surround: open(t, "opus_51.ogg"),
	}
}

// published is a stream of a case with what was sent to it.
type published struct {
	stream string
	logs   []*load.Log
	errs   []error
}

func (c *fidelityCase) run(t *testing.T) {
	n := startNode(t, func(cfg *config.Config) {
		if c.baseDir == "" {
			cfg.Recorder.AutoStreams = []string{"*"}
		}
		if c.node != nil {
			c.node(&cfg.Recorder)
		}
	})
	streams := make([]*published, max(c.streams, 1))
	var publishers sync.WaitGroup
	for i := range streams {
		p := &published{stream: fmt.Sprintf("%s-%d", c.name, i)}
		streams[i] = p
		publishers.Go(func() { c.publish(t.Context(), n, p) })
	}
	if c.baseDir != "" {
		c.startRecording(n, streams[0].stream)
	}
	if c.stopAt > 0 {
		n.awaitFrames(streams[0].stream, c.stopAt)
		c.stopRecording(n, streams[0].stream)
	}
	publishers.Wait()
	for _, p := range streams {
		for _, err := range p.errs {
			t.Error(err)
		}
		if c.stopAt == 0 {
			c.stopRecording(n, p.stream)
		}
		if len(p.errs) == 0 {
			c.check(n, p)
		}
	}
}

// publish runs the case's publishers one after the other.
func (c *fidelityCase) publish(ctx context.Context, n *testNode, p *published) {
	seed := fnv.New64a()
	_, _ = seed.Write([]byte(c.name))
	for i, o := range c.send {
		if i > 0 {
			time.Sleep(c.between) // the publisher is away: that is the case
		}
		o.URL = n.url + "/whip/" + p.stream
		if o.Seed == 0 {
			o.Seed = seed.Sum64()
		}
		o.Drain = max(o.Drain, drain)
		publisher, err := load.New(o)
		if err == nil {
			var log *load.Log
			log, err = publisher.Run(ctx)
			if o.JumpBy != 0 {
				unjump(log, o.JumpBy)
			}
			p.logs = append(p.logs, log)
		}
		if err != nil {
			p.errs = append(p.errs, fmt.Errorf("publisher %d: %w", i, err))
			return
		}
	}
}

// startRecording asks for a recording as soon as there is a publisher.
func (c *fidelityCase) startRecording(n *testNode, stream string) {
	n.t.Helper()
	var started recordAnswer
	await.Until(n.t, "the recording starts", func() bool {
		return n.call(http.MethodPost, "/api/record/"+stream, fmt.Sprintf(`{"base_dir":%q}`, c.baseDir), &started) == http.StatusOK
	})
	if started.RecordDir != c.baseDir || started.MPDPath != c.baseDir+"/manifest.mpd" {
		n.t.Errorf("asked for %s, recording to %+v", c.baseDir, started)
	}
}

// awaitFrames waits until the video of a recording has been going on for about d,
// at 30 frames a second.
func (n *testNode) awaitFrames(stream string, d time.Duration) {
	n.t.Helper()
	want := int64(30 * d / time.Second)
	await.Until(n.t, fmt.Sprintf("%d frames of video are recorded", want), func() bool {
		var status struct{ Tracks []media.RecordingTrack }
		n.call(http.MethodGet, "/api/record/"+stream, "", &status)
		enough := func(tr media.RecordingTrack) bool { return tr.Kind == media.Video.String() && tr.Frames >= want }
		return slices.ContainsFunc(status.Tracks, enough)
	})
}

// stopRecording asks how it goes, which it must, and ends it.
func (c *fidelityCase) stopRecording(n *testNode, stream string) {
	n.t.Helper()
	var status, ended recordAnswer
	n.call(http.MethodGet, "/api/record/"+stream, "", &status)
	if code := n.call(http.MethodDelete, "/api/record/"+stream, "", &ended); code != http.StatusOK {
		n.t.Errorf("DELETE: %d %+v", code, ended)
	}
	// Between the two it may have been rotated.
	other := status.RecordDir != ended.RecordDir && c.match != rotated
	if !status.Recording || status.Error != "" || other || ended.Status != string(c.wantStatus()) {
		n.t.Errorf("while recording: %+v; ended as %+v, want %s", status, ended, c.wantStatus())
	}
}

func (c *fidelityCase) wantStatus() media.Status {
	if c.status == "" {
		return media.StatusComplete
	}
	return c.status
}

// recorded is a recording with its ledger.
type recorded struct {
	*verify.Recording
	info media.Recording
}

// check holds the recordings of a stream against what was sent to it.
func (c *fidelityCase) check(n *testNode, p *published) {
	n.t.Helper()
	recs := n.recordings(p.stream)
	if want := map[bool]int{true: len(p.logs), false: 1}[c.match == byRecording]; c.match != rotated && len(recs) != want {
		n.t.Fatalf("%d recordings, want %d", len(recs), want)
	}
	for _, r := range recs {
		for _, problem := range r.Problems {
			n.t.Errorf("%s: %s", r.Dir, problem)
		}
		periods := max(c.periods, 1)
		if c.periods == some {
			periods = max(r.info.Periods, 1)
		}
		if r.info.Status != c.wantStatus() || r.info.Periods != periods || len(r.Periods) != periods {
			n.t.Errorf("%s: %s (%s) with %d periods, %d in the manifest; want %s, %d",
				r.Dir, r.info.Status, r.info.Reason, r.info.Periods, len(r.Periods), c.wantStatus(), periods)
		}
		if d := time.Duration(r.info.Duration*1e9) - r.Duration; d.Abs() > ms {
			n.t.Errorf("%s: the ledger says %v s, the manifest %v", r.Dir, r.info.Duration, r.Duration)
		}
		if got := gapsOf(r.info); !slices.Equal(got, c.gaps) {
			n.t.Errorf("%s: gaps %q in the ledger, want %q", r.Dir, got, c.gaps)
		}
		if c.decode {
			n.decodes(r.info.MPDPath)
		}
	}
	switch c.match {
	case whole:
		c.compareOne(n, p.logs[0], recs[0].Recording)
		c.checkCounts(n.t, p.logs, recs)
	case byPeriod:
		for i, log := range p.logs {
			c.compareOne(n, log, recs[0].InPeriods(i, i))
		}
		c.checkCounts(n.t, p.logs, recs)
	case byRecording:
		for i, log := range p.logs {
			c.compareOne(n, log, recs[i].Recording)
			c.checkCounts(n.t, p.logs[i:i+1], recs[i:i+1])
		}
	case rotated:
		c.compareRotated(n, p.logs[0], recs)
	}
}

// recordings returns the recordings of a stream, oldest first.
func (n *testNode) recordings(stream string) []recorded {
	n.t.Helper()
	var list struct{ Recordings []media.Recording }
	if code := n.call(http.MethodGet, "/api/playback/"+stream+"?limit=100", "", &list); code != http.StatusOK {
		n.t.Fatalf("list of recordings: %d", code)
	}
	store, err := fs.New(n.root, fs.Options{})
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	var all []recorded
	for _, listed := range slices.Backward(list.Recordings) {
		r, err := verify.ReadRecording(context.Background(), store, listed.RecordDir)
		if err != nil {
			n.t.Fatal(err)
		}
		r.Problems = append(r.Problems, verify.Audit(r)...)
		one := recorded{Recording: r}
		data, err := os.ReadFile(filepath.Join(n.root, listed.RecordDir, "recording.json"))
		if err == nil {
			err = json.Unmarshal(data, &one.info)
		}
		if err != nil {
			n.t.Fatal(err)
		}
		if listed.Status != one.info.Status || listed.Bytes != one.info.Bytes {
			n.t.Errorf("the catalogue has %+v, recording.json %+v", listed, one.info)
		}
		all = append(all, one)
	}
	return all
}

// gapsOf lists kinds and causes of the gaps of a ledger, sorted, each once.
func gapsOf(info media.Recording) []string {
	var all []string
	for _, tr := range info.Tracks {
		for _, g := range tr.Gaps {
			all = append(all, tr.Kind+" "+g.Cause)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// compareOne holds a recording against one publisher's log.
func (c *fidelityCase) compareOne(n *testNode, log *load.Log, rec *verify.Recording) *compare.Report {
	n.t.Helper()
	o := c.compare
	if c.stopAt > 0 || c.match == rotated {
		o.TailUnits = -1
	}
	report := compare.Recording(log, rec, o)
	missing := 0
	for _, tr := range report.Tracks {
		missing += len(tr.Missing)
		if missing <= c.missing {
			tr.Missing = nil
		}
		n.t.Logf("%s: %d of %d units, from #%d, %d lost, %d fillers", tr.Kind, tr.Matched, tr.Sent, tr.First, tr.Lost, tr.Fillers)
		if (tr.First < 0 || tr.First > c.before(log, tr.Kind)) && c.baseDir == "" && c.match != rotated {
			n.t.Errorf("%s begins with unit %d, want the first", tr.Kind, tr.First)
		}
	}
	n.t.Logf("sent up to %v late", unpunctual(log).Round(ms))
	n.t.Logf("A/V error: first %v, worst %v, last %v; %d missing", report.AV.First, report.AV.Worst, report.AV.Last, missing)
	if err := report.Err(); err != nil {
		n.t.Error(err)
	}
	return report
}

// unpunctual returns by how much a publisher sent later than at its best: one that had to
// wait for a processor tells so where its case fails. It has what the case delays, too.
func unpunctual(log *load.Log) (most time.Duration) {
	for _, tr := range log.Tracks() {
		var late []time.Duration
		for i := range tr.Units {
			late = append(late, tr.Units[i].Sent.Sub(tr.Units[i].NTP))
		}
		if len(late) > 0 {
			most = max(most, slices.Max(late)-slices.Min(late))
		}
	}
	return most
}

// before returns how many units of a track may have been captured before the first
// picture: the first audio packet a hair, and those within the error of a relation
// that the arrivals alone tell.
func (c *fidelityCase) before(log *load.Log, kind media.Kind) int {
	if kind == media.Video || log.Video == nil {
		return 0
	}
	return 1 + int(c.compare.MaxAV/(20*ms))
}

// compareRotated holds recordings that follow one another against one log:
// together they have everything, once.
func (c *fidelityCase) compareRotated(n *testNode, log *load.Log, recs []recorded) {
	n.t.Helper()
	if len(recs) < 3 {
		n.t.Errorf("%d recordings, want at least 3", len(recs))
	}
	next := map[media.Kind]int{}
	for _, r := range recs {
		for _, tr := range c.compareOne(n, log, r.Recording).Tracks {
			if next[tr.Kind] == 0 && tr.First <= c.before(log, tr.Kind) {
				next[tr.Kind] = tr.First
			}
			if tr.First != next[tr.Kind] {
				n.t.Errorf("%s: %s begins with unit %d, the recording before ends before %d", r.Dir, tr.Kind, tr.First, next[tr.Kind])
			}
			next[tr.Kind] = tr.Last + 1
		}
	}
	for _, tr := range log.Tracks() {
		if next[tr.Kind] != len(tr.Units) {
			n.t.Errorf("%s: the last recording ends before unit %d, %d were sent", tr.Kind, next[tr.Kind], len(tr.Units))
		}
	}
	c.checkCounts(n.t, []*load.Log{log}, recs)
}

// checkCounts holds the ledgers' counts against the publishers' logs.
func (c *fidelityCase) checkCounts(t *testing.T, logs []*load.Log, recs []recorded) {
	t.Helper()
	if c.stopAt > 0 || c.baseDir != "" {
		return // only a part was recorded
	}
	type counts struct{ received, lost int64 }
	want, got := map[string]counts{}, map[string]counts{}
	for _, log := range logs {
		for _, tr := range log.Tracks() {
			dropped, unseen := droppedForGood(tr)
			k := want[tr.Kind.String()]
			k.lost += int64(dropped - unseen)
			k.received += int64(tr.Packets - dropped)
			want[tr.Kind.String()] = k
		}
	}
	for _, r := range recs {
		for _, tr := range r.info.Tracks {
			if tr.Recorded {
				k := got[tr.Kind]
				k.received += tr.PacketsReceived
				k.lost += tr.PacketsLost
				got[tr.Kind] = k
			}
			if vt, ok := r.Track(kindOf(tr.Kind)); ok && tr.Frames > int64(len(vt.Samples)) {
				t.Errorf("%s: the ledger counts %d %s frames, the segments have %d", r.Dir, tr.Frames, tr.Kind, len(vt.Samples))
			}
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("packets {received lost} in the ledger %v, want %v", got, want)
	}
}

func kindOf(name string) media.Kind {
	if name == media.Audio.String() {
		return media.Audio
	}
	return media.Video
}

// droppedForGood counts the packets of a track that no NACK could bring back,
// and those of them at both ends, of which a receiver cannot know.
func droppedForGood(tr *load.TrackLog) (dropped, unseen int) {
	final := map[uint16]bool{}
	for _, d := range tr.Dropped {
		if d.Final {
			final[d.Seq] = true
		}
	}
	first := tr.FirstSeq
	last := first + uint16(tr.Packets-1)
	for ; final[first+uint16(unseen)]; unseen++ {
	}
	for head := unseen; final[last-uint16(unseen-head)]; unseen++ {
	}
	return len(final), unseen
}

// unjump takes a jump of the timestamps out of a log again.
func unjump(log *load.Log, by time.Duration) {
	for _, tr := range log.Tracks() {
		jumped := false
		for i := range tr.Units {
			u := &tr.Units[i]
			if i > 0 {
				step := media.Ticks(u.Timestamp - tr.Units[i-1].Timestamp).Duration(tr.ClockRate)
				jumped = jumped || step.Abs() > by.Abs()/2
			}
			if jumped {
				u.Timestamp -= int64(media.TicksOf(by, tr.ClockRate))
			}
		}
	}
}
