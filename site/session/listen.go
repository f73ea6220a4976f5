package session

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"ringway/internal/lostpeer"
)

// Listen opens a client port: "tcp" or "tls" and an address, or "unix" and the path of a
// socket, which everybody on this machine may use. A socket file that nobody listens on
// is replaced. The configuration is for "tls" alone.
func Listen(network, address string, config *tls.Config) (net.Listener, error) {
	switch network {
	case "unix":
		return listenUnix(address)
	case "tls":
		l, err := listenTCP(address)
		if err != nil {
			return nil, err
		}
		return tls.NewListener(l, config), nil
	}
	return listenTCP(address)
}

// listenTCP listens for clients whose hosts, when they are lost, are noticed.
func listenTCP(address string) (net.Listener, error) {
	c := net.ListenConfig{KeepAliveConfig: lostpeer.KeepAlive}
	return c.Listen(context.Background(), "tcp", address)
}

func listenUnix(address string) (net.Listener, error) {
	l, err := net.Listen("unix", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(address); err != nil {
			return nil, err
		}
		l, err = net.Listen("unix", address)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(address, 0o666); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// removeStale removes a socket file if connecting to it is refused.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s is in the way and is no socket: remove it or choose another path", path)
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return fmt.Errorf("%s: another process listens there", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// hangUp closes a connection at once. TLS would first want to say so, to a peer that may
// not be reading, while the node waits.
func hangUp(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	conn.Close() //nolint:errcheck // there is nobody to tell
}
