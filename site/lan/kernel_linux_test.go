package lan

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ringway/site/ring"
)

// A kernel stands between a socket and the real one, and refuses.
type kernel struct {
	batcher
	write func(m *message) error // for the first message of a call
	read  func() error
	reads atomic.Int64
}

func (k *kernel) WriteBatch(ms []message, flags int) (int, error) {
	if k.write != nil {
		for i := range ms {
			if err := k.write(&ms[i]); err != nil {
				if i == 0 {
					return -1, &net.OpError{Op: "write", Err: os.NewSyscallError("sendmmsg", err)}
				}
				return k.batcher.WriteBatch(ms[:i], flags)
			}
		}
	}
	return k.batcher.WriteBatch(ms, flags)
}

func (k *kernel) ReadBatch(ms []message, flags int) (int, error) {
	k.reads.Add(1)
	if k.read != nil {
		if err := k.read(); err != nil {
			return -1, &net.OpError{Op: "read", Err: os.NewSyscallError("recvmmsg", err)}
		}
	}
	return k.batcher.ReadBatch(ms, flags)
}

// under puts a kernel under the port's unicast socket.
func under(p *Port, k *kernel) *kernel {
	k.batcher = p.unicast.batch
	p.unicast.batch = k
	return k
}

func TestModeIsLeftOnlyWhenItIsAtFault(t *testing.T) {
	const number = 7 // the packet that nobody could send
	tooLarge := make([]byte, 70_000)
	for _, c := range []struct {
		name  string
		write func(m *message) error
		odd   bool // there is one packet that no mode can send
		want  Mode
	}{
		{"no checksum offload", func(m *message) error {
			if len(m.OOB) > 0 {
				return syscall.EIO
			}
			return nil
		}, false, Sendmmsg},
		{"no sendmmsg", func(*message) error { return syscall.ENOSYS }, false, Plain},
		{"a packet that is too large", nil, true, Segment},
		{"a full queue", func(m *message) error {
			if len(m.Buffers[0]) == 300 {
				return syscall.ENOBUFS
			}
			return nil
		}, false, Segment},
	} {
		t.Run(c.name, func(t *testing.T) {
			ports := site(t, 2, false, Segment)
			under(ports[0], &kernel{write: c.write})
			packets := collect(t, ports[1])
			sent := numbered(60, 2)
			if c.odd {
				sent[number].Data = tooLarge
			}
			if err := ports[0].Send(sent); err != nil {
				t.Fatal(err)
			}
			arrived := 0
			for i := range sent {
				lost := c.odd && i == number || c.name == "a full queue" && len(sent[i].Data) == 300 && !endsRun(sent, i)
				if lost {
					continue
				}
				if got := next(t, packets); !bytes.Equal(got, sent[i].Data) {
					t.Fatalf("packet %d: got one of %d bytes, want %d", i, len(got), len(sent[i].Data))
				}
				arrived++
			}
			if got := ports[0].Mode(); got != c.want {
				t.Errorf("mode is %s, want %s", got, c.want)
			}
			if s := ports[0].Stats(); int(s.SentPackets) != arrived || int(s.Refused) != len(sent)-arrived {
				t.Errorf("%d sent, %d refused of %d, of which %d arrived", s.SentPackets, s.Refused, len(sent), arrived)
			}
		})
	}
}

// endsRun says whether a small packet leaves as the end of a run of larger ones.
func endsRun(packets []ring.Packet, i int) bool {
	return i > 0 && len(packets[i-1].Data) > len(packets[i].Data)
}

func TestSendEndsWhenThePortIsClosed(t *testing.T) {
	for _, mode := range []Mode{Segment, Sendmmsg, Plain} {
		p := site(t, 2, false, mode)[0]
		p.Close()
		if err := p.Send(numbered(3, 2)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

func TestReaderOutlivesErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
	}{
		{"answer of a dead peer's host", syscall.ECONNREFUSED},
		{"interface is down", syscall.ENETDOWN},
		{"no memory", syscall.ENOMEM},
		{"no recvmmsg", syscall.ENOSYS},
	} {
		t.Run(c.name, func(t *testing.T) {
			ports := site(t, 2, false, Auto)
			var left atomic.Int64
			left.Store(patientReads + 3)
			under(ports[1], &kernel{read: func() error {
				if left.Add(-1) >= 0 {
					return c.err
				}
				return nil
			}})
			packets := collect(t, ports[1])
			if err := ports[0].Send(numbered(1, 2)); err != nil {
				t.Fatal(err)
			}
			next(t, packets)
			if n := ports[1].Stats().ReadErrors; n == 0 {
				t.Error("no error counted")
			}
		})
	}
}

// TestReaderDoesNotSpin lets every read fail for ever: reads are then spaced, so few
// of them fit into the time that some take, and closing still ends them.
func TestReaderDoesNotSpin(t *testing.T) {
	ports := site(t, 1, false, Auto)
	k := under(ports[0], &kernel{read: func() error { return syscall.ENOMEM }})
	start := time.Now()
	collect(t, ports[0])
	wait(t, "reads", func() bool { return k.reads.Load() >= patientReads+5 })
	if least := 4 * readPause; time.Since(start) < least {
		t.Errorf("%d reads in %v: want a pause between them", k.reads.Load(), time.Since(start))
	}
}

// TestRunsAreSplit gives the reader what the kernel may hand it.
func TestRunsAreSplit(t *testing.T) {
	for _, c := range []struct {
		name    string
		bytes   int
		control []byte
		flags   int
		want    []int // sizes
		dropped uint64
	}{
		{name: "one packet", bytes: 1400, want: []int{1400}},
		{name: "nothing", bytes: 0},
		{name: "equal packets", bytes: 4200, control: groControl(1400), want: []int{1400, 1400, 1400}},
		{name: "the last is shorter", bytes: 2900, control: groControl(1400), want: []int{1400, 1400, 100}},
		{name: "size beyond the message", bytes: 100, control: groControl(1400), want: []int{100}},
		{name: "size zero", bytes: 100, control: groControl(0), want: []int{100}},
		{name: "negative size", bytes: 100, control: groControl(-5), want: []int{100}},
		{name: "another control message before", bytes: 300, control: append(otherControl(), groControl(200)...), want: []int{200, 100}},
		{name: "garbage for control", bytes: 100, control: bytes.Repeat([]byte{0xff}, 40), want: []int{100}},
		{name: "control cut short", bytes: 100, control: groControl(50)[:9], want: []int{100}},
		{name: "larger than any ring packet", bytes: maxDatagram + 1, dropped: 1},
		{name: "cut by the kernel", bytes: readBytes, flags: syscall.MSG_TRUNC, dropped: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := site(t, 1, false, Auto)[0]
			r := p.newReader(p.unicast, false)
			m := &r.messages[0]
			for i := range m.Buffers[0] {
				m.Buffers[0][i] = byte(i / 7)
			}
			m.N, m.NN, m.Flags, m.Addr = c.bytes, copy(m.OOB, c.control), c.flags, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}
			packets := r.batch(r.messages[:1]).Packets
			var sizes []int
			for _, packet := range packets {
				sizes = append(sizes, len(packet))
			}
			if fmt.Sprint(sizes) != fmt.Sprint(c.want) {
				t.Fatalf("packets of %v bytes, want %v", sizes, c.want)
			}
			if joined := bytes.Join(packets, nil); len(c.want) > 0 && !bytes.Equal(joined, m.Buffers[0][:c.bytes]) {
				t.Error("packets put together are not the message")
			}
			if got := p.Stats().Truncated; got != c.dropped {
				t.Errorf("%d dropped, want %d", got, c.dropped)
			}
		})
	}
}

// TestPacketsKeepTheirBytes keeps packets while the reader's buffers are used again,
// and while a receiver appends to one of them.
func TestPacketsKeepTheirBytes(t *testing.T) {
	ports := site(t, 2, false, Auto)
	packets := collect(t, ports[1])
	sent := numbered(1200, 2) // more than a megabyte: several chunks
	var kept [][]byte
	for i := 0; i < len(sent); i += 40 {
		if err := ports[0].Send(sent[i : i+40]); err != nil {
			t.Fatal(err)
		}
		for range 40 {
			got := next(t, packets)
			kept = append(kept, got)
			_ = append(got, 0xff)
		}
	}
	for i := range kept {
		if !bytes.Equal(kept[i], sent[i].Data) {
			t.Fatalf("packet %d changed", i)
		}
	}
}

func TestSendingAndSplittingAllocateLittle(t *testing.T) {
	p := site(t, 2, false, Segment)[0]
	batch := make([]ring.Packet, 40)
	for i := range batch {
		batch[i] = ring.Packet{To: 2, Data: make([]byte, 1400)}
	}
	if n := testing.AllocsPerRun(50, func() { _ = p.Send(batch) }); n > 10 {
		t.Errorf("%v allocations to send %d packets", n, len(batch))
	}
	r := p.newReader(p.unicast, false)
	m := &r.messages[0]
	m.N, m.NN, m.Addr = 40*1400, copy(m.OOB, groControl(1400)), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}
	if n := testing.AllocsPerRun(50, func() { r.batch(r.messages[:1]) }); n > 2 {
		t.Errorf("%v allocations to hand up 40 packets", n)
	}
}

func TestSmallBufferIsNamed(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	warnOfSmallBuffer(log, receiveBuffer)
	if out.Len() > 0 {
		t.Errorf("warns without need: %s", &out)
	}
	warnOfSmallBuffer(log, 212992)
	if want := "sysctl -w net.core.rmem_max=8388608"; !strings.Contains(out.String(), want) || !strings.Contains(out.String(), "212992") {
		t.Errorf("the warning lacks %q: %s", want, &out)
	}
}

func TestProbeFindsTheBestOnThisKernel(t *testing.T) {
	p := site(t, 1, false, Auto)[0]
	if got := probe(p.Address().Addr()); got != p.Mode() {
		t.Errorf("probe says %s, the port took %s", got, p.Mode())
	}
}
