// Package manager wires a liveman together and runs it: what is known of many
// nodes, one catalogue of their recordings that follows them, and one address to
// play, start and stop them.
package manager
