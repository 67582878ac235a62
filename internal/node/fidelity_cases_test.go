//go:build !norecorder

package node

import (
	"slices"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

const ms = time.Millisecond

// fidelityCase is a stream that is published, what the way does to it, and what
// its recording has to be.
type fidelityCase struct {
	name    string
	send    []load.Options // publishers one after the other; URL and Seed are set by the runner
	between time.Duration  // from the end of one publisher to the next
	streams int            // published like this at once; 0 is 1
	node    func(*config.Recorder)
	baseDir string        // the recording is started by the API to this directory, not automatically
	stopAt  time.Duration // the recording is stopped while the publisher goes on

	match   matching
	compare compare.Options
	missing int // units that may be missing although they were not lost on the way: the reason is in the case

	status  media.Status // "" is complete
	periods int          // of each recording; 0 is 1, some is one or more
	gaps    []string     // "video loss": kinds and causes of the ledger's gaps, sorted, each once
	decode  bool         // ffmpeg plays it without a complaint
}

// some is the number of Periods where it depends on how soon key frames come that
// were asked for: a hole of more than 2 s begins another.
const some = -1

// matching says which part of the recordings holds what was sent.
type matching int

const (
	whole       matching = iota // one recording holds the one publisher's media
	byPeriod                    // the recording has a Period for each publisher
	byRecording                 // each publisher has a recording of its own
	rotated                     // several recordings hold one publisher's media, without a gap
)

// files are the test media, read once.
type files struct {
	baseline, slices, high, small, vp9, vp9Small, vp8, h265, h265Slices, av1, stereo, mono, surround *load.Source
}

// fidelityCases is the table.
func fidelityCases(f files) []fidelityCase {
	return slices.Concat(cleanCases(f), lossCases(f), networkCases(f), clockCases(f),
		pauseCases(f), changeCases(f), rotationCases(f), controlCases(f))
}

// one is a single publisher.
func one(o load.Options) []load.Options { return []load.Options{o} }

// av returns options to publish both tracks for 7 s with sender reports.
func av(video, audio *load.Source) load.Options {
	return load.Options{Video: video, Audio: audio, Duration: 7 * time.Second, SenderReports: true}
}

// with changes a copy of o.
func with(o load.Options, change func(*load.Options)) load.Options {
	change(&o)
	return o
}

// wrapping lets the sequence numbers and timestamps of the video begin anew in the first
// second.
func wrapping(o load.Options) load.Options {
	o.VideoSeq, o.VideoTimestamp = 65500, 1<<32-90000
	return o
}

// seeded sets a seed with which the last packets are not lost: nothing follows
// that would show it.
func seeded(o load.Options, seed uint64) load.Options {
	o.Seed = seed
	return o
}

// Nothing happens on the way.
func cleanCases(f files) []fidelityCase {
	return []fidelityCase{
		{name: "clean-h264-stereo", send: one(av(f.baseline, f.stereo)), decode: true},
		{name: "clean-h264-slices-mono", send: one(av(f.slices, f.mono)), decode: true},
		{name: "clean-h264-high", send: one(av(f.high, f.stereo)), decode: true},
		{name: "clean-vp9-mono", send: one(av(f.vp9, f.mono)), decode: true},
		{name: "video-only-h264", send: one(av(f.baseline, nil))},
		{name: "video-only-vp9", send: one(av(f.vp9, nil))},
		{name: "audio-only-stereo", send: one(av(nil, f.stereo)), decode: true},
		{name: "audio-only-mono", send: one(av(nil, f.mono))},
		{name: "small-packets", send: one(with(av(f.high, f.stereo), func(o *load.Options) { o.MTU = 200 }))},
		{name: "sequence-wraps", send: one(with(av(f.baseline, f.stereo), func(o *load.Options) { o.VideoSeq, o.AudioSeq = 65535, 65400 }))},
		{name: "timestamp-wraps", send: one(with(av(f.vp9, f.mono), func(o *load.Options) {
			o.VideoTimestamp, o.AudioTimestamp = 1<<32-3*90000, 1<<32-4*48000-7
		}))},
		{name: "short", send: one(with(av(f.baseline, f.stereo), func(o *load.Options) { o.Duration = 700 * ms }))},
		{name: "clean-vp8-webm", send: one(wrapping(av(f.vp8, f.stereo))), decode: true},
		{name: "clean-h265", send: one(wrapping(av(f.h265, f.stereo))), decode: true},
		{name: "clean-h265-slices-mono", send: one(wrapping(av(f.h265Slices, f.mono))), decode: true},
		{name: "clean-av1", send: one(wrapping(av(f.av1, f.mono))), decode: true},
		{name: "clean-surround", send: one(wrapping(av(f.baseline, f.surround))), decode: true},
	}
}

// Packets are lost on the way.
func lossCases(f files) []fidelityCase {
	loss := func(o load.Options, p float64, burst int) []load.Options {
		o.Loss, o.LossBurst, o.Drain = p, burst, 700*ms
		return one(o)
	}
	// For good: the broken units and those that depend on them are missing, and
	// nothing else.
	final := func(o load.Options, p float64, burst int, obey bool) []load.Options {
		o.Loss, o.LossBurst, o.LossNoRTX, o.KeyFrameOnPLI = p, burst, true, obey
		return one(o)
	}
	lost := compare.Options{AllowLost: true, AllowFillers: true}
	both := []string{"audio loss", "video loss"}
	return []fidelityCase{
		{name: "loss-1-repaired", send: loss(av(f.baseline, f.stereo), 0.01, 1)},
		{name: "loss-5-repaired", send: loss(av(f.vp9, f.stereo), 0.05, 1), decode: true},
		{name: "loss-10-repaired", send: loss(seeded(av(f.slices, f.mono), 4), 0.1, 1)},
		{name: "loss-bursts-of-5-repaired", send: loss(av(f.baseline, f.mono), 0.02, 5)},
		{name: "loss-bursts-of-30-repaired", send: loss(seeded(av(f.high, f.stereo), 2), 0.005, 30)},
		{name: "loss-audio-only-repaired", send: loss(av(nil, f.stereo), 0.1, 2)},
		{name: "loss-2-final", send: final(av(f.baseline, f.stereo), 0.02, 1, false),
			compare: lost, status: media.StatusDegraded, gaps: both, decode: true},
		{name: "loss-5-final", send: final(av(f.high, f.stereo), 0.05, 1, false),
			compare: lost, status: media.StatusDegraded, gaps: both},
		{name: "loss-5-final-key-frames", send: final(av(f.baseline, f.mono), 0.05, 1, true),
			compare: lost, periods: some, status: media.StatusDegraded, gaps: both, decode: true},
		{name: "loss-2-final-slices", send: final(av(f.slices, f.stereo), 0.02, 1, true),
			compare: lost, periods: some, status: media.StatusDegraded, gaps: both},
		{name: "loss-2-final-h265", send: final(av(f.h265, f.mono), 0.02, 1, true),
			compare: lost, periods: some, status: media.StatusDegraded, gaps: both, decode: true},
		{name: "loss-4-final-av1", send: final(av(f.av1, f.mono), 0.04, 1, true),
			compare: lost, periods: some, status: media.StatusDegraded, gaps: both, decode: true},
		{name: "loss-2-final-vp9", send: final(av(f.vp9, f.stereo), 0.02, 1, true),
			compare: lost, periods: some, status: media.StatusDegraded, gaps: both, decode: true},
		{name: "loss-bursts-of-10-final", send: final(av(f.baseline, f.stereo), 0.01, 10, true),
			compare: lost, periods: some, status: media.StatusDegraded, gaps: both},
		{name: "loss-bursts-of-20-final-audio", send: final(av(nil, f.stereo), 0.01, 20, false),
			compare: lost, status: media.StatusDegraded, gaps: []string{"audio loss"}, decode: true},
	}
}

// Packets come late, twice and out of order.
func networkCases(f files) []fidelityCase {
	late := func(o load.Options, p float64, by time.Duration) []load.Options {
		o.Reorder, o.ReorderBy, o.Drain = p, by, by+300*ms
		return one(o)
	}
	return []fidelityCase{
		{name: "reorder-30ms", send: late(av(f.baseline, f.stereo), 0.1, 30*ms)},
		{name: "reorder-200ms", send: late(av(f.vp9, f.mono), 0.1, 200*ms)},
		{name: "reorder-500ms", send: late(av(f.slices, f.stereo), 0.02, 500*ms)},
		{name: "duplicates", send: one(with(av(f.high, f.stereo), func(o *load.Options) { o.Duplicate = 0.3 }))},
		{name: "duplicates-and-reorder", send: late(with(av(f.baseline, f.stereo), func(o *load.Options) { o.Duplicate = 0.2 }), 0.2, 40*ms)},
		{name: "jitter-50ms", send: one(with(av(f.baseline, f.stereo), func(o *load.Options) { o.Jitter = 50 * ms }))},
		{name: "jitter-300ms", send: one(with(av(f.vp9, f.stereo), func(o *load.Options) { o.Jitter = 300 * ms }))},
		{name: "video-late-400ms", send: one(with(av(f.baseline, f.stereo), func(o *load.Options) { o.VideoDelay = 400 * ms }))},
		{name: "audio-late-400ms", send: one(with(av(f.baseline, f.stereo), func(o *load.Options) { o.AudioDelay = 400 * ms }))},
		{name: "everything-at-once", send: late(with(av(f.slices, f.stereo), func(o *load.Options) {
			o.Loss, o.Duplicate, o.Jitter, o.VideoDelay, o.AudioSkew = 0.05, 0.1, 60*ms, 150*ms, 100
			o.VideoSeq, o.AudioTimestamp = 65500, 1<<32-48000
		}), 0.1, 80*ms)},
	}
}

// The sender's clocks and what it says about them.
func clockCases(f files) []fidelityCase {
	noReports := func(o load.Options) load.Options { o.SenderReports = false; return o }
	roughly := compare.Options{MaxAV: 60 * ms} // by arrival times
	lie := func(at, by time.Duration) []load.Options {
		return one(with(av(f.baseline, f.stereo), func(o *load.Options) { o.LieAt, o.LieBy = at, by }))
	}
	return []fidelityCase{
		{name: "reports-after-2s", send: one(with(av(f.baseline, f.stereo), func(o *load.Options) { o.ReportDelay, o.ReportInterval = 2300*ms, 5*time.Second }))},
		{name: "reports-clock-wrong-by-a-day", send: one(with(av(f.vp9, f.stereo), func(o *load.Options) { o.ClockOffset = -24 * time.Hour }))},
		{name: "no-reports", send: one(noReports(av(f.baseline, f.stereo))), compare: roughly},
		{name: "no-reports-short", send: one(with(noReports(av(f.vp9, f.mono)), func(o *load.Options) { o.Duration = 3 * time.Second })), compare: roughly},
		{name: "no-reports-jitter", send: one(with(noReports(av(f.baseline, f.stereo)), func(o *load.Options) { o.Jitter = 80 * ms })),
			compare: compare.Options{MaxAV: 150 * ms}},
		{name: "reports-without-clock", send: one(with(av(f.baseline, f.stereo), func(o *load.Options) { o.NoReportNTP = true })), compare: roughly},
		{name: "one-report-lies-by-3s", send: lie(3*time.Second, 3*time.Second)},
		{name: "one-report-lies-by-an-hour", send: lie(2*time.Second, -time.Hour)},
		{name: "one-report-lies-by-90ms", send: lie(3*time.Second, 90*ms)},
		{name: "first-report-lies", send: lie(0, 2*time.Second)},
		{name: "skew-200ppm", send: one(with(av(f.baseline, f.stereo), func(o *load.Options) { o.AudioSkew = 200 }))},
		{name: "skew-minus-2000ppm", send: one(with(av(f.vp9, f.stereo), func(o *load.Options) { o.AudioSkew = -2000 })),
			compare: compare.Options{MaxStep: 25 * ms, AllowFillers: true}},
		// A packet is 20 ms, and 6000 ppm are 12 ms more in each segment, at whose end the
		// sound is brought back: up to two of them, where the reports came late.
		{name: "skew-minus-6000ppm", send: one(with(av(f.baseline, f.stereo), func(o *load.Options) { o.AudioSkew = -6000 })),
			compare: compare.Options{MaxAV: 45 * ms, MaxStep: 25 * ms, AllowFillers: true}},
		{name: "skew-6000ppm", send: one(with(av(f.baseline, f.stereo), func(o *load.Options) { o.AudioSkew = 6000 })), missing: 2, // a packet less
			compare: compare.Options{MaxAV: 45 * ms, MaxStep: 25 * ms}},
	}
}

// The sender stands still, or the network does.
func pauseCases(f files) []fidelityCase {
	pause := func(o load.Options, at, d time.Duration) []load.Options {
		o.PauseAt, o.PauseFor, o.Duration = at, d, 6*time.Second+d
		return one(o)
	}
	stall := func(o load.Options, d time.Duration) []load.Options {
		o.StallAt, o.StallFor, o.Duration = 2500*ms, d, 6*time.Second+d
		return one(o)
	}
	fill := compare.Options{AllowFillers: true}
	both := []string{"audio pause", "video pause"}
	return []fidelityCase{
		{name: "pause-1s", send: pause(av(f.baseline, f.stereo), 2500*ms, time.Second), compare: fill, gaps: both},
		{name: "pause-8s", send: pause(av(f.vp9, f.stereo), 2500*ms, 8*time.Second), compare: fill, gaps: both, decode: true},
		{name: "pause-8s-video-only", send: pause(av(f.high, nil), 2500*ms, 8*time.Second), gaps: []string{"video pause"}},
		{name: "pause-12s", send: pause(av(f.baseline, f.stereo), 3*time.Second, 12*time.Second), compare: fill, status: media.StatusDegraded, gaps: both},
		{name: "pause-12s-audio-only", send: pause(av(nil, f.mono), 3*time.Second, 12*time.Second), status: media.StatusDegraded, gaps: []string{"audio pause"}},
		{name: "pause-12s-mid-gop", send: pause(av(f.baseline, f.stereo), 2500*ms, 12*time.Second),
			compare: fill, status: media.StatusDegraded, gaps: both},
		{name: "stall-3s", send: stall(av(f.baseline, f.stereo), 3*time.Second)},
		{name: "stall-3s-no-reports", send: stall(with(av(f.vp9, f.stereo), func(o *load.Options) { o.SenderReports = false }), 3*time.Second),
			compare: compare.Options{MaxAV: 60 * ms}},
		{name: "stall-10s", send: stall(av(f.baseline, f.stereo), 10*time.Second), decode: true},
		{name: "stall-10s-audio-only", send: stall(av(nil, f.stereo), 10*time.Second)},
	}
}

// What is sent changes on the way.
func changeCases(f files) []fidelityCase {
	jump := func(o load.Options, by time.Duration) []load.Options {
		o.JumpAt, o.JumpBy = 3300*ms, by // in the middle of a GOP
		return one(o)
	}
	again := func(a, b load.Options) []load.Options {
		a.Duration, b.Duration = 3500*ms, 3500*ms
		return []load.Options{a, b}
	}
	reconnect := []string{"audio reconnect", "video reconnect"}
	return []fidelityCase{
		{name: "timestamps-jump-5h", send: jump(av(f.baseline, f.stereo), 5*time.Hour)},
		{name: "timestamps-jump-back-5h", send: jump(av(f.vp9, f.stereo), -5*time.Hour)},
		{name: "timestamps-jump-audio-only", send: jump(av(nil, f.stereo), 5*time.Hour)},
		{name: "timestamps-jump-1min-audio-late",
			send: jump(with(av(f.baseline, f.stereo), func(o *load.Options) { o.AudioDelay = 100 * ms }), time.Minute)},
		{name: "timestamps-jump-1min-video-late",
			send: jump(with(av(f.baseline, f.stereo), func(o *load.Options) { o.VideoDelay = 100 * ms }), time.Minute)},
		{name: "size-change-h264", send: one(av(join(f.baseline.Head(3*time.Second), f.small), f.stereo)), periods: 2},
		{name: "size-change-vp9", send: one(av(join(f.vp9.Head(2*time.Second), f.vp9Small.Head(2*time.Second)), f.stereo)), periods: 4},
		{name: "size-change-video-only", send: one(av(join(f.baseline.Head(3*time.Second), f.small), nil)), periods: 2, decode: true},
		{name: "profile-change", send: one(av(join(f.high.Head(3*time.Second), f.baseline), f.mono)), periods: 2},
		{name: "reconnect", send: again(av(f.baseline, f.stereo), av(f.baseline, f.stereo)), between: time.Second,
			match: byPeriod, periods: 2, gaps: reconnect},
		{name: "reconnect-at-once", send: again(av(f.vp9, f.mono), av(f.vp9, f.mono)),
			match: byPeriod, periods: 2, gaps: reconnect},
		{name: "reconnect-other-codec", send: again(av(f.baseline, f.stereo), av(f.vp9, f.mono)), between: time.Second,
			match: byPeriod, periods: 2, gaps: reconnect},
		{name: "reconnect-other-size", send: again(av(f.vp9, f.stereo), av(f.vp9Small, f.stereo)), between: time.Second,
			match: byPeriod, periods: 2, gaps: reconnect},
		{name: "reconnect-without-audio", send: again(av(f.baseline, f.stereo), av(f.small, nil)), between: time.Second,
			match: byPeriod, periods: 2, gaps: []string{"audio absent", "audio reconnect", "video reconnect"}},
		{name: "reconnect-late", send: again(av(f.baseline, f.stereo), av(f.vp9, f.stereo)), between: 3 * time.Second,
			node: func(c *config.Recorder) { c.Reconnect = 1 }, match: byRecording},
	}
}

// Recordings reach their longest duration.
func rotationCases(f files) []fidelityCase {
	limit := func(c *config.Recorder) { c.MaxRecording = 3 }
	long := func(o load.Options) load.Options { o.Duration = 9 * time.Second; return o }
	return []fidelityCase{
		{name: "rotation", send: one(long(av(f.baseline, f.stereo))), node: limit, match: rotated, decode: true},
		{name: "rotation-vp9-video-only", send: one(long(av(f.vp9, nil))), node: limit, match: rotated},
		{name: "rotation-audio-only", send: one(long(av(nil, f.stereo))), node: limit, match: rotated},
		{name: "rotation-audio-late", send: one(with(long(av(f.high, f.stereo)), func(o *load.Options) { o.AudioDelay = 500 * ms })),
			node: limit, match: rotated},
		{name: "rotation-no-reports", send: one(with(long(av(f.baseline, f.mono)), func(o *load.Options) { o.SenderReports = false })),
			node: limit, match: rotated, compare: compare.Options{MaxAV: 60 * ms}},
		{name: "rotation-under-loss", send: one(with(long(av(f.baseline, f.stereo)), func(o *load.Options) { o.Loss, o.Drain = 0.05, 700*ms })),
			node: limit, match: rotated},
	}
}

// What the operator does and sets.
func controlCases(f files) []fidelityCase {
	return []fidelityCase{
		{name: "stop-mid-gop", send: one(av(f.baseline, f.stereo)), stopAt: 4500 * ms},
		{name: "vanishes", send: one(with(av(f.baseline, f.stereo), func(o *load.Options) { o.NoDelete = true }))},
		{name: "two-streams", send: one(av(f.slices, f.stereo)), streams: 2},
		{name: "base-dir", send: one(with(av(f.baseline, f.stereo), func(o *load.Options) { o.KeyFrameOnPLI = true })), baseDir: "archive/2026/door"},
		{name: "base-dir-with-id", send: one(with(av(f.vp9, f.stereo), func(o *load.Options) { o.KeyFrameOnPLI = true })), baseDir: "archive/1718200000"},
		{name: "chunk-100ms", send: one(av(f.baseline, f.stereo)), node: func(c *config.Recorder) { c.Chunk = 100 }},
		{name: "chunk-60s", send: one(av(f.vp9, f.stereo)), node: func(c *config.Recorder) { c.Chunk = 60_000 }},
		{name: "segment-1s", send: one(av(f.high, f.stereo)), node: func(c *config.Recorder) { c.Segment = 1 }},
		{name: "segment-6s-fsync-chunk", send: one(av(f.baseline, f.mono)), node: func(c *config.Recorder) { c.Segment, c.Fsync = 6, "chunk" }},
	}
}

// join is load.Join for media that fit together.
func join(parts ...*load.Source) *load.Source {
	s, err := load.Join(parts...)
	if err != nil {
		panic(err)
	}
	return s
}
