package migrate

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/live777/recorder/internal/base/command"
)

// Command is the command that turns a file of the original into one of a program; do is Node
// or Manager. Its code is 1 where something is left for a person to do, and 2 where there is
// no result.
func Command(do func(text []byte) (Result, error)) command.Command {
	return command.Command{
		Summary: "turn a configuration of the original live777 into one of this program, and say what became of its keys", Operands: "FILE",
		Declare: func(*flag.FlagSet) command.Action {
			return func(_ context.Context, s command.Surroundings, args []string) (int, error) {
				if len(args) != 1 {
					return 2, errors.New("migrate-config wants the file of the original: migrate-config old.toml > new.toml")
				}
				text, err := os.ReadFile(args[0])
				if err != nil {
					return 2, err
				}
				r, err := do(text)
				if err != nil {
					return 2, fmt.Errorf("%s: %w", args[0], err)
				}
				return r.write(s)
			}
		},
	}
}

// write writes the configuration, and tells of the keys that are left to do.
func (r Result) write(s command.Surroundings) (code int, err error) {
	if _, err := s.Stdout.Write(r.TOML); err != nil {
		return 2, fmt.Errorf("write the configuration: %w", err)
	}
	open := 0
	for _, l := range r.Lines {
		if l.Open() {
			open++
			_, _ = fmt.Fprintln(s.Stderr, l)
		}
	}
	_, _ = fmt.Fprintf(s.Stderr, "%d keys: %d are left to you; the end of the new file says what became of each\n", len(r.Lines), open)
	switch {
	case r.Problem != nil:
		return 1, fmt.Errorf("the new file does not load before this is changed:\n%w", r.Problem)
	case open > 0:
		return 1, nil
	}
	return 0, nil
}
