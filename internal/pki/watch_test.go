package pki

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"ringway/internal/lockedbuf"
)

func TestReloadTakesANewKey(t *testing.T) {
	ca := folder(t, "lon-1", "lon-2")
	dir := nodeFolder(t, ca, "lon-1")
	id, peer := load(t, dir, "lon-1"), load(t, ca, "lon-2")
	server := id.ServerTLS() // made before, used after
	former := parse(t, id)
	r, err := Renew(ca, "acme", "lon", "lon-1", year, year, true)
	must(t, err)
	if !r.Renewed {
		t.Fatal("not renewed")
	}
	// Half of a copy: the old pair stays.
	give(t, ca, dir, "lon-1.pem")
	_, err = id.Reload()
	refused(t, err, ErrKeyMismatch, "lon-1-key.pem")
	if !parse(t, id).Equal(former) {
		t.Error("the certificate changed without its key")
	}
	give(t, ca, dir, "lon-1-key.pem")
	reload(t, id, true)
	if parse(t, id).Equal(former) || id.Status().Reloads != 1 || id.Status().Problem != "" {
		t.Errorf("%+v", id.Status())
	}
	_, client, err := handshake(t, server, peer.ClientTLS("lon", "lon-1"))
	must(t, err)
	if shown := client.ConnectionState().PeerCertificates[0]; !shown.Equal(parse(t, id)) {
		t.Error("the listener shows the old certificate")
	}
}

func TestRenewOnlyWhenDue(t *testing.T) {
	ca := folder(t, "lon-1") // 30 days
	r, err := Renew(ca, "acme", "lon", "lon-1", year, 0, false)
	must(t, err)
	if r.Renewed {
		t.Error("renewed with 30 days of 30 left")
	}
	r, err = Renew(ca, "acme", "lon", "lon-1", year, 31*24*time.Hour, false)
	must(t, err)
	if !r.Renewed || time.Until(r.Expires) < 300*24*time.Hour {
		t.Errorf("%+v", r)
	}
	_, err = Renew(ca, "acme", "lon", "lon-9", year, 0, false)
	refused(t, err, ErrMissing, "lon-9.pem")
}

func TestKeyModes(t *testing.T) {
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o666, 0o620} {
		dir := folder(t, "lon-1")
		must(t, os.Chmod(keyFile(dir, "lon-1"), mode))
		_, err := LoadIdentity(dir, "acme", "lon", "lon-1")
		refused(t, err, ErrKeyMode, "lon-1-key.pem", "chmod 600")
		must(t, os.Chmod(keyFile(dir, caName), mode))
		refused(t, Issue(dir, "acme", "lon", "lon-2", year), ErrKeyMode, "ca-key.pem")
	}
	dir := folder(t, "lon-1")
	must(t, os.Chmod(keyFile(dir, "lon-1"), 0o400))
	load(t, dir, "lon-1")
}

func TestWatch(t *testing.T) {
	ca := folder(t, "lon-1")
	dir := nodeFolder(t, ca, "lon-1")
	id := load(t, dir, "lon-1")
	renew := func() <-chan struct{} {
		changed := id.Changed()
		must(t, Issue(ca, "acme", "lon", "lon-1", time.Hour))
		give(t, ca, dir, "lon-1.pem")
		return changed
	}
	seen := func(changed <-chan struct{}) {
		t.Helper()
		select {
		case <-changed:
		case <-time.After(time.Minute):
			t.Fatal("a new certificate was not seen")
		}
	}
	before := renew() // when it has been loaded and is not watched
	var out lockedbuf.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		id.Watch(ctx, slog.New(slog.NewTextHandler(&out, nil)))
		close(ended)
	}()
	seen(before)
	seen(renew())
	cancel()
	<-ended
	key, err := os.ReadFile(keyFile(dir, "lon-1"))
	must(t, err)
	if secret := strings.Split(string(key), "\n")[1]; strings.Contains(out.String(), secret) {
		t.Error("the key is in the log")
	}
}

func TestWarningsOfExpiry(t *testing.T) {
	id := load(t, folder(t, "lon-1"), "lon-1") // 30 days
	for _, c := range []struct {
		at   time.Duration
		want string
	}{
		{0, ""},
		{19 * 24 * time.Hour, ""},
		{21 * 24 * time.Hour, "expires soon"},
		{21*24*time.Hour + time.Hour, ""}, // said today
		{22*24*time.Hour + time.Hour, "expires soon"},
		{30*24*time.Hour - 2*time.Hour, "expires soon"},
		{30*24*time.Hour - time.Hour/2, "expires soon"},
		{31 * 24 * time.Hour, "has expired"},
	} {
		var out lockedbuf.Buffer
		id.now = clock(c.at)
		id.warnOfExpiry(slog.New(slog.NewTextHandler(&out, nil)))
		if got := out.String(); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("after %v: %q, want %q", c.at, got, c.want)
		}
	}
}

func TestInspect(t *testing.T) {
	dir := folder(t, "lon-1", "lon-2")
	must(t, os.WriteFile(certFile(dir, "broken"), []byte("x"), certMode))
	must(t, os.Remove(keyFile(dir, "lon-2")))
	list, err := Inspect(dir)
	must(t, err)
	if len(list) != 4 {
		t.Fatalf("%d certificates", len(list))
	}
	if a := list[0]; a.Kind != "authority" || a.Key != "here" || a.Problem != "" || a.Federation != "acme" {
		t.Errorf("%+v", a)
	}
	if b := list[1]; b.Node != "broken" || b.Problem == "" {
		t.Errorf("%+v", b)
	}
	if n := list[2]; n.Node != "lon-1" || n.Key != "here" || n.Renew || n.Problem != "" {
		t.Errorf("%+v", n)
	}
	if n := list[3]; n.Node != "lon-2" || n.Key != "elsewhere" || n.Problem != "" {
		t.Errorf("%+v", n)
	}
}

func FuzzRevocationList(f *testing.F) {
	dir := f.TempDir()
	if err := Init(dir, "acme", year); err != nil {
		f.Fatal(err)
	}
	if err := Issue(dir, "acme", "lon", "lon-1", year); err != nil {
		f.Fatal(err)
	}
	if _, err := Revoke(dir, "acme", "lon-1"); err != nil {
		f.Fatal(err)
	}
	authorities, err := readCertificates(certFile(dir, caName), "")
	if err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(certFile(dir, revokedName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lists, err := parseRevocations(data, authorities)
		if err == nil && lists.size() != 1 && !bytes.Equal(data, good) {
			t.Errorf("a list that nobody signed has %d certificates", lists.size())
		}
	})
}

// FuzzFiles: whatever stands in the files of a certs folder is read, or refused with a
// line that names the file.
func FuzzFiles(f *testing.F) {
	dir := f.TempDir()
	if err := errors.Join(Init(dir, "acme", year), Issue(dir, "acme", "lon", "lon-1", year)); err != nil {
		f.Fatal(err)
	}
	for _, path := range []string{certFile(dir, "lon-1"), keyFile(dir, "lon-1"), ledgerFile(dir)} {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, certErr := parseCertificates("FILE", data)
		_, keyErr := parseKey("FILE", data)
		_, ledgerErr := parseLedger("FILE", data)
		if certErr == nil && len(certs) == 0 {
			t.Error("no certificates, and no error")
		}
		for _, err := range []error{certErr, keyErr, ledgerErr} {
			if err != nil && !strings.Contains(err.Error(), "FILE") {
				t.Errorf("which file? %v", err)
			}
		}
	})
}
