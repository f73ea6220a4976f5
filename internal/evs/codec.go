package evs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// MaxLineBytes bounds a line of a trace. The longest are group views: a name of
// each member of a group.
const MaxLineBytes = 4 << 20

// Encode writes events as JSON lines.
func Encode(w io.Writer, events []Event) error {
	out := bufio.NewWriter(w)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for i := range events {
		if err := encoder.Encode(&events[i]); err != nil {
			return fmt.Errorf("trace: event %d: %w", i+1, err)
		}
	}
	return out.Flush()
}

// Decode reads JSON lines. It is strict: an unknown event, an unknown field, a
// missing field or a set out of order is an error that names the line.
func Decode(r io.Reader) ([]Event, error) {
	var events []Event
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), MaxLineBytes)
	for line := 1; lines.Scan(); line++ {
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.DisallowUnknownFields()
		var e Event
		if err := decoder.Decode(&e); err != nil {
			return nil, fmt.Errorf("trace line %d: %w", line, err)
		}
		if decoder.More() {
			return nil, fmt.Errorf("trace line %d: more than one event in a line", line)
		}
		if err := e.validate(); err != nil {
			return nil, fmt.Errorf("trace line %d: %w", line, err)
		}
		events = append(events, e)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("trace: %w; lines may have at most %d bytes", err, MaxLineBytes)
	}
	return events, nil
}

func unmarshalPair(data []byte, first, second any) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("want an array of 2, have %d", len(pair))
	}
	return errors.Join(json.Unmarshal(pair[0], first), json.Unmarshal(pair[1], second))
}

// A field is a part of an event that its kind cannot do without.
type field struct {
	name string
	set  func(*Event) bool
}

var (
	hasClient   = field{"client", func(e *Event) bool { return e.Client != "" }}
	hasMsg      = field{"msg", func(e *Event) bool { return e.Msg.Client != "" }}
	hasGroup    = field{"group", func(e *Event) bool { return e.Group != "" }}
	hasGroups   = field{"groups", func(e *Event) bool { return len(e.Groups) > 0 }}
	hasService  = field{"svc", func(e *Event) bool { return e.Service != "" }}
	hasID       = field{"id", func(e *Event) bool { return e.ID != "" }}
	hasMembers  = field{"members", func(e *Event) bool { return len(e.Members) > 0 }}
	hasRing     = field{"ring", func(e *Event) bool { return e.Ring != "" }}
	hasInst     = field{"inst", func(e *Event) bool { return e.Inst != "" }}
	hasView     = field{"view", func(e *Event) bool { return e.View != ViewID{} }}
	hasSrc      = field{"src", func(e *Event) bool { return e.Src != "" }}
	hasTo       = field{"to", func(e *Event) bool { return e.To != "" }}
	hasSet      = field{"ts or tsn", func(e *Event) bool { return len(e.TS)+len(e.TSN) > 0 }}
	hasMode     = field{"mode local, fed or far", func(e *Event) bool { return e.Mode == "local" || e.Mode == "fed" || e.Mode == Far }}
	hasRole     = field{"role heir, learner or founder", func(e *Event) bool { return slices.Contains([]string{"heir", "learner", "founder"}, e.Role) }}
	hasDir      = field{"dir in or out", func(e *Event) bool { return e.Dir == "in" || e.Dir == "out" }}
	hasWish     = field{"why join or leave", func(e *Event) bool { return e.Why == "join" || e.Why == "leave" }}
	hasNumber   = field{"number", func(e *Event) bool { return e.Number != Number{} }}
	hasProposal = field{"pi", func(e *Event) bool { return e.PI != ViewID{} }}
)

// needs has the fields each kind cannot do without. A kind that is not in it does
// not exist. T, n, phase and the like are absent from traces that were taken at
// the outside of a node, so they are needed nowhere.
var needs = map[Kind][]field{
	Start: nil, Stop: nil, Horizon: nil,
	Ring:    {hasRing, hasMembers},
	Lineage: {hasInst, hasNumber, hasRole},
	Formed:  {hasInst, hasNumber},
	Submit:  {hasMsg, hasGroups, hasService},
	Send:    {hasMsg, hasGroups, hasService, hasMode},
	Reject:  {hasMsg},
	Join:    {hasClient, hasGroup},
	Leave:   {hasClient, hasGroup},
	Down:    {hasClient},
	Dlv:     {hasClient, hasMsg},
	GSig:    {hasClient, hasGroup},
	Sig:     {hasView, hasInst, hasSet},
	View:    {hasView, hasInst, hasMembers},
	GView:   {hasClient, hasGroup, hasID, hasMembers},
	Attach:  {hasInst},
	Import:  {hasSrc},
	Promise: {hasTo, hasDir},
	Cut:     {hasProposal},
	Connect: {hasClient, hasGroup},
	Ask:     {hasClient, hasGroup, hasWish},
	Gone:    {hasClient},
	Named:   {hasMsg},
	Cast:    {hasMsg, hasInst},
}

var services = []string{"", Unreliable, Reliable, FIFO, Causal, Agreed, Safe}
var phases = []string{"", Regular, GroupSignal, Transitional, Local}

func (e *Event) validate() error {
	fields, known := needs[e.Kind]
	switch {
	case !known:
		return fmt.Errorf("event %q does not exist", e.Kind)
	case e.Node == "":
		return fmt.Errorf("event %q names no node", e.Kind)
	case !slices.Contains(services, e.Service):
		return fmt.Errorf("service %q does not exist", e.Service)
	case !slices.Contains(phases, e.Phase):
		return fmt.Errorf("phase %q does not exist", e.Phase)
	}
	for _, f := range fields {
		if !f.set(e) {
			return fmt.Errorf("event %q lacks %s", e.Kind, f.name)
		}
	}
	for _, set := range [][]string{e.D, e.Members, e.Together, e.With, e.TS, e.TSN, e.Without, e.Electorate, e.C, e.CutTS} {
		if !slices.IsSorted(set) {
			return fmt.Errorf("event %q has a set that is not sorted: %v", e.Kind, set)
		}
	}
	return nil
}
