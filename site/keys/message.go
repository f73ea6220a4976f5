package keys

import (
	"encoding/binary"

	"ringway/site/seal"
)

// The two messages of a session. Numbers are little-endian:
//
//	0 version 1, kind, two bytes zero
//	4 boot     of the share, or of the acknowledged one
//	12 epoch
//	16 counter, sender secret, wrap secret: of a share only
const (
	messageVersion = 1
	kindShare      = 1
	kindAck        = 2
	ackBytes       = 16
	shareBytes     = ackBytes + 8 + 2*seal.SecretBytes
	// maxMessage bounds what is read: anything longer is nonsense.
	maxMessage = 512
)

// A message is a share, or the acknowledgement of one (Boot and Epoch only).
type message struct {
	kind  byte
	share seal.Share
}

func appendMessage(b []byte, m *message) []byte {
	b = append(b, messageVersion, m.kind, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, m.share.Boot)
	b = binary.LittleEndian.AppendUint32(b, m.share.Epoch)
	if m.kind == kindShare {
		b = binary.LittleEndian.AppendUint64(b, m.share.Counter)
		b = append(b, m.share.Sender[:]...)
		b = append(b, m.share.Wrap[:]...)
	}
	return b
}

// parseMessage says whether b is one of the two messages.
func parseMessage(b []byte) (m message, ok bool) {
	if len(b) < ackBytes || b[0] != messageVersion || b[2] != 0 || b[3] != 0 {
		return message{}, false
	}
	m.kind = b[1]
	m.share.Boot = binary.LittleEndian.Uint64(b[4:])
	m.share.Epoch = binary.LittleEndian.Uint32(b[12:])
	switch {
	case m.share.Boot == 0:
		return message{}, false
	case m.kind == kindAck && len(b) == ackBytes:
		return m, true
	case m.kind == kindShare && len(b) == shareBytes:
		m.share.Counter = binary.LittleEndian.Uint64(b[ackBytes:])
		copy(m.share.Sender[:], b[ackBytes+8:])
		copy(m.share.Wrap[:], b[ackBytes+8+seal.SecretBytes:])
		return m, true
	}
	return message{}, false
}
