package webm

import (
	"bufio"
	"errors"
	"io"
	"math/bits"

	"github.com/live777/recorder/internal/media"
)

// Frame is where a frame lies in a media segment.
type Frame struct {
	Time   media.Ticks // of Timescale
	Offset int64
	Size   int64
	Key    bool // decoding can start here
}

// Frames reads a media segment from its beginning, and returns its frames, as far as they
// are there whole: what follows them is torn. With first it reads no further than the first
// frame takes. An error is one of r; it is never about what was read.
func Frames(r io.Reader, first bool) ([]Frame, error) {
	f := &frameReader{r: bufio.NewReaderSize(r, 1<<10)}
	for !first || len(f.frames) == 0 {
		if err := f.next(first); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errTorn) {
				break
			}
			return nil, err
		}
	}
	return f.frames, nil
}

// frameReader reads the elements of a segment one after the other, and descends into those
// that have frames.
type frameReader struct {
	r      *bufio.Reader
	pos    int64
	base   media.Ticks // of the Cluster
	frames []Frame
}

// next reads an element. With first the data of a SimpleBlock is not read.
func (f *frameReader) next(first bool) error {
	id, err := f.vint(4, true)
	if err != nil {
		return err
	}
	size, err := f.vint(8, false)
	if err != nil {
		return err
	}
	switch id {
	case idCluster, idBlockGroup:
		return nil // its elements follow
	case idTimestamp:
		data, err := f.read(size, 8)
		f.base = media.Ticks(number(data))
		return err
	case idSimpleBlock, idBlock:
		return f.block(id, size, first)
	case idReferenceBlock: // a Block is a key frame where it refers to no other (RFC 9559 5.1.3.5.5)
		if n := len(f.frames); n > 0 {
			f.frames[n-1].Key = false
		}
	}
	return f.skip(size)
}

// block reads a Block or a SimpleBlock.
func (f *frameReader) block(id, size int64, first bool) error {
	if size < blockHeaderSize {
		return errTorn
	}
	header, err := f.read(blockHeaderSize, blockHeaderSize)
	if err != nil {
		return err
	}
	frame := Frame{
		Time: f.base + media.Ticks(int16(number(header[1:3]))), Offset: f.pos, Size: size - blockHeaderSize,
		Key: id == idBlock || header[3]&flagKey != 0,
	}
	if !first || id == idBlock {
		if err := f.skip(frame.Size); err != nil {
			return err
		}
	}
	f.frames = append(f.frames, frame)
	if first && id == idBlock { // what it refers to may follow its duration
		for range 2 {
			if err := f.next(false); err != nil {
				return err
			}
		}
	}
	return nil
}

// vint reads a number of at most so many octets (RFC 8794 4), with or without its marker; one that is unknown is torn.
func (f *frameReader) vint(most int, marker bool) (v int64, err error) {
	lead, err := f.r.Peek(1)
	if err != nil {
		return 0, err
	}
	n := bits.LeadingZeros8(lead[0]) + 1
	if n > most {
		return 0, errTorn
	}
	data, err := f.read(int64(n), most)
	if err != nil {
		return 0, err
	}
	u := number(data)
	if !marker {
		u &^= 1 << (7 * n) // the marker
	}
	return int64(u), nil
}

// read reads n bytes, of at most so many.
func (f *frameReader) read(n int64, most int) ([]byte, error) {
	if n > int64(most) {
		return nil, errTorn
	}
	data := make([]byte, n)
	read, err := io.ReadFull(f.r, data)
	f.pos += int64(read)
	return data, err
}

// skip skips n bytes.
func (f *frameReader) skip(n int64) error {
	skipped, err := io.CopyN(io.Discard, f.r, n)
	f.pos += skipped
	return err
}
