package overlay

import (
	"cmp"
	"slices"
	"testing"

	"ringway/membership"
)

// A site whose ring is split is two instances: each is reached, has a log and a tree of
// its own, and pulls the other's log as it pulls any other site's.
func TestSplitSiteIsTwoInstances(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1", "b-2"}, "a-b").all().converged()
	b := membership.SiteIDOf("b")
	halves := map[string]membership.SiteInstance{"b-1": {Instance: 71, Site: b}, "b-2": {Instance: 72, Site: b}}
	for name, half := range halves {
		f.gate[name].Announce(State{Instance: half.Instance, View: testView, Epoch: 3, Wanted: 4})
	}
	sees := func(name string) (all []membership.SiteInstance) {
		r := f.rec[name]
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, x := range r.reach {
			if x.Site == b && (x.Wanted != 4 || x.Delay <= 0) {
				return nil
			}
			all = append(all, x.SiteInstance)
		}
		return all
	}
	inOrder := func(list ...membership.SiteInstance) []membership.SiteInstance {
		slices.SortFunc(list, func(x, y membership.SiteInstance) int {
			return cmp.Or(cmp.Compare(x.Site, y.Site), cmp.Compare(x.Instance, y.Instance))
		})
		return list
	}
	for name, want := range map[string][]membership.SiteInstance{
		"a-1": {halves["b-1"], halves["b-2"]},
		"b-1": inOrder(of("a"), halves["b-2"]),
		"b-2": inOrder(of("a"), halves["b-1"]),
	} {
		eventually(t, name+" sees every other instance", func() bool { return slices.Equal(sees(name), want) })
	}

	// Logs: each half's to the other and to a, a's to one half alone.
	log := func(x membership.SiteInstance) membership.LogID {
		return membership.LogID{Site: x.Site, Instance: x.Instance, View: testView}
	}
	one, two := halves["b-1"], halves["b-2"]
	f.gate["a-1"].Pull([]Position{{Log: log(one)}, {Log: log(two)}})
	f.gate["b-1"].Pull([]Position{{Log: log(of("a"))}, {Log: log(two)}})
	f.gate["b-2"].Pull([]Position{{Log: log(of("a"))}, {Log: log(one)}})
	to := func(n uint64, dests ...membership.SiteInstance) LogEntry {
		e := LogEntry{N: n, Data: []byte("x")}
		for _, d := range dests {
			e.Dests = append(e.Dests, d.Instance)
		}
		return e
	}
	f.gate["b-1"].Append(log(one), []LogEntry{to(0, of("a")), to(1, of("a"), two), to(2, two)})
	f.gate["b-2"].Append(log(two), []LogEntry{to(0, one)})
	f.gate["a-1"].Append(log(of("a")), []LogEntry{to(0, one), to(1, two), to(2, one, two)})
	for _, c := range []struct {
		at   string
		from membership.SiteInstance
		want []uint64
	}{
		{"a-1", one, []uint64{0, 1}}, {"b-2", one, []uint64{1, 2}}, {"b-1", two, []uint64{0}},
		{"b-1", of("a"), []uint64{0, 2}}, {"b-2", of("a"), []uint64{1, 2}},
	} {
		eventually(t, c.at+" has its records", func() bool { return len(f.rec[c.at].got(log(c.from))) >= len(c.want) })
		if got := f.rec[c.at].got(log(c.from)); !slices.Equal(got, c.want) {
			t.Errorf("%s has %v of %v, want %v", c.at, got, c.from, c.want)
		}
	}
	if got := f.rec["a-1"].got(log(two)); len(got) > 0 {
		t.Errorf("a has %v, which is for the other half alone", got)
	}

	// Controls and promises.
	f.gate["a-1"].Control(one, []byte("to one"))
	f.gate["a-1"].Control(two, []byte("to two"))
	f.gate["b-1"].Control(two, []byte("from one"))
	for _, c := range []struct{ at, want string }{
		{"b-1", of("a").Instance.String() + ":to one"},
		{"b-2", of("a").Instance.String() + ":to two"},
		{"b-2", one.Instance.String() + ":from one"},
	} {
		r := f.rec[c.at]
		eventually(t, c.at+" hears "+c.want, func() bool { return r.has(&r.controls, c.want) })
	}
	r := f.rec["b-2"]
	eventually(t, "the other half hears promises", func() bool {
		f.gate["b-1"].Broadcast([]byte("promise")) // a datagram: one may be lost
		return r.has(&r.promises, "promise")
	})
}

// TestSealsOfMoreInstancesThanFit: a block's entries are for more instances, new and old
// ones of split sites, than a seal has room for. The entry that would be too much begins
// the next block, and what is before it stays under the seal.
func TestSealsOfMoreInstancesThanFit(t *testing.T) {
	f := newCertified(t, []string{"a-1", "b-1"}, "a-b")
	origin, v := f.idle("a-1"), f.idle("b-1").verifier
	log := logOf("a")
	common := membership.InstanceID(1)
	var list []LogEntry
	for n := range uint64(200) {
		list = append(list, LogEntry{N: n, Dests: []membership.InstanceID{common, membership.InstanceID(2 + n)}, Data: []byte{byte(n)}})
	}
	s := newStore(log, true, 1<<20)
	s.appendOwn(list)
	sealBy(origin, s)
	for dest, numbers := range map[membership.InstanceID][]uint64{common: upTo(200, 1), 2: {0}, 64: {62}, 65: {63}, 66: {64}, 201: {199}} {
		wants := []want{{dest, 0}}
		got, err := prove(v, log, wants, stream(t, s, wants, 0))
		if err != nil || !slices.Equal(got, numbers) {
			t.Errorf("instance %d got %d entries, want %d: %v", dest, len(got), len(numbers), err)
		}
	}
}
