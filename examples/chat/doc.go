// Command chat is a chat room: everybody in it sees the same lines in the same order,
// and who comes and goes at the same place between them. README.md says how to use it.
//
// chat.go turns events into lines and lines into messages; main.go connects the two to
// a session and a terminal.
package main
