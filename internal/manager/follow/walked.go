package follow

import "hash/maphash"

// dirSet is a set of folders. There may be millions, so it keeps only their hashes. Two
// folders with the same hash would count as one, but the seed is secret, so nobody can
// make such a pair.
type dirSet struct {
	seed   maphash.Seed
	hashes map[uint64]struct{}
}

func newDirSet() *dirSet {
	return &dirSet{maphash.MakeSeed(), map[uint64]struct{}{}}
}

func (s *dirSet) add(dir string) { s.hashes[maphash.String(s.seed, dir)] = struct{}{} }

func (s *dirSet) has(dir string) bool {
	_, ok := s.hashes[maphash.String(s.seed, dir)]
	return ok
}

// len returns how many there are; a nil set has none.
func (s *dirSet) len() int {
	if s == nil {
		return 0
	}
	return len(s.hashes)
}
