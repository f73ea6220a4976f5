package client

import (
	"fmt"
	"net"
	"strings"
)

// networkTLS is the network of tls:// addresses.
const networkTLS = "tls"

// ParseAddress turns what Spread's clients take, and a little more, into a network ("tcp",
// "tls" or "unix") and an address of it:
//
//	4803                unix socket /tmp/4803
//	unix:/path          unix socket
//	4803@host           TCP
//	host:4803           TCP; IPv6 as [::1]:4803
//	tls://host:4806     TLS over TCP
func ParseAddress(address string) (network, addr string, err error) {
	port := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	endpoint := func(s string) bool {
		host, p, err := net.SplitHostPort(s)
		return err == nil && host != "" && port(p)
	}
	at := strings.IndexByte(address, '@')
	path, isPath := strings.CutPrefix(address, "unix:")
	secure, isSecure := strings.CutPrefix(address, "tls://")
	switch {
	case isPath && path != "":
		return "unix", path, nil
	case isSecure && endpoint(secure):
		return networkTLS, secure, nil
	case port(address):
		return "unix", "/tmp/" + address, nil
	case at >= 0 && port(address[:at]) && at+1 < len(address):
		host := strings.TrimSuffix(strings.TrimPrefix(address[at+1:], "["), "]")
		return "tcp", net.JoinHostPort(host, address[:at]), nil
	case !isPath && !isSecure && endpoint(address):
		return "tcp", address, nil
	}
	return "", "", fmt.Errorf("address %.100q: want PORT (unix socket /tmp/PORT), PORT@HOST, HOST:PORT, unix:PATH or tls://HOST:PORT", address)
}
