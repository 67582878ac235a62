// Package e2e tests the built server as its users meet it: the binary, over
// HTTP and WebRTC, with Chromium as publisher and player, ffmpeg as decoder,
// signals and disks that are full. It has tests only.
package e2e
