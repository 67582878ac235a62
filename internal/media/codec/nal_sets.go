package codec

import (
	"bytes"
	"fmt"

	"github.com/live777/recorder/internal/media"
)

// maxFormats bounds how many formats of a track are remembered.
const maxFormats = 8

// nalSetOf is a parameter set and by what it is known: its type and id.
type nalSetOf struct {
	key uint16
	nal []byte
}

// nalSets follows which parameter sets a decoder has that began at the last key
// frame: those in the sample entry of the format, and those in the samples since.
// A picture needs others where a sender changes them without meaning: ids that
// count up, another initial quantizer. Such sets go into the samples, before the
// slices that refer to them, so that the format stays.
type nalSets struct {
	// always says that each key frame has its sets in its sample.
	always bool

	formats []*nalFormat // the newest last
	active  *nalFormat   // of the last key frame; nil before the first
	sent    map[uint16][]byte
	ready   idSet // picture parameter sets of which the decoder has all
	chain   []nalSetOf
}

// nalFormat is a format with the sets of its sample entry.
type nalFormat struct {
	format *media.Format
	entry  map[uint16][]byte
	// moved says that a key frame needed other sets: each has its own from then
	// on, for a decoder that goes back may have kept later ones.
	moved bool
}

func (s *nalSets) format() *media.Format {
	if s.active == nil {
		return nil
	}
	return s.active.format
}

// changed notes that a parameter set is not any more what it was.
func (s *nalSets) changed() { s.ready = idSet{} }

// picture returns the parameter sets that have to go before a picture whose
// slices refer to the picture parameter sets used.
func (s *nalSets) picture(c nalCodec, key bool, used idSet) ([][]byte, error) {
	if key {
		return s.keyFrame(c, used)
	}
	if s.active == nil {
		return nil, nil // nothing is recorded before the first key frame
	}
	var missing [][]byte
	for id := range used.all() {
		if s.ready.has(id) {
			continue
		}
		chain, err := c.chain(s.chain[:0], id)
		if err != nil {
			return nil, err
		}
		s.chain = chain
		pps, sps := chain[len(chain)-1], chain[len(chain)-2]
		if !bytes.Equal(s.have(sps.key), sps.nal) {
			return nil, fmt.Errorf("a slice refers to picture parameter set %d, whose sequence parameter set changed after the last key frame", id)
		}
		if !bytes.Equal(s.have(pps.key), pps.nal) {
			missing = append(missing, s.send(pps))
		}
		s.ready.add(id)
	}
	return missing, nil
}

// keyFrame begins anew with the sample entry of the key frame's format.
func (s *nalSets) keyFrame(c nalCodec, used idSet) ([][]byte, error) {
	f, entry, err := c.describe(used)
	if err != nil {
		return nil, err
	}
	s.active = s.remember(f, entry)
	s.sent, s.ready = nil, idSet{}
	s.chain = s.chain[:0]
	for id := range used.all() {
		if s.chain, err = c.chain(s.chain, id); err != nil {
			return nil, err
		}
		s.ready.add(id)
	}
	for _, set := range s.chain {
		s.active.moved = s.active.moved || !bytes.Equal(s.active.entry[set.key], set.nal)
	}
	if !s.active.moved {
		return nil, nil
	}
	var missing [][]byte
	for _, set := range s.chain {
		if _, twice := s.sent[set.key]; !twice {
			missing = append(missing, s.send(set))
		}
	}
	return missing, nil
}

// remember returns the format that f is equal to, or f as a new one.
func (s *nalSets) remember(f *media.Format, entry []nalSetOf) *nalFormat {
	for _, old := range s.formats {
		if old.format.Equal(f) {
			return old
		}
	}
	n := &nalFormat{format: f, entry: make(map[uint16][]byte), moved: s.always}
	for _, set := range entry {
		n.entry[set.key] = set.nal
	}
	if len(s.formats) == maxFormats {
		s.formats = s.formats[1:]
	}
	s.formats = append(s.formats[:len(s.formats):len(s.formats)], n)
	return n
}

// have returns the set that the decoder has by key.
func (s *nalSets) have(key uint16) []byte {
	if nal, ok := s.sent[key]; ok {
		return nal
	}
	return s.active.entry[key]
}

// send notes that the decoder is told of a set.
func (s *nalSets) send(set nalSetOf) []byte {
	if s.sent == nil {
		s.sent = make(map[uint16][]byte)
	}
	s.sent[set.key] = set.nal
	return set.nal
}
