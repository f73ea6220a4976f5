package membership

// Limits that every layer shares. They are part of the protocol: all nodes of a
// federation must agree on them.
const (
	MaxNodeName      = 19       // bytes; Spread's limit for daemon names
	MaxPrivateName   = 10       // bytes; Spread's limit for what a client asks for
	MaxGroupName     = 31       // bytes; Spread's field of 32 less its NUL
	MaxGroups        = 100      // groups in one message
	MaxMessageBytes  = 64 << 20 // payload of one message, for clients that negotiate it
	MaxSiteNodes     = 128      // nodes in one site
	MaxSites         = 64       // instances in one site view
	MaxSpreadMessage = 144000   // payload and names, for Spread's own clients
)
