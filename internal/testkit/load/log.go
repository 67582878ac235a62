package load

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/live777/recorder/internal/media"
)

// Log says exactly what a Publisher sent.
type Log struct {
	URL     string    `json:"url"`     // WHIP endpoint
	Session string    `json:"session"` // session URL that the endpoint gave
	Started time.Time `json:"started"` // sender's clock at media time 0, the time of the first access units
	Ended   time.Time `json:"ended"`   // when the last packet was sent
	Video   *TrackLog `json:"-"`       // nil where no video was published
	Audio   *TrackLog `json:"-"`
	// Layers are the other encodings of a simulcast publisher, whose first one is Video.
	Layers []*TrackLog `json:"-"`
}

// Layer returns the log reduced to the audio and one encoding of the video, 0 is
// Video, for a comparison with what was recorded of that layer.
func (l *Log) Layer(i int) *Log {
	part := *l
	part.Layers = nil
	if i > 0 {
		part.Video = l.Layers[i-1]
	}
	return &part
}

// All returns the logs of everything that was published: the tracks, and then the layers.
func (l *Log) All() []*TrackLog { return append(l.Tracks(), l.Layers...) }

// Tracks returns the logs of the published tracks, video first, of which only
// the first layer is one.
func (l *Log) Tracks() []*TrackLog {
	var all []*TrackLog
	for _, t := range []*TrackLog{l.Video, l.Audio} {
		if t != nil {
			all = append(all, t)
		}
	}
	return all
}

// TrackLog is what was sent on one track.
type TrackLog struct {
	Kind          media.Kind  `json:"kind"`
	Codec         string      `json:"codec"`
	ClockRate     uint32      `json:"clock_rate"`
	SSRC          uint32      `json:"ssrc"`
	RID           string      `json:"rid,omitempty"`            // of a simulcast layer
	ParameterSets [][]byte    `json:"parameter_sets,omitempty"` // H264 SPS and PPS
	Units         []SentUnit  `json:"-"`                        // in sending order
	UnitCount     int         `json:"units"`                    // also counted with Options.NoUnits
	FirstSeq      uint16      `json:"first_seq"`                // sequence number of the first packet
	Packets       int         `json:"packets"`                  // made, whatever became of them
	Bytes         int64       `json:"bytes"`                    // of RTP payload in Packets
	Dropped       []Dropped   `json:"dropped,omitempty"`        // by injected loss
	Duplicated    int         `json:"duplicated"`               // by injected duplication
	Reordered     int         `json:"reordered"`                // by injected reordering
	Reports       int         `json:"reports"`                  // sender reports sent
	PLIs          []time.Time `json:"plis,omitempty"`           // arrival of key frame requests, PLI and FIR
	NACKs         int         `json:"nacks"`                    // packets that the receiver asked for again
	Skipped       int         `json:"skipped"`                  // units of the file left out to reach a key frame after a PLI
}

// SentUnit is one access unit that was sent.
type SentUnit struct {
	Timestamp   int64             // RTP timestamp, not wrapped; continues over loops of the file
	RTP         uint32            // Timestamp as it was on the wire
	Key         bool              // decoding can start here
	SampleBytes []byte            // what a recording has to hold, shared and read only; nil in a log that was read back
	Size        int               // len(SampleBytes)
	SHA256      [sha256.Size]byte // of SampleBytes
	Sent        time.Time         // when its first packet was handed on
	NTP         time.Time         // capture time by the sender's clock, as its sender reports imply
	Lost        int               // packets of the unit that were dropped for good: no NACK can bring them back
}

// Dropped is a packet that injected loss kept from the network.
type Dropped struct {
	Seq       uint16    `json:"seq"`
	Timestamp uint32    `json:"timestamp"` // RTP timestamp
	Final     bool      `json:"final"`     // the publisher does not answer a NACK for it
	Time      time.Time `json:"time"`
}

// record is a line of the export; exactly one member is set.
type record struct {
	Log   *Log      `json:"log,omitempty"`
	Track *TrackLog `json:"track,omitempty"`
	Unit  *unitLine `json:"unit,omitempty"`
}

// unitLine is a SentUnit of the track named last.
type unitLine struct {
	Timestamp int64     `json:"timestamp"`
	Key       bool      `json:"key,omitempty"`
	Size      int       `json:"size"`
	SHA256    string    `json:"sha256"`
	Sent      time.Time `json:"sent"`
	NTP       time.Time `json:"ntp"`
	Lost      int       `json:"lost,omitempty"`
}

// Export writes the log as lines of JSON: the log, then each track followed by
// its units, with a SHA-256 in place of the bytes.
func (l *Log) Export(w io.Writer) error {
	buf := bufio.NewWriter(w)
	enc := json.NewEncoder(buf)
	lines := []record{{Log: l}}
	for _, t := range l.All() {
		lines = append(lines, record{Track: t})
		for _, u := range t.Units {
			lines = append(lines, record{Unit: &unitLine{
				Timestamp: u.Timestamp, Key: u.Key, Size: u.Size, SHA256: hex.EncodeToString(u.SHA256[:]),
				Sent: u.Sent, NTP: u.NTP, Lost: u.Lost,
			}})
		}
	}
	for i := range lines {
		if err := enc.Encode(&lines[i]); err != nil {
			return fmt.Errorf("export log: %w", err)
		}
	}
	if err := buf.Flush(); err != nil {
		return fmt.Errorf("export log: %w", err)
	}
	return nil
}

// ReadLog reads what Export wrote. SampleBytes of the units are nil.
func ReadLog(r io.Reader) (*Log, error) {
	var (
		l     *Log
		track *TrackLog
	)
	for dec := json.NewDecoder(r); ; {
		var rec record
		err := dec.Decode(&rec)
		switch {
		case errors.Is(err, io.EOF) && l != nil:
			return l, nil
		case err != nil:
			return nil, fmt.Errorf("read log: %w", err)
		case rec.Log != nil && l == nil:
			l = rec.Log
		case rec.Track != nil && l != nil:
			track = rec.Track
			if err := l.setTrack(track); err != nil {
				return nil, err
			}
		case rec.Unit != nil && track != nil:
			u, err := rec.Unit.sentUnit()
			if err != nil {
				return nil, err
			}
			track.Units = append(track.Units, u)
		default:
			return nil, errors.New("read log: a line is out of place")
		}
	}
}

func (l *Log) setTrack(t *TrackLog) error {
	switch t.Kind {
	case media.Video:
		if l.Video != nil {
			l.Layers = append(l.Layers, t)
			return nil
		}
		l.Video = t
	case media.Audio:
		l.Audio = t
	default:
		return fmt.Errorf("read log: track of unknown kind %d", t.Kind)
	}
	return nil
}

func (u *unitLine) sentUnit() (SentUnit, error) {
	s := SentUnit{
		Timestamp: u.Timestamp, RTP: uint32(u.Timestamp), Key: u.Key, Size: u.Size,
		Sent: u.Sent, NTP: u.NTP, Lost: u.Lost,
	}
	sum, err := hex.DecodeString(u.SHA256)
	if err != nil || len(sum) != len(s.SHA256) {
		return s, fmt.Errorf("read log: %q is not a SHA-256", u.SHA256)
	}
	copy(s.SHA256[:], sum)
	return s, nil
}
