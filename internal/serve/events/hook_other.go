//go:build !unix

package events

import "os/exec"

// ownGroup does nothing: what a command has started may outlive it here.
func ownGroup(*exec.Cmd) {}
