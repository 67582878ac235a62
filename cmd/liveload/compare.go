package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	iofs "io/fs"
	"iter"
	"os"
	"strings"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// comparer is the command compare.
type comparer struct {
	o              compare.Options
	log, recording string
}

// comparison declares the flags of the command compare.
func comparison(flags *flag.FlagSet) action {
	c := &comparer{}
	flags.StringVar(&c.log, "log", "", "`file` that liveload -log wrote")
	flags.StringVar(&c.recording, "recording", "", "`folder` of the recording, with its manifest.mpd")
	flags.IntVar(&c.o.TailUnits, "tail", 0, "last units of each track that may be missing; -1: any number")
	flags.DurationVar(&c.o.MaxAV, "max-av", compare.DefaultMaxAV, "largest accepted A/V offset error; negative: not checked")
	flags.DurationVar(&c.o.MaxStep, "max-step", 0, "largest accepted change of recorded time against the sender's")
	flags.BoolVar(&c.o.AllowLost, "allow-lost", false, "units that were lost for good, and what depends on them, may be missing")
	flags.BoolVar(&c.o.AllowFillers, "allow-fillers", false, "Opus packets without data may stand where nothing could be recorded")
	return c.run
}

func (c *comparer) run(ctx context.Context, stdout, _ io.Writer) error {
	if c.log == "" || c.recording == "" {
		return errors.New("compare needs -log and -recording; liveload compare -help tells what there is")
	}
	log, err := readLog(c.log)
	if err != nil {
		return err
	}
	rec, err := readRecording(ctx, c.recording)
	if err != nil {
		return err
	}
	rec.Problems = append(rec.Problems, verify.Audit(rec)...)
	report := compare.Recording(log, rec, c.o)
	for _, t := range report.Tracks {
		fmt.Fprintf(stdout, "%s: %d of %d units are recorded bit-exact, from #%d to #%d; %d lost, %d filled in\n",
			t.Kind, t.Matched, t.Sent, t.First, t.Last, t.Lost, t.Fillers+t.Filled)
	}
	if report.AV.Known {
		fmt.Fprintf(stdout, "A/V offset error: first %v, worst %v, last %v\n", report.AV.First, report.AV.Worst, report.AV.Last)
	}
	if err := report.Err(); err != nil {
		fmt.Fprintln(stdout, err)
		return errDiffers
	}
	fmt.Fprintln(stdout, "the recording is what was sent")
	return nil
}

func readLog(name string) (*load.Log, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	log, err := load.ReadLog(f)
	return log, errors.Join(err, f.Close())
}

// readRecording reads the recording in a folder on disk, and writes nothing there.
func readRecording(ctx context.Context, dir string) (*verify.Recording, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	rec, err := verify.ReadRecording(ctx, folder{root: root}, recordDir)
	return rec, errors.Join(err, root.Close())
}

// recordDir is the name that a folder has towards its readers.
const recordDir = "recording"

// folder is a recording on disk as storage that can be read only.
type folder struct {
	storage.Backend // nil: nobody calls what is not below
	root            *os.Root
}

// Get implements storage.Backend for whole objects.
func (f folder) Get(_ context.Context, key string, _, _ int64) (io.ReadCloser, error) {
	file, err := f.root.Open(strings.TrimPrefix(key, recordDir+"/"))
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", storage.ErrNotFound, err)
	}
	return file, err
}

// List implements storage.Backend. A recording has no folders in it.
func (f folder) List(context.Context, string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		entries, err := iofs.ReadDir(f.root.FS(), ".")
		if err != nil {
			yield(storage.Object{}, err)
			return
		}
		for _, e := range entries {
			if !yield(storage.Object{Key: recordDir + "/" + e.Name()}, nil) {
				return
			}
		}
	}
}
