package auth

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/live777/recorder/internal/base/fault"
)

// HashCommand is the command hash-password: it reads a password, a line of in or,
// where that is a terminal, what is typed twice and not shown, and writes its
// hash to out. Prompts go to prompt.
func HashCommand(in io.Reader, out, prompt io.Writer) error {
	read := func(string) (string, error) { return readLine(in) }
	twice := false
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) { //nolint:gosec // descriptors are small
		twice = true
		read = func(question string) (string, error) {
			_, _ = fmt.Fprint(prompt, question) // who does not see it may still type
			defer fmt.Fprintln(prompt)
			typed, err := term.ReadPassword(int(f.Fd())) //nolint:gosec // see above
			return string(typed), err
		}
	}
	return hashTyped(read, twice, out)
}

func hashTyped(read func(question string) (string, error), twice bool, out io.Writer) error {
	password, err := read("Password: ")
	if err != nil {
		return fmt.Errorf("read the password: %w", err)
	}
	if twice {
		again, err := read("The same again: ")
		if err != nil {
			return fmt.Errorf("read the password: %w", err)
		}
		if again != password {
			return fault.New(fault.Invalid, "these are two different passwords")
		}
	}
	hash, err := HashPassword(password)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, hash)
	return err
}

// readLine returns the first line of in, which may lack its end.
func readLine(in io.Reader) (string, error) {
	// One byte more than is accepted, and the line's end: HashPassword complains.
	line, err := bufio.NewReader(io.LimitReader(in, maxPassword+3)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}
