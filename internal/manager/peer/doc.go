// Package peer asks one node of a manager over HTTP. A node may be slow, hang, or answer
// without end, so every answer has a time and a size that it may take.
package peer
