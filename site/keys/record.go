package keys

import (
	"bytes"
	"encoding/binary"
)

// What must be known of DTLS datagrams from outside of the module that speaks DTLS: a
// first look at what strangers send.

// The layout of a record and of a handshake message in it.
const (
	recordHeader    = 13
	handshakeHeader = 12
	maxRecords      = 32 // in a datagram; a flight has six

	typeChangeCipherSpec = 20
	typeHandshake        = 22

	clientHello        = 1
	helloVerifyRequest = 3
)

// nextRecord takes a record off a datagram.
func nextRecord(b []byte) (record, rest []byte, ok bool) {
	if len(b) < recordHeader || b[1] != 0xFE || b[2] != 0xFD && b[2] != 0xFF {
		return nil, nil, false
	}
	n := recordHeader + int(binary.BigEndian.Uint16(b[11:]))
	if n > len(b) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

func epoch(record []byte) uint16 { return binary.BigEndian.Uint16(record[3:]) }

// handshakeBody returns the body of a handshake message in the clear that is whole.
func handshakeBody(record []byte, kind byte) ([]byte, bool) {
	const at = recordHeader + handshakeHeader
	if len(record) < at || record[0] != typeHandshake || epoch(record) != 0 || record[recordHeader] != kind {
		return nil, false
	}
	return record[at:], true
}

// isHello says whether a datagram begins a handshake.
func isHello(datagram []byte) bool {
	record, _, ok := nextRecord(datagram)
	if !ok {
		return false
	}
	_, ok = handshakeBody(record, clientHello)
	return ok
}

// cookieOf returns the cookie that a HelloVerifyRequest asks to be echoed, or nil.
func cookieOf(datagram []byte) []byte {
	record, _, ok := nextRecord(datagram)
	if !ok {
		return nil
	}
	body, ok := handshakeBody(record, helloVerifyRequest)
	if !ok || len(body) < 3 || len(body) < 3+int(body[2]) {
		return nil
	}
	return body[3 : 3+int(body[2])]
}

// echoes says whether a datagram is a ClientHello with that cookie.
func echoes(datagram, cookie []byte) bool {
	record, _, ok := nextRecord(datagram)
	if !ok || len(cookie) == 0 {
		return false
	}
	body, ok := handshakeBody(record, clientHello)
	const random = 2 + 32 // version and random
	if !ok || len(body) < random+1 {
		return false
	}
	at := random + 1 + int(body[random])
	if len(body) < at+1 || len(body) < at+1+int(body[at]) {
		return false
	}
	return bytes.Equal(body[at+1:at+1+int(body[at])], cookie)
}

// harmless says whether all records of a datagram are ones that somebody without the keys
// may send in an established session: parts of the handshake, sent again, and what is
// sealed. An alert in the clear is not: anybody could end the session with it.
func harmless(datagram []byte) (sealed, ok bool) {
	sealed = true
	for range maxRecords {
		var record []byte
		if record, datagram, ok = nextRecord(datagram); !ok {
			return false, false
		}
		if epoch(record) == 0 {
			sealed = false
			if record[0] != typeHandshake && record[0] != typeChangeCipherSpec {
				return false, false
			}
		}
		if len(datagram) == 0 {
			return sealed, true
		}
	}
	return false, false
}
