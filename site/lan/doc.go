// Package lan has the ring's sockets: it sends packets to one node or to all nodes of
// the site, and hands up what arrives, in batches.
//
// # Sockets
//
// One UDP socket is bound to the node's own address. It sends everything, and
// receives what is meant for this node alone: the token, joins, wake-ups. A second
// one is bound to the site's multicast group and receives data. Without a multicast
// group (clouds) a packet to all is sent once to each peer.
//
// Several nodes may run on one host, on loopback too and without root: the group is
// joined on the interface that has the node's address, multicast is looped back to
// the host, and a node drops its own packets by their source address.
//
// # Batches
//
// Sending is the largest lever for the ring's speed, so packets are sent in the best
// way that the kernel offers, found by trying when the port opens:
//
//	udp_segment  a run of equal packets is one system call and one pass through
//	             the kernel (UDP_SEGMENT); arriving runs come in one piece (UDP_GRO)
//	sendmmsg     many packets in one system call
//	plain        a system call for each
//
// A mode that fails later (an interface without checksum offload answers EIO) is
// left for the next one, and the packets are sent again that way. Order is kept in
// every mode.
//
// # Memory
//
// A reader copies packets out of its fixed buffers into arena chunks that are never
// reused. Whoever keeps a packet keeps its chunk; the garbage collector frees it when
// the last one is gone. Chunks hold no pointers, so collecting them is cheap.
//
// Packages lan may import: membership, site/ring (for the Packet type).
package lan
