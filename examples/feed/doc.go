// Command feed carries the lines of growing files to readers, each line once and in its
// file's order, though writers, readers and nodes stop and come back. README.md says how
// to use it.
//
// A line has a place: the byte of its file where it begins and where it ends, and the
// file's epoch, which changes when another file takes its name.
//
//   - A writer publishes lines to a group that it is in, so that it gets them back when
//     they have their place in the group's order. Up to there it is done, and keeps that
//     in its state file. After a lost connection, or a start, it goes on from there;
//     what it had sent beyond goes out again.
//   - A reader takes a line of a writer only where the one before ended: what it has had
//     already it skips, and what it lacks it asks for. Its places are in its own state
//     file. It asks when it comes and whenever somebody comes; writers answer to its
//     private group, from their files.
//
// source.go reads files, place.go has places and messages, writer.go and reader.go the two
// ends, state.go what they keep.
package main
