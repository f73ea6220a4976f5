package spread

import (
	"ringway/membership"
)

// Bits of a message's type.
const (
	TypeUnreliable   = 0x00000001
	TypeReliable     = 0x00000002
	TypeFIFO         = 0x00000004
	TypeCausal       = 0x00000008
	TypeAgreed       = 0x00000010
	TypeSafe         = 0x00000020
	TypeSelfDiscard  = 0x00000040
	TypeByJoin       = 0x00000100
	TypeByLeave      = 0x00000200
	TypeByDisconnect = 0x00000400
	TypeByNetwork    = 0x00000800
	TypeRegular      = 0x00001000 // membership
	TypeTransitional = 0x00002000
	TypeJoin         = 0x00010000
	TypeLeave        = 0x00020000
	TypeDisconnect   = 0x00040000
	TypeGroupsState  = 0x00080000 // between daemons; TypeExtension for who negotiated it
	TypeReject       = 0x00400000

	// Services masks the six services, Membership what tells of members, Calls
	// the bits of which a client sets exactly one.
	Services   = 0x3f
	Membership = TypeRegular | TypeTransitional
	Causes     = TypeByJoin | TypeByLeave | TypeByDisconnect | TypeByNetwork
	Calls      = Services | TypeJoin | TypeLeave | TypeDisconnect | TypeGroupsState

	markers = 0x80000080
)

// Sizes of the protocol.
const (
	HeaderBytes    = 48
	GroupBytes     = 32
	MethodBytes    = 30
	ChoiceBytes    = 3 * MethodBytes
	ViewIDBytes    = 12
	MaxViewMembers = 1 << 20 // names in one membership message; a bound for decoders
)

// Codes that a server answers with. Accepted is the only positive one.
const (
	Accepted        = 1
	TooManySessions = -3
	NoName          = -4
	IllegalName     = -5
	NameInUse       = -6
	VersionTooOld   = -7
	Refused         = -9
)

// MethodNull is the method that asks for nothing.
const MethodNull = "NULL"

// Version is what this project's servers and clients announce.
var Version = [3]byte{5, 0, 1}

// TypeOf returns the type bit of a service.
func TypeOf(s membership.Service) uint32 { return 1 << (s - membership.Unreliable) }

// ServiceOf returns the service whose bit is set in a type that has exactly one.
func ServiceOf(kind uint32) (membership.Service, bool) {
	for s := membership.Unreliable; s <= membership.Safe; s++ {
		if kind&Services == TypeOf(s) {
			return s, true
		}
	}
	return 0, false
}

// LegalName says whether every byte of a private name, or of a group name as clients
// check it, may stand there: above '#', up to '~'.
func LegalName(name []byte) bool {
	for _, c := range name {
		if c < '$' || c > '~' {
			return false
		}
	}
	return true
}

// PrivateGroup returns the private group of a session, which is its name everywhere.
func PrivateGroup(name, node string) string { return "#" + name + "#" + node }
