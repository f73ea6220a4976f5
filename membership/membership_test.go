package membership

import (
	"slices"
	"testing"

	"ringway/internal/wire"
)

func TestIDsDependOnNamesAlone(t *testing.T) {
	// FNV-1a of the name, as traces and other releases have it.
	if got := NodeIDOf("lon-1"); got != 0x385dd520 {
		t.Errorf("NodeIDOf(lon-1) = %v", got)
	}
	if NodeIDOf("") == 0 || SiteIDOf("") == 0 {
		t.Error("zero is no id")
	}
}

func TestIDsComeBackAsWritten(t *testing.T) {
	c := ClientID{Node: 7, Session: 1<<40 + 3}
	v := ViewID{Epoch: 9, Proposer: 1 << 60}
	r := wire.NewReader(v.Append(c.Append(nil)))
	if got := ReadClientID(&r); got != c {
		t.Errorf("client %v, want %v", got, c)
	}
	if got := ReadViewID(&r); got != v || r.Done() != nil {
		t.Errorf("view %v, want %v; %v", got, v, r.Err())
	}
}

func TestOrders(t *testing.T) {
	views := []ViewID{{1, 9}, {2, 1}, {2, 2}}
	clients := []ClientID{{1, 5}, {1, 6}, {2, 1}}
	for i := range views {
		for j := range views {
			want := compare(uint32(i), uint32(j))
			if views[i].Compare(views[j]) != want || clients[i].Compare(clients[j]) != want {
				t.Errorf("order of %d and %d", i, j)
			}
		}
	}
}

func TestServiceNamesComeBack(t *testing.T) {
	for s := Unreliable; s <= Safe; s++ {
		if got, err := ParseService(s.String()); err != nil || got != s {
			t.Errorf("%v comes back as %v, %v", s, got, err)
		}
		if s.Ordered() != (s >= Causal) {
			t.Errorf("%v ordered: %v", s, s.Ordered())
		}
	}
	if _, err := ParseService("prompt"); err == nil {
		t.Error("an unknown service has a number")
	}
}

func TestSets(t *testing.T) {
	s := SetOf(3) | SetOf(10) | SetOf(63)
	if s.Len() != 3 || s.First() != 3 || !s.Has(63) || s.Has(4) || s.Without(3).First() != 10 || s.Rank(10) != 1 {
		t.Errorf("set %b", s)
	}
}

func aView() SiteView {
	return SiteView{ID: ViewID{2, 5}, Founded: 77, Members: []SiteInstance{{5, 50}, {6, 60}, {7, 70}}}
}

func TestSiteViewComesBack(t *testing.T) {
	v := aView()
	r := wire.NewReader(v.Append(nil))
	got := ReadSiteView(&r)
	if r.Done() != nil || got.ID != v.ID || got.Founded != v.Founded || !slices.Equal(got.Members, v.Members) {
		t.Fatalf("%+v, %v", got, r.Err())
	}
	if i, ok := got.Index(6); !ok || i != 1 {
		t.Errorf("place of instance 6 is %d", i)
	}
	if i, ok := got.Site(70); !ok || i != 2 {
		t.Errorf("place of site 70 is %d", i)
	}
	if got.All().Len() != 3 {
		t.Errorf("all members: %b", got.All())
	}
}

func TestIllegalSiteViewsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*SiteView){
		"nobody":            func(v *SiteView) { v.Members = nil },
		"out of order":      func(v *SiteView) { slices.Reverse(v.Members) },
		"an instance twice": func(v *SiteView) { v.Members[1].Instance = 5 },
		"more than a set has": func(v *SiteView) {
			v.Members = nil
			for i := range MaxSites + 1 {
				v.Members = append(v.Members, SiteInstance{InstanceID(i + 1), SiteID(i + 1)})
			}
		},
	} {
		v := aView()
		change(&v)
		r := wire.NewReader(v.Append(nil))
		if got := ReadSiteView(&r); r.Done() == nil {
			t.Errorf("%s: read as %+v", name, got)
		}
	}
}

func TestGroupKeepsOwnAndRemoteMembersApart(t *testing.T) {
	g := NewGroup("g")
	a, b, far := Member{ClientID{1, 1}, "a"}, Member{ClientID{2, 1}, "b"}, Member{ClientID{9, 1}, "far"}
	here := func(c ClientID) bool { return c.Node == 1 }
	if !g.Join(a) || !g.Join(b) || g.Join(a) || !g.JoinRemote(2, far) || g.JoinRemote(2, far) {
		t.Fatal("joins")
	}
	if got := g.Local(here); !slices.Equal(got, []ClientID{a.Client}) {
		t.Errorf("members here: %v", got)
	}
	if g.Len() != 3 || g.Remotes() != 1 || !slices.Equal(g.Members(), []Member{a, b, far}) {
		t.Errorf("members: %v", g.Members())
	}
	of := func(c ClientID) func(Member) bool { return func(m Member) bool { return m.Client == c } }
	if g.LeaveRemote(1, of(far.Client)) != 0 || g.LeaveRemote(2, of(far.Client)) != 1 {
		t.Error("a remote member leaves with its own site only")
	}
	before := g.Own()
	if g.Leave(of(a.Client)) != 1 || len(g.Local(here)) != 0 || !slices.Equal(before, []Member{a, b}) {
		t.Error("a leave changes what was handed out, or not what is kept")
	}
}

func FuzzReadSiteView(f *testing.F) {
	v := aView()
	f.Add(v.Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := wire.NewReader(data)
		v := ReadSiteView(&r)
		if r.Done() == nil && (v.Check() != nil || string(v.Append(nil)) != string(data)) {
			t.Fatalf("%+v from %x", v, data)
		}
	})
}
