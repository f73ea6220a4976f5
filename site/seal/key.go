package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"ringway/site/ring"
)

// SecretBytes is the size of every secret: an AES-256 key's.
const SecretBytes = 32

// A Secret is what a key is derived from.
type Secret [SecretBytes]byte

// Format keeps secrets out of logs, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, "(secret)") } //nolint:errcheck // as fmt itself

// erase overwrites a secret that is no longer needed.
func (s *Secret) erase() { clear(s[:]) }

// What a secret is for; in the derivation, so that one secret can never be two keys.
const (
	forSender = "ringway seal 1 sender"
	forWrap   = "ringway seal 1 wrap"
	forView   = "ringway seal 1 view"
)

// ofRing is the context of a view key.
func ofRing(id ring.ID) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(id.Representative))
	return binary.LittleEndian.AppendUint64(b, id.Counter)
}

// ofLife is the context of a wrap key: the life of the node that wraps with it.
func ofLife(boot uint64) []byte { return binary.LittleEndian.AppendUint64(nil, boot) }

// A key is a secret made ready.
type key struct {
	aead cipher.AEAD
	id   uint32 // by which a receiver finds it; says nothing of the key
}

// derive makes the key of a secret for a purpose, in a context that only it is for.
func derive(secret *Secret, purpose string, context ...byte) key {
	okm, err := hkdf.Key(sha256.New, secret[:], nil, purpose+string(context), SecretBytes+4)
	if err != nil {
		panic("seal: hkdf: " + err.Error()) // only lengths beyond its limit
	}
	defer clear(okm)
	block, err := aes.NewCipher(okm[:SecretBytes])
	if err != nil {
		panic("seal: aes: " + err.Error()) // only key sizes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("seal: gcm: " + err.Error())
	}
	return key{aead: aead, id: binary.LittleEndian.Uint32(okm[SecretBytes:])}
}
