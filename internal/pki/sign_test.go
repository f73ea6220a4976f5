package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"sync"
	"testing"
	"time"
)

func TestSignatures(t *testing.T) {
	dir := folder(t, "lon-1", "lon-2")
	signer, verifier := load(t, dir, "lon-1"), load(t, dir, "lon-2")
	stranger := load(t, folder(t, "lon-1"), "lon-1")
	body := []byte("edges of lon-1")
	signature := signer.Sign(Control, body)
	if len(signature) != SignatureBytes {
		t.Fatalf("signature of %d bytes", len(signature))
	}
	flipped := bytes.Clone(signature)
	flipped[10] ^= 1
	cases := map[string]struct {
		cert, body, signature []byte
		site, node            string
		want                  error
	}{
		"good":                 {signer.CertificateDER(), body, signature, "lon", "lon-1", nil},
		"empty body":           {signer.CertificateDER(), nil, signer.Sign(Control, nil), "lon", "lon-1", nil},
		"other body":           {signer.CertificateDER(), []byte("edges of lon-2"), signature, "lon", "lon-1", ErrSignature},
		"broken signature":     {signer.CertificateDER(), body, flipped, "lon", "lon-1", ErrSignature},
		"short signature":      {signer.CertificateDER(), body, signature[:63], "lon", "lon-1", ErrSignature},
		"no signature":         {signer.CertificateDER(), body, nil, "lon", "lon-1", ErrSignature},
		"without the context":  {signer.CertificateDER(), body, ed25519.Sign(signer.pair.Load().key, body), "lon", "lon-1", ErrSignature},
		"another's":            {verifier.CertificateDER(), body, signature, "lon", "lon-2", ErrSignature},
		"for another node":     {signer.CertificateDER(), body, signature, "lon", "lon-2", ErrWrongName},
		"for another purpose":  {signer.CertificateDER(), body, signer.Sign(Promise, body), "lon", "lon-1", ErrSignature},
		"for another site":     {signer.CertificateDER(), body, signature, "fra", "lon-1", ErrWrongSite},
		"by another authority": {stranger.CertificateDER(), body, stranger.Sign(Control, body), "lon", "lon-1", ErrUnknownCA},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second time from the cache
				err := verifier.Verify(Control, c.cert, c.body, c.signature, c.site, c.node)
				if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			}
		})
	}
	for name, cert := range map[string][]byte{"none": nil, "garbage": []byte("garbage"), "huge": make([]byte, MaxCertificateBytes+1)} {
		if verifier.Verify(Control, cert, body, signature, "lon", "lon-1") == nil {
			t.Errorf("certificate %s was accepted", name)
		}
	}
}

func TestThrowawaySignatures(t *testing.T) {
	a, err := Throwaway("acme", "lon", "lon-1")
	must(t, err)
	b, err := Throwaway("acme", "fra", "fra-1")
	must(t, err)
	body := []byte("x")
	must(t, b.Verify(Control, a.CertificateDER(), body, a.Sign(Control, body), "lon", "lon-1"))
	refused(t, b.Verify(Control, a.CertificateDER(), body, b.Sign(Control, body), "lon", "lon-1"), ErrSignature)
	refused(t, b.Verify(Control, a.CertificateDER(), body, a.Sign(Control, body), "lon", "lon-2"), ErrWrongName)
	other, err := Throwaway("other", "lon", "lon-1")
	must(t, err)
	refused(t, b.Verify(Control, other.CertificateDER(), body, other.Sign(Control, body), "lon", "lon-1"), ErrFederation)
}

func TestKnownOriginExpires(t *testing.T) {
	dir := folder(t, "lon-1", "lon-2")
	signer, verifier := load(t, dir, "lon-1"), load(t, dir, "lon-2")
	signature := signer.Sign(Control, nil)
	must(t, verifier.Verify(Control, signer.CertificateDER(), nil, signature, "lon", "lon-1"))
	verifier.now = clock(31 * 24 * time.Hour)
	refused(t, verifier.Verify(Control, signer.CertificateDER(), nil, signature, "lon", "lon-1"), ErrExpired)
}

func TestKnownOriginsAreBounded(t *testing.T) {
	known := newKnownOrigins(3)
	hash := func(i byte) [sha256.Size]byte { return sha256.Sum256([]byte{i}) }
	for i := range byte(10) {
		known.put(hash(i), &Origin{})
		known.put(hash(i), &Origin{}) // again: takes no second place
		if len(known.byHash) > 3 || len(known.order) > 3 {
			t.Fatalf("%d origins are known", len(known.byHash))
		}
	}
	for i := range byte(10) {
		if o := known.get(hash(i)); (o != nil) != (i >= 7) {
			t.Errorf("origin %d known: %v", i, o != nil)
		}
	}
}

func TestVerifyFromManyGoroutines(t *testing.T) {
	dir := folder(t, "lon-1", "lon-2")
	signer, verifier := load(t, dir, "lon-1"), load(t, dir, "lon-2")
	signature := signer.Sign(Control, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if err := verifier.Verify(Control, signer.CertificateDER(), nil, signature, "lon", "lon-1"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
