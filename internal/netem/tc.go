package netem

import (
	"strconv"
	"time"
)

// tc netem counts the packets of its queue, among them those that only wait for the
// delay. Where a rate bounds them, there is place for as many full packets as that
// holds; with small packets, the queue is shorter in time.
const (
	fullPacket = 1500 + ethernetHeader
	minTCLimit = 1000    // netem's own default
	tcLimit    = 100_000 // without a rate: 200 ms of 500 000 packets a second
)

// unhurried is a rate that takes no time: netem keeps the order of packets where it
// has a rate, and only there.
const unhurried = "100gbit"

// TC returns the profile as what follows "netem" in a command of tc qdisc.
func (p Profile) TC() []string {
	args := []string{"limit", strconv.FormatUint(p.tcLimit(), 10)}
	if p.Delay > 0 || p.Jitter > 0 {
		args = append(args, "delay", formatDuration(p.Delay))
	}
	if p.Jitter > 0 {
		args = appendShare(args, formatDuration(p.Jitter), p.JitterCor)
		if p.JitterShape != Uniform {
			args = append(args, "distribution", p.JitterShape.String())
		}
	}
	if p.Loss > 0 {
		args = appendShare(append(args, "loss", "random"), formatPercent(p.Loss), p.LossCor)
	}
	if g := p.Burst; g != (GilbertElliott{}) {
		args = append(args, "loss", "gemodel", formatPercent(g.P), formatPercent(g.R), formatPercent(g.LossBad), formatPercent(g.LossGood))
	}
	if p.Duplicate > 0 {
		args = appendShare(append(args, "duplicate"), formatPercent(p.Duplicate), p.DuplicateCor)
	}
	if p.Reorder > 0 {
		args = appendShare(append(args, "reorder"), formatPercent(p.Reorder), p.ReorderCor)
		if p.Gap > 0 {
			args = append(args, "gap", strconv.Itoa(p.Gap))
		}
	}
	switch {
	case p.Rate > 0:
		args = append(args, "rate", formatUnits(p.Rate, rateUnits))
	case p.Jitter > 0 && !p.Overtake:
		args = append(args, "rate", unhurried)
	}
	return args
}

func appendShare(args []string, value string, cor float64) []string {
	if args = append(args, value); cor > 0 {
		args = append(args, formatPercent(cor))
	}
	return args
}

func (p Profile) tcLimit() uint64 {
	if p.Rate == 0 {
		return tcLimit
	}
	queue := p.Limit.Time
	if p.Limit == (Limit{}) {
		queue = defaultLimit
	}
	onTheWay := p.Delay + p.Jitter + queue
	bytes := float64(p.Rate)/8*float64(onTheWay)/float64(time.Second) + float64(p.Limit.Bytes)
	return max(minTCLimit, uint64(min(bytes/fullPacket, 1<<31-1)))
}
