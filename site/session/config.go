package session

import (
	"log/slog"
	"time"

	"ringway/membership"
	"ringway/site/merge"
	"ringway/topology"
)

// Defaults and limits.
const (
	defaultMaxSessions   = 20000
	defaultQueueMessages = 16384     // half a second of a busy ring
	defaultQueueBytes    = 128 << 20 // a message of the largest size, and as much again behind it
	defaultHandshake     = 10 * time.Second
	defaultFlush         = 500 * time.Millisecond
)

// Config says how sessions are served.
type Config struct {
	NodeName string
	Node     membership.NodeID
	Boot     uint64          // its low half goes into session ids
	Access   topology.Access // at the start; SetAccess changes it

	// Order sorts members as clients expect it; NodeNameOf names their nodes.
	Order      func(a, b merge.Member) int
	NodeNameOf func(membership.NodeID) string

	HandshakeTimeout time.Duration // 0: the default
	FlushTime        time.Duration // what Close gives clients to read what is queued for them; 0: the default
	Log              *slog.Logger
}

func (c *Config) setDefaults() {
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = defaultHandshake
	}
	if c.FlushTime == 0 {
		c.FlushTime = defaultFlush
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}
