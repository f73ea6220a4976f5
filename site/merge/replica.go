package merge

import (
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

type Replica struct{ cfg Config }

func New(cfg Config) *Replica { return &Replica{cfg: cfg} }
func (r *Replica) Ring(now time.Duration, ev *ring.Event, fx *Effects) {}
func (r *Replica) Connect(now time.Duration, c membership.ClientID, name string, fx *Effects) {}
func (r *Replica) Submit(now time.Duration, c membership.ClientID, req Request, fx *Effects) {}
func (r *Replica) Disconnect(now time.Duration, c membership.ClientID, fx *Effects) {}
func (r *Replica) QueuedBytes(c membership.ClientID) int { return 0 }
func (r *Replica) QueuedTotal() (messages, bytes int) { return 0, 0 }
func (r *Replica) Import(now time.Duration, log membership.LogID, records [][]byte, fx *Effects) {}
func (r *Replica) ImportPosition(log membership.LogID) uint64 { return 0 }
func (r *Replica) ImportBacklog() int { return 0 }
func (r *Replica) PromiseIn(now time.Duration, data []byte, fx *Effects) {}
func (r *Replica) ControlIn(now time.Duration, from membership.SiteID, data []byte, fx *Effects) {}
func (r *Replica) Reach(now time.Duration, reach []Reach, fx *Effects) {}
func (r *Replica) Wake(now time.Duration, fx *Effects) {}
func (r *Replica) Deadline() (time.Duration, bool) { return 0, false }
func (r *Replica) Backlog() int { return 0 }
func (r *Replica) Next(now time.Duration, room int) (ring.Frame, bool) { return ring.Frame{}, false }
func (r *Replica) Status() Status { return Status{} }
