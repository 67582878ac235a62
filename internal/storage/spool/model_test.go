package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// TestModel writes, replaces, deletes and reads at random in several folders at the
// same time, to a remote that fails, is slow and loses answers, with restarts of the
// spool between: a read always has what was written last, and so has the remote in
// the end.
func TestModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	remote, dir := newMemRemote(), t.TempDir()
	flaky := func(chance float64, delay time.Duration) error {
		time.Sleep(rand.N(delay))
		if rand.Float64() < chance {
			return errDown
		}
		return nil
	}
	models := make([]*model, 6)
	for i := range models {
		models[i] = &model{
			t: t, rand: rand.New(rand.NewPCG(seed, uint64(i))), dir: fmt.Sprintf("cam%d/1", i),
			want: map[string]string{},
		}
	}
	for range 5 {
		remote.set(func() {
			remote.before = func(_ context.Context, _ string, body io.Reader) error {
				if rand.IntN(10) == 0 { // cut off
					_, _ = body.Read(make([]byte, 1))
					return errDown
				}
				return flaky(0.1, 2*time.Millisecond)
			}
			remote.after = func(context.Context, string) error { return flaky(0.2, time.Millisecond) }
			remote.ask = func(context.Context, string) error { return flaky(0.1, time.Millisecond) }
		})
		s := openSpool(t, Options{Dir: dir, Remote: remote, Uploads: 4})
		s.tune.backoffMax, s.tune.probeMax = 5*time.Millisecond, 2*time.Millisecond
		s.Start()
		var running sync.WaitGroup
		for _, m := range models {
			m.s = s
			running.Go(func() {
				for range 60 {
					m.step()
				}
			})
		}
		running.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // uploads are broken off
		if err := s.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	remote.set(func() { remote.before, remote.after, remote.ask = nil, nil, nil })
	s := openSpool(t, Options{Dir: dir, Remote: remote})
	s.Start()
	settled(t, s)
	if st := s.Status(); st.Conflicts != 0 || st.UsedBytes != 0 {
		t.Errorf("Status = %+v", st)
	}
	var want []string
	for _, m := range models {
		for key, text := range m.want {
			want = append(want, key)
			wantRemote(t, remote, key, text)
		}
	}
	slices.Sort(want)
	if got := remote.keys(); !slices.Equal(got, want) {
		t.Errorf("remote has %d objects, want %d:\n%q\n%q", len(got), len(want), got, want)
	}
	if left := slices.Collect(maps.Keys(s.queue.entries)); len(left) != 0 {
		t.Errorf("left in the spool: %q", left)
	}
}

// model is what is known of one folder.
type model struct {
	t    *testing.T
	s    *Spool
	rand *rand.Rand
	dir  string
	n    int               // contents made
	want map[string]string // by key
}

func (m *model) step() {
	key := fmt.Sprintf("%s/seg%d", m.dir, m.rand.IntN(8))
	switch m.rand.IntN(4) {
	case 0:
		key = m.dir + "/" + media.ManifestName
	case 1:
		key = m.dir + "/" + media.InfoName
	}
	m.n++
	text := fmt.Sprintf("%s, content %d", key, m.n)
	_, exists := m.want[key]
	switch action := m.rand.IntN(10); {
	case action < 2:
		m.remove(key)
	case action < 4:
		m.look(key)
	case storage.ClassOf(key) == storage.Info && !exists && action < 8: // a claim
		write(m.t, m.s, key, text)
		m.want[key] = text
	case storage.ClassOf(key) != storage.Media:
		put(m.t, m.s, key, text)
		m.want[key] = text
	case !exists:
		write(m.t, m.s, key, text)
		m.want[key] = text
	}
	m.look(key)
}

// remove deletes an object, as often as the remote fails.
func (m *model) remove(key string) {
	for {
		err := m.s.Delete(m.t.Context(), key)
		if err == nil {
			break
		}
		if !errors.Is(err, errDown) {
			m.t.Errorf("Delete(%s): %v", key, err)
			return
		}
	}
	delete(m.want, key)
}

func (m *model) look(key string) {
	for {
		got, err := read(m.t.Context(), m.s, key)
		if errors.Is(err, errDown) {
			continue
		}
		want, exists := m.want[key]
		if exists && (err != nil || got != want) || !exists && !errors.Is(err, storage.ErrNotFound) {
			m.t.Errorf("Get(%s) = %q, %v; want %q, %t", key, got, err, want, exists)
		}
		return
	}
}
