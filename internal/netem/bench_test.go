//go:build linux

package netem

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The goals of a link on a quiet machine: a benchmark compares with them and asserts
// nothing.
const (
	goalRate  = 200e6 // bit/s of goalBytes packets
	goalBytes = 1400  // IP header included
	goalCores = 1.0
	goalP50   = 300 * time.Microsecond
	goalP99   = 3 * time.Millisecond
)

const (
	udpHeaders = 28
	benchTime  = 3 * time.Second
	burstEvery = time.Millisecond
)

// BenchmarkLink sends 200 Mbit/s of 1400-byte packets over one link of 80 ms.
func BenchmarkLink(b *testing.B) { benchmark(b, 1, 1, "delay=80ms", goalRate) }

// BenchmarkShapedLink has the model work too.
func BenchmarkShapedLink(b *testing.B) {
	benchmark(b, 1, 1, "delay=80ms jitter=2ms/25% loss=0.5% rate=250mbit", goalRate)
}

// BenchmarkSixRegions has 15 links share the goal's rate, with one thread for all, one
// for each link and one for each direction.
func BenchmarkSixRegions(b *testing.B) {
	for _, workers := range []int{1, 2, 15, 30} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) { benchmark(b, workers, 15, "delay=80ms", goalRate) })
	}
}

// BenchmarkIdleRegions is the same with hardly a packet: what a laboratory costs.
func BenchmarkIdleRegions(b *testing.B) {
	for _, workers := range []int{1, 2, 15, 30} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			benchmark(b, workers, 15, "delay=80ms", 15*goalBytes*8*100)
		})
	}
}

// BenchmarkCapacity offers more than can be carried.
func BenchmarkCapacity(b *testing.B) { benchmark(b, 1, 1, "delay=20ms", 2.5e9) }

// BenchmarkSetDown cuts and joins a link that carries packets, over the control socket.
func BenchmarkSetDown(b *testing.B) {
	e := startEngine(b, 1)
	s := newGround(b).connect(e, "delay=20ms", DefaultMTU, false)
	packet := make([]byte, 100)
	for i := 0; b.Loop(); i++ {
		s.a.Write(packet)
		must(b, e.SetDown(s.siteA, s.siteB, i%2 == 0))
	}
}

func benchmark(b *testing.B, workers, links int, profile string, rate float64) {
	for range b.N {
		round(b, workers, links, mustParse(b, profile), rate)
	}
}

func round(b *testing.B, workers, links int, asked Profile, rate float64) {
	e := startEngine(b, workers)
	g := newGround(b)
	var stretches []*stretch
	for range links {
		s := g.connect(e, asked.String(), DefaultMTU, false)
		must(b, stamp(s.b))
		stretches = append(stretches, s)
	}
	all := meter{errors: make([]time.Duration, 0, 1<<20)}
	var receivers sync.WaitGroup
	for _, s := range stretches {
		receivers.Go(func() { all.receive(s.b, asked.Delay) })
	}
	cpu, began := cpuTime(b, e.cmd.Process.Pid), time.Now()
	sent := send(stretches, rate)
	elapsed := time.Since(began)
	used := cpuTime(b, e.cmd.Process.Pid) - cpu
	for _, s := range stretches {
		must(b, s.b.SetReadDeadline(time.Now().Add(asked.Delay+500*time.Millisecond)))
	}
	receivers.Wait()
	all.report(b, e, sent, elapsed, used, asked)
	must(b, e.Stop())
}

// send sends a burst over the stretches in turn every millisecond, and returns how many
// packets that made.
func send(stretches []*stretch, rate float64) int {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	packet := make([]byte, goalBytes-udpHeaders)
	perBurst := rate / 8 / goalBytes * burstEvery.Seconds()
	sent, owed := 0, 0.0
	begin := time.Now()
	for i := 1; ; i++ {
		for owed += perBurst; owed >= 1; owed-- {
			binary.BigEndian.PutUint64(packet, uint64(time.Now().UnixNano()))
			binary.BigEndian.PutUint64(packet[8:], uint64(sent))
			stretches[sent%len(stretches)].a.Write(packet)
			sent++
		}
		next := time.Duration(i) * burstEvery
		if next >= benchTime || time.Since(begin) >= benchTime {
			return sent
		}
		if rest := next - time.Since(begin); rest > 0 {
			t := unix.NsecToTimespec(int64(rest))
			unix.Nanosleep(&t, nil)
		}
	}
}

// A meter compares what arrives with what was sent.
type meter struct {
	mu       sync.Mutex
	errors   []time.Duration // of the delay
	behind   int             // came after a later one
	received int
}

// stamp has the kernel say when packets came: the receiver may be late.
func stamp(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
	if err == nil {
		err = failed
	}
	return err
}

func (m *meter) receive(conn *net.UDPConn, delay time.Duration) {
	packet, oob := make([]byte, 2000), make([]byte, 128)
	var last uint64
	for {
		n, on, _, _, err := conn.ReadMsgUDP(packet, oob)
		if err != nil {
			return
		}
		if n < 16 || on < unix.CmsgSpace(16) {
			continue
		}
		came := (*unix.Timespec)(unsafe.Pointer(&oob[unix.CmsgLen(0)])).Nano()
		number := binary.BigEndian.Uint64(packet[8:])
		m.mu.Lock()
		m.received++
		m.errors = append(m.errors, time.Duration(came-int64(binary.BigEndian.Uint64(packet)))-delay)
		if number < last {
			m.behind++
		}
		m.mu.Unlock()
		last = max(last, number)
	}
}

func (m *meter) report(b *testing.B, e *engineProcess, sent int, elapsed, used time.Duration, asked Profile) {
	slices.Sort(m.errors)
	quantile := func(share float64) time.Duration {
		if len(m.errors) == 0 {
			return 0
		}
		return m.errors[int(share*float64(len(m.errors)-1))]
	}
	delay := func(share float64) int64 { return (asked.Delay + quantile(share)).Microseconds() }
	all, err := e.Status()
	must(b, err)
	var late Histogram
	var lost, unread, left uint64
	for _, d := range all {
		late.Merge(d.Counters.Late)
		lost += d.Counters.Lost
		unread += d.Counters.Unread
		left += d.Counters.Left.Packets
	}
	cores := used.Seconds() / elapsed.Seconds()
	mbit := float64(left) * goalBytes * 8 / elapsed.Seconds() / 1e6
	p50, p99 := quantile(0.5), quantile(0.99)
	if asked != (Profile{Delay: asked.Delay}) {
		// What jitter and the queue add is not an error.
		p50, p99 = late.Quantile(0.5), late.Quantile(0.99)
	}
	b.ReportMetric(mbit, "Mbit/s")
	b.ReportMetric(cores, "cores")
	b.ReportMetric(float64(m.behind), "reordered")
	b.ReportMetric(float64(p50.Microseconds()), "p50-µs")
	b.ReportMetric(float64(p99.Microseconds()), "p99-µs")
	fmt.Fprintf(os.Stdout, "\nnetem bench=%s mbit=%.1f packets=%d left=%d received=%d lost_as_asked=%d unread=%d reordered=%d cores=%.3f us_per_packet=%.2f "+
		"error_p50_us=%d error_p99_us=%d delay_p01_us=%d delay_p50_us=%d delay_p99_us=%d late_p50_us=%d late_p99_us=%d "+
		"ratio_rate=%.2f ratio_cores=%.2f ratio_p50=%.2f ratio_p99=%.2f\n",
		b.Name(), mbit, sent, left, m.received, lost, unread, m.behind, cores, float64(used.Microseconds())/float64(max(1, left)),
		p50.Microseconds(), p99.Microseconds(), delay(0.01), delay(0.5), delay(0.99), late.Quantile(0.5).Microseconds(), late.Quantile(0.99).Microseconds(),
		mbit*1e6/goalRate, cores/goalCores, float64(p50)/float64(goalP50), float64(p99)/float64(goalP99))
}

// cpuTime is what a process has used of all processors.
func cpuTime(b *testing.B, pid int) time.Duration {
	clock := int32(^pid<<3 | 2) // of the whole process: CPUCLOCK_SCHED
	var t unix.Timespec
	must(b, unix.ClockGettime(clock, &t))
	return time.Duration(t.Nano())
}
