//go:build unix

package fs

import (
	"fmt"
	"io/fs"
	"syscall"
)

// etag identifies the content of a file without reading it. The inode number is
// part of it because the clock of a file system is coarse (4 ms on ext4): two
// Puts of the same size can have the same modification time, but never the same
// inode, since the second is written while the first is still there.
func etag(info fs.FileInfo) string {
	var inode uint64
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = st.Ino
	}
	return fmt.Sprintf("%x-%x-%x", inode, info.Size(), info.ModTime().UnixNano())
}
