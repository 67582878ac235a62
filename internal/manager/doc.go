// Package manager wires a liveman together and runs it. It follows many nodes, keeps
// one catalogue of their recordings, and plays, starts and stops recordings at one
// address.
package manager
