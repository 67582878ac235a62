//go:build !norecorder && !race

package node

// underRace says that the tests run under the race detector.
const underRace = false
