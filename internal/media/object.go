package media

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/live777/recorder/internal/base/fault"
)

// The names of the objects that a recording has beside its media.
const (
	ManifestName = "manifest.mpd"   // MPEG-DASH
	IndexName    = "index.m3u8"     // HLS: it names the playlists of the tracks
	InfoName     = "recording.json" // the Recording itself
)

// OriginalManifestName is the manifest that an original live777 wrote of a recording that has
// been taken up from it; ManifestName is made of that.
const OriginalManifestName = "manifest.original.mpd"

// TimeName is the name beside manifests of running recordings at which players ask for the
// time.
const TimeName = "time"

// MaxManifest is the longest manifest that is read, in bytes.
const MaxManifest = 16 << 20

// The names below a recording's folder at which the recording is served as one file: MP4, or
// WebM where its video is VP8. No object is stored by these names.
const (
	FileName = "file.mp4"
	WebMName = "file.webm"
)

// IsFile reports whether what is served by that name is a whole file.
func IsFile(name string) bool { return name == FileName || name == WebMName }

// playlistExt ends the names of HLS playlists.
const playlistExt = ".m3u8"

// PlaylistName returns the name of the HLS playlist of a track: "video.m3u8" of the one
// whose Representation is "video".
func PlaylistName(track string) string { return track + playlistExt }

// IsManifest reports whether the object of a recording with that name is a manifest: it
// is made of what is known of the media, and changes while the recording runs.
func IsManifest(name string) bool {
	return name == ManifestName || strings.HasSuffix(name, playlistExt) && IsObjectName(name)
}

// objectName matches the names of what a recording consists of: its manifests,
// its description, and the init and media segments of its tracks and their sample
// indexes; simulcast layers are numbered from 2.
var objectName = regexp.MustCompile(`^(manifest(\.original)?\.mpd|recording\.json|(index|video(-\d+)?|audio)\.m3u8|[va]\d*_(init(_\d+)?|seg_\d{4,})\.(m4s|webm)|[va]\d*_samples(_\d{4,})?\.idx)$`)

// IsObjectName reports whether name, without a folder, can be that of an object
// of a recording. The folder of a recording may have other files as well, and
// the folders of other recordings.
func IsObjectName(name string) bool { return objectName.MatchString(name) }

// IndexGroup is how many segments of a track share a sample index: the first one is of
// the segments 1 to IndexGroup.
const IndexGroup = 256

// DirectIndexes is how many sample indexes are read as they are: a summary is made where a
// track has more.
const DirectIndexes = 2

const (
	segmentField = "_seg_"
	samplesField = "_samples"
	indexExt     = ".idx"
)

// SampleIndexName returns the name of the sample index that a segment of a number is in:
// "v_samples_0001.idx" for "v_seg_0001.m4s".
func SampleIndexName(segment string, number int) string {
	track, _, _ := strings.Cut(segment, segmentField)
	return fmt.Sprintf("%s%s_%04d%s", track, samplesField, (number-1)/IndexGroup+1, indexExt)
}

// SampleSummaryName returns the name of the summary of a track's sample indexes by that of
// an index or a segment: "v_samples.idx" for "v_seg_0001.m4s".
func SampleSummaryName(name string) string {
	track, _, _ := strings.Cut(name, "_")
	return track + samplesField + indexExt
}

// segmentName matches the names of segments that have sample indexes.
var segmentName = regexp.MustCompile(`^[va]\d*_seg_(\d{4,})\.m4s$`)

// IndexedNumber returns the number of a segment that is in a sample index; 0 of another
// object.
func IndexedNumber(name string) int {
	m := segmentName.FindStringSubmatch(name)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return n
}

// IsSampleIndex reports whether the object of a recording with that name is a sample
// index, or the summary of some. It says nothing that the segments do not say, and can be made of them again.
func IsSampleIndex(name string) bool { return strings.HasSuffix(name, indexExt) && IsObjectName(name) }

// NumberField stands for a segment's number in a template of names (ISO/IEC 23009-1
// 5.3.9.4.4): "v_seg_$Number%04d$.m4s".
const NumberField = "$Number%04d$"

// SegmentName returns the name of a segment by a template that has NumberField once.
func SegmentName(template string, number int) string {
	return strings.Replace(template, NumberField, fmt.Sprintf("%04d", number), 1)
}

// IsServedName reports whether something of a recording is served by that name: an object,
// or what is made of its objects when it is asked for.
func IsServedName(name string) bool { return IsObjectName(name) || IsFile(name) }

// MaxInfoSize is the longest recording.json that is read, in bytes. A recording
// of a day with a gap every second has 10 MB.
const MaxInfoSize = 32 << 20

// EncodeRecording returns the content of recording.json. A NaN or an infinite
// number in r is an error.
func EncodeRecording(r Recording) ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", InfoName, err)
	}
	return append(b, '\n'), nil
}

// DecodeRecording reads the recording.json that lies in the folder dir. Fields
// that are not known are left out: a newer program may have written them. What
// says where the recording is comes from dir, for folders can be moved; moved
// tells whether the file said something else. The error is a fault.Invalid that
// says what is wrong with the file.
func DecodeRecording(data []byte, dir string) (r Recording, moved bool, err error) {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return r, false, fault.Errorf(fault.Invalid, "%s is no JSON object", InfoName)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, false, fault.Errorf(fault.Invalid, "%s cannot be read: %w", InfoName, err)
	}
	if err := CheckStreamID(r.Stream); err != nil {
		return r, false, fault.Errorf(fault.Invalid, "%s: %w", InfoName, err)
	}
	switch r.Status {
	case StatusRecording:
		r.End = nil
	case StatusComplete, StatusDegraded, StatusFailed:
		if r.End == nil {
			return r, false, fault.Errorf(fault.Invalid, "%s: the recording is %s and has no end", InfoName, r.Status)
		}
	default:
		return r, false, fault.Errorf(fault.Invalid, "%s: status %.40q is not known", InfoName, r.Status)
	}
	moved = r.RecordDir != dir
	r.RecordDir, r.RecordID, r.MPDPath = dir, RecordID(dir), path.Join(dir, ManifestName)
	return r, moved, nil
}

// RecordID returns the record_id of a record_dir: its last element if that is a
// 10-digit Unix time, else "".
func RecordID(recordDir string) string {
	last := path.Base(recordDir)
	if len(last) != 10 || strings.Trim(last, "0123456789") != "" {
		return ""
	}
	return last
}
