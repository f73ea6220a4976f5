package ring

import "ringway/membership"

// An assembler puts cut frames together again. It sees pieces in the ring's
// order, so all members of a ring decide alike what it holds and what it
// refuses.
//
//	A1 at most MaxLarge partial frames of a sender
//	A2 at most MaxLargeBytes and one frame of claimed size in all
//	A3 memory is taken for bytes that came, never for a claimed size
type assembler struct {
	partial []partial
	claimed int
}

type partial struct {
	sender membership.NodeID
	frame  uint32
	size   uint32
	got    uint32
	pieces [][]byte
}

func (a *assembler) reset() {
	clear(a.partial)
	a.partial, a.claimed = a.partial[:0], 0
}

// add takes in a piece. It returns the whole frame with the last one, and false
// if a piece does not fit what came before.
func (a *assembler) add(sender membership.NodeID, e *entry) (frame []byte, ok bool) {
	at, others := -1, 0
	for i := range a.partial {
		if a.partial[i].sender != sender {
			continue
		}
		if a.partial[i].frame == e.frame {
			at = i
		}
		others++
	}
	if at < 0 {
		if e.offset != 0 || others >= MaxLarge || a.claimed > MaxLargeBytes {
			return nil, false
		}
		at = len(a.partial)
		a.partial = append(a.partial, partial{sender: sender, frame: e.frame, size: e.size})
		a.claimed += int(e.size)
	}
	p := &a.partial[at]
	if e.size != p.size || e.offset != p.got {
		a.remove(at)
		return nil, false
	}
	p.pieces = append(p.pieces, e.data)
	p.got += uint32(len(e.data))
	if p.got < p.size {
		return nil, true
	}
	frame = make([]byte, 0, p.size)
	for _, piece := range p.pieces {
		frame = append(frame, piece...)
	}
	a.remove(at)
	return frame, true
}

func (a *assembler) remove(i int) {
	a.claimed -= int(a.partial[i].size)
	last := len(a.partial) - 1
	a.partial[i] = a.partial[last]
	a.partial[last] = partial{}
	a.partial = a.partial[:last]
}
