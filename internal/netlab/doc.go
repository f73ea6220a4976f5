// Package netlab builds small networks out of Linux network namespaces, breaks them
// and removes them: for tests with real processes, and for laboratories.
//
//	lab, err := netlab.New("demo")
//	if err != nil { … }
//	defer lab.Close()
//
//	lan, err := lab.Switch("lan")
//	a, err := lab.Space("a")
//	cable, err := lan.Plug(a, netip.MustParsePrefix("10.1.0.1/24"))
//	…
//	err = a.Start(exec.Command("some-server"))         // runs in namespace a
//	conn, err := a.Dial(ctx, "tcp", "127.0.0.1:4805")  // as from inside
//
//	err = lan.Filter(netlab.Partition([]string{"a", "b"}, []string{"c"})...)
//	err = lan.Heal()
//	err = cable.Pull()
//
// # Parts
//
// A Network belongs to the process that made it. A Space is a namespace: a machine
// with an own loopback. A Switch is a bridge, in a namespace of its own too, so that
// nothing is ever added to the namespace that the maker runs in. A Space may be
// plugged into several switches: a machine that routes is one with two cables.
//
// # Faults
//
// Cable.Pull takes the carrier away, as a pulled cable does: addresses and routes stay.
// Space.InterfaceDown is what an operator's `ip link set down` does: routes go.
// Switch.Filter replaces all rules of a switch in one nftables transaction. A Rule
// drops what one machine sends to another, or a share of it at random; machines are
// named by their spaces, and an empty name means all. Rules are for one direction, so
// any asymmetry can be had. ARP is dropped with everything else.
//
// # Nothing stays behind
//
// Namespaces are named rw-PID-START-NETWORK-SPACE in /run/netns, where `ip netns exec`
// finds them: PID and START (a clock tick since boot) name the maker even if its number
// is used again. Close kills every process in them and removes them. What a maker
// leaves that was killed itself is removed by the next New; processes that it started
// die with it.
//
// # Privileges
//
// Namespaces need root, in a container CAP_SYS_ADMIN and CAP_NET_ADMIN. Elevate runs
// a program again as root of a user namespace, where the system allows that.
//
// The package is for Linux.
package netlab
