package overlay

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/quic-go/quic-go"

	"ringway/internal/pki"
	"ringway/topology"
)

func quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           handshakeTime,
		MaxIdleTimeout:                 idleTime,
		InitialStreamReceiveWindow:     initialWindow,
		MaxStreamReceiveWindow:         streamWindow,
		InitialConnectionReceiveWindow: 2 * initialWindow,
		MaxConnectionReceiveWindow:     connWindow,
		MaxIncomingStreams:             maxStreams,
		MaxIncomingUniStreams:          3, // state, control, bulk
		EnableDatagrams:                true,
		KeepAlivePeriod:                idleTime / 3, // of lanes without hellos
	}
}

// dials says which of two linked gateways connects to the other: the one with the
// lower name.
func dials(self, peer *topology.Node) bool { return self.Name < peer.Name }

// keepDialling keeps a lane to the peer as long as ctx lives.
func (g *Gateway) keepDialling(ctx context.Context, peer *topology.Node, index uint8) {
	wait := redialMin
	patience := dialPatience{hello: g.cfg.Topology.Timing.Hello}
	for {
		began := g.now()
		sign, patient := patience.next()
		l, err := g.dial(ctx, peer, index, sign)
		if err == nil {
			g.keepFresh(ctx, l)
			patience.connected(l.conn)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			g.count.dialFailures.Add(1)
			if patient || !unanswered(err) {
				g.warn("cannot connect to gateway", "peer", peer.Name, "site", peer.Site.Name, "address", g.address(peer), "error", err)
			}
		}
		if unanswered(err) || g.now()-began > redialMax {
			wait = redialMin
		}
		timer := time.NewTimer(wait/2 + time.Duration(g.rand()*float64(wait)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		wait = min(2*wait, redialMax)
	}
}

func (g *Gateway) address(peer *topology.Node) string {
	if other, ok := g.cfg.Dial[peer.ID]; ok {
		return other
	}
	return peer.Gateway.String()
}

// dial connects a lane to the peer. It has that long to give a sign, twice that to shake
// hands, and dialTime for the whole.
func (g *Gateway) dial(ctx context.Context, peer *topology.Node, index uint8, sign time.Duration) (*lane, error) {
	hctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	addr, err := net.ResolveUDPAddr("udp", g.address(peer))
	if err != nil {
		return nil, err
	}
	shown := g.cfg.Identity.CertificateDER()
	config := quicConfig()
	config.HandshakeIdleTimeout = sign
	conn, err := g.transport.Dial(hctx, addr, g.cfg.Identity.ClientTLS(peer.Site.Name, peer.Name), config)
	if err != nil {
		return nil, err
	}
	hello, err := g.greet(hctx, conn, peer, index)
	if err != nil {
		g.refuse(conn, peer.Name, err)
		return nil, err
	}
	return newLane(g, peer, conn, hello, shown), nil
}

// greet says hello on a dialled connection and hears the peer's.
func (g *Gateway) greet(ctx context.Context, conn *quic.Conn, peer *topology.Node, index uint8) (linkHello, error) {
	s, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return linkHello{}, connError(conn, err)
	}
	defer abandon(s)
	deadline, _ := ctx.Deadline()
	_ = s.SetDeadline(deadline)
	own := g.hello(index)
	if _, err := s.Write(own.append([]byte{byte(streamHello)})); err != nil {
		return linkHello{}, connError(conn, err)
	}
	_ = s.Close()
	_, body, err := readFrame(s, frameHello)
	if err != nil {
		return linkHello{}, connError(conn, err)
	}
	hello, err := decodeHello(body)
	if err != nil {
		return hello, err
	}
	return hello, g.judge(hello, peer)
}

// connError returns why the connection ended, if it did, rather than how a call on
// it failed.
func connError(conn *quic.Conn, err error) error {
	if cause := context.Cause(conn.Context()); cause != nil {
		return cause
	}
	return err
}

func (g *Gateway) hello(lane uint8) linkHello {
	return linkHello{Version: protocolVersion, Lane: lane, Node: g.self.ID, Incarnation: g.cfg.Incarnation, Federation: g.cfg.Topology.Name}
}

// judge returns why a peer's hello is unacceptable, or nil.
func (g *Gateway) judge(h linkHello, peer *topology.Node) error {
	switch {
	case h.Federation != g.cfg.Topology.Name:
		return fmt.Errorf("%w %q, this is %q: compare the topology files", errFederation, h.Federation, g.cfg.Topology.Name)
	case h.Version != protocolVersion:
		return fmt.Errorf("peer speaks version %d, this node %d: upgrade the older", h.Version, protocolVersion)
	case h.Node != peer.ID:
		return fmt.Errorf("%w: hello of node %v on a connection with %s", errUnknown, h.Node, peer.Name)
	}
	return nil
}

// Reasons to refuse a peer that are counted apart.
var (
	errFederation = errors.New("peer is of federation")
	errUnknown    = errors.New("peer is not a gateway that this one is linked to")
)

// refuse closes a connection before it becomes a lane, counts and logs it.
func (g *Gateway) refuse(conn *quic.Conn, who string, err error) {
	switch {
	case errors.Is(err, context.Canceled):
		_ = conn.CloseWithError(codeDraining, "stopping")
		return
	case errors.Is(err, errFederation) || errors.Is(err, pki.ErrFederation):
		g.count.wrongFederation.Add(1)
	default:
		g.count.refused.Add(1)
	}
	g.warn("peer refused", "peer", who, "address", conn.RemoteAddr(), "error", err)
	_ = conn.CloseWithError(codeRefused, err.Error())
}

// accept takes connections until the listener closes.
func (g *Gateway) accept(ctx context.Context, listener *quic.EarlyListener) {
	for {
		conn, err := listener.Accept(ctx)
		if err != nil {
			return
		}
		g.wg.Go(func() {
			l := g.welcome(ctx, conn)
			leaveDoorway(conn)
			if l != nil {
				l.serve()
			}
		})
	}
}

// welcome finds out who connected; nil: somebody who is refused.
func (g *Gateway) welcome(ctx context.Context, conn *quic.Conn) *lane {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	select {
	case <-conn.HandshakeComplete():
	case <-conn.Context().Done():
		g.refuse(conn, "?", context.Cause(conn.Context()))
		return nil
	case <-ctx.Done():
		g.refuse(conn, "?", ctx.Err())
		return nil
	}
	peer, err := g.caller(conn.ConnectionState().TLS.PeerCertificates)
	if err != nil {
		g.refuse(conn, "?", err)
		return nil
	}
	hello, err := g.hearHello(ctx, conn, peer)
	if err != nil {
		g.refuse(conn, peer.Name, connError(conn, err))
		return nil
	}
	return newLane(g, peer, conn, hello, nil)
}

// caller returns the gateway that a verified certificate names.
func (g *Gateway) caller(certs []*x509.Certificate) (*topology.Node, error) {
	if len(certs) == 0 {
		return nil, fmt.Errorf("%w: it showed no certificate", errUnknown)
	}
	federation, site, node, err := pki.PeerName(certs[0])
	if err != nil {
		return nil, err
	}
	if federation != g.cfg.Topology.Name {
		return nil, fmt.Errorf("%w %q, this is %q", errFederation, federation, g.cfg.Topology.Name)
	}
	for _, n := range g.gateways {
		if n.Name != node || n.Site.Name != site {
			continue
		}
		if _, ok := g.adjacent(n); !ok {
			return nil, fmt.Errorf("%w: no link between sites %s and %s", errUnknown, g.self.Site.Name, site)
		}
		if dials(g.self, n) {
			return nil, fmt.Errorf("%w: %s waits for %s to dial", errUnknown, node, g.self.Name)
		}
		return n, nil
	}
	return nil, fmt.Errorf("%w: %s/%s is not in the topology", errUnknown, site, node)
}

// hearHello hears the caller's hello and answers it.
func (g *Gateway) hearHello(ctx context.Context, conn *quic.Conn, peer *topology.Node) (linkHello, error) {
	s, err := conn.AcceptStream(ctx)
	if err != nil {
		return linkHello{}, err
	}
	defer s.CancelRead(streamDone)
	deadline, _ := ctx.Deadline()
	_ = s.SetDeadline(deadline)
	var k [1]byte
	if _, err := io.ReadFull(s, k[:]); err != nil {
		return linkHello{}, err
	}
	if streamKind(k[0]) != streamHello {
		return linkHello{}, breach(fmt.Errorf("first stream is of kind %d", k[0]))
	}
	_, body, err := readFrame(s, frameHello)
	if err != nil {
		return linkHello{}, err
	}
	hello, err := decodeHello(body)
	if err != nil {
		return hello, err
	}
	if err := g.judge(hello, peer); err != nil {
		return hello, err
	}
	own := g.hello(hello.Lane)
	if _, err := s.Write(own.append(nil)); err != nil {
		return hello, err
	}
	_ = s.Close() // the caller may have read it by now and have let go of the stream
	return hello, nil
}

// countGarbage counts packets that are not QUIC at all; QUIC itself drops the rest.
func (g *Gateway) countGarbage(ctx context.Context) {
	var b [1]byte
	for {
		if _, _, err := g.transport.ReadNonQUICPacket(ctx, b[:]); err != nil {
			return
		}
		g.count.garbage.Add(1)
	}
}
