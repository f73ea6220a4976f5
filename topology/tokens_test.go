package topology

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// withTokens writes a topology that offers TOKEN, and a file of tokens beside it.
func withTokens(t *testing.T, tokens string) (path string) {
	t.Helper()
	dir := t.TempDir()
	path = filepath.Join(dir, "fed.toml")
	text := federation(1) + "[access]\nmethods = [\"TOKEN\"]\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if tokens != "" {
		if err := os.WriteFile(filepath.Join(dir, defaultTokenFile), []byte(tokens), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestTokens(t *testing.T) {
	secret := NewToken()
	path := withTokens(t, "# ours\n\n")
	file := filepath.Join(filepath.Dir(path), defaultTokenFile)
	for _, token := range []Token{
		{Hash: HashToken([]byte("another")), Client: "*"},
		{Hash: HashToken([]byte(secret)), Client: "web-*", Note: "the web servers"},
	} {
		if err := AppendToken(file, token); err != nil {
			t.Fatal(err)
		}
	}
	top, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := top.Access.TokenOf([]byte(secret))
	if !ok || got.Client != "web-*" || got.Note != "the web servers" || !got.Admits("web-1") || got.Admits("db-1") {
		t.Errorf("token %v %v", got, ok)
	}
	for _, wrong := range []string{"", secret[1:], secret + "x", strings.ToUpper(secret)} {
		if _, ok := top.Access.TokenOf([]byte(wrong)); ok {
			t.Errorf("%q is a token", wrong)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(data), secret) {
		t.Errorf("the secret itself is in the file: %v", err)
	}
}

// TestATokenBehindATornLine: it is a line of its own.
func TestATokenBehindATornLine(t *testing.T) {
	path := withTokens(t, Token{Hash: HashToken([]byte("first")), Client: "a", Note: "no end"}.String())
	file := filepath.Join(filepath.Dir(path), defaultTokenFile)
	for _, secret := range []string{"second", "third"} {
		if err := AppendToken(file, Token{Hash: HashToken([]byte(secret)), Client: "b"}); err != nil {
			t.Fatal(err)
		}
	}
	top, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"first", "second", "third"} {
		if _, ok := top.Access.TokenOf([]byte(secret)); !ok {
			t.Errorf("the %s token does not count", secret)
		}
	}
	if data, err := os.ReadFile(file); err != nil || strings.Count(string(data), "\n") != 3 {
		t.Errorf("%q, %v", data, err)
	}
}

func TestFaultsOfTokens(t *testing.T) {
	hash := strings.Repeat("0f", 32)
	path := withTokens(t, "abc *\n"+hash+"\n"+hash+" [\n"+hash+" *\n\n"+hash+" web-*\n")
	file := filepath.Join(filepath.Dir(path), defaultTokenFile)
	_, err := Load(path)
	var faults *Faults
	if !errors.As(err, &faults) {
		t.Fatal(err)
	}
	var lines []int
	for _, fault := range faults.Faults() {
		if fault.Path != file {
			t.Errorf("%v is not of %s", fault, file)
		}
		lines = append(lines, fault.Line)
	}
	if len(lines) != 4 || lines[0] != 1 || lines[1] != 2 || lines[2] != 3 || lines[3] != 6 {
		t.Errorf("faults on lines %v:\n%v", lines, err)
	}

	for _, step := range []struct {
		name, want string
		change     func() error
	}{
		{"others may write", "chmod 600", func() error { return os.Chmod(file, 0o622) }},
		{"too large", "larger than", func() error {
			return errors.Join(os.Chmod(file, 0o600), os.WriteFile(file, make([]byte, maxTokenFileBytes+1), 0o600))
		}},
		{"a folder", "no ordinary file", func() error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o755)) }},
		{"not there", "ringway keys token", func() error { return os.Remove(file) }},
	} {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), step.want) || !strings.Contains(err.Error(), "fed.toml:") {
			t.Errorf("%s: %v", step.name, err)
		}
	}
}

func TestAddressesOfClients(t *testing.T) {
	top := parse(t, federation(1)+"[access]\nmethods = [\"IP\"]\naddresses = [\"10.0.0.0/8\", \"2001:db8::/32\", \"192.0.2.7\"]\n")
	for text, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "2001:db8::7": true, "192.0.2.7": true,
		"11.1.2.3": false, "192.0.2.8": false, "::1": false, "127.0.0.1": false,
	} {
		if got := top.Access.From(netip.MustParseAddr(text), true); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if top.Access.From(netip.Addr{}, false) {
		t.Error("unix sockets are not in the list")
	}
	none := parse(t, federation(1)+"[access]\nmethods = [\"IP\", \"NULL\"]\n").Access
	for text, want := range map[string]bool{"127.0.0.1": true, "::1": true, "10.0.0.1": false} {
		if got := none.From(netip.MustParseAddr(text), true); got != want {
			t.Errorf("without a list, by address alone, %s: %v", text, got)
		}
	}
	if !none.From(netip.MustParseAddr("10.0.0.1"), false) || !none.From(netip.Addr{}, true) {
		t.Error("without a list other methods are free, and unix sockets are this machine")
	}
}

// FuzzTokens: no file of tokens is read for longer than it is, and what was accepted
// can be written again.
func FuzzTokens(f *testing.F) {
	f.Add([]byte("# note\n" + strings.Repeat("ab", 32) + " web-* a note\n"))
	f.Add([]byte(strings.Repeat("ab", 32) + " [\nxyz"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &collector{path: "tokens"}
		tokens := parseTokens(c, data)
		for _, token := range tokens {
			again, problem := parseToken(strings.Fields(token.String()))
			if problem != "" || again.Hash != token.Hash || again.Client != token.Client {
				t.Fatalf("%v: %s", token, problem)
			}
		}
	})
}
