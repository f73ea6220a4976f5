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
	// membership.MaxMessageBytes and for extension calls, and may carry a policy behind
	// a blank. Servers of Spread's own refuse it.
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

// Sizes of what follows a choice.
const (
	MaxTokenBytes  = 4096
	ResumeKeyBytes = 16
)

// RingwayField returns the method that asks for Ringway's extensions, with a policy or
// "" for the node's own.
func RingwayField(policy string) string {
	if policy == "" {
		return MethodRingway
	}
	return MethodRingway + " " + policy
}

// ParseRingway reads a method that may be RingwayField's.
func ParseRingway(method string) (policy string, ok bool) {
	rest, ok := strings.CutPrefix(method, MethodRingway)
	if !ok || rest == "" {
		return "", ok
	}
	switch policy = strings.TrimPrefix(rest, " "); {
	case rest[0] != ' ', policy != PolicyDisconnect && policy != PolicyDropOldest && policy != PolicyBlock:
		return "", false
	}
	return policy, true
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
