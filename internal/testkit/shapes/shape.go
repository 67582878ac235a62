package shapes

import "time"

// Shape is what one or more publishers send that are recorded as one stream.
type Shape struct {
	Name string
	What string // for people
	For  time.Duration
	Pubs []Publication

	Shown  string        // the size at which the picture is shown, "1047x576"; empty: not looked at
	Rotate time.Duration // the length of a recording; 0: no rotation
	// Cannot are the players that cannot play it, whatever the recorder does, and why.
	Cannot map[string]string
	// Less are the players that show less, whatever the recorder does, and why.
	Less map[string]string
	// Crash is when the node dies and is started again; 0: never.
	Crash time.Duration
}

// Publication is a publisher that comes and goes.
type Publication struct {
	From, To time.Duration
	Video    []Take // several: layers, biggest first
	Audio    *Take
}

// Take is what is sent of a clip: what a publisher sends at a time is of that time.
type Take struct {
	Video           // what is encoded; of sound, nothing
	On      []Span  // when it is sent; nil: always
	Lost    []Span  // what is sent and does not arrive
	Every   float64 // seconds: only one picture in so many is sent; 0: all. Its pictures are all key frames
	Answers bool    // sends another when a key frame is asked for
	Goes    bool    // after a time without, it goes on where it was in the clip: the next picture depends on the last one that was sent
	Then    []Change
}

// Change is another clip from a time on.
type Change struct {
	At float64 // seconds
	Video
}

// Span is a time from the beginning of the shape, in seconds.
type Span struct{ From, To float64 }

func within(spans []Span, t time.Duration) bool {
	for _, s := range spans {
		if s.From <= t.Seconds()+1e-6 && t.Seconds() < s.To-1e-6 {
			return true
		}
	}
	return false
}

func (t *Take) sends(at time.Duration) bool { return t.On == nil || within(t.On, at) }

// State is what a second of picture or sound is.
type State int

// The states.
const (
	Nothing State = iota // there was no publisher, or none of this kind
	Filled               // there was one, that did not send it, or it was lost
	Media                // it was sent, and arrived
)

// Second is what a second of a Shape has.
type Second struct {
	Picture, Sound State
	Code           int // of the picture, where it is Media
}

func second(n int) time.Duration { return time.Duration(n) * time.Second }

var (
	sound = &Take{}
	plain = Video{Codec: "H264", Width: 640, Height: 360, GOP: 2 * Rate}
)

func of(codec string, width, height int) Video {
	return Video{Codec: codec, Width: width, Height: height, GOP: 2 * Rate}
}

// one is a Shape with one publisher.
func one(name, what string, seconds int, audio *Take, video ...Take) Shape {
	return Shape{Name: name, What: what, For: second(seconds), Pubs: []Publication{{To: second(seconds), Video: video, Audio: audio}}}
}

// All returns all Shapes.
func All() []Shape {
	var all []Shape
	all = append(all, codecShapes()...)
	all = append(all, lateShapes()...)
	all = append(all, stillShapes()...)
	all = append(all, changeShapes()...)
	all = append(all, bitstreamShapes()...)
	return append(all, layerShapes()...)
}

func codecShapes() []Shape {
	noHEVC := "has no H265 decoder"
	h265 := one("h265", "H265 and Opus", 14, sound, Take{Video: of("H265", 640, 360)})
	h265.Cannot = map[string]string{
		"chromium/shaka": noHEVC, "chromium/dashjs": noHEVC, "firefox/shaka": noHEVC, "firefox/dashjs": noHEVC,
		"chromium/hlsjs": noHEVC, "firefox/hlsjs": noHEVC, "chromium/file": noHEVC,
	}
	vp8 := one("vp8", "VP8 in WebM, and Opus", 14, sound, Take{Video: of("VP8", 640, 360)})
	noWebM := "HLS has no WebM, in which VP8 is"
	vp8.Cannot = map[string]string{"gstreamer": "its dashdemux knows no WebM", "chromium/hlsjs": noWebM, "firefox/hlsjs": noWebM, "ffmpeg-hls": noWebM}
	return []Shape{
		one("h264", "H264 and Opus", 14, sound, Take{Video: plain}),
		one("vp9", "VP9 and Opus", 14, sound, Take{Video: of("VP9", 640, 360)}),
		one("av1", "AV1 and Opus", 14, sound, Take{Video: of("AV1", 640, 360)}),
		vp8, h265,
		one("picture-only", "H264 alone", 14, nil, Take{Video: plain}),
		one("sound-only", "Opus alone", 14, sound),
	}
}

func lateShapes() []Shape {
	late := func(n float64) *Take { return &Take{On: []Span{{n, 1000}}} }
	gop := plain
	gop.GOP = 207
	return []Shape{
		one("picture-12s-late", "the picture comes 12 s later than the sound", 24, sound, Take{Video: plain, On: []Span{{12, 1000}}}),
		one("key-frame-8s-late", "the first key frame comes after 8.3 s", 20, sound, Take{Video: gop, On: []Span{{0.04, 1000}}}),
		one("sound-1s-late", "the sound comes 1 s later than the picture", 14, late(1), Take{Video: plain}),
		one("sound-6s-late", "the sound comes 6 s later than the picture", 18, late(6), Take{Video: plain}),
		one("sound-20s-late", "the sound comes 20 s later than the picture", 30, late(20), Take{Video: plain}),
	}
}

func stillShapes() []Shape {
	intra, endless := plain, plain
	intra.GOP, endless.GOP = 1, 0
	slow := func(step int) Video { v := plain; v.GOP, v.Step = 0, step; return v }
	return []Shape{
		one("camera-off", "the camera is off from 8 to 22 s", 30, sound, Take{Video: plain, On: []Span{{0, 8}, {22, 1000}}}),
		one("camera-off-in-gop", "the camera is off from 5 to 11 s, in the middle of a group of pictures", 18, sound, Take{Video: plain, On: []Span{{0, 5}, {11, 1000}}, Goes: true}),
		one("microphone-off", "the microphone is off from 6 to 14 s", 20, &Take{On: []Span{{0, 6}, {14, 1000}}}, Take{Video: plain}),
		one("still-6s", "a picture every 6 s, requests for key frames are answered", 26, sound, Take{Video: intra, Every: 6, Answers: true}),
		one("still-12s", "a picture every 12 s, requests for key frames are answered", 38, sound, Take{Video: intra, Every: 12, Answers: true}),
		one("still-6s-deaf", "a picture every 6 s that depends on the one before, requests are not answered", 26, sound, Take{Video: slow(6)}),
		one("still-12s-deaf", "the same, every 12 s", 38, sound, Take{Video: slow(12)}),
		one("one-key-frame", "a single key frame, then sound alone", 20, sound, Take{Video: endless, On: []Span{{0, 0.03}}}),
		one("endless-gop", "one key frame, then pictures that depend on those before, for ever", 20, sound, Take{Video: endless}),
	}
}

func changeShapes() []Shape {
	two := func(name, what string, gap int, then Video) Shape {
		return Shape{Name: name, What: what, For: second(20 + gap), Pubs: []Publication{
			{To: second(8), Video: []Take{{Video: plain}}, Audio: sound},
			{From: second(8 + gap), To: second(20 + gap), Video: []Take{{Video: then}}, Audio: sound},
		}}
	}
	rotated := one("rotation", "recordings of 8 s", 20, sound, Take{Video: plain})
	rotated.Rotate = second(8)
	crashed := one("crash", "the node dies after 9 s and is there again 2 s later", 20, sound, Take{Video: plain})
	crashed.Crash = second(9)
	crashed.Pubs = []Publication{
		{To: second(9), Video: []Take{{Video: plain}}, Audio: sound},
		{From: second(12), To: second(20), Video: []Take{{Video: plain}}, Audio: sound},
	}
	codec := two("reconnect-codec", "the publisher comes back with VP9", 4, of("VP9", 640, 360))
	codec.Less = map[string]string{"ffmpeg-hls": "takes one sample entry of a playlist, and follows no other codec"}
	return []Shape{
		two("reconnect", "the publisher is away for 4 s", 4, plain),
		codec,
		two("reconnect-size", "the publisher comes back with a smaller picture", 4, of("H264", 320, 180)),
		rotated, crashed,
		one("loss-3s", "3 s of the picture are lost", 18, sound, Take{Video: plain, Lost: []Span{{6.2, 9.2}}}),
		one("loss-20s", "20 s of picture and sound are lost", 36, &Take{Lost: []Span{{6.2, 26.2}}}, Take{Video: plain, Lost: []Span{{6.2, 26.2}}}),
		{Name: "size-ramp", What: "the picture grows in the first seconds", For: second(16), Pubs: []Publication{{
			To: second(16), Audio: sound, Video: []Take{{Video: of("H264", 320, 180), Then: []Change{{2, of("H264", 480, 270)}, {4, plain}}}},
		}}},
	}
}

func bitstreamShapes() []Shape {
	b, ids, sar := plain, plain, of("H264", 720, 576)
	b.BFrames, ids.Ids, sar.SAR = 2, true, "16/11"
	wide := one("sar", "720x576 with pixels of 16:11", 14, sound, Take{Video: sar})
	wide.Shown = "1047x576"
	return []Shape{
		one("b-frames", "H264 with two B-frames in a row", 14, sound, Take{Video: b}),
		one("other-ids", "other ids of SPS and PPS with each key frame", 14, sound, Take{Video: ids}),
		wide,
	}
}

func layerShapes() []Shape {
	layers := func(n int) (takes []Take) {
		for _, v := range []Video{of("H264", 640, 360), of("H264", 320, 180), of("H264", 160, 90)}[:n] {
			takes = append(takes, Take{Video: v})
		}
		return takes
	}
	stops := layers(3)
	stops[0].On = []Span{{0, 8}}
	stop := one("simulcast-stop", "three layers, the biggest of which ends after 8 s", 20, sound, stops...)
	stop.Less = map[string]string{"ffmpeg": "reads all layers at once, and ends a Period where the first of them ends"}
	return []Shape{
		one("simulcast-2", "two layers", 14, sound, layers(2)...),
		one("simulcast-3", "three layers", 14, sound, layers(3)...),
		stop,
	}
}
