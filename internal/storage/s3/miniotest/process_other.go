//go:build !linux

package miniotest

import "os/exec"

// dieWithParent does nothing: only Linux ties a child's life to its parent's.
func dieWithParent(*exec.Cmd) {}

// stopped believes that a signal works at once.
func stopped(int) bool { return true }
