//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"ringway/internal/bench"
	"ringway/internal/scenario"
)

func main() { scenario.Main("bench-local", run) }

// options are the command's flags.
type options struct {
	pairs            int
	rate, world      float64
	duration         time.Duration
	binary, topology string
	size             int
	thin             string
}

func run(ctx context.Context) (err error) {
	var o options
	flag.IntVar(&o.pairs, "pairs", 5, "measurements with and without each trouble")
	flag.Float64Var(&o.rate, "rate", 200, "local messages a second in each site")
	flag.Float64Var(&o.world, "world", 40, "messages a second from each site to all; 0: none")
	flag.IntVar(&o.size, "size", 1000, "bytes of each of those")
	flag.DurationVar(&o.duration, "duration", 8*time.Second, "of each measurement")
	flag.StringVar(&o.thin, "thin", "256kbit", "rate of the links while they are overloaded, as tc has it")
	flag.StringVar(&o.binary, "ringway", "", "the ringway to measure (required)")
	flag.StringVar(&o.topology, "topology", "internal/scenario/scripts/three-sites.toml", "the sites, at least two nodes each with admin ports, and links")
	flag.Parse()
	if o.binary == "" || o.pairs < 1 || o.world < 0 || o.size < minSize || flag.NArg() > 0 {
		return fmt.Errorf("want --ringway PROGRAM, at least one pair, no negative rate, sizes from %d on, and no arguments", minSize)
	}
	f, err := scenario.NewFederation(o.topology, o.binary, nil, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Lab.Do("run"); err != nil {
		return err
	}
	if err := patiently(ctx, f.Ready); err != nil {
		return err
	}
	w, err := newWorld(ctx, f, o.world, o.size)
	if err != nil {
		return err
	}
	defer w.close()
	m := &measurement{options: &o, lab: f, world: w}
	for _, t := range troubles {
		if err := m.against(ctx, t); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return m.print(os.Stdout)
}

// patience bounds what is waited for: a link that is cut again and again is held down for up to
// a minute, and then the view changes.
const patience = 4 * time.Minute

func patiently(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return f(ctx)
}

// A measurement compares local latencies with a trouble and without.
type measurement struct {
	*options
	lab   *scenario.Federation
	world *world
	runs  int
	rows  []row
}

// A row is a site beside a trouble: what each pair showed.
type row struct {
	trouble, site string
	pairs         []pair
}

// A pair has the latencies of two measurements, one right after the other.
type pair struct{ quiet, troubled bench.Latency }

// against measures all pairs of a trouble, and who is first alternates.
func (m *measurement) against(ctx context.Context, t trouble) error {
	sites := m.lab.Lab.Topology().Sites
	rows := make([]row, len(sites))
	for i, s := range sites {
		rows[i] = row{trouble: t.name, site: s.Name}
	}
	for n := range m.pairs {
		results := map[bool][]bench.Latency{}
		for _, troubled := range [][]bool{{false, true}, {true, false}}[n%2] {
			var err error
			if results[troubled], err = m.once(ctx, t, troubled); err != nil {
				return err
			}
		}
		for i := range rows {
			p := pair{results[false][i], results[true][i]}
			rows[i].pairs = append(rows[i].pairs, p)
			fmt.Printf("%s, pair %d, %s: p50 %d and %d µs, p99 %d and %d µs\n", t.name, n+1, rows[i].site,
				p.quiet.P50, p.troubled.P50, p.quiet.P99, p.troubled.P99)
		}
	}
	m.rows = append(m.rows, rows...)
	return nil
}

// warmUp is as long as the sites are awake for the joins, which all of them are told of, and
// somewhat longer.
const warmUp = 3 * time.Second

// firstJoin is when a trouble begins: by then all have joined, which is told to all sites.
const firstJoin = 800 * time.Millisecond

// maxAgain bounds how often one measurement is made again.
const maxAgain = 5

// once measures every site at the same time. If a site's ring forms anew meanwhile, which no
// trouble between sites may cause, the machine was too busy: that is said, and measured again.
func (m *measurement) once(ctx context.Context, t trouble, troubled bool) ([]bench.Latency, error) {
	for again := 0; ; again++ {
		if err := patiently(ctx, m.world.settled); err != nil {
			return nil, err
		}
		before, err1 := m.lab.Rings(ctx)
		latencies, err := m.measure(ctx, t, troubled)
		after, err2 := m.lab.Rings(ctx)
		if faults := errors.Join(err1, err2); faults != nil {
			return nil, faults
		}
		if before == after || again == maxAgain {
			return latencies, err
		}
		fmt.Printf("%s (%v): rings formed %d times anew; again\n", t.name, troubled, after-before)
	}
}

// measure measures every site once.
func (m *measurement) measure(ctx context.Context, t trouble, troubled bool) ([]bench.Latency, error) {
	m.runs++
	sites := m.lab.Lab.Topology().Sites
	latencies, faults := make([]bench.Latency, len(sites)), make([]error, len(sites)+1)
	var measuring, beside sync.WaitGroup
	making, stop := context.WithCancel(ctx)
	defer stop()
	if troubled {
		beside.Go(func() {
			if sleep(making, firstJoin) {
				faults[len(sites)] = t.make(making, m.options, m.lab.Lab)
			}
		})
	}
	for i, s := range sites {
		nodes := m.lab.At(s.Name)
		measuring.Go(func() {
			result, err := bench.Run(ctx, bench.Config{
				Connect: []string{nodes[0].Address(), nodes[len(nodes)-1].Address()}, Options: m.lab.ClientOptions(),
				Size: 200, Senders: 1, Groups: 1, Rate: m.rate, Window: bench.DefaultWindow, Prefix: fmt.Sprintf("local-%s-%d", s.Name, m.runs),
				Service: localService, Duration: m.duration, WarmUp: warmUp,
			})
			if faults[i] = err; err == nil {
				latencies[i], faults[i] = result.Latency, result.Err()
			}
		})
	}
	measuring.Wait()
	stop()
	beside.Wait()
	return latencies, errors.Join(append(faults, t.end(m.lab.Lab))...)
}

// print prints medians over the pairs.
func (m *measurement) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "\ntrouble\tsite\tp50 µs\twith it\tratio\tp99 µs\twith it\tratio\tof the pairs")
	for _, r := range m.rows {
		p50 := func(l bench.Latency) int64 { return l.P50 }
		p99 := func(l bench.Latency) int64 { return l.P99 }
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.trouble, r.site, r.columns(p50, false), r.columns(p99, true))
	}
	return table.Flush()
}

// columns are the medians of a quantile without and with the trouble, and of the ratios.
func (r *row) columns(of func(bench.Latency) int64, all bool) string {
	var quiet, troubled []int64
	var ratios []float64
	for _, p := range r.pairs {
		q, t := of(p.quiet), of(p.troubled)
		quiet, troubled, ratios = append(quiet, q), append(troubled, t), append(ratios, float64(t)/float64(max(q, 1)))
	}
	slices.Sort(quiet)
	slices.Sort(troubled)
	slices.Sort(ratios)
	middle := len(ratios) / 2
	text := fmt.Sprintf("%d\t%d\t%.2f", quiet[middle], troubled[middle], ratios[middle])
	if all {
		text += fmt.Sprintf("\t%.2f to %.2f", ratios[0], ratios[len(ratios)-1])
	}
	return text
}
