package spreadconf

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// What Spread takes, and a little more than it: its limits are no reason to refuse a file
// that somebody runs with a changed build.
const (
	maxSegments   = 64
	maxDaemons    = 1024 // of all segments
	maxInterfaces = 64
	maxSettings   = 256 // there are 30, but a file may repeat itself
)

// segment reads what follows the keyword: ADDRESS[:PORT]… { DAEMON… }.
func (p *parser) segment(at token) {
	s := Segment{Line: at.line, Port: DefaultPort}
	hasPort := false
	for p.peek().kind == 'w' || p.peek().kind == '"' {
		t := p.next()
		address, port, problem := parseEndpoint(t.text)
		switch {
		case problem != "":
			p.add(t.line, "segment address %s %s", said(t.text), problem)
			continue
		case port != 0 && hasPort && port != s.Port:
			p.add(t.line, "segment address %s has another port than the one before: a segment has one", said(t.text))
		case port != 0:
			s.Port, hasPort = port, true
		}
		s.Addresses = append(s.Addresses, address)
	}
	if len(s.Addresses) == 0 && len(p.faults) == 0 {
		p.add(at.line, "%s has no address: write the segment's multicast group or broadcast address, as in 239.192.7.1:4803", segmentKeyword)
	}
	if !p.take('{') {
		p.add(at.line, "%s has no { after its address", segmentKeyword)
		return
	}
	for p.peek().kind == 'w' || p.peek().kind == '"' || p.peek().kind == ';' {
		if p.take(';') {
			continue
		}
		d := p.daemon()
		if p.daemons++; p.daemons <= maxDaemons {
			s.Daemons = append(s.Daemons, d)
		} else if p.daemons == maxDaemons+1 {
			p.add(d.Line, "more than %d daemons", maxDaemons)
		}
	}
	if !p.take('}') {
		p.add(at.line, "%s has no } at the end of its daemons: %s stands there in line %d", segmentKeyword, said(p.peek().text), p.peek().line)
		p.next()
	}
	if len(s.Daemons) == 0 {
		p.add(at.line, "%s has no daemon: write a name and an address between { and }", segmentKeyword)
	}
	if len(p.config.Segments) == maxSegments {
		p.add(at.line, "more than %d segments", maxSegments)
		return
	}
	p.config.Segments = append(p.config.Segments, s)
}

// daemon reads NAME ADDRESS, ADDRESS or NAME, then { INTERFACES } if there are some.
func (p *parser) daemon() Daemon {
	first := p.next()
	d := Daemon{Line: first.line}
	if address, err := netip.ParseAddr(bare(first.text)); err == nil {
		d.Address = address
	} else {
		d.Name = first.text
		if address, err := netip.ParseAddr(bare(p.peek().text)); err == nil && p.peek().kind == 'w' {
			p.next()
			d.Address = address
		}
	}
	if d.Address.IsValid() {
		d.Address = p.machine(first.line, d.Address)
	}
	p.virtualID(&d)
	if p.take('{') {
		p.interfaces(&d)
	}
	p.virtualID(&d)
	return d
}

// virtualID reads VirtualID = NUMBER, if that is next.
func (p *parser) virtualID(d *Daemon) bool {
	const name = "VirtualID"
	if !strings.EqualFold(p.peek().text, name) || len(p.tokens) < 2 || p.tokens[1].kind != '=' {
		return false
	}
	at := p.next()
	p.next()
	value := p.peek()
	if _, err := strconv.ParseInt(value.text, 0, 64); err != nil || value.kind != 'w' {
		p.add(at.line, "%s %s is no number", name, said(value.text))
		return true
	}
	d.VirtualID = p.next().text
	return true
}

// interfaces reads what follows the {: letters D, C and M, if any, before each address.
func (p *parser) interfaces(d *Daemon) {
	var i Interface
	for p.peek().kind == 'w' {
		if p.virtualID(d) {
			continue
		}
		t := p.next()
		switch strings.ToUpper(t.text) {
		case "D":
			i.Daemon = true
			continue
		case "C":
			i.Client = true
			continue
		case "M":
			i.Monitor = true
			continue
		}
		address, err := netip.ParseAddr(bare(t.text))
		if err != nil {
			p.add(t.line, "interface %s of daemon %s is no address: write D, C, M or none of them before an address, as in D 192.168.0.4", said(t.text), said(d.Name))
			continue
		}
		i.Line, i.Address = t.line, p.machine(t.line, address)
		if !i.Daemon && !i.Client && !i.Monitor {
			i.Daemon, i.Client, i.Monitor = true, true, true
		}
		if len(d.Interfaces) == maxInterfaces {
			p.add(t.line, "more than %d interfaces of one daemon", maxInterfaces)
		}
		if len(d.Interfaces) <= maxInterfaces {
			d.Interfaces = append(d.Interfaces, i)
		}
		i = Interface{}
	}
	if !p.take('}') {
		p.add(d.Line, "the interfaces of daemon %s have no } at their end", said(d.Name))
	}
}

// machine returns an address of a machine as this package writes it.
func (p *parser) machine(line int, a netip.Addr) netip.Addr {
	switch {
	case a.Zone() != "":
		p.add(line, "address %s has a zone, which is another one on every machine", said(a.String()))
	case a.IsUnspecified() || a.IsMulticast():
		p.add(line, "address %s is no address of a machine", said(a.String()))
	}
	return a.WithZone("").Unmap()
}

// parseEndpoint reads ADDRESS or ADDRESS:PORT; port is 0 if there is none.
func parseEndpoint(text string) (address netip.Addr, port uint16, problem string) {
	if a, err := netip.ParseAddr(bare(text)); err == nil {
		return a.WithZone("").Unmap(), 0, ""
	}
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return address, 0, "is no address: write numbers, as in 239.192.7.1:4803"
	}
	n, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || n == 0 || n > 65534 {
		return address, 0, "has no port from 1 to 65534"
	}
	if address, err = netip.ParseAddr(host); err != nil {
		return address, 0, "is no address: write numbers, as in 239.192.7.1:4803"
	}
	return address.WithZone("").Unmap(), uint16(n), ""
}

// bare returns the address in [address], and any other text as it is.
func bare(text string) string {
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		return strings.TrimSuffix(inner, "]")
	}
	return text
}
