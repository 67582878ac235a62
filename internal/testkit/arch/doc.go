// Package arch has no code, only tests: they hold the tree against what
// ARCHITECTURE.md, the READMEs and the project's conventions say of it, so that
// the documents cannot drift from the code.
package arch
