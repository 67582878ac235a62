package storage

import (
	"path"

	"github.com/live777/recorder/internal/media"
)

// Class says what an object is of a recording, and so how it may be written.
type Class uint8

// The classes, in the order in which the objects of a recording are uploaded: each may
// name what comes before it.
const (
	Media    Class = iota // is written once: init and media segments, and what is of no recording
	Manifest              // is replaced while the recording runs: the MPD and the HLS playlists
	Info                  // is replaced too: the description, by which a folder is claimed
)

// String implements fmt.Stringer.
func (c Class) String() string { return [...]string{"media", "manifest", "info"}[c] }

// ClassOf returns the class of the object with that key. This is the only place where
// the name of an object says what it is.
func ClassOf(key string) Class {
	switch name := path.Base(key); {
	case name == media.InfoName:
		return Info
	case media.IsManifest(name), name == media.OriginalManifestName:
		return Manifest
	}
	return Media
}

// Class returns the class of the object.
func (o Object) Class() Class { return ClassOf(o.Key) }
