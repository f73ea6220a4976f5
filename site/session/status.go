package session

import (
	"time"

	"ringway/membership"
)

// Status is what an operator sees of the clients' side.
type Status struct {
	Sessions    []Client
	Accepted    uint64 // sessions since the start
	Refused     uint64 // handshakes that failed
	Ended       uint64
	TooSlow     uint64 // sessions ended because their queue was full
	BadRequests uint64 // sessions ended because of what they sent
	Received    uint64 // requests
	Sent        uint64 // messages, one for each receiver
	// AcceptFailed counts attempts to take a client for which there was no place: no
	// file descriptor, no memory.
	AcceptFailed uint64
	CrowdedOut   uint64 // handshakes that had to go for newer ones
	Withdrawn    uint64 // sessions ended because the rules of access changed
	Rejected     uint64 // requests that the rules of access refused
	Throttled    uint64 // joins and leaves that had to wait for the session's rate
	Dropped      uint64 // unreliable messages that a slow reader did not get
	Held         uint64 // times that a sender was held back for a slow reader
	Lost         uint64 // sessions ended because their hosts did not answer any more
}

// A Client is one session's part.
type Client struct {
	ID             membership.ClientID
	Name           string
	Address        string
	Since          time.Time
	QueuedMessages int
	QueuedBytes    int
	Received       uint64
	Sent           uint64
}
