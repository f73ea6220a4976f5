package spreadconf

import (
	"fmt"
	"strings"

	"ringway/membership"
)

// nodeName returns a name for a daemon's node: the daemon's own, if names may be so.
func (b *builder) nodeName(d *Daemon) string {
	asked := d.Name
	if asked == "" {
		asked = d.Address.String()
	}
	name := b.free(legal(asked, "node"))
	if name != asked && d.Name != "" {
		b.note(d.Line, fmt.Sprintf("daemon %s is node %q", said(asked), name), "names have at most %d of a-z 0-9 . _ - and are each used once. Private groups end in them (#client#node): tell applications that have such names written down.", membership.MaxNodeName)
	}
	return name
}

// legal returns text as a name, with a dash for what names may not contain.
func legal(text, instead string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '-'
	}, text)
	name = name[:min(len(name), membership.MaxNodeName)]
	if strings.Trim(name, "-") == "" {
		return instead
	}
	// Certificates are files of the node's name: ca.pem, NAME.pem, NAME-key.pem.
	if name == "ca" || strings.HasSuffix(name, "-key") {
		name = name[:min(len(name), membership.MaxNodeName-1)] + "."
	}
	return name
}

// free books the name, or one like it that nobody has.
func (b *builder) free(name string) string {
	candidate := name
	for i := 2; b.names[candidate]; i++ {
		tail := fmt.Sprintf("-%d", i)
		candidate = name[:min(len(name), membership.MaxNodeName-len(tail))] + tail
	}
	b.names[candidate] = true
	return candidate
}

// siteName names a site by what its nodes' names begin with, if that says something.
func (b *builder) siteName(s *site, i int) string {
	common := ""
	for j := range s.nodes {
		if name := s.nodes[j].name; j == 0 {
			common = name
		} else {
			for !strings.HasPrefix(name, common) {
				common = common[:len(common)-1]
			}
		}
	}
	if len(s.nodes) > 1 {
		common = strings.TrimRight(common, "0123456789.-_")
	} else {
		common = ""
	}
	const least = 2 // letters of a name that says something
	if len(common) < least || b.names["site "+common] {
		common = fmt.Sprintf("site-%d", i+1)
	}
	for b.names["site "+common] {
		common = common[:min(len(common), membership.MaxNodeName-1)] + "x"
	}
	b.names["site "+common] = true
	return common
}
