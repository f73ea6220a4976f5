package main

import (
	"encoding/json"
	"slices"

	"ringway/client"
)

// Limits of the map. A piece of a copy fits a message to a node of any kind.
const (
	maxKey     = 256      // bytes
	maxValue   = 64 << 10 // bytes
	maxKeys    = 100_000
	pieceBytes = 64 << 10 // of a copy, beyond which a new piece begins
)

// The kinds of records.
const (
	kindOp    = "op"    // an operation
	kindHello = "hello" // a replica without the map says so in a view
	kindPiece = "piece" // of a copy of the map as it was when a view began
	kindReady = "ready" // a replica has the map
)

// A record is what a message carries.
type record struct {
	Kind string `json:"kind"`
	View string `json:"view,omitempty"` // of hello, piece and ready

	ID    string `json:"id,omitempty"` // of an operation
	Op    string `json:"op,omitempty"` // set, get, cas, del
	Key   string `json:"key,omitempty"`
	Value []byte `json:"value,omitempty"`
	Old   []byte `json:"old,omitempty"` // of cas: what must be there

	Fresh bool              `json:"fresh,omitempty"` // of hello: it never had the map
	Part  map[string][]byte `json:"part,omitempty"`  // of a piece
	Last  bool              `json:"last,omitempty"`
}

// encode returns the record as data; what it has can always be encoded.
func (r record) encode() []byte {
	data, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return data
}

// pieces cuts a copy of the map into messages to one replica.
func pieces(state map[string]string, view, to string) []client.Message {
	keys := make([]string, 0, len(state))
	for k := range state {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var messages []client.Message
	part, size := map[string][]byte{}, 0
	flush := func(last bool) {
		data := record{Kind: kindPiece, View: view, Part: part, Last: last}.encode()
		messages = append(messages, client.Message{Service: client.Agreed, Groups: []string{to}, Data: data})
		part, size = map[string][]byte{}, 0
	}
	for _, k := range keys {
		part[k] = []byte(state[k])
		if size += len(k) + len(state[k]); size >= pieceBytes {
			flush(false)
		}
	}
	flush(true)
	return messages
}
