// Package identity tells which node a recording in shared storage belongs to.
package identity
