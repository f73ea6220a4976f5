package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ringway/internal/pki"
)

func TestKeys(t *testing.T) {
	dir, file := filepath.Join(t.TempDir(), "certs"), write(t, "good.toml", goodTopology)
	for _, args := range [][]string{
		{"keys", "init", "--dir", dir, "--federation", "one"},
		{"keys", "issue", "--dir", dir, "--topology", file, "--all"},
		{"keys", "issue", "--dir", dir, "--all", file}, // the short form; it renews
		{"keys", "issue", "--dir", dir, "--topology", file, "n1"},
		{"keys", "issue", "--dir", dir, "--federation", "one", "--site", "far", "n7"},
	} {
		if code, _, errs := ringway(t, "", nil, args...); code != 0 {
			t.Fatalf("%q: %d %s", args, code, errs)
		}
	}
	for _, name := range []string{"ca.pem", "ca-key.pem", "n1.pem", "n1-key.pem", "n7.pem", "n7-key.pem"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if code, _, _ := ringway(t, "", nil, "keys", "init", "--dir", dir, "--federation", "one"); code != 1 {
		t.Errorf("an authority is overwritten: exit code %d", code)
	}
}

// keysFolder makes a folder with an authority and a certificate for n1.
func keysFolder(t *testing.T) (dir, file string) {
	t.Helper()
	dir, file = filepath.Join(t.TempDir(), "certs"), write(t, "good.toml", goodTopology)
	keysDo(t, 0, "init", "--dir", dir, "--federation", "one")
	keysDo(t, 0, "issue", "--dir", dir, "--topology", file, "--all")
	return dir, file
}

// keysDo runs `ringway keys` and returns what it printed.
func keysDo(t *testing.T, want int, args ...string) (out, errs string) {
	t.Helper()
	code, out, errs := ringway(t, "", nil, append([]string{"keys"}, args...)...)
	if code != want {
		t.Fatalf("keys %q: exit code %d, want %d: %s", args, code, want, errs)
	}
	return out, errs
}

func keysShown(t *testing.T, want int, dir string) map[string]pki.Description {
	t.Helper()
	out, _ := keysDo(t, want, "show", "--dir", dir, "--json")
	shown := map[string]pki.Description{}
	for line := range strings.Lines(out) {
		var d pki.Description
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		shown[d.Kind+d.Node] = d
	}
	return shown
}

func TestKeysRenew(t *testing.T) {
	dir, file := keysFolder(t)
	first := keysShown(t, 0, dir)["noden1"]
	out, _ := keysDo(t, 0, "renew", "--dir", dir, "--topology", file, "--all")
	if !strings.Contains(out, "is not due") || keysShown(t, 0, dir)["noden1"].Serial != first.Serial {
		t.Errorf("renewed before it was due: %s", out)
	}
	keysDo(t, 0, "renew", "--dir", dir, "--topology", file, "--ahead", "100000h", "n1")
	second := keysShown(t, 0, dir)["noden1"]
	if second.Serial == first.Serial || second.KeyID != first.KeyID {
		t.Errorf("not a new certificate for the same key: %+v, then %+v", first, second)
	}
	keysDo(t, 0, "renew", "--dir", dir, "--topology", file, "--ahead", "100000h", "--new-key", "n1")
	if third := keysShown(t, 0, dir)["noden1"]; third.KeyID == first.KeyID || third.Key != "here" {
		t.Errorf("no new key: %+v, then %+v", first, third)
	}
	keysDo(t, 2, "renew", "--dir", dir, "--topology", file)
	keysDo(t, 1, "renew", "--dir", t.TempDir(), "--topology", file, "n1")
}

func TestKeysShowsWhatIsDue(t *testing.T) {
	dir, file := keysFolder(t)
	keysDo(t, 0, "issue", "--dir", dir, "--topology", file, "--valid", "90m", "n1")
	if d := keysShown(t, 0, dir)["noden1"]; d.Renew {
		t.Errorf("just issued, and it is due to be renewed: %+v", d)
	}
	age(t, dir, "n1", time.Hour)
	if d := keysShown(t, 0, dir)["noden1"]; !d.Renew {
		t.Errorf("a third is left, and it need not be renewed: %+v", d)
	}
	if out, _ := keysDo(t, 0, "show", "--dir", dir); !strings.Contains(out, "authority of one") || !strings.Contains(out, "renew") {
		t.Errorf("table without authority or hint:\n%s", out)
	}
}

// age makes a node's certificate one that was issued that much earlier, and ends as much earlier.
func age(t *testing.T, dir, node string, by time.Duration) {
	t.Helper()
	read := func(name string) []byte {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		if block == nil {
			t.Fatalf("%s is no PEM file", name)
		}
		return block.Bytes
	}
	authority, err1 := x509.ParseCertificate(read("ca.pem"))
	key, err2 := x509.ParsePKCS8PrivateKey(read("ca-key.pem"))
	cert, err3 := x509.ParseCertificate(read(node + ".pem"))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	cert.NotBefore, cert.NotAfter = cert.NotBefore.Add(-by), cert.NotAfter.Add(-by)
	der, err := x509.CreateCertificate(nil, cert, authority, cert.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, node+".pem"), block, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestKeysRevoke(t *testing.T) {
	dir, file := keysFolder(t)
	keysDo(t, 0, "renew", "--dir", dir, "--topology", file, "--ahead", "100000h", "--new-key", "n1")
	stolen, err := os.ReadFile(filepath.Join(dir, "n1.pem"))
	if err != nil {
		t.Fatal(err)
	}
	out, _ := keysDo(t, 0, "revoke", "--dir", dir, "--topology", file, "n1")
	if !strings.Contains(out, "2 certificates") { // the first one is still valid, too
		t.Errorf("revoked: %s", out)
	}
	if err := os.WriteFile(filepath.Join(dir, "n1.pem"), stolen, 0o644); err != nil {
		t.Fatal(err)
	}
	if d := keysShown(t, 1, dir)["noden1"]; !d.Revoked || !strings.Contains(d.Problem, "revoked") {
		t.Errorf("not shown as revoked: %+v", d)
	}
	keysDo(t, 0, "issue", "--dir", dir, "--topology", file, "n1")
	if d := keysShown(t, 0, dir)["noden1"]; d.Revoked || d.Problem != "" {
		t.Errorf("a new certificate counts as revoked: %+v", d)
	}
	_, errs := keysDo(t, 1, "revoke", "--dir", dir, "--topology", file, "n9")
	if !strings.Contains(errs, "n9") {
		t.Errorf("error: %s", errs)
	}
	keysDo(t, 2, "revoke", "--dir", dir, "--topology", file)
}

func TestKeysOfASite(t *testing.T) {
	dir, file := filepath.Join(t.TempDir(), "certs"), write(t, "good.toml", goodTopology)
	keysDo(t, 0, "init", "--dir", dir, "--federation", "one", "--site", "elsewhere")
	_, errs := keysDo(t, 1, "issue", "--dir", dir, "--topology", file, "--all")
	if !strings.Contains(errs, "may only sign for nodes of site elsewhere") {
		t.Errorf("error: %s", errs)
	}
	keysDo(t, 0, "issue", "--dir", dir, "--federation", "one", "--site", "elsewhere", "e1")
	if d := keysShown(t, 0, dir)["authority"]; d.Site != "elsewhere" {
		t.Errorf("authority: %+v", d)
	}
	_, errs = keysDo(t, 2, "issue", "--dir", dir, "--topology", file, "--all", "--site", "nowhere")
	if !strings.Contains(errs, "no such site") {
		t.Errorf("error: %s", errs)
	}
}
