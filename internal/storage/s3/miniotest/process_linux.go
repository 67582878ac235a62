package miniotest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// dieWithParent has the kernel kill cmd when the thread that starts it ends.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// stopped reports whether all threads of a process have been stopped by a
// signal, which happens some time after it has been sent (proc(5)).
func stopped(pid int) bool {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(files) == 0 {
		return false
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		// The state follows the name, which is in parentheses.
		if i := bytes.LastIndexByte(text, ')'); err != nil || !bytes.HasPrefix(text[i+1:], []byte(" T")) {
			return false
		}
	}
	return true
}
