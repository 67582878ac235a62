// Package swarm publishes many WHIP streams from one process, at a small part of what a
// receiver needs for them, so that one machine is enough to find a receiver's limit. All
// streams send the same media, which is put into packets once. Each has its own socket,
// DTLS session and SRTP context; one goroutine sends everything, a frame in one system call.
//
// It is no client that has to cope with a network: it answers no NACK and follows no
// request for a key frame. Package load is that.
package swarm
