package auth

import "sync"

// recent remembers what was there lately, in two halves: when one is full the other,
// which is older, is forgotten. Safe for concurrent use.
type recent struct {
	half int

	mu         sync.Mutex
	young, old map[string]bool
}

func newRecent(most int) *recent { return &recent{half: most / 2, young: make(map[string]bool)} }

// has reports whether key was added, and keeps it from being forgotten.
func (r *recent) has(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.young[key] {
		return true
	}
	if !r.old[key] {
		return false
	}
	r.put(key)
	return true
}

func (r *recent) add(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(key)
}

func (r *recent) put(key string) {
	if len(r.young) >= r.half && !r.young[key] {
		r.old, r.young = r.young, make(map[string]bool)
	}
	r.young[key] = true
}
