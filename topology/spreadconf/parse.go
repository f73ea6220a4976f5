package spreadconf

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ringway/topology"
)

// A Config is what a configuration file of Spread's says.
type Config struct {
	Path     string
	Segments []Segment
	Settings []Setting // in the order of the file
}

// A Segment is a LAN of daemons.
type Segment struct {
	Line      int
	Addresses []netip.Addr // multicast groups, broadcast addresses, or the only daemon's own
	Port      uint16
	Daemons   []Daemon
}

// A Daemon is an entry of a segment.
type Daemon struct {
	Line       int
	Name       string     // empty: only the address is given
	Address    netip.Addr // invalid: only the name is given
	Interfaces []Interface
	VirtualID  string
}

// An Interface is an address of a daemon's machine and what it is for.
type Interface struct {
	Line                    int
	Address                 netip.Addr
	Daemon, Client, Monitor bool
}

// A Setting is any other keyword with its values; most have one.
type Setting struct {
	Line    int
	Keyword string // as Spread spells it
	Values  []string
}

// DefaultPort is Spread's.
const DefaultPort = 4803

// Parse reads a configuration file of Spread's. The path is for messages. If anything
// is wrong, the error is a *topology.Faults that says everything that is wrong.
func Parse(path string, data []byte) (*Config, error) {
	c := &collector{path: cmp.Or(path, "spread.conf")}
	if len(data) > maxFileBytes {
		c.add(0, "the file is larger than %d MiB, which no configuration of Spread's needs", maxFileBytes>>20)
		return nil, topology.NewFaults(c.faults)
	}
	p := &parser{collector: c, tokens: lex(c, data), config: &Config{Path: c.path}}
	p.file()
	if err := topology.NewFaults(c.faults); err != nil {
		return nil, err
	}
	return p.config, nil
}

// A parser reads tokens and goes on after each fault.
type parser struct {
	*collector
	tokens  []token
	config  *Config
	daemons int // read
}

func (p *parser) peek() token { return p.tokens[0] }

// next takes a token; the one that ends the file stays.
func (p *parser) next() token {
	t := p.tokens[0]
	if t.kind != 0 {
		p.tokens = p.tokens[1:]
	}
	return t
}

// take takes the next token if it is the sign.
func (p *parser) take(sign byte) bool {
	if p.peek().kind != sign {
		return false
	}
	p.next()
	return true
}

func (p *parser) file() {
	for p.peek().kind != 0 {
		t := p.next()
		k, known := find(t.text)
		switch {
		case t.kind != 'w' || !known:
			p.unknown(t)
		case k.name == segmentKeyword:
			p.segment(t)
		default:
			p.setting(t, k)
		}
	}
	if len(p.config.Segments) == 0 && len(p.faults) == 0 {
		p.add(0, "there is no %s: a configuration of Spread's has one, with its daemons in { }", segmentKeyword)
	}
}

// unknown reports what is no keyword, and skips the rest of its line or its block.
func (p *parser) unknown(t token) {
	switch near := nearest(t.text); {
	case t.kind != 'w':
		p.add(t.line, "%s where a keyword should stand", said(t.text))
	case near != "":
		p.add(t.line, "%s is no keyword of Spread's: did you mean %s?", said(t.text), near)
	default:
		p.add(t.line, "%s is no keyword of Spread 5's: take the line out to convert the rest", said(t.text))
	}
	depth := 0
	for n := p.peek(); n.kind != 0 && (n.line == t.line || depth > 0); n = p.peek() {
		switch p.next().kind {
		case '{':
			depth++
		case '}':
			depth--
		}
	}
}

// setting reads KEYWORD, KEYWORD = VALUE or KEYWORD = { VALUE… }.
func (p *parser) setting(t token, k keyword) {
	s := Setting{Line: t.line, Keyword: k.name}
	if len(p.config.Settings) == maxSettings {
		p.add(t.line, "more than %d keywords", maxSettings)
		p.tokens = p.tokens[len(p.tokens)-1:]
		return
	}
	if !p.take('=') {
		if k.kind != toggle && k.kind != optional {
			p.add(t.line, "%s has no value: write %s = %s", k.name, k.name, k.example)
		}
		p.config.Settings = append(p.config.Settings, s)
		return
	}
	switch v := p.peek(); {
	case k.kind == list && v.kind == '{':
		p.next()
		for p.peek().kind == 'w' || p.peek().kind == '"' {
			s.Values = append(s.Values, p.next().text)
		}
		if !p.take('}') {
			p.add(t.line, "%s has no } at its end", k.name)
		}
	case v.kind == 'w' || v.kind == '"':
		s.Values = []string{p.next().text}
	default:
		p.add(t.line, "%s has no value after =: write %s = %s", k.name, k.name, k.example)
		return
	}
	if problem := k.check(s.Values); problem != "" {
		p.add(t.line, "%s %s: write %s = %s", k.name, problem, k.name, k.example)
	}
	p.config.Settings = append(p.config.Settings, s)
}

// last returns the setting of that name that counts: the last one.
func (c *Config) last(name string) (Setting, bool) {
	for _, s := range slices.Backward(c.Settings) {
		if s.Keyword == name {
			return s, true
		}
	}
	return Setting{}, false
}

// flag returns a switch, or false in ok if the file does not say.
func (c *Config) flag(name string) (on, ok bool) {
	s, ok := c.last(name)
	if !ok {
		return false, false
	}
	if len(s.Values) == 0 {
		return true, true
	}
	on, _ = parseBool(s.Values[0])
	return on, true
}

// integer returns a number of the file; 0 if it has none.
func (c *Config) integer(name string) int {
	s, ok := c.last(name)
	if !ok || len(s.Values) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(s.Values[0])
	return n
}

// text returns a setting's values with a blank between them.
func (s Setting) text() string { return strings.Join(s.Values, " ") }

func parseBool(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true", "yes", "on", "1":
		return true, true
	case "false", "no", "off", "0":
		return false, true
	}
	return false, false
}
