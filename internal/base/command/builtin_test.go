package command

import (
	"bytes"
	"context"
	"flag"
	"os/exec"
	"strings"
	"testing"
)

func sample() *Program {
	return &Program{Name: "sealer", Summary: "seals - things", Version: "v1.2.3", Commands: map[string]Command{
		Default: {Summary: "run it", Declare: func(f *flag.FlagSet) Action {
			f.String("config", "", "read `file`")
			return nil
		}},
		"check": {Summary: "look", Operands: "[FOLDER...]", Declare: func(f *flag.FlagSet) Action {
			f.Bool("json", false, "print JSON")
			return nil
		}},
	}}
}

func told(t *testing.T, code int, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if got := sample().Run(context.Background(), args, Surroundings{Stdout: &stdout, Stderr: &stderr}); got != code {
		t.Errorf("%q: code %d\n%s", args, got, stderr.String())
	}
	return stdout.String() + stderr.String()
}

func TestBuiltins(t *testing.T) {
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"version", 0, "sealer v1.2.3\n"},
		{"help", 0, "sealer check [flags] [FOLDER...]"},
		{"help", 0, "sealer [serve] [flags]"},
		{"help check", 0, "-json"},
		{"help version", 0, "print the version"},
		{"help nothing", 2, `there is no command "nothing"`},
		{"completion -h", 0, "bash|zsh|fish"},
		{"completion", 2, "use bash, zsh or fish"},
		{"completion fish", 0, "-o json -d \"print JSON\""},
		{"man", 0, ".SH NAME\nsealer \\- seals \\- things\n"},
		{"man", 0, ".B \\-config file\nread file\n"},
	} {
		if got := told(t, tt.code, strings.Fields(tt.args)...); !strings.Contains(got, tt.want) {
			t.Errorf("%s lacks %q:\n%s", tt.args, tt.want, got)
		}
	}
}

// TestCompletion has bash complete words by the script.
func TestCompletion(t *testing.T) {
	script := told(t, 0, "completion", "bash")
	for words, want := range map[string]string{
		"sealer c": "check completion", "sealer check -": "-json", "sealer -": "-config", "sealer completion ": "bash zsh fish", "sealer help ch": "check",
	} {
		last := strings.Count(words, " ")
		cmd := exec.CommandContext(t.Context(), "bash", "-c", script+"\nIFS=' ' read -r -a COMP_WORDS <<<\"$1\"; COMP_CWORD=$2; _sealer; echo \"${COMPREPLY[*]}\"", "-", words, string(rune('0'+last)))
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%q: %q, %v", words, out, err)
		}
	}
}
