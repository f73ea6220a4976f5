package spread

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"ringway/membership"
)

// Versions at which the handshake changed, as major*10000 + minor*100 + patch.
const (
	oldestVersion  = 30100
	patchAfter     = 31400 // a patch byte follows in later ones
	choiceFrom     = 31600 // the first that chooses an authentication method
	verdictPatches = 31500
)

// A Hello is what a client says first.
type Hello struct {
	Version    [3]byte
	Membership bool // wants membership messages
	Priority   bool
	Name       string
}

// ErrMore says that a handshake message is not complete yet.
var ErrMore = errors.New("more bytes are needed")

// A CodeError is a refusal with its code in the protocol.
type CodeError struct {
	Code int8
	Why  string
}

func (e *CodeError) Error() string { return fmt.Sprintf("%s (code %d)", e.Why, e.Code) }

// number returns the version as one integer.
func (h *Hello) number() int {
	return int(int8(h.Version[0]))*10000 + int(int8(h.Version[1]))*100 + int(int8(h.Version[2]))
}

// Chooses says whether the client's version chooses an authentication method.
func (h *Hello) Chooses() bool { return h.number() >= choiceFrom }

// ParseHello reads a hello from the start of b and returns how long it is: ErrMore
// if b ends within it, a *CodeError if it is to be refused.
func ParseHello(b []byte) (Hello, int, error) {
	var h Hello
	fixed := 5
	if len(b) < 2 {
		return h, 0, ErrMore
	}
	copy(h.Version[:2], b)
	if h.number() <= patchAfter {
		fixed = 4
	}
	if len(b) < fixed {
		return h, 0, ErrMore
	}
	if fixed == 5 {
		h.Version[2] = b[2]
	}
	if h.number() < oldestVersion {
		return h, 0, &CodeError{VersionTooOld, fmt.Sprintf("client version %d.%d is too old", int8(b[0]), int8(b[1]))}
	}
	flags, n := b[fixed-2], int(int8(b[fixed-1]))
	h.Membership, h.Priority = flags&0x0f&1 == 1, flags>>4 != 0
	if n < 0 || n > membership.MaxPrivateName {
		return h, 0, &CodeError{IllegalName, fmt.Sprintf("private name of %d bytes, at most %d", n, membership.MaxPrivateName)}
	}
	if len(b) < fixed+n {
		return h, 0, ErrMore
	}
	name := b[fixed : fixed+n]
	if !LegalName(name) {
		return h, 0, &CodeError{IllegalName, fmt.Sprintf("private name %q: only the characters '$' to '~' may be used", name)}
	}
	h.Name = string(name)
	return h, fixed + n, nil
}

// Append appends the encoding of h.
func (h *Hello) Append(b []byte) []byte {
	b = append(b, h.Version[0], h.Version[1])
	if int(h.Version[0])*10000+int(h.Version[1])*100 > patchAfter {
		b = append(b, h.Version[2])
	}
	var flags byte
	if h.Membership {
		flags = 1
	}
	if h.Priority {
		flags |= 1 << 4
	}
	b = append(b, flags, byte(len(h.Name)))
	return append(b, h.Name...)
}

// AppendMethods appends the list of methods that a server offers. Its length must stay
// below 128: above, it reads as a refusal.
func AppendMethods(b []byte, methods []string) []byte {
	var list string
	for _, m := range methods {
		list += m + " " // the blank ends a name, it does not separate
	}
	return append(append(b, byte(len(list))), list...)
}

// ParseMethods reads a list of methods, or a refusal in its place, and returns how long
// it is: ErrMore if b ends within it, a *CodeError for a refusal.
func ParseMethods(b []byte) (methods []string, n int, err error) {
	if len(b) == 0 {
		return nil, 0, ErrMore
	}
	length := int(int8(b[0]))
	if length < 0 {
		return nil, 1, RejectError(int8(b[0]))
	}
	if len(b) < 1+length {
		return nil, 0, ErrMore
	}
	return strings.Fields(string(b[1 : 1+length])), 1 + length, nil
}

// AppendChoice appends a client's choice of up to three methods.
func AppendChoice(b []byte, methods ...string) []byte {
	for i := range 3 {
		var field [MethodBytes]byte
		if i < len(methods) {
			copy(field[:], methods[i])
		}
		b = append(b, field[:]...)
	}
	return b
}

// ParseChoice reads the ChoiceBytes bytes of a choice: the methods up to the first
// empty field.
func ParseChoice(b []byte) []string {
	var methods []string
	for ; len(b) >= MethodBytes; b = b[MethodBytes:] {
		field := b[:MethodBytes]
		if end := bytes.IndexByte(field, 0); end >= 0 {
			field = field[:end]
		}
		if len(field) == 0 {
			break
		}
		methods = append(methods, string(field))
	}
	return methods
}

// AppendVerdict appends the acceptance of a session with that private group.
func AppendVerdict(b []byte, h *Hello, private string) []byte {
	b = append(b, Accepted, Version[0], Version[1])
	if h.number() >= verdictPatches {
		b = append(b, Version[2])
	}
	return append(append(b, byte(len(private))), private...)
}

// oldestServer is the major version below which clients refuse a server.
const oldestServer = 3

// ParseVerdict reads the answer to a choice and returns how long it is: ErrMore if b
// ends within it, a *CodeError for a refusal. h is what the client said: it decides on
// the form.
func ParseVerdict(b []byte, h *Hello) (private string, n int, err error) {
	if len(b) == 0 {
		return "", 0, ErrMore
	}
	if code := int8(b[0]); code < 0 {
		return "", 1, RejectError(code)
	}
	fixed := 4 // code, two numbers of version, length
	if h.number() >= verdictPatches {
		fixed++
	}
	if len(b) < fixed {
		return "", 0, ErrMore
	}
	length := int(b[fixed-1])
	if b[0] != Accepted || int8(b[1]) < oldestServer || length >= GroupBytes {
		return "", 0, fmt.Errorf("answer %d, version %d.%d, a name of %d bytes: is it a Spread port?", b[0], int8(b[1]), int8(b[2]), length)
	}
	if len(b) < fixed+length {
		return "", 0, ErrMore
	}
	return string(b[fixed : fixed+length]), fixed + length, nil
}

// AppendRefusal appends a refusal: one byte, wherever it stands.
func AppendRefusal(b []byte, code int8) []byte { return append(b, byte(code)) }

// RejectError returns the error that a server's refusal stands for.
func RejectError(code int8) *CodeError {
	why, ok := map[int8]string{
		TooManySessions: "the node has too many sessions",
		NoName:          "the node wants a private name",
		IllegalName:     "the private name is illegal",
		NameInUse:       "the private name is in use on this node",
		VersionTooOld:   "the client's version is too old for the node",
		Refused:         "authentication or access was refused",
	}[code]
	if !ok {
		why = "the node refused the connection"
	}
	return &CodeError{code, why}
}
