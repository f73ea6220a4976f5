package topology

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// clientMethods are the Spread authentication methods that a node can offer.
var clientMethods = []string{"NULL", "IP", "TOKEN"}

// Ranges and defaults of what stands in [access].
const (
	maxPrefixes      = 4096 // each new connection is held against all
	defaultTokenFile = "tokens"
	defaultBlockTime = 10 * time.Second
	maxBlockTime     = time.Hour

	maxSessions      = 1_000_000
	maxJoinRate      = 1_000_000
	minQueueMessages = 16
	maxQueueMessages = 1 << 24
	minQueueBytes    = 1 << 20 // a few of the largest messages of Spread's own clients
	maxQueueBytes    = 1 << 40
)

func (r *reader) access(path string, top table) Access {
	access := Access{Methods: []string{"NULL"}, SlowReader: Disconnect, BlockTime: defaultBlockTime}
	a, ok := top.table("access", "access")
	if !ok {
		return access
	}
	a.keys("methods", "addresses", "tokens", "slow_reader", "block_time", "allow", "limits")
	if methods, ok := a.texts("methods", `["NULL"]`); ok {
		access.Methods = methods
		checkMethods(a, methods)
	}
	access.Addresses = addresses(a)
	r.tokens(&access, path, a)
	access.SlowReader = slowReader(a)
	if d, ok := a.duration("block_time", "10s", 0, maxBlockTime); ok {
		access.BlockTime = d
	}
	if access.SlowReader == Block && access.BlockTime == 0 {
		a.fault("slow_reader", `slow_reader "block" needs a block_time above 0s: give one, or choose "disconnect" or "drop-oldest"`)
	}
	rules := a.tables("allow", numbered("rule"))
	if len(rules) > maxRules {
		rules[maxRules].here("one rule too many: at most %d fit", maxRules)
	}
	for _, rule := range rules {
		access.Allow = append(access.Allow, r.rule(rule))
	}
	if limits, ok := a.table("limits", "limits"); ok {
		access.Limits = readLimits(limits)
	}
	return access
}

// unixClients is how a list of addresses names the clients of unix sockets.
const unixClients = "unix"

// addresses reads who may connect.
func addresses(a table) *Addresses {
	texts, ok := a.texts("addresses", `["10.0.0.0/8", "2001:db8::/32", "unix"]`)
	switch {
	case !ok:
		return nil
	case len(texts) == 0:
		a.fault("addresses", `addresses is empty, so that no client could connect: write some like "10.0.0.0/8", or leave the key out`)
	case len(texts) > maxPrefixes:
		a.fault("addresses", "addresses has %d entries: at most %d fit", len(texts), maxPrefixes)
		return nil
	}
	list := &Addresses{}
	for i, text := range texts {
		if text == unixClients {
			list.Unix = true
			continue
		}
		prefix, problem := parsePrefix(text)
		if problem != "" {
			a.faultAt(a.elementLine("addresses", i), "addresses %s %s", quote(text), problem)
			continue
		}
		list.Prefixes = append(list.Prefixes, prefix)
	}
	return list
}

// parsePrefix reads an address or ADDRESS/BITS.
func parsePrefix(text string) (netip.Prefix, string) {
	if address, err := netip.ParseAddr(text); err == nil {
		if address.Zone() != "" {
			return netip.Prefix{}, "has a zone, which is another one on every machine: leave it out"
		}
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), ""
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, `is no address: write one like "10.0.0.0/8", "2001:db8::/32", "192.0.2.7" or "unix"`
	case prefix.Addr().Is4In6():
		return netip.Prefix{}, "is IPv4 within IPv6: write it as IPv4"
	case prefix != prefix.Masked():
		return netip.Prefix{}, "has bits beyond its length: write it as \"" + prefix.Masked().String() + "\""
	}
	return prefix, ""
}

// tokens reads the file of tokens, if they are offered.
func (r *reader) tokens(access *Access, path string, a table) {
	file, given := a.text("tokens", defaultTokenFile)
	offered := slices.Contains(access.Methods, "TOKEN")
	switch {
	case given && (file == "" || strings.ContainsRune(file, 0)):
		a.fault("tokens", "tokens %s is no file: name the one that `ringway keys token` writes", quote(file))
		return
	case given && !offered:
		a.fault("tokens", `tokens are given but not offered: add "TOKEN" to methods, or leave the key out`)
		return
	case !offered:
		return
	case !given:
		file = defaultTokenFile
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(filepath.Dir(path), file)
	}
	access.TokenFile = filepath.Clean(file)
	if !r.files {
		return
	}
	line := a.keyLine("tokens")
	if !given {
		line = a.keyLine("methods")
	}
	access.Tokens = r.loadTokens(access.TokenFile, func(format string, args ...any) { a.faultAt(line, format, args...) })
}

// slowReader reads what becomes of a session that does not read what it is sent.
func slowReader(a table) SlowReader {
	text, ok := a.text("slow_reader", string(Disconnect))
	if !ok {
		return Disconnect
	}
	policy := SlowReader(text)
	if !policy.Known() {
		a.fault("slow_reader", "slow_reader %s is not known: write %q, %q or %q", quote(text), Disconnect, DropOldest, Block)
	}
	return policy
}

func readLimits(l table) Limits {
	var limits Limits
	l.keys("sessions", "sessions_per_address", "joins_per_second", "queue_messages", "queue_bytes")
	limits.Sessions = l.integer("sessions", "20000", 1, maxSessions)
	limits.SessionsPerAddress = l.integer("sessions_per_address", "100", 1, maxSessions)
	limits.JoinsPerSecond = l.integer("joins_per_second", "1000", 1, maxJoinRate)
	limits.QueueMessages = l.integer("queue_messages", "16384", minQueueMessages, maxQueueMessages)
	if text, ok := l.text("queue_bytes", "128MiB"); ok {
		bytes, problem := parseSize(text, minQueueBytes, maxQueueBytes)
		if problem != "" {
			l.fault("queue_bytes", "queue_bytes %s %s", quote(text), problem)
		}
		limits.QueueBytes = bytes
	}
	return limits
}

func checkMethods(a table, methods []string) {
	if len(methods) == 0 {
		a.fault("methods", "methods is empty, so that no client could connect: write some of %s", strings.Join(clientMethods, ", "))
	}
	for i, method := range methods {
		switch {
		case !slices.Contains(clientMethods, method):
			a.faultAt(a.elementLine("methods", i), "method %s is not known: write some of %s", quote(method), strings.Join(clientMethods, ", "))
		case slices.Contains(methods[:i], method):
			a.faultAt(a.elementLine("methods", i), "method %q stands twice: name it once", method)
		}
	}
}

func (r *reader) rule(t table) Rule {
	var rule Rule
	t.keys("client", "send", "join")
	if client, ok := t.needed("client", "logger*"); ok {
		if problem := checkPattern(client); problem != "" {
			t.fault("client", "client %s %s", quote(client), problem)
		}
		rule.Client = client
	}
	patterns := func(key string) []string {
		texts, _ := t.texts(key, `["logs.*"]`)
		if len(texts) > maxRules {
			t.fault(key, "%s has %d patterns: at most %d fit", key, len(texts), maxRules)
			return nil
		}
		for i, pattern := range texts {
			if problem := checkPattern(pattern); problem != "" {
				t.faultAt(t.elementLine(key, i), "%s %s %s", key, quote(pattern), problem)
			}
		}
		return texts
	}
	rule.Send, rule.Join = patterns("send"), patterns("join")
	return rule
}
