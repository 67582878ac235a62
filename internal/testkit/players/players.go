// Package players is a test tool: it plays recordings with the players that
// people have (Shaka Player, dash.js and hls.js in browsers, ffmpeg, GStreamer) and tells
// which seconds of picture and sound each of them showed.
package players

import "math"

// What Shown has instead of a second or a pitch.
const (
	NoPicture = -2 // nothing was shown
	NoCode    = -1 // a picture that is none of a clip
	Silence   = 0
)

// Shown is what a player showed at a time of the presentation.
type Shown struct {
	Time  float64 // seconds
	Code  int     // the second of which the picture is, as package shapes makes it
	Pitch float64 // Hz, or Silence
}

// Stall is a place where a player stood still.
type Stall struct {
	Time float64 // of the presentation
	Took float64 // seconds of real time
}

// Result is what one player did with one recording.
type Result struct {
	End      string // "ended", "stuck", "error", "time"
	Errors   []string
	Stalls   []Stall
	Pictures []Shown // Pitch is not set
	Sounds   []Shown // Code is not set
	Time     float64 // of the presentation, in the end
	Duration float64
	Took     float64 // seconds of real time
	Width    int     // of the picture as it is shown, in the end; 0 where that is not known
	Height   int
	Note     string // what else is to be known
}

// Jumps are the places where time went on by more than d at once.
func (r *Result) Jumps(d float64) (jumps [][2]float64) {
	for i := 1; i < len(r.Pictures); i++ {
		if a, b := r.Pictures[i-1].Time, r.Pictures[i].Time; b-a > d {
			jumps = append(jumps, [2]float64{a, b})
		}
	}
	return jumps
}

// finite is v, or 0 where it is no number.
func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}
