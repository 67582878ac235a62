//go:build !norecorder

package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/archive"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/library/maintain"
	"github.com/live777/recorder/internal/library/playback"
	"github.com/live777/recorder/internal/media"
)

// partial ends the name of a file that is being written.
const partial = ".part"

// named reports whether the output is a file of that name, and says how it is to be named.
func (c *Command) named() bool {
	if c.Output == "" || c.Output == "-" {
		return false
	}
	info, err := os.Stat(c.Output)
	return err != nil || !info.IsDir()
}

// files makes the files of clips: WebM where the output is named so, and without a name
// where MP4 cannot be.
func (c *Command) files(ctx context.Context, server *playback.Server, clips []playback.Clip) ([]playback.Made, error) {
	if filepath.Ext(c.Output) == filepath.Ext(media.WebMName) {
		return server.Files(ctx, media.WebMName, clips, c.Query)
	}
	files, err := server.Files(ctx, media.FileName, clips, c.Query)
	if fault.KindOf(err) != fault.Conflict {
		return files, err
	}
	files, otherwise := server.Files(ctx, media.WebMName, clips, c.Query)
	switch {
	case fault.KindOf(otherwise) == fault.Conflict:
		return nil, err
	case otherwise != nil:
		return nil, otherwise
	case c.named():
		return nil, fmt.Errorf("%w; -o with a name that ends with .webm writes that", err)
	}
	return files, nil
}

// Export writes a span of a stream as MP4 files, or as WebM, of what is in storage. ok is false where the files lack what the storage does not have.
func Export(ctx context.Context, cfg *config.Config, c Command) (ok bool, err error) {
	l, err := openForCommand(ctx, cfg, c.Logger)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	clips, err := exported(ctx, l.catalogue, c.Stream, c.Span)
	if err != nil {
		return false, err
	}
	server, err := playback.New(playback.Options{Backend: l.backend, Lister: l.backend, Catalogue: l.catalogue, Logger: c.Logger})
	if err != nil {
		return false, err
	}
	files, err := c.files(ctx, server, clips)
	if err != nil {
		return false, err
	}
	if len(files) > 1 && c.Output == "-" {
		return false, fault.Errorf(fault.Invalid, "one file cannot be made of it, and standard output takes no %d files", len(files))
	}
	e := &export{Command: c, out: maintain.NewOutput(c.Stdout, c.Stderr, false)}
	for _, f := range files {
		e.total += f.Size
	}
	ok = true
	for _, f := range files {
		if err := e.write(ctx, f, len(files) > 1); err != nil {
			return false, err
		}
		for _, name := range f.Missing {
			ok = false
			_, _ = fmt.Fprintf(c.Stderr, "the storage does not have %s, so that the file lacks it\n", media.Show(name))
		}
	}
	return ok, nil
}

// maxExported is how many recordings a file is made of.
const maxExported = 10_000

// exported returns the parts of a stream's recordings that make up a span. Where several
// recordings have the same time, it takes the one that lacks the least.
func exported(ctx context.Context, db *catalogue.DB, stream string, s media.TimeSpan) ([]playback.Clip, error) {
	a, err := archive.New(archive.Options{Catalogue: db})
	if err != nil {
		return nil, err
	}
	recordings, more, err := a.Recordings(ctx, stream, s, maxExported)
	if err != nil {
		return nil, err
	}
	if more {
		return nil, fault.Errorf(fault.Invalid, "the span has more than %d recordings: export a shorter one", maxExported)
	}
	clips := clipsOf(archive.Pieces(recordings, s))
	if len(clips) == 0 {
		return nil, a.NoMedia(ctx, stream, s)
	}
	return clips, nil
}

// clipsOf returns pieces as what playback makes files of.
func clipsOf(pieces []archive.Piece) (clips []playback.Clip) {
	for _, p := range pieces {
		clips = append(clips, playback.Clip{
			Recording: *p.Recording, From: max(p.From.Sub(p.Recording.Start), 0), To: p.To.Sub(p.Recording.Start),
		})
	}
	return clips
}

// export is one Export.
type export struct {
	Command
	out         *maintain.Output
	done, total int64 // bytes
}

// write writes a file, which is one of several: with a name of its own, in a folder.
func (e *export) write(ctx context.Context, f playback.Made, several bool) (err error) {
	content := f.Open(ctx)
	defer func() { err = errors.Join(err, content.Close()) }()
	counted := io.TeeReader(content, e)
	if e.Output == "-" {
		_, err = io.Copy(e.Stdout, counted)
		e.out.Done()
		return err
	}
	name := e.Output
	switch info, err := os.Stat(name); {
	case name == "":
		name = f.Name
	case err == nil && info.IsDir():
		name = filepath.Join(name, f.Name)
	case several:
		return fault.Errorf(fault.Invalid, "%q is no folder, and there are several files", name)
	}
	if err := save(name, counted); err != nil {
		return err
	}
	e.out.Done()
	_, err = fmt.Fprintf(e.Stdout, "%s\n", media.Show(name))
	return err
}

// Write counts what has been written, and shows it.
func (e *export) Write(p []byte) (int, error) {
	e.done += int64(len(p))
	e.out.Bytes(e.done, e.total)
	return len(p), nil
}

// save writes a file that does not exist. It has its name when it is whole.
func save(name string, content io.Reader) error {
	if _, err := os.Lstat(name); err == nil {
		return fault.Errorf(fault.Conflict, "%s exists: choose another name with -o", name)
	}
	file, err := os.OpenFile(name+partial, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666) //nolint:gosec // as umask says
	if errors.Is(err, fs.ErrExist) {
		return fault.Errorf(fault.Conflict, "%s exists: is another export writing it? Remove it, or choose another name with -o", name+partial)
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(name+partial, name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(name+partial))
	}
	return nil
}
