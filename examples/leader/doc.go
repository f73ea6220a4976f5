// Command leader elects a leader among the members of a group: at most one in each view,
// and the same for everybody in it. README.md says how to use it.
//
// election.go decides; it has no connection and no clock. main.go carries its votes.
package main
