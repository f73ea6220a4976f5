// Package lostpeer notices that the host at the other end of a TCP connection is gone:
// without power, without a network. No packet says so, and TCP alone takes a quarter of
// an hour or more while something is under way to it.
//
// An idle connection is TCP's own keep-alive's to judge (KeepAlive). That does not run
// while bytes wait to be acknowledged; those a Watch judges, by what the kernel says of
// the connection (TCP_INFO).
//
// TCP_USER_TIMEOUT would do the same in the kernel, and more: it also ends connections
// whose peer is alive and reads nothing. That is a slow reader, or a sender that is held
// back, and theirs is another decision. The difference is whether the peer acknowledges
// probes of its closed window; so a Watch asks for two things:
//
//	L1  something went out that was not acknowledged, and was sent again at least once
//	    (retransmission or probe);
//	L2  nothing at all was acknowledged since the look that saw L1 first, and that was
//	    Patience ago.
//
// An acknowledgement of anything starts the time anew. With a look every Interval, a lost
// host is noticed within Bound of the first byte that it does not acknowledge. For a peer
// that had not read for long, probes are rare: add the pause between two of them, which
// grows to two minutes.
//
// On systems other than Linux a Watch sees nothing, and TCP's own times hold.
package lostpeer
