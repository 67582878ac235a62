// Package chaos runs recorders through random lives, by a seed each: senders,
// networks, crashes and failures of storage in simulated time, after which every
// recording is held against what was sent. It has tests only; see `make chaos`.
package chaos
