// Package lint holds the rules of the house that golangci-lint cannot see, as
// tests: pure packages have no goroutine, channel, mutex, clock, random source or
// socket; every package has a doc.go; no file grows past a readable size.
//
// The import rules are in .golangci.yml (depguard).
package lint
