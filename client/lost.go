package client

import (
	"crypto/tls"
	"errors"
	"sync"
	"time"

	"ringway/internal/lostpeer"
)

// errLost is why a connection ended whose node does not acknowledge anything.
var errLost = errors.New("the node's host does not answer any more")

// A hostWatch looks at a connection now and then while it is open. It is a timer, no
// goroutine.
type hostWatch struct {
	mu    sync.Mutex
	timer *time.Timer // nil: closed
	watch lostpeer.Watch
	lost  bool
}

// watchHost begins to look at the connection.
func (c *Conn) watchHost() {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	c.host.timer = time.AfterFunc(lostpeer.Interval, c.look)
}

// look closes a connection whose node's host is lost: then whatever waits for it fails.
func (c *Conn) look() {
	h := &c.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer == nil {
		return
	}
	if h.lost = h.watch.Look(c.conn, time.Now()); !h.lost {
		h.timer.Reset(lostpeer.Interval)
		return
	}
	conn := c.conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn() // Close of the tls.Conn would take leave first, and wait
	}
	conn.Close() //nolint:errcheck // there is nobody to tell
}

// stop ends looking.
func (h *hostWatch) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
}

// cause returns why the connection failed: err, unless look has closed it.
func (h *hostWatch) cause(err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost {
		return errLost
	}
	return err
}
