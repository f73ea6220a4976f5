package overlay

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/quic-go/quic-go"
)

// A doorway bounds what strangers can make this gateway do: connections that have not
// said hello yet, all together and from one address. Somebody who opens many and says
// nothing fills his own share, and each of his places is free again after handshakeTime.
// Safe for concurrent use.
type doorway struct {
	mu      sync.Mutex
	inside  int
	from    map[string]int // by IP address; none has zero
	refused func()
}

var errDoorway = errors.New("too many handshakes at once")

func newDoorway(refused func()) *doorway { return &doorway{from: map[string]int{}, refused: refused} }

// doubtful says whether who sends a first packet must show that he gets answers there:
// above so many handshakes, a round trip more is cheaper than room for forged addresses.
func (d *doorway) doubtful(net.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inside >= maxTrusting
}

// A visit is a connection that has not said hello yet.
type visit struct {
	door    *doorway
	address string
	once    sync.Once
}

type visitKey struct{}

// enter is quic.Transport.ConnContext.
func (d *doorway) enter(ctx context.Context, who *quic.ClientInfo) (context.Context, error) {
	address := who.RemoteAddr.String()
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	d.mu.Lock()
	full := d.inside >= maxHandshakes || d.from[address] >= maxHandshakesFrom
	if !full {
		d.inside++
		d.from[address]++
	}
	d.mu.Unlock()
	if full {
		d.refused()
		return nil, errDoorway
	}
	v := &visit{door: d, address: address}
	context.AfterFunc(ctx, v.leave)
	return context.WithValue(ctx, visitKey{}, v), nil
}

// leave frees the place of a connection that has said hello, or has ended.
func (v *visit) leave() {
	v.once.Do(func() {
		d := v.door
		d.mu.Lock()
		defer d.mu.Unlock()
		d.inside--
		if d.from[v.address]--; d.from[v.address] == 0 {
			delete(d.from, v.address)
		}
	})
}

// leaveDoorway frees the place of a connection.
func leaveDoorway(conn *quic.Conn) {
	if v, ok := conn.Context().Value(visitKey{}).(*visit); ok {
		v.leave()
	}
}
