// Package netem emulates WAN links between network namespaces of one machine, where
// the kernel cannot: what tc netem does to packets, done by a process to what goes
// through pairs of TUN devices.
//
//	engine, err := netem.New(netem.Options{})
//	if err != nil { … }
//	defer engine.Close()
//
//	profile, err := netem.Parse("delay=40ms jitter=0.5ms loss=0.1% rate=200mbit")
//	err = engine.Connect(netem.Link{
//		A:       netem.End{Site: "paris", Space: "/run/netns/paris", Interface: "wan0"},
//		B:       netem.End{Site: "tokyo", Space: "/run/netns/tokyo", Interface: "wan0"},
//		Profile: profile,
//	})
//	err = engine.Change("paris", "tokyo", "delay=80ms")
//	err = engine.SetDown("paris", "tokyo", true)
//
// Interfaces come without addresses and routes; those are the caller's, as with a veth.
//
// # Settings
//
// A profile is written as key=value, with spaces between; a command line and a topology
// file have the same. What is not named is zero. Percentages are from 0% to 100%, and
// where /COR may follow it is a correlation, a percentage too.
//
//	delay=80ms                  one way; up to 10s
//	jitter=2ms[/COR]            how far the delay strays
//	distribution=normal         of jitter: uniform (the default), normal, pareto, paretonormal
//	loss=0.5%[/COR]             lost, each packet for itself
//	loss-model=gemodel:P:R:L:K  lost in bursts (Gilbert-Elliott): a good link turns bad with
//	                            probability P at each packet, a bad one good with R; a bad one
//	                            loses L (1-h, default 100%), a good one K (1-k, default 0%);
//	                            R is 1-P if left out. none: no model
//	duplicate=1%[/COR]          come twice
//	reorder=25%[/COR]           do not wait for the delay, and so overtake
//	reorder=allow[/25%[/COR]]   jitter may reorder too
//	gap=5                       of so many packets, at most one overtakes by reorder
//	rate=200mbit                in bit, kbit, mbit, gbit per second; thousands
//	limit=100ms, limit=256kb    of the queue at that rate, in time or in bytes (b, kb, mb of 1024);
//	                            what comes to a full one is dropped; default 100ms
//
// Profile.String writes what Parse reads. Profile.TC writes arguments for tc.
//
// # What tc netem does, and what not
//
// Names and semantics are those of tc netem: the order of steps, the correlated random
// numbers (whose correlation makes small shares smaller, as there), the quantiles of
// the distributions, the states of the loss model, the 14 bytes of an Ethernet header
// in a rate. These are different, on purpose:
//
//   - Jitter never reorders unless the profile says reorder=allow: a packet whose delay
//     is shorter than that of the one before leaves with it, at once after. So where
//     packets follow each other closely their mean delay is above the profile's, by up
//     to the jitter. tc netem keeps the order if there is a rate, so TC adds one of
//     100gbit.
//   - A change does not let later packets overtake earlier ones either.
//   - The limit is of the queue at the rate, not of all packets, among which tc netem
//     has those that only wait for the delay. TC gives it place for both, in packets of
//     1500 bytes.
//   - Correlation of jitter works. In the kernel, a remainder destroys it.
//   - A rate is of the way into the link, before the delay; with reorder=allow, jitter
//     reorders at a rate too.
//
// # Parts
//
// Model is one direction: a pure machine, to which a packet's arrival and random numbers
// come in, and what comes out is when it leaves. Engine has the links. Its worker is
// one thread that sleeps in ppoll until a packet comes or the next one is due, and has
// a heap of due packets per direction. One thread serves all links: measured on two
// cores with 15 links and 200 Mbit/s in all, a thread per link or per direction took
// four times the processor time and had ten times the error (BenchmarkSixRegions).
// Options.Workers is for more cores, and more packets than one thread can move.
//
// A laboratory runs an engine in a process of its own, which does nothing else:
//
//	client, file, err := netem.Pair()        // a socket; the client has Engine's methods
//	cmd.ExtraFiles = []*os.File{file}        // the other end is for the engine's process
//
//	err = netem.Prioritize()                 // there: links before the nodes that use them
//	conn, err := netem.Inherited()
//	netem.Serve(ctx, conn, engine)           // until the client leaves, or says stop
//
// On the socket, a request is a line of JSON and so is its answer. An engine whose client
// ends, however that happens, ends too and its links vanish. Go's own scheduler
// makes threads wait for each other; Prioritize therefore raises all of them. Without
// it, on a machine that is busy, packets are tens of milliseconds late.
//
// # Status
//
// Engine.Status has for each direction its profile, what came, left and waits, what was
// dropped by which cause, and a histogram of how late packets left. Unread packets
// were lost in front of the engine, which was not scheduled for too long: the machine
// is not fit for what is asked.
//
// # Nothing stays behind
//
// A TUN device vanishes when the file that made it is closed: with Disconnect, with
// Close, and with the engine's process, however it ends. Removing a namespace removes
// its end of a link; the link then has a Fault and carries nothing until it is
// disconnected and connected again.
//
// # Bounds
//
// A delay is up to 10 s; 64 MiB are on their way in one direction, an interface holds
// 5000 packets that the engine has not read; 1000 links.
//
// # Privileges
//
// TUN devices need CAP_NET_ADMIN and /dev/net/tun, namespaces CAP_SYS_ADMIN, Prioritize
// CAP_SYS_NICE. The model and the settings are for any system, the engine is for Linux.
package netem
