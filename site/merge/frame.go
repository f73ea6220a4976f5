package merge

import (
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"ringway/internal/wire"
	"ringway/membership"
	"ringway/site/ring"
)

// A frameKind is the first byte of every frame.
type frameKind uint8

const (
	frameSend frameKind = iota + 1
	frameCast
	frameTick
	frameInbound
	frameControl
	frameLineage
	frameSnapshot
	frameAttach
	frameBump
	frameBody
	frameRefusal // the sender cannot learn the state
	frameBreach  // what the sender has seen another site do
	frameSpare   // what others have, and Fills leave out
	// Unreliable messages between sites: at its place in the sender's; of another one.
	frameFar
	frameDatagram
	frameBulk // of another site's gateway, about a large body
)

// errKind says that a message is of a kind this version does not know.
var errKind = errors.New("unknown kind")

// tagOf names an instance in a view in eight bytes. Frames stay in one ring, so a
// collision would need two views of one site that differ by chance only.
func tagOf(v membership.ViewID, i membership.InstanceID) uint64 {
	h := fnv.New64a()
	var b [membership.ViewIDBytes + 8]byte
	h.Write(wire.AppendUint64(v.Append(b[:0]), uint64(i)))
	return h.Sum64()
}

// requestDown is the RequestKind of a client that disconnects.
const requestDown RequestKind = 0

// A localSend is a client's request on the ring.
type localSend struct {
	tag       uint64
	session   uint64
	seq       uint64
	attempt   uint16 // counts go-backs of the client, so that stale rejects are known
	kind      RequestKind
	federated bool
	discard   bool // not to the sender itself
	first     bool // the machine may not know the client yet
	bodyRef   bool // the data crossed the ring before
	free      bool // its session has independent scopes: all nodes have to decide alike (6.3)
	service   membership.Service
	t         int64
	hint      [4]byte
	name      string
	groups    []string
	data      []byte
}

const (
	flagFederated = 1 << (iota + 2)
	flagDiscard
	flagFirst
	flagBodyRef
	flagFree
)

// localSendBytes is the size of a localSend less names and data.
const localSendBytes = 1 + 8 + 8 + 8 + 2 + 1 + 1 + 8 + 4 + 1 + 1

func (f *localSend) size() int {
	n := localSendBytes + len(f.name) + len(f.data)
	for _, g := range f.groups {
		n += 1 + len(g)
	}
	return n
}

func (f *localSend) append(b []byte, kind frameKind) []byte {
	flags := byte(f.kind)
	for _, x := range [...]struct {
		set bool
		bit byte
	}{{f.federated, flagFederated}, {f.discard, flagDiscard}, {f.first, flagFirst}, {f.bodyRef, flagBodyRef}, {f.free, flagFree}} {
		if x.set {
			flags |= x.bit
		}
	}
	b = wire.AppendUint64(append(b, byte(kind)), f.tag)
	b = wire.AppendUint64(wire.AppendUint64(b, f.session), f.seq)
	b = append(wire.AppendUint16(b, f.attempt), flags, byte(f.service))
	b = append(wire.AppendInt64(b, f.t), f.hint[:]...)
	b = appendGroups(wire.AppendString(b, f.name), f.groups)
	return append(b, f.data...)
}

func appendGroups(b []byte, groups []string) []byte {
	b = append(b, byte(len(groups)))
	for _, g := range groups {
		b = wire.AppendString(b, g)
	}
	return b
}

// read fills f; groups and data are valid as long as the input.
func (f *localSend) read(r *wire.Reader, names *interner) error {
	*f = localSend{tag: r.Uint64(), session: r.Uint64(), seq: r.Uint64(), attempt: r.Uint16()}
	flags := r.Uint8()
	f.kind = RequestKind(flags & 3)
	f.federated, f.discard = flags&flagFederated != 0, flags&flagDiscard != 0
	f.first, f.bodyRef = flags&flagFirst != 0, flags&flagBodyRef != 0
	f.free = flags&flagFree != 0
	f.service = membership.Service(r.Uint8())
	f.t = r.Int64()
	copy(f.hint[:], r.Bytes(4))
	f.name = names.name(readName(r, membership.MaxPrivateName))
	f.groups = readGroups(r, names)
	f.data = r.Rest()
	if f.kind == Send && !f.service.Valid() {
		r.Fail(fmt.Errorf("service %d", f.service))
	}
	if (f.kind == Join || f.kind == Leave) && len(f.groups) != 1 {
		r.Fail(fmt.Errorf("%d groups to join or leave, exactly one is possible", len(f.groups)))
	}
	return r.Err()
}

func readName(r *wire.Reader, limit int) []byte {
	n := int(r.Uint8())
	if n > limit {
		r.Fail(fmt.Errorf("%w: name of %d bytes, at most %d", wire.ErrLimit, n, limit))
		return nil
	}
	return r.Bytes(n)
}

func readGroups(r *wire.Reader, names *interner) []string {
	n := int(r.Uint8())
	if n > membership.MaxGroups {
		r.Fail(fmt.Errorf("%w: %d groups, at most %d", wire.ErrLimit, n, membership.MaxGroups))
	}
	if r.Err() != nil || n == 0 {
		return nil
	}
	if n == 1 {
		return names.get(readName(r, membership.MaxGroupName)).list
	}
	groups := make([]string, n)
	for i := range groups {
		groups[i] = names.name(readName(r, membership.MaxGroupName))
	}
	return groups
}

// A tick moves the machine's view time and everything that hangs on it.
type tick struct {
	tag      uint64
	reading  int64
	line     ring.Position // the injector's ring-safe line; zero: not formed yet
	leads    []int64       // one for each member of the view
	promises []heard
}

// heard is a promise as far as this site is concerned.
type heard struct {
	src     uint8 // place in the view
	p       int64
	idx     uint64
	w       int64
	reading int64
	late    int64 // how late the peer gets ours, 80 % quantile
}

const heardBytes = 41

func (t *tick) append(b []byte) []byte {
	b = wire.AppendUint64(append(b, byte(frameTick)), t.tag)
	b = wire.AppendInt64(b, t.reading)
	b = wire.AppendUint64(wire.AppendUint64(b, t.line.Counter), uint64(t.line.Seq))
	b = append(b, byte(len(t.leads)))
	for _, l := range t.leads {
		b = wire.AppendInt64(b, l)
	}
	b = append(b, byte(len(t.promises)))
	for _, p := range t.promises {
		b = appendHeard(b, p)
	}
	return b
}

func appendHeard(b []byte, p heard) []byte {
	b = wire.AppendInt64(append(b, p.src), p.p)
	b = wire.AppendUint64(b, p.idx)
	return wire.AppendInt64(wire.AppendInt64(wire.AppendInt64(b, p.w), p.reading), p.late)
}

func readHeard(r *wire.Reader) heard {
	return heard{src: r.Uint8(), p: r.Int64(), idx: r.Uint64(), w: r.Int64(), reading: r.Int64(), late: r.Int64()}
}

// read fills t and reuses its slices.
func (t *tick) read(r *wire.Reader) error {
	t.tag, t.reading = r.Uint64(), r.Int64()
	t.line = readPosition(r)
	t.leads, t.promises = t.leads[:0], t.promises[:0]
	n := int(r.Uint8())
	if n > membership.MaxSites {
		r.Fail(fmt.Errorf("%w: %d leads", wire.ErrLimit, n))
	}
	for i := 0; i < n && r.Err() == nil; i++ {
		t.leads = append(t.leads, r.Int64())
	}
	n = int(r.Uint8())
	if n > maxTickPromises {
		r.Fail(fmt.Errorf("%w: %d promises", wire.ErrLimit, n))
	}
	for i := 0; i < n && r.Err() == nil; i++ {
		t.promises = append(t.promises, readHeard(r))
	}
	return r.Done()
}

func readPosition(r *wire.Reader) ring.Position {
	return ring.Position{Counter: r.Uint64(), Seq: ring.Seq(r.Uint64())}
}

func appendPosition(b []byte, p ring.Position) []byte {
	return wire.AppendUint64(wire.AppendUint64(b, p.Counter), uint64(p.Seq))
}

// A lineage is the first frame of every node in a new ring.
type lineage struct {
	boot       uint64
	instance   membership.InstanceID // zero: none
	voter      bool
	attached   bool
	formed     ring.Position // where its electorate was formed
	attempts   []attempt     // electorates that others may have formed since
	decided    uint64        // counter of the ring whose lineage it decided last
	branch     uint64        // names the state: equal branch, equal state
	epoch      uint64        // highest known
	unix       uint32
	electorate []membership.NodeID
}

func (l *lineage) append(b []byte) []byte {
	b = wire.AppendUint64(append(b, byte(frameLineage)), l.boot)
	b = wire.AppendUint64(b, uint64(l.instance))
	b = wire.AppendBool(wire.AppendBool(b, l.voter), l.attached)
	b = wire.AppendUint64(wire.AppendUint64(wire.AppendUint64(b, l.decided), l.branch), l.epoch)
	b = appendPosition(wire.AppendUint32(b, l.unix), l.formed)
	b = append(b, byte(len(l.attempts)))
	for _, a := range l.attempts {
		b = appendNodes(appendPosition(b, a.at), a.electorate)
	}
	return appendNodes(b, l.electorate)
}

func (l *lineage) read(r *wire.Reader) error {
	*l = lineage{boot: r.Uint64(), instance: membership.InstanceID(r.Uint64()), voter: r.Bool(), attached: r.Bool(),
		decided: r.Uint64(), branch: r.Uint64(), epoch: r.Uint64(), unix: r.Uint32(), formed: readPosition(r)}
	n := int(r.Uint8())
	if n > maxAttempts {
		r.Fail(fmt.Errorf("%w: %d attempts", wire.ErrLimit, n))
	}
	for i := 0; i < n && r.Err() == nil; i++ {
		l.attempts = append(l.attempts, attempt{readPosition(r), readNodes(r)})
	}
	l.electorate = readNodes(r)
	return r.Done()
}

func appendNodes(b []byte, nodes []membership.NodeID) []byte {
	b = wire.AppendUint32(b, uint32(len(nodes)))
	for _, n := range nodes {
		b = wire.AppendUint32(b, uint32(n))
	}
	return b
}

func readNodes(r *wire.Reader) []membership.NodeID {
	nodes := make([]membership.NodeID, r.Count(membership.MaxSiteNodes, 4))
	for i := range nodes {
		nodes[i] = membership.NodeID(r.Uint32())
	}
	return nodes
}

// An attach brings a node's clients into the instance (N8), with the groups that they
// were in.
type attach struct {
	instance membership.InstanceID
	boot     uint64
	closed   membership.ViewID // the view that the node closed alone last; zero: none
	minT     int64             // what its clients saw of that view lies at or below
	company  uint64            // equal at nodes whose clients have seen the same
	from     ring.ID           // the ring that it comes from
	clients  []attachedClient
}

// An attachedClient is a client that is in groups.
type attachedClient struct {
	session uint64
	next    uint64 // its next request's number
	name    string
	groups  []string
	apart   map[string]bool // of groups: those it was not in when its node left its instance
}

// apartBit marks a group of a client that it was not in. Tables are far shorter.
const apartBit = 1 << 31

// attachedClientBytes is the least that a client takes in an attach.
const attachedClientBytes = 8 + 8 + 1 + 4

// append encodes a; a group's name goes once.
func (a *attach) append(b []byte) []byte {
	b = wire.AppendUint64(append(b, byte(frameAttach)), uint64(a.instance))
	b = a.closed.Append(wire.AppendUint64(b, a.boot))
	b = wire.AppendUint64(wire.AppendInt64(b, a.minT), a.company)
	b = wire.AppendUint64(wire.AppendUint32(b, uint32(a.from.Representative)), a.from.Counter)
	index := map[string]uint32{}
	var names []string
	for _, c := range a.clients {
		for _, g := range c.groups {
			if _, ok := index[g]; !ok {
				index[g] = uint32(len(names))
				names = append(names, g)
			}
		}
	}
	b = wire.AppendUint32(b, uint32(len(names)))
	for _, g := range names {
		b = wire.AppendString(b, g)
	}
	b = wire.AppendUint32(b, uint32(len(a.clients)))
	for _, c := range a.clients {
		b = wire.AppendString(wire.AppendUint64(wire.AppendUint64(b, c.session), c.next), c.name)
		b = wire.AppendUint32(b, uint32(len(c.groups)))
		for _, g := range c.groups {
			at := index[g]
			if c.apart[g] {
				at |= apartBit
			}
			b = wire.AppendUint32(b, at)
		}
	}
	return b
}

func (a *attach) read(r *wire.Reader, names *interner) error {
	*a = attach{instance: membership.InstanceID(r.Uint64()), boot: r.Uint64(), closed: membership.ReadViewID(r), minT: r.Int64(),
		company: r.Uint64(), from: ring.ID{Representative: membership.NodeID(r.Uint32()), Counter: r.Uint64()}}
	table := make([]string, r.Count(maxListed, 1))
	for i := range table {
		table[i] = names.name(readName(r, membership.MaxGroupName))
	}
	a.clients = make([]attachedClient, r.Count(maxListed, attachedClientBytes))
	for i := range a.clients {
		c := &a.clients[i]
		c.session, c.next = r.Uint64(), r.Uint64()
		c.name = names.name(readName(r, membership.MaxPrivateName))
		c.groups = make([]string, r.Count(maxListed, 4))
		for k := range c.groups {
			word := r.Uint32()
			at := word &^ apartBit
			if int(at) >= len(table) {
				r.Fail(fmt.Errorf("%w: group %d of %d", wire.ErrLimit, at, len(table)))
				break
			}
			if c.groups[k] = table[at]; word != at {
				if c.apart == nil {
					c.apart = map[string]bool{}
				}
				c.apart[table[at]] = true
			}
		}
	}
	return r.Done()
}

// A bump asks for a view with an epoch above the one given (N8).
type bump struct {
	instance membership.InstanceID
	epoch    uint64
}

func (p *bump) append(b []byte) []byte {
	return wire.AppendUint64(wire.AppendUint64(append(b, byte(frameBump)), uint64(p.instance)), p.epoch)
}

func (p *bump) read(r *wire.Reader) error {
	*p = bump{membership.InstanceID(r.Uint64()), r.Uint64()}
	return r.Done()
}

// A body crosses the ring before the request that it belongs to.
type body struct {
	instance membership.InstanceID
	session  uint64
	seq      uint64
	groups   []string // that it is for
	data     []byte
}

func (p *body) append(b []byte) []byte {
	b = wire.AppendUint64(append(b, byte(frameBody)), uint64(p.instance))
	b = wire.AppendUint64(wire.AppendUint64(b, p.session), p.seq)
	return append(appendGroups(b, p.groups), p.data...)
}

func (p *body) read(r *wire.Reader, names *interner) error {
	*p = body{instance: membership.InstanceID(r.Uint64()), session: r.Uint64(), seq: r.Uint64()}
	p.groups = readGroups(r, names)
	p.data = r.Rest()
	return r.Err()
}

// An arena gives out memory for encoded frames. A chunk is freed when the last
// frame in it is.
type arena struct{ chunk []byte }

// take returns an empty slice with room for n bytes.
func (a *arena) take(n int) []byte {
	if n > arenaBytes/4 {
		return make([]byte, 0, n)
	}
	if cap(a.chunk)-len(a.chunk) < n {
		a.chunk = make([]byte, 0, arenaBytes)
	}
	at := len(a.chunk)
	a.chunk = a.chunk[:at+n]
	return a.chunk[at : at : at+n]
}

// unixSeconds is about the wall clock.
func (r *Replica) unixSeconds() uint32 {
	return uint32(r.cfg.StartUnix + int64((r.now+r.sleep.all)/time.Second))
}
