//go:build linux

package netlab

import (
	"fmt"
	"math"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A Rule drops packets on their way through a switch.
type Rule struct {
	From, To string  // spaces; empty: all
	Loss     float64 // share that is dropped, at random; 0 or 1: everything
}

// Partition lets spaces hear only those of their own part. Spaces in no part hear
// everybody.
func Partition(parts ...[]string) []Rule {
	var rules []Rule
	for i, part := range parts {
		for j, other := range parts {
			if i == j {
				continue
			}
			for _, from := range part {
				for _, to := range other {
					rules = append(rules, Rule{From: from, To: to})
				}
			}
		}
	}
	return rules
}

// Deaf lets a space hear nobody; the others hear it.
func Deaf(name string) Rule { return Rule{To: name} }

// Mute lets nobody hear a space; it hears the others.
func Mute(name string) Rule { return Rule{From: name} }

// OneWay cuts one direction between two spaces.
func OneWay(from, to string) Rule { return Rule{From: from, To: to} }

// Lossy drops a share of everything that is sent to a space.
func Lossy(name string, loss float64) Rule { return Rule{To: name, Loss: loss} }

// lossUnits is the resolution of Loss.
const lossUnits = 1 << 20

// Heal removes all rules.
func (w *Switch) Heal() error { return w.Filter() }

// Filter replaces the rules of the switch by these, all at once.
func (w *Switch) Filter(rules ...Rule) error {
	conn, err := nftables.New(nftables.WithNetNSFd(int(w.space.ns)))
	if err != nil {
		return fmt.Errorf("switch %s: nftables: %w", w.space.name, err)
	}
	// Adding what is there does no harm, and what is there can be deleted: so the old
	// table goes whether or not there was one.
	table := conn.AddTable(&nftables.Table{Name: "netlab", Family: nftables.TableFamilyBridge})
	conn.DelTable(table)
	if len(rules) > 0 {
		conn.AddTable(table)
		chain := conn.AddChain(&nftables.Chain{
			Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
		})
		for _, r := range rules {
			exprs, err := r.exprs()
			if err != nil {
				return fmt.Errorf("switch %s: %w", w.space.name, err)
			}
			conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("switch %s: set %d nftables rules (the kernel needs nf_tables for bridges): %w", w.space.name, len(rules), err)
	}
	return nil
}

func (r Rule) exprs() ([]expr.Any, error) {
	if math.IsNaN(r.Loss) || r.Loss < 0 || r.Loss > 1 {
		return nil, fmt.Errorf("rule from %q to %q: loss %v: want 0 to 1", r.From, r.To, r.Loss)
	}
	var all []expr.Any
	for _, end := range []struct {
		key  expr.MetaKey
		name string
	}{{expr.MetaKeyIIFNAME, r.From}, {expr.MetaKeyOIFNAME, r.To}} {
		if end.name == "" {
			continue
		}
		if err := checkName(end.name); err != nil {
			return nil, fmt.Errorf("rule: %w", err)
		}
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, end.name)
		all = append(all, &expr.Meta{Key: end.key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name})
	}
	if r.Loss > 0 && r.Loss < 1 {
		// Numbers are compared byte by byte, hence in network order.
		all = append(all,
			&expr.Numgen{Register: 1, Modulus: lossUnits, Type: unix.NFT_NG_RANDOM},
			&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
			&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(uint32(r.Loss * lossUnits))})
	}
	return append(all, &expr.Verdict{Kind: expr.VerdictDrop}), nil
}
