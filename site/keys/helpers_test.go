package keys

import (
	"crypto/x509"
	"testing"

	"ringway/site/ring"
	"ringway/site/seal"
)

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func sealWith(t *testing.T, r *testRing, packet []byte) []byte {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	out, err := r.keys.Next(ring.Packet{Data: packet})
	if err != nil {
		t.Fatal(err)
	}
	return out.Seal(nil, &seal.Work{})
}

func openWith(t *testing.T, r *testRing, packet []byte) []byte {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	in, fault := r.keys.Find(packet)
	if fault != seal.None {
		t.Fatalf("fault %d", fault)
	}
	plain, ok := in.Open(nil, packet, &seal.Work{})
	if !ok {
		t.Fatal("the seal is broken")
	}
	opened, fault := r.keys.Accept(&in, plain)
	if fault != seal.None {
		t.Fatalf("fault %d", fault)
	}
	return opened
}
