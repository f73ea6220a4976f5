package topology

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"
)

// The functions of this file read one value each. They return a problem in words that
// complete `KEY "VALUE" …` and say what would be right; "" if there is none.

// nameCharacters is what names of nodes, sites and federations are made of.
const nameCharacters = "a-z 0-9 . _ -"

// checkName says what is wrong with the name of a node, a site or the federation.
func checkName(name string, limit int) (problem string) {
	if name == "" {
		return fmt.Sprintf("is empty: write 1 to %d of %s", limit, nameCharacters)
	}
	if len(name) > limit {
		return fmt.Sprintf("has %d bytes: at most %d fit", len(name), limit)
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789._-", r) {
			return fmt.Sprintf("contains %q: names are made of %s", r, nameCharacters)
		}
	}
	return ""
}

// maxFederationName bounds the federation's label: it is the host in the URI of every
// certificate, and one label of a host has no more.
const maxFederationName = 63

// checkFederationName is checkName and, since certificates carry the name as a host,
// what X.509 asks of one: something between, before and after the dots.
func checkFederationName(name string) (problem string) {
	if problem := checkName(name, maxFederationName); problem != "" {
		return problem
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" {
			return "begins or ends with a dot or has two in a row, which a certificate cannot carry: write it without"
		}
	}
	return ""
}

// An addressKind says which addresses a key takes.
type addressKind struct {
	example netip.AddrPort // of what would be right
	listens bool           // only listened on: 0.0.0.0 and [::] mean every address
	group   bool           // a multicast group
}

var (
	ringAddress    = addressKind{example: netip.MustParseAddrPort("10.1.0.1:4803")}
	gatewayAddress = addressKind{example: netip.MustParseAddrPort("198.51.100.10:4804")}
	clientAddress  = addressKind{example: netip.MustParseAddrPort("10.1.0.1:4803"), listens: true}
	adminAddress   = addressKind{example: netip.MustParseAddrPort("127.0.0.1:4805"), listens: true}
	groupAddress   = addressKind{example: netip.MustParseAddrPort("239.192.7.1:4803"), group: true}
)

// parseAddress reads ADDRESS:PORT.
func parseAddress(text string, kind addressKind) (netip.AddrPort, string) {
	refuse := func(what string, right any) (netip.AddrPort, string) {
		return netip.AddrPort{}, fmt.Sprintf("%s: write it as \"%v\"", what, right)
	}
	if ip, err := netip.ParseAddr(withoutBrackets(text)); err == nil {
		return refuse("has no port", netip.AddrPortFrom(ip.WithZone(""), kind.example.Port()))
	}
	host, portText, err := net.SplitHostPort(text)
	if err != nil || strings.ContainsAny(text, " \t\"") {
		return refuse("is not an address with a port", kind.example)
	}
	right := kind.example.Addr()
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil:
		right = ip.WithZone("")
	case host == "" && kind.listens:
		right = netip.IPv4Unspecified()
	case host == "localhost" && !kind.group:
		right = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	port, portErr := strconv.ParseUint(portText, 10, 16)
	if portErr != nil || port == 0 {
		return refuse("has no port from 1 to 65535", netip.AddrPortFrom(right, kind.example.Port()))
	}
	address := netip.AddrPortFrom(right.Unmap(), uint16(port))
	switch {
	case err != nil && host == "":
		return refuse("has no host", address)
	case err != nil:
		return refuse("has a name where a number must stand, since nodes do not look names up", address)
	case ip.Zone() != "":
		return refuse("has a zone, which is another one on every machine", address)
	case kind.group && !address.Addr().IsMulticast():
		return refuse("is not a multicast group: those are 224.0.0.0/4 and ff00::/8", kind.example)
	case !kind.group && address.Addr().IsMulticast():
		return refuse("is a multicast group, not an address of a machine", kind.example)
	case address.Addr().IsUnspecified() && !kind.listens:
		return refuse("is no address that others can send to", netip.AddrPortFrom(kind.example.Addr(), address.Port()))
	}
	return address, ""
}

// withoutBrackets returns the address in [address], and any other text as it is.
func withoutBrackets(text string) string {
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		return strings.TrimSuffix(inner, "]")
	}
	return text
}

// String writes the listener as the file has it.
func (c ClientListener) String() string {
	switch c.Network {
	case "unix":
		return "unix:" + c.Address
	case "tls":
		return tlsScheme + c.Address
	}
	return c.Address
}

// addrPort returns the listener's address; false for a unix socket, and for one
// that is no number (only in a topology that Load did not make).
func (c ClientListener) addrPort() (netip.AddrPort, bool) {
	if c.Network == "unix" {
		return netip.AddrPort{}, false
	}
	address, err := netip.ParseAddrPort(c.Address)
	return address, err == nil
}

// maxUnixPath is what sockaddr_un holds, less its NUL.
const maxUnixPath = 107

// tlsScheme stands before the address of a listener that speaks TLS.
const tlsScheme = "tls://"

// parseListener reads an entry of clients.
func parseListener(text string) (ClientListener, string) {
	socket, isUnix := strings.CutPrefix(text, "unix:")
	host, isTLS := strings.CutPrefix(text, "tls:")
	switch {
	case isTLS:
		address, problem := parseAddress(strings.TrimPrefix(host, "//"), clientAddress)
		if problem == "" && !strings.HasPrefix(text, tlsScheme) {
			problem = fmt.Sprintf("is not an address with a port: write it as \"%s\"", address)
		}
		problem = strings.Replace(problem, `write it as "`, `write it as "`+tlsScheme, 1)
		return ClientListener{Network: "tls", Address: address.String()}, problem
	case !isUnix:
		address, problem := parseAddress(text, clientAddress)
		return ClientListener{Network: "tcp", Address: address.String()}, problem
	case !path.IsAbs(socket) || strings.ContainsRune(socket, 0):
		return ClientListener{}, `is not an absolute path: write it as "unix:/tmp/4803"`
	case len(socket) > maxUnixPath:
		return ClientListener{}, fmt.Sprintf("has a path of %d bytes: a unix socket takes at most %d", len(socket), maxUnixPath)
	}
	return ClientListener{Network: "unix", Address: path.Clean(socket)}, ""
}

// parseDuration reads a Go duration from low to high.
func parseDuration(text string, low, high time.Duration) (time.Duration, string) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil && isNumber(text):
		return 0, fmt.Sprintf("has no unit: write it as \"%sms\" or \"%ss\"", text, text)
	case err != nil:
		return 0, `is not a duration: write one like "300ms" or "1.5s"`
	case d < low || d > high:
		return 0, fmt.Sprintf("is out of range: from %s to %s", shortDuration(low), shortDuration(high))
	}
	return d, ""
}

var sizeUnits = []struct {
	suffix string
	factor int
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// parseSize reads a number of bytes from low to high.
func parseSize(text string, low, high int) (int, string) {
	for _, unit := range sizeUnits {
		number, ok := strings.CutSuffix(text, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 62)
		switch {
		case err != nil:
			return 0, `is no size: write a whole number, like "128MiB"`
		case n > uint64(high)/uint64(unit.factor) || int(n)*unit.factor < low:
			return 0, fmt.Sprintf("is out of range: from %s to %s", formatSize(low), formatSize(high))
		}
		return int(n) * unit.factor, ""
	}
	if isNumber(text) {
		return 0, fmt.Sprintf("has no unit: write it as \"%sMiB\" or \"%sKiB\"", text, text)
	}
	return 0, `is no size: write it like "128MiB", with B, KiB, MiB or GiB`
}

// formatSize writes what parseSize reads.
func formatSize(n int) string {
	for _, unit := range sizeUnits {
		if n >= unit.factor && n%unit.factor == 0 {
			return strconv.Itoa(n/unit.factor) + unit.suffix
		}
	}
	return "0B"
}

// isNumber says whether text is a number short enough to be repeated in a message.
func isNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil && len(text) <= quoteBytes
}

// parseLoss reads a percentage and returns the fraction.
func parseLoss(text string) (float64, string) {
	number, isPercent := strings.CutSuffix(text, "%")
	percent, err := strconv.ParseFloat(number, 64)
	switch {
	case !isPercent && isNumber(text):
		return 0, fmt.Sprintf("has no percent sign: write it as \"%s%%\"", text)
	case !isPercent || err != nil || math.IsNaN(percent):
		return 0, `is not a percentage: write it like "0.1%"`
	case percent < 0 || percent > 100:
		return 0, "is out of range: from 0% to 100%"
	}
	return percent / 100, ""
}

// maxRate bounds rates, in bit/s; no wire is faster.
const maxRate = 1e12

var rateUnits = []struct {
	suffix string
	factor float64
}{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}

// parseRate reads a rate in the units of tc, which count in thousands.
func parseRate(text string) (uint64, string) {
	for _, unit := range rateUnits {
		number, ok := strings.CutSuffix(text, unit.suffix)
		if !ok {
			continue
		}
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			break
		}
		rate := value * unit.factor
		if !(rate >= 1 && rate <= maxRate) {
			return 0, "is out of range: from 1bit to 1000gbit"
		}
		return uint64(math.Round(rate)), ""
	}
	if isNumber(text) {
		return 0, fmt.Sprintf("has no unit: write it as \"%smbit\", \"%skbit\", \"%sgbit\" or \"%sbit\"", text, text, text, text)
	}
	return 0, `is not a rate: write it like "200mbit", with bit, kbit, mbit or gbit`
}

// maxPatternBytes bounds a pattern; no name that it is held against is half as long.
const maxPatternBytes = 128

// checkPattern says what is wrong with a shell pattern.
func checkPattern(pattern string) (problem string) {
	if pattern == "" {
		return `is empty and matches nothing: write "*" to match every name`
	}
	if len(pattern) > maxPatternBytes {
		return fmt.Sprintf("has %d bytes: at most %d make sense", len(pattern), maxPatternBytes)
	}
	if _, err := path.Match(flatten.Replace(pattern), ""); err != nil {
		return "is not a shell pattern: close each [ with ] and put nothing after the last \\"
	}
	return ""
}

// shortDuration writes a duration without the zero units that String leaves: 1h, not 1h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// formatRate writes what parseRate reads.
func formatRate(rate uint64) string {
	for _, unit := range rateUnits {
		if f := uint64(unit.factor); rate >= f {
			return strconv.FormatFloat(float64(rate)/unit.factor, 'g', -1, 64) + unit.suffix
		}
	}
	return "0bit"
}

// formatLoss writes what parseLoss reads.
func formatLoss(loss float64) string {
	return strconv.FormatFloat(loss*100, 'g', 6, 64) + "%"
}
