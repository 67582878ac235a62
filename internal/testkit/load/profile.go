package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Profile imitates a kind of publisher: what it sends first, how often it makes
// key frames and whether it does so when asked, how it orders and packetizes the
// bitstream, what its reports say, and how it leaves.
type Profile struct {
	Name     string
	What     string                         // who does so, and what it is
	Pictures []Picture                      // the video: the layers of simulcast, biggest first
	Sizes    bool                           // the Pictures come one after the other instead
	Change   func(*Source) (*Source, error) // of the bitstream; nil for none
	Set      func(*Options)                 // all else; nil for nothing
	Lives    int                            // how often it publishes; all but the last time it is killed. 0 is 1
}

const (
	obsGOP     = 250 // OBS's key interval "auto"
	gpuBFrames = 2
	endless    = 1 << 20         // more pictures than any file has: one key frame, and never another
	retryWait  = time.Second / 2 // of an encoder that was refused
)

// obs sets what OBS does whatever it encodes: its first key frame is sent before
// there is a connection, requests for others change nothing, one clock makes all
// reports, at the time when they are sent, layers come one after the other, and DTLS
// ends before WHIP does.
func obs(o *Options) {
	o.VideoFrom, o.KeyFrameOnPLI, o.Packetize, o.HangUp = 1, false, PacketizeSingle, true
	o.ReportLate = Late{Min: 30 * time.Millisecond, Max: 75 * time.Millisecond}
	o.LayerDelay = 23 * time.Millisecond
}

// Profiles are all of them. A row is the data of its publisher; what tests
// expect of a recording of it stands with the tests.
var Profiles = []Profile{
	{
		Name: "obs", What: "OBS Studio by default: a key frame every 250 pictures, the first of which nobody gets",
		Pictures: []Picture{{GOP: obsGOP, Profile: "high"}}, Set: obs,
	},
	{
		Name: "obs-simulcast", What: "OBS Studio with three layers, 23 ms apart: equal RTP timestamps, origins that wander by 30 to 75 ms",
		Pictures: []Picture{{GOP: obsGOP}, {Size: "426x240", GOP: obsGOP}, {Size: "212x120", GOP: obsGOP}}, Set: obs,
	},
	{
		Name: "obs-simulcast-2", What: "the same with two layers",
		Pictures: []Picture{{GOP: obsGOP}, {Size: "384x216", GOP: obsGOP}}, Set: obs,
	},
	{
		Name: "obs-simulcast-scenes", What: "the same with three layers, in each of which x264 finds new scenes, and makes key frames, at other pictures",
		Pictures: []Picture{
			{GOP: obsGOP, Scenes: "eq(mod(n,30),0)*gt(mod(n,210),0)"},
			{Size: "426x240", GOP: obsGOP, Scenes: "eq(mod(n,60),0)+eq(mod(n,90),45)"},
			{Size: "212x120", GOP: obsGOP, Scenes: "eq(mod(n,120),0)"},
		},
		Set: obs,
	},
	{
		Name: "simulcast-small-first", What: "Firefox and others: three layers, the smallest first",
		Pictures: []Picture{{Size: "160x90"}, {Size: "384x216"}, {}},
	},
	{
		Name: "ffmpeg", What: "ffmpeg's WHIP output, encoding: NAL units together, requests for key frames change nothing",
		Pictures: []Picture{{}}, Set: func(o *Options) { o.Packetize, o.KeyFrameOnPLI = PacketizeAggregate, false },
	},
	{
		Name: "ffmpeg-copy", What: "ffmpeg -c:v copy of a file by x264: access units begin with SEI, then SPS and PPS",
		Pictures: []Picture{{}}, Change: (*Source).SEIFirst,
		Set: func(o *Options) { o.Packetize, o.KeyFrameOnPLI = PacketizeAggregate, false },
	},
	{
		Name: "firefox-h264", What: "Firefox: OpenH264 gives the parameter sets other ids with each key frame",
		Pictures: []Picture{{GOP: 30}}, Change: (*Source).NewIDs,
	},
	{
		Name: "openh264", What: "OpenH264 in other programs: other ids too, and each NAL unit alone",
		Pictures: []Picture{{GOP: 90}}, Change: (*Source).NewIDs, Set: func(o *Options) { o.Packetize = PacketizeSingle },
	},
	{
		Name: "scrcpy", What: "a phone's screen: parameter sets once, a key frame every 10 s whatever is asked for",
		Pictures: []Picture{{GOP: 10 * pictureRate}}, Change: (*Source).SetsOnce,
		Set: func(o *Options) { o.KeyFrameOnPLI = false },
	},
	{
		Name: "gpu", What: "an encoder in hardware: one key frame, and never another, whatever is asked for",
		Pictures: []Picture{{GOP: endless}}, Set: func(o *Options) { o.KeyFrameOnPLI = false },
	},
	{
		Name: "gpu-b-frames", What: "an encoder in hardware that was told so: two B-frames in a row, pixels that are not square",
		Pictures: []Picture{{Profile: "high", BFrames: gpuBFrames, SAR: "16/11"}},
		Set: func(o *Options) { // what is shown last of a few is sent when it has been captured
			o.KeyFrameOnPLI, o.VideoDelay = false, gpuBFrames*time.Second/pictureRate
		},
	},
	{
		Name: "werift", What: "werift: the clock in its reports has no fraction of a second",
		Pictures: []Picture{{}}, Set: func(o *Options) { o.ReportSeconds = true },
	},
	{
		Name: "chromium", What: "Chromium's camera: the size ramps up at the start",
		Pictures: []Picture{{Size: "320x180", Seconds: 2}, {Size: "480x270", Seconds: 2}, {}}, Sizes: true,
	},
	{
		Name: "camera-off", What: "a browser's camera is off from 8 s on, for 14 s; the sound goes on",
		Pictures: []Picture{{}}, Set: func(o *Options) { o.VideoOff = Span{8 * time.Second, 14 * time.Second} },
	},
	{
		Name: "late-video", What: "the picture comes 12 s later than the sound; both are announced",
		Pictures: []Picture{{}}, Set: func(o *Options) { o.VideoOff = Span{0, 12 * time.Second} },
	},
	{
		Name: "late-audio", What: "the sound comes 12 s later than the picture; both are announced",
		Pictures: []Picture{{}}, Set: func(o *Options) { o.AudioOff = Span{0, 12 * time.Second} },
	},
	{
		Name: "still-screen", What: "a screen that stands still: a picture every 6 s, each a key frame",
		Pictures: []Picture{{GOP: 1, Every: 6 * time.Second}},
	},
	{
		Name: "still-screen-p", What: "the same, every 12 s, with one key frame at the beginning, whatever is asked for",
		Pictures: []Picture{{GOP: endless, Every: 12 * time.Second, Seconds: 600}},
		Set:      func(o *Options) { o.KeyFrameOnPLI = false },
	},
	{
		Name: "ssrc-change", What: "an encoder that is started again behind its connection: another SSRC after 6 s",
		Pictures: []Picture{{}}, Set: func(o *Options) { o.SSRCAt = 6 * time.Second },
	},
	{
		Name: "stall", What: "a microphone that stalls after 6 s, for 3 s, while its timestamps run on",
		Pictures: []Picture{{}}, Set: func(o *Options) { o.AudioOff = Span{6 * time.Second, 3 * time.Second} },
	},
	{
		Name: "rebind", What: "a NAT gives the publisher another port after 6 s",
		Pictures: []Picture{{}}, Set: func(o *Options) { o.RebindAt = 6 * time.Second },
	},
	{
		Name: "killed", What: "an encoder that is killed half-way, and publishes again at once",
		Pictures: []Picture{{}}, Lives: 2,
	},
}

// FindProfile returns the profile of a name.
func FindProfile(name string) (*Profile, error) {
	i := slices.IndexFunc(Profiles, func(p Profile) bool { return p.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("no profile %q; there are %s", name, strings.Join(profileNames(), ", "))
	}
	return &Profiles[i], nil
}

func profileNames() (names []string) {
	for _, p := range Profiles {
		names = append(names, p.Name)
	}
	return names
}

// Apply sets in o what the publisher does, which is to send reports and to obey
// requests for key frames unless its row says otherwise, and makes the media of the tracks
// that o has none for.
func (p *Profile) Apply(ctx context.Context, o *Options) error {
	if o.Video == nil {
		if err := p.encode(ctx, o); err != nil {
			return fmt.Errorf("profile %s: %w", p.Name, err)
		}
	}
	if p.Change != nil {
		changed, err := p.Change(o.Video)
		if err != nil {
			return fmt.Errorf("profile %s: %w", p.Name, err)
		}
		o.Video = changed
	}
	if o.Audio == nil {
		beep, err := Beep(ctx, 0)
		if err != nil {
			return fmt.Errorf("profile %s: %w", p.Name, err)
		}
		o.Audio = beep
	}
	o.SenderReports, o.KeyFrameOnPLI = true, true
	if p.Set != nil {
		p.Set(o)
	}
	return nil
}

// encode makes the video of o.
func (p *Profile) encode(ctx context.Context, o *Options) (err error) {
	sources := make([]*Source, len(p.Pictures))
	for i, picture := range p.Pictures {
		if sources[i], err = picture.Encode(ctx); err != nil {
			return err
		}
	}
	if p.Sizes {
		o.Video, err = Join(sources...)
		return err
	}
	o.Video, o.Layers = sources[0], sources[1:]
	return nil
}

// Publish publishes with options that went through Apply, as often as the
// profile has lives, and returns the log of each.
func (p *Profile) Publish(ctx context.Context, o Options) ([]*Log, error) {
	lives := max(1, p.Lives)
	if lives > 1 && o.Duration == 0 {
		return nil, fmt.Errorf("profile %s needs a duration", p.Name)
	}
	o.Duration /= time.Duration(lives)
	var logs []*Log
	vanish := o.Vanish
	for i := range lives {
		o.Vanish = vanish || i < lives-1
		log, err := publishUntilTaken(ctx, o, i > 0)
		logs = append(logs, log)
		if err != nil {
			return logs, err
		}
	}
	return logs, nil
}

// publishUntilTaken publishes, and tries again where it comes back and the
// server refuses that, as encoders do.
func publishUntilTaken(ctx context.Context, o Options, again bool) (*Log, error) {
	pub, err := New(o)
	if err != nil {
		return &Log{URL: o.URL}, err
	}
	for {
		log, err := pub.Run(ctx)
		if err == nil || !again || !log.Started.IsZero() || ctx.Err() != nil {
			return log, err
		}
		select {
		case <-ctx.Done():
			return log, errors.Join(err, ctx.Err())
		case <-time.After(retryWait):
		}
	}
}
