// Package lab turns a topology into a laboratory on one machine: a network namespace a
// node, a bridge a site, and between sites routers whose links delay, lose and limit as
// the topology's [link.wan] says. It is what `ringway lab` does.
//
//	node ── eth0 ── bridge of the site (the LAN, multicast included)
//	  └──── wan ─── router of the site ── a link for each other site ── its router
//
// Addresses are the topology's own. The router of a site has an interface for each link,
// named like the site at its other end; a gateway's way to it is named wan.
//
// # Parts
//
//	plan      what has to be made, and why a topology cannot be
//	wan       links by tc netem where the kernel has it
//	emulated  else by internal/netem, in a process of its own
//	process   a node's process: start, kill, pause
//	Lab       all of it, and the faults
//	Serve     a process that keeps a lab and obeys commands on a unix socket
//	Call      a command to it
//
// # A lab's life
//
// `ringway lab up` starts a server in the background, which owns the namespaces, the
// links and the nodes' processes. Everything ends with it.
//
//	lab serve ──┬── lab engine          emulates the links, at real-time priority
//	            ├── node …              in its namespace
//	            └── control.sock        where commands come from
//
// The emulator is a process of its own because packets must not wait for anything else
// that the server does: on a busy machine they leave 0.1 ms late instead of 8 (99 % of
// them). It has an end of a socket pair and no name; it ends when the other end closes,
// and the kernel kills it with the server. If it ends before, every link is dead: status
// says so, and commands other than down fail. A server that is killed leaves
// namespaces behind that bear its process's number: the next up, and down, remove them
// (internal/netlab). Nothing is ever made in the namespace that one works in.
//
// # Faults
//
// Do takes the words of the command line. Links have all settings of internal/netem, in
// both directions or in one; a site's LAN, or what one node hears of it, has a loss. A
// partition divides sites, or the nodes of a site. Scripts of faults, with clients and
// judges, are internal/scenario.
//
// # Files
//
// Logs and traces of the nodes, and the topology as they read it, are in the lab's
// folder. If the topology names certificates that are not there, the lab makes some.
//
// The package is for Linux and needs root.
package lab
