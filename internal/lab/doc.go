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
//	wan       links by tc netem where the kernel has it, else by internal/netem
//	process   a node's process: start, kill, pause
//	Lab       all of it, and the faults
//	Serve     a process that keeps a lab and obeys commands on a unix socket
//	Call      a command to it
//
// # A lab's life
//
// `ringway lab up` starts a server in the background, which owns the namespaces, the
// links and the nodes' processes. Everything ends with it. A server that is killed leaves
// namespaces behind that bear its process's number: the next up, and down, remove them
// (internal/netlab). Nothing is ever made in the namespace that one works in.
//
// Logs and traces of the nodes, and the topology as they read it, are in the lab's
// folder. If the topology names certificates that are not there, the lab makes some.
//
// The package is for Linux and needs root.
package lab
