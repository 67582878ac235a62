package command

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// builtin has the commands of every program.
var builtin = map[string]func(p *Program, args []string, w io.Writer) error{
	"version": func(p *Program, _ []string, w io.Writer) error { return line(w, p.Name+" "+Version(p.Version)) },
	"help":    (*Program).help, "completion": (*Program).completion, "man": (*Program).man,
}

// summaries says what the commands of every program do.
var summaries = map[string]Command{
	"version":    {Summary: "print the version"},
	"help":       {Summary: "tell of all commands, or of the flags of one", Operands: "[COMMAND]"},
	"completion": {Summary: "print what a shell completes the command line by", Operands: "bash|zsh|fish"},
	"man":        {Summary: "print the manual page: man -l <(" + "PROGRAM man)"},
}

func line(w io.Writer, text string) error {
	_, err := fmt.Fprintln(w, text)
	return err
}

// names returns the commands, Default first and those of every program last.
func (p *Program) names() []string {
	own := slices.DeleteFunc(slices.Sorted(maps.Keys(p.Commands)), func(n string) bool { return n == Default })
	return slices.Concat([]string{Default}, own, []string{"version", "help", "completion", "man"})
}

// command returns a command, with words alone of those that every program has.
func (p *Program) command(name string) (Command, bool) {
	if c, ok := p.Commands[name]; ok {
		return c, true
	}
	c, ok := summaries[name]
	c.Summary = strings.ReplaceAll(c.Summary, "PROGRAM", p.Name)
	return c, ok
}

// flags returns the flags of a command; none of those that every program has.
func (p *Program) flags(name string) (set *flag.FlagSet, do Action) {
	set = flag.NewFlagSet(p.Name+" "+name, flag.ContinueOnError)
	if c := p.Commands[name]; c.Declare != nil {
		do = c.Declare(set)
	}
	return set, do
}

// synopsis returns how a command is written.
func (p *Program) synopsis(name string) string {
	c, _ := p.command(name)
	text := p.Name + " " + name
	if name == Default {
		text = p.Name + " [" + name + "]"
	}
	flags := 0
	set, _ := p.flags(name)
	set.VisitAll(func(*flag.Flag) { flags++ })
	if flags > 0 {
		text += " [flags]"
	}
	if c.Operands != "" {
		text += " " + c.Operands
	}
	return text
}

// usage tells of all commands.
func (p *Program) usage(w io.Writer) {
	width := 0
	for _, name := range p.names() {
		width = max(width, len(p.synopsis(name)))
	}
	before := "usage: "
	for _, name := range p.names() {
		c, _ := p.command(name)
		_, _ = fmt.Fprintf(w, "%s%-*s  %s\n", before, width, p.synopsis(name), c.Summary)
		before = "       "
	}
	_, _ = fmt.Fprintln(w)
}

// help tells of all commands, or of one.
func (p *Program) help(args []string, w io.Writer) error {
	name := Default
	if len(args) > 0 {
		name = args[0]
	}
	c, ok := p.command(name)
	if !ok {
		return fmt.Errorf("there is no command %q; %s help tells what there is", name, p.Name)
	}
	if len(args) == 0 {
		p.usage(w)
	} else {
		_, _ = fmt.Fprintf(w, "usage: %s\n\n%s\n\n", p.synopsis(name), c.Summary)
	}
	set, _ := p.flags(name)
	set.SetOutput(w)
	_, _ = fmt.Fprintf(w, "flags of %s %s:\n", p.Name, name)
	set.PrintDefaults()
	return nil
}

// words are what a command line may go on with, after a command.
func (p *Program) words(name string) []string {
	var all []string
	set, _ := p.flags(name)
	set.VisitAll(func(f *flag.Flag) { all = append(all, "-"+f.Name) })
	switch name {
	case "help":
		all = append(all, p.names()...)
	case "completion":
		all = append(all, "bash", "zsh", "fish")
	}
	return all
}

// completion prints a script for a shell. Without a word of ours the shell completes
// names of files.
func (p *Program) completion(args []string, w io.Writer) error {
	shell := strings.Join(args, " ")
	switch shell {
	case "bash", "zsh":
		if shell == "zsh" {
			_, _ = fmt.Fprintln(w, "autoload -U +X bashcompinit && bashcompinit")
		}
		_, _ = fmt.Fprintf(w, "_%[1]s() {\n  local words\n  case ${COMP_WORDS[1]} in\n", p.Name)
		for _, name := range p.names() {
			_, _ = fmt.Fprintf(w, "    %s) words=%q ;;\n", name, strings.Join(p.words(name), " "))
		}
		_, _ = fmt.Fprintf(w, "    *) words=%q ;;\n  esac\n", strings.Join(p.words(Default), " "))
		_, _ = fmt.Fprintf(w, "  if [ \"$COMP_CWORD\" -eq 1 ]; then words=\"%s $words\"; fi\n", strings.Join(p.names(), " "))
		_, err := fmt.Fprintf(w, "  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o default -F _%[1]s %[1]s\n", p.Name)
		return err
	case "fish":
		for _, name := range p.names() {
			c, _ := p.command(name)
			_, _ = fmt.Fprintf(w, "complete -c %s -n __fish_use_subcommand -a %s -d %q\n", p.Name, name, c.Summary)
			set, _ := p.flags(name)
			set.VisitAll(func(f *flag.Flag) {
				_, usage := flag.UnquoteUsage(f)
				_, _ = fmt.Fprintf(w, "complete -c %s -n '__fish_seen_subcommand_from %s' -o %s -d %q\n", p.Name, name, f.Name, usage)
			})
		}
		return nil
	}
	return fmt.Errorf("completion: %q is no shell that is known; use bash, zsh or fish", shell)
}

// man prints the manual page, as man(7) has it.
func (p *Program) man(_ []string, w io.Writer) error {
	escape := strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.").Replace
	_, _ = fmt.Fprintf(w, ".TH %s 1 \"\" \"%s\" \"\"\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", strings.ToUpper(p.Name), escape(p.Name+" "+Version(p.Version)), p.Name, escape(p.Summary))
	for _, name := range p.names() {
		_, _ = fmt.Fprintf(w, ".B %s\n.br\n", escape(p.synopsis(name)))
	}
	_, _ = fmt.Fprintln(w, ".SH COMMANDS")
	for _, name := range p.names() {
		c, _ := p.command(name)
		_, _ = fmt.Fprintf(w, ".SS %s\n%s.\n", name, escape(c.Summary))
		set, _ := p.flags(name)
		set.VisitAll(func(f *flag.Flag) {
			value, usage := flag.UnquoteUsage(f)
			_, _ = fmt.Fprintf(w, ".TP\n.B %s\n%s\n", escape(strings.TrimSpace("-"+f.Name+" "+value)), escape(usage))
		})
	}
	_, err := fmt.Fprintf(w, ".SH FILES\n.TP\n.B %[1]s.toml\nthe configuration, in the working directory; %[1]s.example.toml has every key\n"+
		".SH SIGNALS\nSIGTERM and SIGINT end the program in order; a second one ends it at once.\n", p.Name)
	return err
}

// runBuiltin runs a command that every program has.
func (p *Program) runBuiltin(name string, args []string, s Surroundings) int {
	if len(args) > 0 && strings.HasPrefix(args[0], "-h") {
		name, args = "help", []string{name}
	}
	if err := builtin[name](p, args, s.Stdout); err != nil {
		p.complain(s.Stderr, err)
		return 2
	}
	return 0
}
