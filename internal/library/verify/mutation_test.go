package verify_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/library/verify/verifytest"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// whole is a recording with all that a good one may have, and the log of its
// sender: a camera that was off, a microphone that was, and a publisher that came
// back.
type whole struct {
	log  *load.Log
	fake *verifytest.Fake
	info *media.Recording
}

const (
	cameraOff, cameraOn = 3 * time.Second, 6 * time.Second // of whole; a still stands at 4 s
	micOff, micOn       = 7 * time.Second, 8 * time.Second
	leaves, comesBack   = 10 * time.Second, 11500 * time.Millisecond
	ends                = 21500 * time.Millisecond
)

// newWhole makes the recording, without its files.
func newWhole(t testing.TB, video string) *whole {
	t.Helper()
	w := &whole{log: verifytest.SentLog(t, video, "opus_mono.ogg", 20)}
	w.fake = verifytest.Record(t, w.log)
	v, a := w.fake.Tracks[0], w.fake.Tracks[1]
	key := v.At(2 * time.Second)
	still := v.Samples[key]
	still.Time = media.TicksOf(4*time.Second, v.Timescale)
	v.Without(cameraOff, cameraOn)
	v.Samples = slices.Insert(v.Samples, v.At(cameraOff), still)
	w.log.Video.Units = slices.Delete(w.log.Video.Units, 90, 180)
	for i := a.At(micOff); i < a.At(micOn); i++ {
		a.Samples[i].Data = []byte{0x78}
	}
	w.log.Audio.Units = slices.Delete(w.log.Audio.Units, a.At(micOff), a.At(micOn))
	for _, tr := range w.fake.Tracks {
		tr.Later(leaves, comesBack-leaves, 1)
		tr.Last()
		last := &tr.Samples[tr.At(comesBack)-1]
		last.Duration = media.TicksOf(leaves, tr.Timescale) - last.Time
	}
	w.fake.Periods = append(w.fake.Periods, verify.Period{ID: "p2", Start: comesBack})
	gone := media.Gap{Start: leaves.Seconds(), Duration: (comesBack - leaves).Seconds(), Cause: "reconnect"}
	*w.fake.Ledger(media.Video) = media.RecordingTrack{
		Kind: "video", Recorded: true, MediaSeconds: 17, FilledSeconds: 3, GapSeconds: 1.5,
		Gaps: []media.Gap{{Start: cameraOff.Seconds(), Duration: (cameraOn - cameraOff).Seconds(), Cause: "pause", Filled: true}, gone},
	}
	*w.fake.Ledger(media.Audio) = media.RecordingTrack{
		Kind: "audio", Recorded: true, MediaSeconds: 19, FilledSeconds: 1, GapSeconds: 1.5,
		Gaps: []media.Gap{{Start: micOff.Seconds(), Duration: (micOn - micOff).Seconds(), Cause: "pause", Filled: true}, gone},
	}
	w.info = w.fake.Info
	return w
}

// count puts into the ledger what is in the files.
func (w *whole) count(t testing.TB) {
	t.Helper()
	w.info.Periods, w.info.Start, w.info.Duration, w.info.Bytes = len(w.fake.Periods), verifytest.Started, ends.Seconds(), 0
	end := verifytest.Started.Add(ends + time.Second)
	w.info.End = &end
	m := w.fake.Write(t)
	for i, tr := range w.fake.Tracks {
		l := &w.info.Tracks[i]
		l.Codec, l.RFC6381, l.Frames, l.Segments, l.Bytes = tr.Codecs, tr.Codecs, int64(len(tr.Samples)), 0, 0
		if l.Kind == "video" {
			l.Width, l.Height = 320, 180
		}
		for name, data := range m {
			if strings.HasPrefix(name, verifytest.Dir+"/"+tr.Prefix+"_seg_") {
				l.Segments++
				l.Bytes += int64(len(data))
			}
		}
	}
}

// found returns what plain verify finds.
func found(t testing.TB, m verifytest.Memory) []string {
	t.Helper()
	rec, err := verify.CheckRecording(t.Context(), m, verifytest.Dir)
	if err != nil {
		return []string{err.Error()}
	}
	var all []string
	for _, p := range append(rec.Problems, verify.Audit(rec)...) {
		all = append(all, p.String())
	}
	return all
}

// by says who finds a mutation.
type by int

const (
	byVerify by = iota // verify
	byDecode           // verify -decode
	byLog              // a comparison with the log of the sender
)

// mutation is a way to damage a recording or its ledger.
type mutation struct {
	by     by
	before func(w *whole)                  // before the ledger counts: a lie that is consistent
	forge  func(w *whole)                  // after it has counted, before the files are written
	after  func(*whole, verifytest.Memory) // of the files
	want   string                          // part of what is found
}

// file changes a file; name has %s for its extension.
func file(name string, change func(w *whole, data []byte) []byte) func(*whole, verifytest.Memory) {
	return func(w *whole, m verifytest.Memory) {
		key := verifytest.Dir + "/" + w.name(name)
		m[key] = change(w, bytes.Clone(m[key]))
	}
}

// name returns the name of a file of video or audio.
func (w *whole) name(name string) string {
	for _, tr := range w.fake.Tracks {
		if strings.HasPrefix(name, tr.Prefix+"_") {
			return name + "." + tr.Extension()
		}
	}
	return name + ".m4s"
}

// exchange swaps two files.
func exchange(a, b string) func(*whole, verifytest.Memory) {
	return func(w *whole, m verifytest.Memory) {
		a, b := verifytest.Dir+"/"+w.name(a), verifytest.Dir+"/"+w.name(b)
		m[a], m[b] = m[b], m[a]
	}
}

// inMPD replaces text in the manifest, behind another one.
func inMPD(behind, old, replacement string) func(*whole, verifytest.Memory) {
	return func(_ *whole, m verifytest.Memory) {
		text := string(m[verifytest.Dir+"/"+verify.ManifestName])
		at := strings.Index(text, behind)
		i := strings.Index(text[max(at, 0):], old)
		if at < 0 || i < 0 {
			panic(fmt.Sprintf("%q behind %q is not in the manifest:\n%s", old, behind, text))
		}
		i += at
		m[verifytest.Dir+"/"+verify.ManifestName] = []byte(text[:i] + replacement + text[i+len(old):])
	}
}

// ledger changes recording.json.
func ledger(change func(info *media.Recording, video, audio *media.RecordingTrack)) func(*whole) {
	return func(w *whole) { change(w.info, &w.info.Tracks[0], &w.info.Tracks[1]) }
}

// samples changes the samples of a track.
func samples(kind media.Kind, change func(tr *verifytest.FakeTrack)) func(*whole) {
	return func(w *whole) {
		for _, tr := range w.fake.Tracks {
			if tr.Kind == kind {
				change(tr)
			}
		}
	}
}

// cutOut takes media out of a track, whose picture lasts instead.
func cutOut(from, to time.Duration) func(tr *verifytest.FakeTrack) {
	return func(tr *verifytest.FakeTrack) {
		tr.Without(from, to)
		s := tr.Samples
		i := tr.At(to)
		s[i-1].Duration = s[i].Time - s[i-1].Time
	}
}

// mangle changes what is in the file of a segment.
func mangle(number int, change func(s []verify.Sample) []verify.Sample) func(tr *verifytest.FakeTrack) {
	return func(tr *verifytest.FakeTrack) {
		tr.Mangle = func(n int, s []verify.Sample) []verify.Sample {
			if n != number {
				return s
			}
			return change(s)
		}
	}
}

// dropPeriod takes the last Period out of the manifest.
func dropPeriod(_ *whole, m verifytest.Memory) {
	text := string(m[verifytest.Dir+"/"+verify.ManifestName])
	m[verifytest.Dir+"/"+verify.ManifestName] = []byte(text[:strings.LastIndex(text, "<Period")] + "</MPD>")
	inMPD("", `mediaPresentationDuration="PT21.5S"`, `mediaPresentationDuration="PT10S"`)(nil, m)
}

// dropFiles removes the files of segments from a number on.
func dropFiles(video, audio int) func(*whole, verifytest.Memory) {
	return func(_ *whole, m verifytest.Memory) {
		for name := range m {
			var kind byte
			var n int
			if _, err := fmt.Sscanf(strings.TrimPrefix(name, verifytest.Dir+"/"), "%c_seg_%d", &kind, &n); err != nil {
				continue
			}
			if kind == 'v' && n >= video || kind == 'a' && n >= audio {
				delete(m, name)
			}
		}
	}
}

// dropTrack takes a track out of the last Period of the manifest.
func dropTrack(kind media.Kind) func(*whole, verifytest.Memory) {
	return func(_ *whole, m verifytest.Memory) {
		text := string(m[verifytest.Dir+"/"+verify.ManifestName])
		at := strings.LastIndex(text, `<AdaptationSet contentType="`+kind.String())
		end := at + strings.Index(text[at:], "</AdaptationSet>") + len("</AdaptationSet>")
		m[verifytest.Dir+"/"+verify.ManifestName] = []byte(text[:at] + text[end:])
	}
}

// both does one after the other.
func both(all ...func(*whole, verifytest.Memory)) func(*whole, verifytest.Memory) {
	return func(w *whole, m verifytest.Memory) {
		for _, f := range all {
			f(w, m)
		}
	}
}

// mutations are the ways in which a recording, or its ledger, may be damaged.
func mutations() map[string]mutation {
	const video, audio = media.Video, media.Audio
	return map[string]mutation{
		// Media is gone.
		"a second of video cut out":          {forge: samples(video, cutOut(8*time.Second, 9*time.Second)), want: "video: says"},
		"three seconds, and the counts":      {before: samples(video, cutOut(14*time.Second, 17*time.Second)), want: "video: the picture at 13.9"},
		"a second, and the counts":           {by: byLog, before: samples(video, cutOut(8*time.Second, 9*time.Second)), want: "video missing (30)"},
		"a packet of sound, and the counts":  {by: byLog, before: samples(audio, func(tr *verifytest.FakeTrack) { tr.Samples[100].Data = []byte{0x78} }), want: "audio different (1): #100"},
		"the end of a Period, of sound":      {before: samples(audio, func(tr *verifytest.FakeTrack) { tr.Without(9500*time.Millisecond, leaves) }), want: "Period 0: from 0.000 s to 10.000 s, its audio ends 0.500 s early"},
		"the end of a Period, of video":      {before: samples(video, func(tr *verifytest.FakeTrack) { tr.Without(9500*time.Millisecond, leaves) }), want: "its video ends 0.500 s early: Shaka"},
		"a segment emptied":                  {after: file("v_seg_0003", func(*whole, []byte) []byte { return nil }), want: "v_seg_0003"},
		"a segment deleted":                  {after: func(w *whole, m verifytest.Memory) { delete(m, verifytest.Dir+"/"+w.name("v_seg_0003")) }, want: "does not exist"},
		"a chunk cut off":                    {after: file("v_seg_0003", func(_ *whole, d []byte) []byte { return d[:len(d)-100] }), want: "v_seg_0003"},
		"the last chunk":                     {forge: samples(video, mangle(2, func(s []verify.Sample) []verify.Sample { return s[:15] })), want: "v_seg_0002"},
		"a hole in a timeline":               {before: samples(audio, func(tr *verifytest.FakeTrack) { tr.Without(14*time.Second, 15*time.Second) }), want: "hole of 48000 ticks"},
		"an init segment deleted":            {after: func(w *whole, m verifytest.Memory) { delete(m, verifytest.Dir+"/"+w.name("v_init")) }, want: "v_init"},
		"a track of a Period":                {after: dropTrack(video), want: "has no video: Shaka Player shows no picture"},
		"sound of a Period":                  {after: dropTrack(audio), want: "has no audio"},
		"the last Period":                    {after: dropPeriod, want: "exists, but the manifest does not name it"},
		"the last Period, with its files":    {after: both(dropPeriod, dropFiles(6, 6)), want: "says 2 Periods, the manifest has 1"},
		"the last Period, with the ledger's": {forge: ledger(func(i *media.Recording, _, _ *media.RecordingTrack) { i.Periods = 1 }), after: both(dropPeriod, dropFiles(6, 6)), want: "segments, the manifest has"},

		// Media is in the wrong place.
		"sound 300 ms later":     {before: samples(audio, func(tr *verifytest.FakeTrack) { tr.Later(0, 300*time.Millisecond, 0) }), want: "its audio begins 0.300 s late"},
		"sound 300 ms earlier":   {before: samples(audio, func(tr *verifytest.FakeTrack) { tr.Later(comesBack, -300*time.Millisecond, 0) }), want: "its audio begins 0.300 s before it"},
		"sound later, filled":    {by: byLog, before: samples(audio, shiftFilled), want: "audio different (495)"},
		"segments swapped":       {after: exchange("v_seg_0003", "v_seg_0004"), want: "v_seg_0003"},
		"segments of two tracks": {after: exchange("v_seg_0002", "a_seg_0002"), want: "_seg_0002"},
		"a segment twice": {after: func(w *whole, m verifytest.Memory) {
			m[verifytest.Dir+"/"+w.name("a_seg_0003")] = m[verifytest.Dir+"/"+w.name("a_seg_0002")]
		}, want: "a_seg_0003"},
		"a segment listed twice":   {after: inMPD(`contentType="audio"`, `<S d="96000"/>`, `<S d="96000" r="1"/>`), want: "a_"},
		"inits of two tracks":      {after: exchange("v_init", "a_init"), want: "_init"},
		"a wrong time in a file":   {forge: samples(video, mangle(3, func(s []verify.Sample) []verify.Sample { return moved(s, 9000) })), want: "v_seg_0003"},
		"wrong durations in it":    {forge: samples(audio, mangle(3, func(s []verify.Sample) []verify.Sample { s[9].Duration += 480; return s })), want: "a_seg_0003"},
		"two samples exchanged":    {by: byLog, before: samples(video, func(tr *verifytest.FakeTrack) { s := tr.Samples; s[31].Data, s[32].Data = s[32].Data, s[31].Data }), want: "video different (2)"},
		"another picture":          {by: byLog, before: samples(video, func(tr *verifytest.FakeTrack) { tr.Samples[30].Data = tr.Samples[60].Data }), want: "video different (1): #30"},
		"Period@start":             {after: inMPD("", `start="PT11.5S"`, `start="PT11S"`), want: "Period 1"},
		"Period@duration":          {after: inMPD(`id="p1"`, `duration="PT10S"`, `duration="PT9S"`), want: "its video ends 1.000 s after it"},
		"the presentation's":       {after: inMPD("", `mediaPresentationDuration="PT21.5S"`, `mediaPresentationDuration="PT23S"`), want: "MPD"},
		"presentationTimeOffset":   {after: inMPD(`id="p2"`, `presentationTimeOffset="1035000"`, `presentationTimeOffset="0"`), want: "presentationTimeOffset"},
		"a timescale":              {after: inMPD("", `timescale="90000"`, `timescale="48000"`), want: "v_"},
		"startNumber":              {after: inMPD(`id="p2"`, `startNumber="`, `startNumber="1`), want: "startNumber"},
		"availabilityStartTime":    {after: inMPD("", `availabilityStartTime="2026-01-02T03:04:05Z"`, `availabilityStartTime="2026-01-02T04:04:05Z"`), want: "started at"},
		"the start in the ledger":  {forge: ledger(func(i *media.Recording, _, _ *media.RecordingTrack) { i.Start = i.Start.Add(-time.Hour) }), want: "started at"},
		"both starts":              {forge: ledger(func(i *media.Recording, _, _ *media.RecordingTrack) { i.Start = i.Start.Add(time.Hour) }), after: inMPD("", `availabilityStartTime="2026-01-02T03:04:05Z"`, `availabilityStartTime="2026-01-02T04:04:05Z"`), want: "says that it ended at"},
		"a key frame not marked":   {before: samples(video, func(tr *verifytest.FakeTrack) { tr.Samples[30].Key = false }), want: "is a key frame and not marked"},
		"no key frame, but marked": {before: samples(video, func(tr *verifytest.FakeTrack) { tr.Samples[31].Key = true }), want: "is marked as sync sample but"},

		// Bits are wrong.
		"a codec string":          {after: inMPD("", `codecs="`, `codecs="av01.`), want: "the manifest says"},
		"bandwidth by 10":         {after: inMPD("", `bandwidth="`, `bandwidth="99`), want: "has bandwidth 99"},
		"bandwidth by 1/10":       {after: inMPD("", `bandwidth="`, `bandwidth="1" x="`), want: "has bandwidth 1,"},
		"pictures of zeros":       {by: byDecode, before: samples(video, zeros(31, 55)), want: "Representation v: "},
		"sound of noise":          {by: byLog, before: samples(audio, func(tr *verifytest.FakeTrack) { tr.Samples[20].Data = bytes.Repeat([]byte{0x78, 7}, 20) }), want: "audio different (1): #20"},
		"a segment of a stranger": {after: func(_ *whole, m verifytest.Memory) { m[verifytest.Dir+"/v_seg_0099.m4s"] = []byte("x") }, want: "v_seg_0099.m4s: exists"},

		// HLS says something else than DASH.
		"a playlist deleted":            {after: func(_ *whole, m verifytest.Memory) { delete(m, verifytest.Dir+"/a.m3u8") }, want: "a.m3u8: index.m3u8 names it"},
		"a playlist not named":          {after: inPlaylist(media.IndexName, "a.m3u8", "# a.m3u8"), want: "index.m3u8: "},
		"a playlist of a running one":   {after: inPlaylist("a.m3u8", "#EXT-X-ENDLIST", "#"), want: "a.m3u8: is that of a recording that runs"},
		"a playlist without a segment":  {after: inPlaylist("a.m3u8", "a_seg_0002.m4s", "#"), want: "a.m3u8: does not name a_seg_0002.m4s"},
		"a playlist with a stranger":    {after: inPlaylist("a.m3u8", "a_seg_0002.m4s", "a_seg_2222.m4s"), want: "a.m3u8: names a_seg_2222.m4s"},
		"a playlist with a duration":    {after: inPlaylist("a.m3u8", "#EXTINF:2", "#EXTINF:1"), want: "in the manifest 2s"},
		"a playlist with a long one":    {after: inPlaylist("a.m3u8", "DURATION:100", "DURATION:1"), want: "longer than the target duration"},
		"a playlist with a time":        {after: inPlaylist("a.m3u8", "TIME:2026", "TIME:2025"), want: "a.m3u8: a_seg_0001.m4s is of 2025"},
		"a playlist with another init":  {after: inPlaylist("a.m3u8", "a_init.m4s", "b_init.m4s"), want: `has the init segment "b_init.m4s"`},
		"a playlist of a single Period": {after: inPlaylist("a.m3u8", "#EXT-X-DISCONTINUITY", "#"), want: "a.m3u8: has 1 parts, the manifest 2 Periods"},
		"a playlist of text":            {after: inPlaylist("a.m3u8", "#EXTM3U", "EXTM3U"), want: "a.m3u8: cannot be read"},

		// The ledger lies.
		"a gap claimed away": {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { v.Gaps = v.Gaps[:1] }), want: "hole from 10.000 s to 11.500 s, which is no gap"},
		"a gap, with its sum": {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) {
			v.Gaps, v.GapSeconds, v.MediaSeconds = v.Gaps[:1], 0, 19
		}), want: "hole from 10.000 s to 11.500 s, which is no gap"},
		"a gap that is none":  {forge: ledger(func(_ *media.Recording, _, a *media.RecordingTrack) { a.Gaps[0].Filled = false }), want: "gap from 7.000 s to 8.000 s, where the manifest has media"},
		"a gap called filled": {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { v.Gaps[1].Filled = true }), want: "which is no gap"},
		"filled called media": {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { v.Gaps = v.Gaps[1:] }), want: "filled are 0.000 s in its list"},
		"filled, with its sum": {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) {
			v.Gaps, v.MediaSeconds, v.FilledSeconds = v.Gaps[1:], 20, 0
		}), want: "lasts until 6.000 s, and the ledger says nothing"},
		"silence called sound": {by: byLog, forge: ledger(func(_ *media.Recording, _, a *media.RecordingTrack) {
			a.Gaps, a.MediaSeconds, a.FilledSeconds = a.Gaps[1:], 20, 0
		}), want: "audio extra (50)"},
		"media called filled": {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { v.MediaSeconds, v.FilledSeconds = 16, 4 }), want: "filled are 3.000 s in its list, and 4.000 s in its sum"},
		"a filled span too long": {by: byLog, forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) {
			v.Gaps[0].Duration, v.MediaSeconds, v.FilledSeconds = 4, 16, 4
		}), want: "stand in spans that the ledger calls filled"},
		"a sum that does not add up": {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { v.MediaSeconds = 18 }), want: "the recording lasts"},
		"gaps out of order":          {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { slices.Reverse(v.Gaps) }), want: "not in the order of time"},
		"gaps that overlap":          {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { v.Gaps = slices.Insert(v.Gaps, 1, v.Gaps[0]) }), want: "gaps overlap"},
		"no track":                   {forge: ledger(func(i *media.Recording, _, _ *media.RecordingTrack) { i.Tracks = i.Tracks[:1] }), want: "does not know the track"},
		"a track that is not there": {forge: ledger(func(i *media.Recording, v, _ *media.RecordingTrack) {
			l := *v
			l.Layer, l.RID = 1, "b"
			i.Tracks = append(i.Tracks, l)
		}), want: "video-2: says"},
		"a track not recorded":          {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { v.Recorded = false }), want: "says that nothing is recorded"},
		"frames":                        {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { v.Frames++ }), want: "video: says"},
		"segments":                      {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { v.Segments++ }), want: "video: says"},
		"bytes":                         {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { v.Bytes-- }), want: "video: says"},
		"nothing counted":               {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { v.Frames = 0 }), want: "video: says 0 frames"},
		"a size":                        {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { v.Width = 640 }), want: "640x180"},
		"complete with losses":          {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { v.PacketsLost = 3 }), want: "says complete, but 3 packets"},
		"complete with a lost gap":      {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { v.Gaps[0].Cause = "loss" }), want: "says complete, but video has a gap"},
		"filled in a pause":             {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { v.Gaps[0].Cause = "paused" }), want: "where it was paused"},
		"sealed and paused":             {forge: ledger(func(i *media.Recording, _, _ *media.RecordingTrack) { i.PausedSince = &i.Start }), want: "has ended, and is paused"},
		"complete after a standstill":   {forge: ledger(func(_ *media.Recording, v, _ *media.RecordingTrack) { v.Gaps[1].Cause = "node" }), want: "with the cause node"},
		"complete after a crash":        {forge: ledger(func(i *media.Recording, _, _ *media.RecordingTrack) { i.Recovered = 1 }), want: "says complete, but the node died"},
		"complete with what is missing": {forge: ledger(func(_ *media.Recording, _, a *media.RecordingTrack) { a.Missing = "undecodable" }), want: "says complete, but audio is not"},
		"complete with packets thrown away": {forge: ledger(func(i *media.Recording, v, _ *media.RecordingTrack) {
			v.PacketsReceived, i.Discarded = 1000, []media.Discard{{Cause: "payload type 97 came", Packets: 40}}
		}), want: "says complete, but 40 packets beside the 1000"},
		"degraded for no reason": {forge: ledger(func(i *media.Recording, _, _ *media.RecordingTrack) { i.Status = media.StatusDegraded }), want: "does not say why"},
		"that of another recording": {after: func(w *whole, m verifytest.Memory) {
			other := *w.info
			other.Start = other.Start.Add(time.Minute)
			other.Tracks = slices.Clone(other.Tracks)
			for i := range other.Tracks {
				other.Tracks[i].Frames, other.Tracks[i].Bytes = 300, 12345
			}
			m[verifytest.Dir+"/"+media.InfoName], _ = media.EncodeRecording(other)
		}, want: "started at"},
	}
}

// inPlaylist replaces a text of an HLS playlist, where it stands first.
func inPlaylist(name, from, to string) func(*whole, verifytest.Memory) {
	return func(_ *whole, m verifytest.Memory) {
		key := verifytest.Dir + "/" + name
		m[key] = bytes.Replace(m[key], []byte(from), []byte(to), 1)
	}
}

// moved returns samples at another time.
func moved(s []verify.Sample, by media.Ticks) []verify.Sample {
	for i := range s {
		s[i].Time += by
	}
	return s
}

// zeros clears the second half of samples. A decoder of VP8 makes a picture of any
// bits that are long enough.
func zeros(first, last int) func(tr *verifytest.FakeTrack) {
	return func(tr *verifytest.FakeTrack) {
		for i := first; i < last; i++ {
			data := bytes.Clone(tr.Samples[i].Data)
			clear(data[len(data)/2:])
			if tr.IsWebM() {
				data = data[:5]
			}
			tr.Samples[i].Data = data
		}
	}
}

// shiftFilled moves the sound of the second Period by a tenth of a second, with
// packets of before at its beginning, and as much less at its end.
func shiftFilled(tr *verifytest.FakeTrack) {
	first, last := tr.At(comesBack), len(tr.Samples)
	const by = 5
	for i := last - 1; i >= first+by; i-- {
		tr.Samples[i].Data = tr.Samples[i-by].Data
	}
}

// TestMutations damages a recording in each way, and finds it; each container by
// itself. What needs -decode, or the sender's log, is not found without: it says
// what verify can and what it cannot know.
func TestMutations(t *testing.T) {
	for _, video := range []string{"h264_baseline.h264", "vp8.ivf"} {
		t.Run(video, func(t *testing.T) {
			w := newWhole(t, video)
			w.count(t)
			m := w.fake.Write(t)
			if all := append(found(t, m), foundBy(t, w, m, byDecode)...); len(all) > 0 {
				t.Fatalf("undamaged: %q", all)
			}
			if all := foundBy(t, w, m, byLog); len(all) > 0 {
				t.Fatalf("undamaged: %q", all)
			}
			for _, name := range slices.Sorted(maps.Keys(mutations())) {
				t.Run(name, func(t *testing.T) { mutations()[name].try(t, video) })
			}
		})
	}
}

func (mu mutation) try(t *testing.T, video string) {
	w := newWhole(t, video)
	if mu.before != nil {
		mu.before(w)
	}
	w.count(t)
	if mu.forge != nil {
		mu.forge(w)
	}
	m := w.fake.Write(t)
	if mu.after != nil {
		mu.after(w, m)
	}
	all := found(t, m)
	if mu.by != byVerify {
		if len(all) > 0 {
			t.Errorf("found by verify alone: %q", all)
		}
		all = foundBy(t, w, m, mu.by)
	}
	if !slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, mu.want) }) {
		t.Errorf("found %q, want %q", all, mu.want)
	}
}

// foundBy returns what decoding, or a comparison with the log, finds.
func foundBy(t *testing.T, w *whole, m verifytest.Memory, who by) (all []string) {
	t.Helper()
	if who == byDecode {
		_, problems := decode(t, m)
		for _, p := range problems {
			all = append(all, p.String())
		}
		return all
	}
	if err := compare.Recording(w.log, verifytest.Read(t, m), compare.Options{MaxStep: comesBack - leaves + time.Millisecond}).Err(); err != nil {
		all = append(all, err.Error())
	}
	return all
}
