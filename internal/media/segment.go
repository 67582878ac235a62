package media

// Segment is one closed media segment of a track.
type Segment struct {
	Number   int    // from 1, no holes within a track of a recording
	Name     string // file name within the record_dir: "v_seg_0001.m4s"
	Time     Ticks  // start on the recording's media timeline, Format.Timescale ticks
	Duration Ticks
	Bytes    int64
	Sequence uint32 // mfhd sequence number of its last chunk; 0 in WebM
	Frames   int64  // samples in it that were sent, and do not stand for others
}

// Span is what is found in a media segment that may have been cut off: its whole
// chunks, from the first on.
type Span struct {
	Bytes    int64  // length of those chunks
	Samples  int    // in them
	Start    Ticks  // decode time of the first sample
	End      Ticks  // end of the last sample
	Sequence uint32 // mfhd sequence number of the last chunk; 0 in WebM
}
