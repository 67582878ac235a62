// Package matrix plays recordings of all shapes with all players, and counts the
// seconds of picture and sound that they show. It has tests only.
package matrix
