package recording

import (
	"testing"
	"time"
)

// TestPersistedSeldom: storage is asked to store 1.15 objects for each object of an hour,
// and the manifests cost a thousandth of a day's media. They are never far behind either.
func TestPersistedSeldom(t *testing.T) {
	const (
		segment = 6 * time.Second
		tracks  = 2
		rate    = 250_000 // bytes a second
		beside  = 5       // manifest.mpd, index.m3u8, two playlists, recording.json
	)
	var p persisted
	var puts, objects int
	var behind time.Duration
	for end := segment; end <= 24*time.Hour; end += segment {
		puts, objects = puts+tracks, objects+tracks
		size := int64(end/segment)*tracks*60 + 6_000 // playlists have a line or two for each segment
		bytes := int64(end/time.Second) * rate
		// A tick comes more often than a segment ends.
		for range 10 {
			if version := int(end / segment); p.due(version, end, bytes) {
				p = persisted{version: version, end: end, bytes: p.bytes + size, newest: size}
				puts += beside
			}
		}
		behind = max(behind, end-p.end)
		if end == time.Hour {
			if ratio := float64(puts+beside) / float64(objects+tracks+beside); ratio > 1.15 {
				t.Errorf("an hour: %.2f requests to store an object", ratio)
			}
			if behind > persistMax {
				t.Errorf("an hour: the stored manifest was %v behind", behind)
			}
		}
	}
	if most := int64(persistFree + 24*3600*rate/persistShare); p.bytes > most {
		t.Errorf("a day: the manifests had %d bytes together, more than %d", p.bytes, most)
	}
	t.Logf("a day: at most %v behind", behind)
}

// TestPersistedWhenChanged: a manifest that has not changed is not stored again.
func TestPersistedWhenChanged(t *testing.T) {
	var p persisted
	if !p.due(1, 6*time.Second, 1000) {
		t.Error("the first segment is no reason to store")
	}
	p = persisted{version: 1, end: 6 * time.Second, bytes: 5000, newest: 5000}
	if p.due(1, time.Hour, 1<<40) {
		t.Error("the same version is stored again")
	}
	if p.due(2, 12*time.Second, 1<<40) {
		t.Error("stored again after a segment")
	}
	if !p.due(6, 36*time.Second, 1<<20) {
		t.Error("not stored again when the recording is several times as long")
	}
}
