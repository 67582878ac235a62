package storage

import (
	"path"
	"strings"
)

// ContentType returns the media type of an object by its name, of which those of
// audio tracks begin with "a" (RFC 4337, ISO/IEC 23009-1 Annex C).
func ContentType(key string) string {
	kind := "video"
	if strings.HasPrefix(path.Base(key), "a") {
		kind = "audio"
	}
	switch path.Ext(key) {
	case ".m4s", ".mp4":
		return kind + "/mp4"
	case ".webm":
		return kind + "/webm"
	case ".mpd":
		return "application/dash+xml"
	case ".m3u8":
		return "application/vnd.apple.mpegurl"
	case ".json":
		return "application/json"
	}
	return "application/octet-stream"
}
