package site

import "context"

// drain ends the node's part in everything, in order, while the loop still runs: its
// clients leave, other sites get what they have sent, neighbours move their streams to
// other gateways, and the ring is told. Whatever takes too long is left out.
func (n *node) drain() {
	n.draining.Store(true)
	n.log.Info("draining: clients leave in order")
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	n.in.call(n.loop.flow.stop) // who is held back could not leave
	n.sessions.Close(ctx)
	if !n.await(ctx, func() bool { return n.loop.clients == 0 }) {
		n.log.Warn("stopped before all clients had left in order")
	}
	if n.gateway != nil {
		n.drainGateway()
	}
	n.leaveRing()
}

// drainGateway hands over what goes through this gateway.
func (n *node) drainGateway() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	var flushed func() bool
	if !n.await(ctx, func() bool {
		if flushed == nil {
			flushed = n.loop.wan.flushed()
		}
		return flushed()
	}) {
		n.log.Warn("stopped before all other sites had what this one has sent")
	}
	n.unlink()
	select {
	case <-n.unlinked:
	case <-n.done:
	}
}

// leaveRing tells the ring, so that the others need not find out.
func (n *node) leaveRing() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	l := n.loop
	n.in.call(func() { l.core.Leave(l.now(), &l.fx) })
	if !n.await(ctx, l.core.Left) {
		n.log.Warn("stopped before the others in the ring had what this node has sent")
	}
}

// await waits until the loop finds the condition true, or the context or the loop ends.
func (n *node) await(ctx context.Context, condition func() bool) bool {
	met := make(chan struct{})
	n.in.call(func() { n.loop.gate.hold(condition, met) })
	select {
	case <-met:
		return true
	case <-n.done:
	case <-ctx.Done():
	}
	n.in.call(func() { n.loop.gate.drop(met) })
	return false
}

// flushed returns what says whether every other site has what this one has sent till now.
// A view that ends hands over by itself what it had.
func (w *wan) flushed() func() bool {
	own, end := w.own, w.appended
	return func() bool { return w.own != own || w.trimmed >= end }
}
