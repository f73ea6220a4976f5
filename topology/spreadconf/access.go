package spreadconf

import (
	"net/netip"
	"slices"
	"strings"
)

// knownMethods are the authentication methods that a topology can name.
var knownMethods = []string{"NULL", "IP", "TOKEN"}

func (b *builder) offers(method string) bool { return slices.Contains(b.methods, method) }

// access chooses the methods that are offered: the required ones, else the allowed ones.
func (b *builder) access() {
	s, ok := b.config.last("RequiredAuthMethods")
	if !ok || strings.TrimSpace(s.text()) == "" {
		s, ok = b.config.last("AllowedAuthMethods")
	}
	asked := strings.Fields(strings.ToUpper(s.text()))
	if ok && len(asked) > 0 {
		b.choose(s.Line, asked)
	}
	b.accessIP(s.Line)
}

func (b *builder) choose(line int, asked []string) {
	for _, m := range asked {
		switch {
		case !slices.Contains(knownMethods, m):
			b.note(line, "method "+said(m), "a method of your own is code that runs in the daemon. TOKEN takes its place: a secret that the client sends (docs/client-protocol.md).")
		case !b.offers(m):
			b.methods = append(b.methods, m)
		}
	}
	if len(b.methods) == 0 {
		b.methods = []string{"TOKEN"} // not NULL: that would let everybody in
	}
}

// accessIP turns the file of method IP into addresses.
func (b *builder) accessIP(line int) {
	switch {
	case !b.offers("IP"):
		return
	case b.options.AccessIP == nil:
		b.note(line, "method IP", "[access] addresses says who may connect, and takes the place of the file spread.access_ip: give it with --access-ip. Without addresses the method admits clients of the node's own machine only.")
		return
	}
	at := &collector{path: b.options.AccessIPPath}
	number := 0
	for text := range strings.Lines(string(b.options.AccessIP)) {
		number++
		text, _, _ = strings.Cut(text, "#")
		for _, word := range strings.Fields(text) {
			b.allow(at, number, word)
		}
	}
	if len(b.addresses) == 0 && len(at.faults) == 0 {
		at.add(0, "no address is in the file, so that no client could connect")
	}
	b.faults = append(b.faults, at.faults...)
}

// maxAddresses is what a topology takes.
const maxAddresses = 4096

// allow adds an entry of the file of method IP.
func (b *builder) allow(at *collector, line int, word string) {
	var entries []string
	switch strings.ToLower(word) {
	case "unix":
		entries = []string{"unix"}
	case "local":
		entries = []string{"unix", "127.0.0.0/8", "::1"}
	default:
		prefix, err := netip.ParsePrefix(word)
		if address, single := netip.ParseAddr(word); single == nil && address.Zone() == "" {
			entries = []string{address.Unmap().String()}
		} else if err == nil && !prefix.Addr().Is4In6() {
			entries = []string{prefix.Masked().String()}
		} else {
			at.add(line, "%s is no entry of spread.access_ip: write unix, local, or an address, as in 10.0.0.0/8", said(word))
			return
		}
	}
	for _, e := range entries {
		if len(b.addresses) == maxAddresses {
			at.add(line, "more than %d addresses", maxAddresses)
			return
		}
		if !slices.Contains(b.addresses, e) {
			b.addresses = append(b.addresses, e)
		}
	}
}
