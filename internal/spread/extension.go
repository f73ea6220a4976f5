package spread

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// What Ringway adds to the protocol. All of it hangs on methods that a client names in
// its choice: who does not name them never meets it (docs/client-protocol.md).

// Methods beyond NULL.
const (
	MethodIP    = "IP"    // the address decides; no bytes
	MethodToken = "TOKEN" // AppendToken follows the choice
	// MethodRingway is no authentication: it asks for messages of up to
	// membership.MaxMessageBytes and for extension calls, and may carry a policy and
	// WordScopes, each behind a blank. Servers of Spread's own refuse it.
	MethodRingway = "RINGWAY"
	// MethodResume is no authentication either: it brings a key by which a later
	// connection of the same client takes over from this one.
	MethodResume = "RESUME"
)

// What becomes of a session that does not read what it is sent.
const (
	PolicyDisconnect = "disconnect"
	PolicyDropOldest = "drop-oldest"
	PolicyBlock      = "block"
)

// WordScopes asks for independent scopes: local messages of the session do not wait for
// what it sent to other sites before. It is short, as a field has to hold it behind the
// longest policy.
const WordScopes = "scopes"

// Sizes of what follows a choice.
const (
	MaxTokenBytes  = 4096
	ResumeKeyBytes = 16
)

// Extras are what a session wants beside Ringway's extensions themselves.
type Extras struct {
	Policy            string // for its own queue; empty: the node's own
	IndependentScopes bool
}

// RingwayField returns the method that asks for Ringway's extensions.
func RingwayField(x Extras) string {
	field := MethodRingway
	if x.Policy != "" {
		field += " " + x.Policy
	}
	if x.IndependentScopes {
		field += " " + WordScopes
	}
	return field
}

// ParseRingway reads a method that may be RingwayField's. A word that is not known is
// refused with the whole: who asked for it must not believe that it has it.
func ParseRingway(method string) (x Extras, ok bool) {
	words := strings.Split(method, " ")
	if words[0] != MethodRingway {
		return Extras{}, false
	}
	words = words[1:]
	if len(words) > 0 && (words[0] == PolicyDisconnect || words[0] == PolicyDropOldest || words[0] == PolicyBlock) {
		x.Policy, words = words[0], words[1:]
	}
	if len(words) > 0 && words[0] == WordScopes {
		x.IndependentScopes, words = true, words[1:]
	}
	if len(words) > 0 {
		return Extras{}, false
	}
	return x, true
}

// AppendToken appends a token as it follows a choice of MethodToken.
func AppendToken(b, token []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(token))), token...)
}

// ParseToken reads a token from the start of b and returns how many bytes it took:
// ErrMore if b ends within it, a *CodeError if it is to be refused.
func ParseToken(b []byte) (token []byte, n int, err error) {
	if len(b) < 2 {
		return nil, 0, ErrMore
	}
	n = int(binary.BigEndian.Uint16(b))
	if n == 0 || n > MaxTokenBytes {
		return nil, 0, &CodeError{Refused, fmt.Sprintf("token of %d bytes, want 1 to %d", n, MaxTokenBytes)}
	}
	if len(b) < 2+n {
		return nil, 0, ErrMore
	}
	return b[2 : 2+n], 2 + n, nil
}
