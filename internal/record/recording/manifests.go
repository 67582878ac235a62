package recording

import (
	"slices"
	"time"

	"github.com/live777/recorder/internal/record/manifest"
)

// representationIn returns a lane's Representation in a Period (by index), and makes it
// if there is none. Called with mu held.
func (rec *Recording) representationIn(period int, l lane) *manifest.Representation {
	p := &rec.pres.Periods[period]
	i := slices.IndexFunc(p.Sets, func(s manifest.AdaptationSet) bool { return s.Kind == l.Kind })
	if i < 0 {
		p.Sets = append(p.Sets, manifest.AdaptationSet{ID: int(l.Kind), Kind: l.Kind})
		slices.SortFunc(p.Sets, func(a, b manifest.AdaptationSet) int { return a.ID - b.ID })
		i = slices.IndexFunc(p.Sets, func(s manifest.AdaptationSet) bool { return s.Kind == l.Kind })
	}
	set := &p.Sets[i]
	for j := range set.Representations {
		if set.Representations[j].ID == l.String() {
			return &set.Representations[j]
		}
	}
	at := slices.IndexFunc(set.Representations, func(r manifest.Representation) bool { return r.ID > l.String() })
	if at < 0 {
		at = len(set.Representations)
	}
	set.Representations = slices.Insert(set.Representations, at, manifest.Representation{ID: l.String()})
	return &set.Representations[at]
}

// representation returns the Representation of the newest Period that has the
// segment number of a lane. Called with mu held.
func (rec *Recording) representation(l lane, number int) *manifest.Representation {
	for _, p := range slices.Backward(rec.pres.Periods) {
		for _, set := range p.Sets {
			for i := range set.Representations {
				if rep := &set.Representations[i]; rep.ID == l.String() && rep.Format != nil && rep.StartNumber <= number {
					return rep
				}
			}
		}
	}
	return nil
}

// Manifest returns the current manifest of a name.
func (rec *Recording) Manifest(name string) (data []byte, modified time.Time, ok bool) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if !rec.pres.Ready() || !slices.Contains(rec.manifests(), name) {
		return nil, time.Time{}, false
	}
	return rec.render(name), rec.modified, true
}

// manifests returns the names of the manifests, in the order in which they are to be
// stored: one names only what is there before it. Called with mu held.
func (rec *Recording) manifests() []string {
	if rec.renderedV != rec.version {
		rec.pres.Published = rec.modified
		rec.rendered, rec.renderedV = map[string][]byte{}, rec.version
		rec.names = append(rec.pres.Playlists(), manifestName)
	}
	return rec.names
}

// render returns the text of one of the manifests; it is not written to again. Called
// with mu held.
func (rec *Recording) render(name string) []byte {
	rec.manifests() // of now
	data := rec.rendered[name]
	switch {
	case data != nil:
		return data
	case name == manifestName:
		data = rec.pres.AppendMPD(nil)
	default:
		data, _ = rec.pres.AppendPlaylist(nil, name)
	}
	rec.rendered[name] = data
	return data
}

// putManifests stores all manifests as they are now, and returns how many bytes they have.
func (rec *Recording) putManifests() (size int64, err error) {
	rec.mu.Lock()
	names := rec.manifests()
	texts := make([][]byte, len(names))
	for i, name := range names {
		texts[i] = rec.render(name)
	}
	rec.mu.Unlock()
	for i, name := range names {
		if err := rec.put(name, texts[i]); err != nil {
			return size, err
		}
		size += int64(len(texts[i]))
	}
	return size, nil
}
