package session

import (
	"log/slog"
	"slices"
	"time"

	"ringway/internal/spread"
	"ringway/membership"
	"ringway/site/merge"
)

// Defaults and limits.
const (
	defaultMaxSessions   = 20000
	defaultQueueMessages = 16384     // half a second of a busy ring
	defaultQueueBytes    = 128 << 20 // a message of the largest size, and as much again behind it
	defaultHandshake     = 10 * time.Second

	maxHandshakes = 1024 // at once on one listener; further connections wait to be accepted
	// hastyHandshake is the time-out while there are half as many: a crowd of silent
	// connections then gives way to others every second.
	hastyHandshake = time.Second

	// flushTime is what Close gives clients to read what is queued for them.
	flushTime = 500 * time.Millisecond
)

// Config says how sessions are served.
type Config struct {
	NodeName string
	Node     membership.NodeID
	Boot     uint64   // its low half goes into session ids
	Methods  []string // authentication methods offered, in order

	// Order sorts members as clients expect it; NodeNameOf names their nodes.
	Order      func(a, b merge.Member) int
	NodeNameOf func(membership.NodeID) string

	MaxSessions      int           // 0: the default
	QueueMessages    int           // to one session, 0: the default
	QueueBytes       int           // to one session; one message is let in whatever its size
	HandshakeTimeout time.Duration // 0: the default
	Log              *slog.Logger
}

func (c *Config) setDefaults() {
	if c.MaxSessions == 0 {
		c.MaxSessions = defaultMaxSessions
	}
	if c.QueueMessages == 0 {
		c.QueueMessages = defaultQueueMessages
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = defaultQueueBytes
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = defaultHandshake
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Methods = slices.DeleteFunc(slices.Clone(c.Methods), func(m string) bool {
		unknown := m != spread.MethodNull
		if unknown {
			// Offering it without doing what it promises would let everybody in.
			c.Log.Warn("this node does not offer an authentication method of the topology", "method", m)
		}
		return unknown
	})
}
