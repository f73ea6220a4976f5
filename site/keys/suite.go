package keys

import (
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync/atomic"

	"github.com/pion/dtls/v2"
	"github.com/pion/dtls/v2/pkg/crypto/clientcertificate"
	"github.com/pion/dtls/v2/pkg/crypto/prf"
	"github.com/pion/dtls/v2/pkg/protocol"
	"github.com/pion/dtls/v2/pkg/protocol/recordlayer"
	"golang.org/x/crypto/chacha20poly1305"
)

// suiteID is TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256.
const suiteID dtls.CipherSuiteID = 0xCCA9

const (
	suiteKeyBytes = chacha20poly1305.KeySize
	suiteIVBytes  = chacha20poly1305.NonceSize
	suiteTagBytes = 16
)

var (
	errNotReady = errors.New("cipher suite has no keys yet")
	errRecord   = errors.New("record is not sealed by the peer")
)

// A suite is that cipher suite for one connection. Its nonces are never drawn: each is
// the IV xor the record's epoch and number, of which a connection uses none twice.
type suite struct{ halves atomic.Pointer[[2]half] }

// A half seals one direction.
type half struct {
	aead cipher.AEAD
	iv   [suiteIVBytes]byte
}

// The halves.
const (
	local = iota
	remote
)

func suites() []dtls.CipherSuite { return []dtls.CipherSuite{&suite{}} }

func (*suite) String() string                          { return "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" }
func (*suite) ID() dtls.CipherSuiteID                  { return suiteID }
func (*suite) CertificateType() clientcertificate.Type { return clientcertificate.ECDSASign }
func (*suite) HashFunc() func() hash.Hash              { return sha256.New }
func (*suite) ECC() bool                               { return true }
func (s *suite) IsInitialized() bool                   { return s.halves.Load() != nil }

func (*suite) AuthenticationType() dtls.CipherSuiteAuthenticationType {
	return dtls.CipherSuiteAuthenticationTypeCertificate
}

func (*suite) KeyExchangeAlgorithm() dtls.CipherSuiteKeyExchangeAlgorithm {
	return dtls.CipherSuiteKeyExchangeAlgorithmEcdhe
}

// Init implements dtls.CipherSuite.
func (s *suite) Init(masterSecret, clientRandom, serverRandom []byte, isClient bool) error {
	k, err := prf.GenerateEncryptionKeys(masterSecret, clientRandom, serverRandom, 0, suiteKeyBytes, suiteIVBytes, s.HashFunc())
	if err != nil {
		return err
	}
	client, err := newHalf(k.ClientWriteKey, k.ClientWriteIV)
	if err != nil {
		return err
	}
	server, err := newHalf(k.ServerWriteKey, k.ServerWriteIV)
	if err != nil {
		return err
	}
	halves := [2]half{local: server, remote: client}
	if isClient {
		halves = [2]half{local: client, remote: server}
	}
	s.halves.Store(&halves)
	return nil
}

func newHalf(key, iv []byte) (h half, err error) {
	h.aead, err = chacha20poly1305.New(key)
	copy(h.iv[:], iv)
	return h, err
}

// nonce returns the IV xor epoch and number, which stand at 3 to 10 of the header.
func (h *half) nonce(header []byte) []byte {
	n := h.iv
	for i := range 8 {
		n[4+i] ^= header[3+i]
	}
	return n[:]
}

// authenticated is epoch and number, type, version and length of the plain text.
func authenticated(header []byte, length int) []byte {
	b := make([]byte, 0, 13)
	b = append(b, header[3:11]...)
	b = append(b, header[:3]...)
	return binary.BigEndian.AppendUint16(b, uint16(length))
}

// Encrypt implements dtls.CipherSuite. raw is the record with its header, plain.
func (s *suite) Encrypt(_ *recordlayer.RecordLayer, raw []byte) ([]byte, error) {
	halves := s.halves.Load()
	if halves == nil || len(raw) < recordlayer.HeaderSize {
		return nil, errNotReady
	}
	h := &halves[local]
	plain := raw[recordlayer.HeaderSize:]
	out := make([]byte, recordlayer.HeaderSize, len(raw)+suiteTagBytes)
	copy(out, raw)
	binary.BigEndian.PutUint16(out[recordlayer.HeaderSize-2:], uint16(len(plain)+suiteTagBytes))
	return h.aead.Seal(out, h.nonce(out), plain, authenticated(out, len(plain))), nil
}

// Decrypt implements dtls.CipherSuite.
func (s *suite) Decrypt(in []byte) ([]byte, error) {
	halves := s.halves.Load()
	switch {
	case halves == nil:
		return nil, errNotReady
	case len(in) >= recordlayer.HeaderSize && protocol.ContentType(in[0]) == protocol.ContentTypeChangeCipherSpec:
		return in, nil
	case len(in) < recordlayer.HeaderSize+suiteTagBytes:
		return nil, errRecord
	}
	h := &halves[remote]
	header, sealed := in[:recordlayer.HeaderSize], in[recordlayer.HeaderSize:]
	plain, err := h.aead.Open(nil, h.nonce(header), sealed, authenticated(header, len(sealed)-suiteTagBytes))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	return append(header[:len(header):len(header)], plain...), nil
}
