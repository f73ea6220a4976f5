package freeport

import (
	"net"
	"strconv"
)

// A reservation is a name that one process at a time can have: an abstract unix socket,
// which belongs to the network namespace as ports do, leaves no file, and goes with its
// process, however that ends.
type reservation struct{ *net.UnixConn }

func reserve(port int) (reservation, bool) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "@ringway-port-" + strconv.Itoa(port), Net: "unixgram"})
	return reservation{conn}, err == nil
}

func (r reservation) release() { r.Close() }
