package load

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/live777/recorder/internal/media"
)

// Options says what a Publisher sends and how. Every duration but Drain is in
// media time: with Pace 10 the same run takes a tenth of the time. Random faults
// spare the first packets of a track, which tell a receiver where it begins.
type Options struct {
	URL   string // WHIP endpoint (RFC 9725)
	Token string // bearer token; empty for none
	// Roots are the authorities that an https URL is trusted by; nil: those of the system.
	Roots *x509.CertPool

	Video *Source // nil: no video track; at least one of the two is needed
	Audio *Source
	// Layers are the other encodings of a simulcast publisher, beside Video. The
	// layers have RIDs in the order of the offer: "0" is Video, "1" the first here.
	Layers []*Source

	VideoFrom int           // unit of the video file to begin with, for a sender whose first ones went nowhere
	Packetize Packetization // of H264

	VideoSeq       uint16 // sequence number of the first packet
	AudioSeq       uint16
	VideoTimestamp uint32 // RTP timestamp of the first unit
	AudioTimestamp uint32

	MTU  int     // largest RTP packet in bytes, header included; 0 is 1200
	Pace float64 // media seconds per second; 0 is 1, real time. RTP timestamps stay nominal

	Duration time.Duration // of media to send; 0: no limit
	Units    int           // of video, or of audio where there is no video, to send; 0: no limit

	PauseAt  time.Duration // the sources stand still at this media time: nothing is captured,
	PauseFor time.Duration // and timestamps go on behind it. 0: no pause

	VideoOff Span // the track is off: nothing of it is sent, and its clock runs on. Video comes
	AudioOff Span // back with a key frame

	SSRCAt   time.Duration // from this media time on the video has another SSRC, and begins with a key frame. 0: never
	RebindAt time.Duration // from this media time on packets leave from another port, as behind a NAT that rebinds. 0: never

	JumpAt time.Duration // at this media time the RTP timestamps of all tracks jump,
	JumpBy time.Duration // forward or back; the sender's clock and what is captured go on. 0: no jump

	AudioSkew float64 // parts per million by which the audio's RTP clock is fast against the sender's clock

	SenderReports  bool          // send RTCP sender reports
	ReportDelay    time.Duration // first report of each track after its first unit; 0 is 200 ms
	ReportInterval time.Duration // 0 is 1 s
	ClockOffset    time.Duration // error of the clock that the reports carry
	LieAt          time.Duration // the first report of audio (video where there is none) from here on
	LieBy          time.Duration // carries a clock that is so much ahead, that one only. 0: none lies
	ReportLate     Late          // reports carry the clock of when they are sent, later than what they tell of
	ReportSeconds  bool          // reports carry a clock without a fraction of a second
	NoReportNTP    bool          // reports carry no clock, but 0 (RFC 3550 6.4.1)

	KeyFrameOnPLI bool // a key frame request makes the next unit the next key frame of the file

	Loss       float64       // probability that a packet is dropped, 0 to 1
	LossBurst  int           // packets of the track that are lost in a row; 0 is 1
	LossNoRTX  bool          // dropped packets are not sent again when a NACK asks for them
	Reorder    float64       // probability that a packet is late by ReorderBy
	ReorderBy  time.Duration // 0 is 30 ms
	Jitter     time.Duration // every packet is late by a random time up to this; the order stays
	Duplicate  float64       // probability that a packet is sent twice
	VideoDelay time.Duration // every packet and report of the track leaves so much later
	AudioDelay time.Duration
	LayerDelay time.Duration // each of Layers leaves so much later than the one before
	StallAt    time.Duration // from this media time on nothing leaves
	StallFor   time.Duration // for so long; then all that was held leaves in a burst. 0: no stall
	Seed       uint64        // of all random decisions

	Drain    time.Duration // wait between the last packet, or the last NACK for a dropped one, and the end; 0 is 300 ms
	NoDelete bool          // leave without the WHIP DELETE, as a crashed sender does
	Vanish   bool          // leave without a word: neither DELETE nor the end of DTLS. A process that was killed
	HangUp   bool          // end DTLS before the WHIP DELETE, which then has to be fine all the same
	NoUnits  bool          // keep counters only, for long runs

	OnUnit func(media.Kind, SentUnit) // called after each unit; must not block. nil for none
	Logger *slog.Logger               // nil: slog.Default()
}

// Span is a stretch of media time. The zero value is none.
type Span struct{ At, For time.Duration }

// has reports whether t is within the span.
func (s Span) has(t time.Duration) bool { return s.For > 0 && t >= s.At && t < s.At+s.For }

// Late is a delay that is another one each time, within bounds.
type Late struct{ Min, Max time.Duration }

// Defaults of Options.
const (
	defaultMTU            = 1200
	defaultReportDelay    = 200 * time.Millisecond
	defaultReportInterval = time.Second
	defaultReorderBy      = 30 * time.Millisecond
	defaultDrain          = 300 * time.Millisecond

	askedLimit = 5 * time.Second // how long the NACKs for dropped packets are waited for
	askedPoll  = 10 * time.Millisecond

	minMTU = 100
	maxMTU = 1472 // the retransmission buffer takes no larger packets

	maxSkew = 100_000 // ppm
)

// withDefaults returns o with its zero values replaced, or what is wrong with it.
func (o Options) withDefaults() (Options, error) {
	setDefault(&o.MTU, defaultMTU)
	setDefault(&o.Pace, 1)
	setDefault(&o.ReportDelay, defaultReportDelay)
	setDefault(&o.ReportInterval, defaultReportInterval)
	setDefault(&o.ReorderBy, defaultReorderBy)
	setDefault(&o.LossBurst, 1)
	setDefault(&o.Drain, defaultDrain)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if err := o.check(); err != nil {
		return Options{}, err
	}
	return o, nil
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

func (o *Options) check() error {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil:
		return fmt.Errorf("endpoint: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("endpoint %q is not an http or https URL", o.URL)
	case o.Video == nil && o.Audio == nil:
		return errors.New("neither video nor audio to publish")
	case o.Video != nil && o.Video.Kind != media.Video, o.Audio != nil && o.Audio.Kind != media.Audio:
		return errors.New("video and audio sources are mixed up")
	case o.MTU < minMTU || o.MTU > maxMTU:
		return fmt.Errorf("MTU %d is not within %d to %d", o.MTU, minMTU, maxMTU)
	case !(o.AudioSkew >= -maxSkew && o.AudioSkew <= maxSkew):
		return fmt.Errorf("skew of %v ppm is not within %v", o.AudioSkew, maxSkew)
	case len(o.Layers) > 0 && o.Video == nil:
		return errors.New("layers without a first one")
	case o.ReportLate.Min < 0 || o.ReportLate.Max < o.ReportLate.Min:
		return fmt.Errorf("reports that are late by %v to %v", o.ReportLate.Min, o.ReportLate.Max)
	case o.Pace < 0, o.Duration < 0, o.Units < 0, o.LossBurst < 0, o.ReportInterval < 0, o.ReportDelay < 0, o.Drain < 0,
		o.PauseAt < 0, o.PauseFor < 0, o.StallAt < 0, o.StallFor < 0,
		o.VideoFrom < 0, o.LayerDelay < 0, o.VideoOff.At < 0, o.VideoOff.For < 0, o.AudioOff.At < 0, o.AudioOff.For < 0,
		o.SSRCAt < 0, o.RebindAt < 0, o.ReorderBy < 0, o.Jitter < 0, o.JumpAt < 0, o.LieAt < 0, o.VideoDelay < 0, o.AudioDelay < 0:
		return errors.New("an option is negative")
	}
	for _, p := range []float64{o.Loss, o.Reorder, o.Duplicate} {
		if !(p >= 0 && p <= 1) {
			return fmt.Errorf("probability %v is not within 0 to 1", p)
		}
	}
	return nil
}
