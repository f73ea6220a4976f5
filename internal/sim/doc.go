// Package sim runs whole sites and federations in one process, in virtual time, from
// a seed: nodes that are site/core machines as they run in `ringway node`, clients
// that join, leave and send, and everything that goes wrong on the way. It records
// what every client saw as traces of internal/evs and checks them.
//
//	go test ./internal/sim                                        a few seeds of each default profile, what failed once, a soak
//	go test ./internal/sim -run TestRandom -sim.profile=one-site -sim.n=500
//	go test ./internal/sim -run TestRandom -sim.for=2m -sim.seed=1 -sim.profile=lan,mixed
//	go test ./internal/sim -run TestSeed -sim.seed=17 -sim.profile=site -sim.trace=/tmp/17 -sim.shrink=1m
//	go test ./internal/sim -run TestTranscript -sim.transcript=/tmp/ringway-sim/p15-site-17.txt
//
// TestRandom takes fresh seeds and prints the first one at once. A failure prints the
// command that repeats it. The same seed gives the same traces, byte for byte: a run
// has one goroutine, no clock and no random source but the seed's. Each part of a run
// draws from a source of its own, so that a change in one part moves the others as
// little as possible. TestDeterminism holds this.
//
// # One site: schedules
//
// A profile of one site draws a Schedule: the site, its network, and a list of
// everything that happens, in the order of time. A schedule is data. Its text is a
// line each for the site and its LAN, and a line for each step:
//
//	schedule 1 profile site seed 17 nodes 3 gateways 1 answers 2.5 length 31.2s
//	lan delay 20µs 94µs jitter 18µs loss 1 double 0 late 2 3ms
//	5.044ms start n1
//	84.676ms connect n0.2 g2,g0                   client 2 of n0, and the groups it joins
//	4.7s say n0.2 safe g0,#c1#n1 100B x20 500µs   20 messages, one each 500µs
//	5s join n0.2 g1
//	6s crash n1 5ms                               and 5 ms later its next life
//	6.1s partition aba 3s                         a letter for each node: its side
//	6.2s oneway n0 n2 100% 1s                     what n0 sends to n2 is lost
//	7s slow n1 2ms 3s                             each step takes 2 ms, for 3 s
//	8s pause n2 10s                               as by SIGSTOP
//
// Lines that begin with # are comments. Faults end by themselves, and may overlap:
// what packets go through is the sum of all that are under way. Verb has the rest.
// Every line may be left out and the rest is still a schedule; that is what shrinking
// does (Shrinker, -sim.shrink): it leaves out steps, makes them smaller and the run
// shorter, for as long as the same predicate fails. As every change moves the dice, it
// tries some other dice each time. What it finds goes into a file (-sim.out), a
// transcript.
//
// Transcripts in testdata/transcripts are schedules that failed once. `go test` plays
// them all. A fix that comes with a transcript says in its first line what was wrong.
//
// The last fault of a drawn schedule ends some seconds before the clients fall silent.
// Then the site must come to rest: one ring, one view, everybody attached, nothing
// left. TestSoak torments a site for ten minutes and looks at its heap and queues.
//
// # What is modelled
//
//   - The LAN: every ordered pair of nodes has its delay; loss, duplicates, packets
//     out of order, one-way loss, partitions of any shape.
//   - The node: a life from boot to crash, with a new boot id and incarnation each
//     time; a clock that runs up to 200 ppm fast or slow; sleep, as by SIGSTOP;
//     slowness. While it is busy, packets wait in a socket that holds a bounded number,
//     and then come in the order in which the loop of a real node takes them.
//   - The WAN, standing for the overlay: shortest ways over links that may be cut;
//     the log of each site pulled by one gateway of each other site, in order and
//     resumed from its import position after every break, with back-pressure;
//     promises as datagrams that get lost, doubled, late and out of order; controls
//     in order while the way lasts; link state flooded with the ways' delays, cuts
//     and dead gateways noticed after a while.
//   - Clients: one or more a node; all services, one and many groups, private
//     groups (also of nobody), self-discard, sizes from nothing over several packets
//     to some MiB; answers to what they receive, which makes causes; ends of sessions
//     and new ones. Clients of a schedule come back with their node, under the same
//     private name.
//
// Each payload says which message it is and carries a checksum.
//
// # What is checked
//
// The predicates of internal/evs. In the run itself: damaged payloads and hints
// (payload), a client twice in a group view or in a view without itself
// (groupview), records out of sequence (records), asking for what was trimmed
// (stream), blaming an honest site (fault), a node that is woken again and again
// without time passing (spin), clients closed that did not leave (closed). At the end:
// all nodes in the one view of all sites (P25), nothing left to send (P27). Of one site
// also the sizes of queues (P24) and the number of rings after the last fault (P28).
//
// The traces have keys: merge.Config.Trace tells what the machine does, and
// internal/trace puts it, the rings and the outputs into the order in which they
// happened. Not checked is P4, which speaks of the signal between two site views.
//
// TestMutants changes the traces of clean runs as faults of the router would, one
// for each predicate; the predicate must notice.
//
// # Profiles
//
// A profile says what a seed makes and what happens to it. Random runs draw from
// the default set: site, site-large, site-quiet (together: one-site), calm, wan-delay,
// island. Not in it, because some of their seeds still fail:
//
//   - lan: nodes crash and come back. A site whose only gateway restarts changes the
//     view of a running federation, which takes SEQUENCING section 9; what a node that
//     comes back hears meanwhile takes section 8.
//   - mixed: the same, and everything else at once.
//   - pause: a node that was given up comes back with a state of its own. Its
//     clients' configurations part, which takes the closing of SEQUENCING section 8.
//   - lossy: the same for nodes that heavy loss leaves behind.
//   - lan-partition: the same for parts of a site.
//   - wan-partition: sites that are cut off or die need the view changes of
//     SEQUENCING section 9.
//
// They are there for whoever builds those sections, and for a look now and then.
//
// # Reading the code
//
// federation.go is a run, life.go a node and inbox.go what waits for it, lan.go and
// wan.go and stream.go the networks, output.go what is seen, run.go the verdict. Of
// federations, client.go is who talks and fault.go what goes wrong. Of one site,
// schedule.go and fields.go are a schedule and its text, draw.go and trouble.go draw
// one, play.go and slot.go play it, rest.go and facts.go look at the end, shrink.go
// makes it shorter.
//
// The package imports every pure package.
package sim
