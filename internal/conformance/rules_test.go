package conformance

import (
	"bytes"
	"slices"
	"testing"
)

// TestRejects: 7. What access control refuses comes back to its sender: the old type with
// join and leave as causes, the groups and the sender's own as one more, or in place of
// the last of a hundred, and the data. The hint is as it came.
func TestRejects(t *testing.T) {
	each(t, guarded, func(t *testing.T, e endpoint, o order) {
		c := session(t, guarded, e, "writer", o)
		for _, r := range []struct {
			what   string
			kind   uint32
			old    uint32
			groups []string
			data   string
		}{
			{"a join", join, byJoin, []string{"open"}, ""},
			{"a message", serviceAgreed, serviceAgreed, []string{"closed"}, "data"},
			{"self discard stays", serviceSafe | selfDiscard, serviceSafe | selfDiscard, []string{"closed"}, "x"},
			{"one of several", serviceFIFO, serviceFIFO, []string{"open-1", "closed", "open-2"}, "data"},
			{"a private group", serviceAgreed, serviceAgreed, []string{c.private}, ""},
			{"a hundred groups", serviceAgreed, serviceAgreed, append(slices.Repeat([]string{"open"}, 99), "closed"), "data"},
		} {
			// Without data, the type is 0: all four bytes of a big-endian hint are then.
			sent := c.message(r.kind, int16(5*len(r.data)), []byte(r.data), r.groups...)
			if _, err := c.conn.Write(sent); err != nil {
				t.Fatal(err)
			}
			m := c.next(t, reject|r.kind&selfDiscard)
			want := append(slices.Clone(r.groups), c.private)
			if len(want) > 100 {
				want = append(want[:99], c.private)
			}
			if m.old != r.old || m.name != c.private || !slices.Equal(m.groups, want) || string(m.data) != r.data || !bytes.Equal(m.hint[:], sent[40:44]) {
				t.Errorf("%s: old type %#x, %q to %v, %q, hint %x", r.what, m.old, m.name, m.groups, m.data, m.hint)
			}
		}
		// The session goes on, and what it may do it does.
		c.joined(t, "own")
		c.must(t, leave, 0, "", "own")
		c.next(t, byLeave)
		reader := session(t, guarded, e, clientName(), o)
		open := "open-" + groupName()
		reader.joined(t, open)
		c.must(t, serviceAgreed, 0, "x", open)
		reader.next(t, serviceAgreed)
		c.must(t, disconnect, 0, "", c.private)
		ended(t, c.conn)
		reader.conn.Close()
	})
}
