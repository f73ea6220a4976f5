package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Types of messages in the group.
const (
	typeEvent = 1 // a line
	typeAsk   = 2 // a reader's places, as JSON
)

// A place is where in a writer's file a reader or a writer is.
type place struct {
	Epoch  int64 `json:"epoch"`  // of the file: milliseconds since 1970 when it was met
	Offset int64 `json:"offset"` // bytes
}

// An event is a line and where it stands.
type event struct {
	epoch, start, end int64
	line              []byte
}

// headBytes stand before the line of an event.
const headBytes = 24

func (e *event) encode() []byte {
	b := make([]byte, 0, headBytes+len(e.line))
	for _, v := range []int64{e.epoch, e.start, e.end} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return append(b, e.line...)
}

var errEvent = errors.New("a message that is no event of a feed")

func decode(b []byte) (event, error) {
	if len(b) < headBytes {
		return event{}, errEvent
	}
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[8*i:])) }
	e := event{epoch: at(0), start: at(1), end: at(2), line: b[headBytes:]}
	if e.start < 0 || e.end <= e.start || e.end-e.start < int64(len(e.line)) {
		return event{}, errEvent
	}
	return e, nil
}

// maxPlaces bounds the writers that a reader knows.
const maxPlaces = 10_000

// An ask is what a reader has: of each writer up to its place. All: also of writers that
// it does not know, from their beginning.
type ask struct {
	Places map[string]place `json:"places"`
	All    bool             `json:"all"`
}

func decodeAsk(b []byte) (a ask, err error) {
	if err := json.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("a reader's places: %w", err)
	}
	return a, nil
}

// nameOf returns the private name in a private group, #name#node: a writer keeps it when
// it comes back at another node.
func nameOf(private string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(private, "#"), "#")
	return name
}
