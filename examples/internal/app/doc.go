// Package app is what the examples have in common and is not worth reading twice: flags
// that say how to connect, signals, exit codes.
package app
