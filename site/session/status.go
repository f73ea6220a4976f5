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
