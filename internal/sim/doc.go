// Package sim runs whole sites and federations in one process, in virtual time, from
// a seed: nodes that are site/core machines as they run in `ringway node`, clients
// that join, leave and send, and everything that goes wrong on the way. It records
// what every client saw as traces of internal/evs and checks them.
//
//	go test ./internal/sim                                        a few seeds of some profiles, what failed once, a soak
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
// # Schedules
//
// A profile draws a Schedule: the sites, their networks, and a list of everything that
// happens, in the order of time. A schedule is data. Its text is a line each for the
// sites, the LAN, the overlay and the links, and a line for each step:
//
//	schedule 2 profile fed-wan seed 17 answers 2.5 length 31.2s
//	site s0 nodes 3 gateways 2 ahead 0s           n0, n1 and n2; n0 and n1 are gateways
//	site s1 nodes 2 gateways 1 ahead 10m0s weight 2   n3 and n4; its wall clocks are wrong; primary views
//	lan delay 20µs 94µs jitter 18µs loss 1 double 0 late 2 3ms refuse   hosts of dead processes say so
//	wan detect 300ms hints 10 promises loss 5 double 1 late 2 1.5s
//	link s0 s1 delay 20ms 21ms jitter 1ms loss 0
//	5.044ms start n1
//	84.676ms connect n0.2 g2,g0                   client 2 of n0, and the groups it joins
//	84.7ms connect n2.0 g1/independent            a session with independent scopes
//	4.7s say n0.2 safe g0,#c1#n1 100B x20 500µs   20 messages, one each 500µs
//	5s join n0.2 g1
//	6s crash n1 5ms                               and 5 ms later its next life
//	6.1s partition s0 aba 3s                      a letter for each node of s0: its side
//	6.2s oneway n0 n2 100% 1s                     what n0 sends to n2 is lost
//	7s slow n1 2ms 3s                             each step takes 2 ms, for 3 s
//	8s pause n2 10s                               as by SIGSTOP
//	9s split ab 4s                                a letter for each site
//	9.5s mute s0 s1 80% 1s                        promises of s0 to s1 get lost
//
// Lines that begin with # are comments. Faults end by themselves, and may overlap:
// what packets go through is the sum of all that are under way. Verb has the rest.
// Groups whose names begin with s never leave their site.
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
// Then all must come to rest: one ring a site, one view of all sites that can reach each
// other, everybody attached, nothing left. What each ring had when the play last looked has to
// be stable by the next look; in federations Ticks go on. TestSoak torments a site for ten
// minutes and looks at its heap and queues.
//
// # What is modelled
//
//   - The LAN: every ordered pair of nodes has its delay; loss, duplicates, packets
//     out of order, one-way loss, partitions of any shape.
//   - The node: a life from boot to crash, with a new boot id and incarnation each
//     time; a clock that runs up to 200 ppm fast or slow; sleep, as by SIGSTOP;
//     slowness. While it is busy, packets wait in a socket that holds a bounded number,
//     and then come in the order in which the loop of a real node takes them.
//   - The WAN, standing for the overlay: shortest ways between gateways, over links that
//     have delay, jitter and loss and may be cut, and over gateways that may die or hang;
//     routing notices both after a while, each gateway at a time of its own. The log of
//     each instance is pulled by the gateway of each other instance that is nearest to
//     it, for a while by two, in order and resumed from its import position after every
//     break, with back-pressure. Promises are datagrams that get lost, doubled, late and
//     out of order, and so are unreliable messages, which go to one gateway of an
//     instance along one way. Controls go to one gateway of an instance, in order; those on a way that
//     breaks are lost, and one in a hundred of the others where promises get lost. Link
//     state shows each instance once; it is flooded with the ways' delays, can be late,
//     blind and wrong about delays.
//   - Clocks: a node's may leap by up to an hour, ahead or back; a site's wall clocks may be
//     wrong.
//   - Clients: one or more a node; all services, one and many groups, private
//     groups (also of nobody), self-discard, sizes from nothing over several packets
//     to some MiB; answers to what they receive, which makes causes; ends of sessions
//     and new ones; groups that never leave a site; sessions with independent scopes. Clients come back with their node,
//     under the same private name.
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
// all nodes in one ring of their site and the one view of all sites that can reach each
// other (P25), nothing left to send (P27), the sizes of queues (P24) and the number of
// views and rings after the last fault (P28).
//
// The traces have keys: merge.Config.Trace tells what the machine does, and
// internal/trace puts it, the rings and the outputs into the order in which they
// happened.
//
// TestMutants and TestMutantsOfViews change the traces of clean runs as faults of the
// router would; the predicate that is meant must notice.
//
// # Profiles
//
// A profile says what a seed makes and what happens to it. Random runs draw from all but
// the rare ones: site, site-large, site-quiet (together: one-site); fed-calm, fed-wan, fed-lan,
// fed-gateways, fed-hang, fed-chaos, six-regions (federations). Rare is:
//
//   - fifty-sites: a second of virtual time in which somebody sends takes a quarter of a
//     minute, a run five to ten minutes. TestManySites plays such a federation without
//     faults (-sim.sites=50; sixteen sites in the ordinary tests) and looks at what an idle
//     link costs.
//
// # Reading the code
//
// federation.go is a run, life.go a node and inbox.go what waits for it, lan.go a site's
// network; wan.go, advert.go, carry.go and stream.go stand for the overlay; output.go is
// what is seen, run.go the verdict. schedule.go and fields.go are a schedule and its
// text; profile.go, draw.go, atlas.go, trouble.go and storm.go draw one; play.go,
// slot.go and client.go play it; rest.go and facts.go look at the end, shrink.go makes
// it shorter.
//
// The package imports every pure package.
package sim
