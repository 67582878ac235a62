package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"

	"github.com/live777/recorder/internal/base/auth"
)

// changingFleet is a fleet whose streams a test changes, as the manager's does.
type changingFleet struct {
	fakeFleet
	snapshot FleetSnapshot
}

func (f *changingFleet) Snapshot() FleetSnapshot { return f.snapshot }

// set makes the streams those with the given values.
func (f *changingFleet) set(values map[string]int) {
	s := FleetSnapshot{Version: f.snapshot.Version + 1, Removed: slices.Clone(f.snapshot.Removed), Floor: f.snapshot.Floor}
	old := map[string]EncodedStream{}
	for _, e := range f.snapshot.Streams {
		old[e.ID] = e
		if _, ok := values[e.ID]; !ok {
			s.Removed = append(s.Removed, RemovedStream{e.ID, s.Version})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(values)) {
		e := EncodedStream{ID: id, Version: s.Version, JSON: fmt.Appendf(nil, `{"id":%q,"createdAt":%d}`, id, values[id])}
		if before, ok := old[id]; ok && bytes.Equal(before.JSON, e.JSON) {
			e = before
		}
		s.Streams = append(s.Streams, e)
	}
	if extra := len(s.Removed) - 3; extra > 0 {
		s.Floor, s.Removed = s.Removed[extra-1].Version, s.Removed[extra:]
	}
	s.All = func() []byte { return JoinStreams(s.Streams) }
	f.snapshot = s
}

// follower keeps the list as the documentation tells clients to.
type follower map[string]int

func (c follower) take(t *testing.T, data []byte) {
	t.Helper()
	var event struct {
		Whole   bool         `json:"whole"`
		Removed []string     `json:"removed"`
		Streams []NodeStream `json:"streams"`
	}
	if err := json.Unmarshal(data, &event); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	if event.Whole {
		clear(c)
	}
	for _, id := range event.Removed {
		delete(c, id)
	}
	for _, s := range event.Streams {
		c[s.ID] = int(s.CreatedAt)
	}
}

// Whoever is told of changes alone, however seldom, knows what the whole list says;
// nobody is told of streams that are not for him.
func TestFleetFeed(t *testing.T) {
	fleet := &changingFleet{}
	values := map[string]int{}
	fleet.set(values)
	mine := func(id string) bool { return id[0] == 'a' }
	often, seldom := &fleetFeed{fleet: fleet, changes: true}, &fleetFeed{fleet: fleet, changes: true}
	some, plain := &fleetFeed{fleet: fleet, changes: true, may: mine}, &fleetFeed{fleet: fleet, may: mine}
	lists := map[*fleetFeed]follower{often: {}, seldom: {}, some: {}}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	quiet := 0
	for step := range 2000 {
		for range random.IntN(3) {
			id := fmt.Sprintf("%c%d", "ab"[random.IntN(2)], random.IntN(6))
			if _, ok := values[id]; ok && random.IntN(2) == 0 {
				delete(values, id)
			} else {
				values[id] = random.IntN(5)
			}
		}
		fleet.set(values)
		for feed, list := range lists {
			if feed == seldom && step%7 != 0 {
				continue
			}
			data, err := feed.next()
			if err != nil {
				t.Fatal(err)
			}
			if data != nil {
				list.take(t, data)
			} else {
				quiet++
			}
			want := maps.Clone(values)
			if feed.may != nil {
				maps.DeleteFunc(want, func(id string, _ int) bool { return !mine(id) })
			}
			if !maps.Equal(want, map[string]int(list)) {
				t.Fatalf("step %d: it knows %v, there is %v", step, list, want)
			}
			if data, err = feed.next(); data != nil || err != nil {
				t.Fatalf("step %d: told twice: %s, %v", step, data, err)
			}
		}
		if data, err := plain.next(); err != nil || data != nil && !json.Valid(data) {
			t.Fatalf("%s: %v", data, err)
		}
	}
	if quiet == 0 || fleet.snapshot.Floor == 0 {
		t.Error("nothing was left out, or no removal was forgotten")
	}
}

// Who may know of few streams is told that one of them has ended, even where so many
// have ended since that it is not remembered.
func TestFleetFeedForgets(t *testing.T) {
	for _, changes := range []bool{true, false} {
		fleet := &changingFleet{}
		fleet.set(map[string]int{"a": 1, "b1": 1, "b2": 1, "b3": 1})
		feed := &fleetFeed{fleet: fleet, changes: changes, may: func(id string) bool { return id == "a" }}
		if data, err := feed.next(); err != nil || !bytes.Contains(data, []byte(`"a"`)) {
			t.Fatalf("%s, %v", data, err)
		}
		fleet.set(map[string]int{"b1": 1, "b2": 1, "b3": 1})
		fleet.set(nil) // three that have ended are remembered
		want := "[]"
		if changes {
			want = `{"whole":true,"streams":[]}`
		}
		if data, err := feed.next(); err != nil || string(data) != want {
			t.Errorf("changes %v: told %q, not %s: %v", changes, data, want, err)
		}
		if data, err := feed.next(); err != nil || data != nil {
			t.Errorf("told twice: %s, %v", data, err)
		}
	}
}

func TestFleetEvents(t *testing.T) {
	n := newManager(t, managerWithAuth)
	as := func(stream string) []string {
		return []string{"Authorization", "Bearer " + jwtFor(t, []string{stream}, auth.View)}
	}
	expect(t, n.do(t, http.MethodGet, "/api/sse/streams?changes=1", "", as("room")...), http.StatusBadRequest)
}
