package ring

import (
	"testing"
	"time"

	"ringway/membership"
)

// A wire connects machines directly: packets are handed over in the order in
// which they were sent, the clock stands still but for a tick each turn.
type wire3 struct {
	machines []*Machine
	now      time.Duration
	queue    []wirePacket
	fx       Effects
	received int
}

type wirePacket struct {
	from, to int // to -1: all others
	data     []byte
}

// An endless source gives the same frame again and again.
type endlessSource struct {
	frame Frame
	left  int
}

func (s *endlessSource) Backlog() int { return s.left * len(s.frame.Data) }

func (s *endlessSource) Next(time.Duration, int) (Frame, bool) {
	if s.left == 0 {
		return Frame{}, false
	}
	s.left--
	return s.frame, true
}

func newWire(nodes int, sources []*endlessSource) *wire3 {
	w := &wire3{}
	c := Config{Label: 1, MaxPacket: 1400, Windows: DefaultWindows(), Timing: DefaultTiming(nodes), Incarnation: 1}
	for i := range nodes {
		c.Members = append(c.Members, membership.NodeID(i+1))
	}
	for i := range nodes {
		c.Self = c.Members[i]
		w.machines = append(w.machines, New(c, sources[i]))
	}
	for i, m := range w.machines {
		m.Start(0, &w.fx)
		w.carry(i)
	}
	for {
		up := true
		for _, m := range w.machines {
			up = up && m.state == Operational && len(m.ring.members) == nodes
		}
		if up {
			return w
		}
		w.tick()
	}
}

// carry takes over what a step wants sent.
func (w *wire3) carry(from int) {
	for _, p := range w.fx.Send {
		w.queue = append(w.queue, wirePacket{from, int(p.To) - 1, p.Data})
	}
	for i := range w.fx.Events {
		if w.fx.Events[i].Kind == Deliver {
			w.received++
		}
	}
	w.fx.Reset()
}

// tick empties the queue once, or lets time pass if there is nothing in it.
func (w *wire3) tick() {
	if len(w.queue) == 0 {
		w.now += time.Millisecond
		for i, m := range w.machines {
			if d, ok := m.Deadline(); ok && d <= w.now {
				m.Wake(w.now, &w.fx)
				w.carry(i)
			}
		}
		return
	}
	n := len(w.queue)
	for k := range n {
		p := w.queue[k]
		for i, m := range w.machines {
			if p.to == i || p.to < 0 && p.from != i {
				m.Receive(w.now, p.data, &w.fx)
				w.carry(i)
			}
		}
	}
	rest := copy(w.queue, w.queue[n:])
	clear(w.queue[rest:])
	w.queue = w.queue[:rest]
	w.now += time.Microsecond
}

// benchmarkOrder sends b.N frames through a ring; an operation is a frame at all
// members.
func benchmarkOrder(b *testing.B, nodes, senders, size int, service membership.Service) {
	frame := Frame{Stream: 1, Service: service, Data: make([]byte, size)}
	sources := make([]*endlessSource, nodes)
	for i := range sources {
		sources[i] = &endlessSource{frame: frame}
	}
	w := newWire(nodes, sources)
	w.received = 0
	for i := range b.N {
		sources[i%senders].left++
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	for i, m := range w.machines {
		m.Kick(w.now, &w.fx)
		w.carry(i)
	}
	for w.received < b.N*nodes {
		w.tick()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

func BenchmarkAgreed1000x3(b *testing.B)    { benchmarkOrder(b, 3, 3, 1000, membership.Agreed) }
func BenchmarkAgreed1000x3One(b *testing.B) { benchmarkOrder(b, 3, 1, 1000, membership.Agreed) }
func BenchmarkSafe1000x3(b *testing.B)      { benchmarkOrder(b, 3, 3, 1000, membership.Safe) }
func BenchmarkAgreed100x3(b *testing.B)     { benchmarkOrder(b, 3, 3, 100, membership.Agreed) }
func BenchmarkLarge1MiBx3(b *testing.B)     { benchmarkOrder(b, 3, 3, 1<<20, membership.Agreed) }

func BenchmarkSolo1000(b *testing.B) {
	source := &endlessSource{frame: Frame{Stream: 1, Service: membership.Agreed, Data: make([]byte, 1000)}}
	w := newWire(1, []*endlessSource{source})
	source.left = b.N
	b.ReportAllocs()
	b.ResetTimer()
	w.machines[0].Kick(w.now, &w.fx)
	w.carry(0)
	for w.received < b.N {
		w.machines[0].Wake(w.now, &w.fx)
		w.carry(0)
	}
}
