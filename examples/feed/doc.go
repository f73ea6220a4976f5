// Command feed publishes each line of a growing file, or of standard input, as a
// message to a group. README.md says how to use it.
//
// tail.go reads lines; main.go sends them.
package main
