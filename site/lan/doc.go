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
// When a send fails later in a way that may be the mode's fault (an interface without
// checksum offload answers EIO), the packet at hand is sent in the modes below. If one
// of them can, it is kept to from then on, with a warning; if none can, the packet was
// at fault, and it alone is lost. Order is kept in every mode. Receiving takes batches
// (recvmmsg) unless the mode is plain or the kernel refuses them.
//
// # Seals
//
// A port with a Seal seals every packet that it sends, each into its place in a batch's
// memory, and opens every packet that it receives, from the socket's buffer into the
// memory that is handed up; no packet is copied or allocated for it. What cannot be
// opened is dropped before anything else looks at it, counted by cause, and complained
// of once a minute for each cause. A port without a Seal refuses sealed packets: there
// is no way down from one to the other but the operator's.
//
// # Knocks
//
// Knock asks a peer's host whether the peer's process lives, with an empty datagram from a
// socket of its own. Whoever gets one does nothing: that it was not refused is the answer.
//
// # Rules
//
//  1. Packets to one destination leave in the order in which they were given.
//  2. Nothing that a peer, the network or the kernel does with a packet ends a port:
//     it counts and goes on. Only Close, or a socket that is gone, ends it.
//  3. A reader that only meets errors pauses between them.
//  4. What is larger than any ring packet is dropped and counted. Packets from unknown
//     addresses are counted and treated as any other: the seal authenticates, addresses
//     do not.
//
// # Memory
//
// A reader copies packets out of its fixed buffers into arena chunks that are never
// reused. Whoever keeps a packet keeps its chunk; the garbage collector frees it when
// the last one is gone. Chunks hold no pointers, so collecting them is cheap.
//
// Packages lan may import: membership, site/ring (for the Packet type), site/seal.
package lan
