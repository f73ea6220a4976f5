package spreadconf

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// A writer writes TOML; errors cannot happen in memory.
type writer struct{ bytes.Buffer }

func (w *writer) line(format string, args ...any) {
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

// commentWidth is where comments are broken.
const commentWidth = 96

// comment writes text as comments: lead, which has the #, stands before the first line,
// and blanks of its length before the others.
func (w *writer) comment(lead, text string) {
	line, sign := lead, strings.IndexByte(lead, '#')
	for i, word := range strings.Fields(text) {
		if i > 0 && len(line)+1+len(word) > commentWidth {
			w.line("%s", line)
			line = lead[:sign+1] + strings.Repeat(" ", len(lead)-sign-1) + word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	w.line("%s", clean(line))
}

// clean replaces what TOML forbids in comments.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f || r == '\ufffd' {
			return '?'
		}
		return r
	}, text)
}

// text writes the topology file.
func (b *builder) text() []byte {
	var w writer
	w.comment("# ", "The topology that is nearest to "+filepath.Base(b.config.Path)+", a configuration of Spread's.")
	b.todo(&w)
	w.line("")
	w.line("[federation]")
	w.line("name  = %q%s", b.options.Federation, "   # a label; nodes with another one are refused")
	if b.certs {
		w.line("certs = \"certs\"   # folder of ca.pem, NODE.pem and NODE-key.pem, beside this file")
	}
	for i := range b.sites {
		b.site(&w, &b.sites[i])
	}
	b.accessText(&w)
	if b.tokenLoss > 0 {
		w.line("")
		w.line("[timing]")
		w.line("token_loss = %q", b.tokenLoss)
	}
	if len(b.notes) > 0 {
		w.line("")
		w.line("# What became of the rest of %s, by its lines:", clean(filepath.Base(b.config.Path)))
		for _, n := range b.notes {
			w.line("#")
			for _, l := range n.lines {
				w.comment(fmt.Sprintf("# %4d  ", l.line), l.what)
			}
			w.comment("#         ", n.why)
		}
	}
	return w.Bytes()
}

func (b *builder) accessText(w *writer) {
	if len(b.methods) > 0 {
		w.line("")
		w.line("[access]")
		w.line("methods   = [%s]", quoted(b.methods))
		if b.offers("TOKEN") {
			w.line("tokens    = \"tokens\"   # a file beside this one")
		}
		if len(b.addresses) > 0 {
			w.line("addresses = [%s]", quoted(b.addresses))
		}
	}
	if b.queue > 0 {
		w.line("")
		w.line("[access.limits]")
		w.line("queue_messages = %d", b.queue)
	}
}

// todo says what is left to the operator.
func (b *builder) todo(w *writer) {
	if !b.certs && len(b.sites) == 1 && !b.offers("TOKEN") {
		return
	}
	w.line("#")
	w.line("# Before the first node starts:")
	if len(b.sites) > 1 {
		w.comment("#  - ", "Spread makes one ring of all segments. Here each segment is a site with its own ring, and the node with gateway = … sends to the other sites (UDP). Gateways have their node's own address below: where sites reach each other at other addresses (NAT, public ones), write those. A second gateway in a site takes over when the first dies.")
		w.comment("#  - ", "If all segments are in one building, `ringway check --from-spread FILE --one-site` makes one ring of them.")
	}
	if b.certs {
		w.comment("#  - ", fmt.Sprintf("Make certificates: `ringway keys init --dir certs --federation %s`, then `ringway keys issue --dir certs --topology THIS-FILE --all`; give each node its own.", b.options.Federation))
	}
	if b.offers("TOKEN") {
		w.comment("#  - ", "Make tokens for clients: `ringway keys token --client PATTERN --file tokens`; without their file this one does not pass the check.")
	}
	w.comment("#  - ", "Check this file, after every change: `ringway check THIS-FILE`.")
}

func (b *builder) site(w *writer, s *site) {
	w.line("")
	for _, l := range s.lines {
		w.comment("# ", l)
	}
	w.line("[[site]]")
	w.line("name      = %q", s.name)
	switch {
	case s.group.IsValid():
		w.line("multicast = %q", s.group)
	case s.unicast:
		w.line("transport = \"unicast\"")
	}
	for i := range s.nodes {
		w.node(&s.nodes[i])
	}
}

func (w *writer) node(n *node) {
	w.line("")
	for _, c := range n.comments {
		w.comment("  # ", c)
	}
	w.line("  [[site.node]]")
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintf(t, "  name\t= %q\n", n.name)
	fmt.Fprintf(t, "  address\t= %q\n", n.address)
	fmt.Fprintf(t, "  clients\t= [%s]\n", quoted(n.clients))
	if n.gateway.IsValid() {
		fmt.Fprintf(t, "  gateway\t= %q\n", n.gateway)
	}
	fmt.Fprintf(t, "  admin\t= %q\n", n.admin)
	t.Flush()
}

// quoted writes texts as the elements of a TOML array. They have no signs that TOML and
// Go quote differently.
func quoted(texts []string) string {
	q := make([]string, len(texts))
	for i, t := range texts {
		q[i] = fmt.Sprintf("%q", t)
	}
	return strings.Join(q, ", ")
}
