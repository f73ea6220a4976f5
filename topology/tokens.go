package topology

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Bounds of a file of tokens.
const (
	maxTokens         = 4096    // each handshake compares with all of them
	maxTokenFileBytes = 1 << 20 // maxTokens with a pattern and a note each
)

// tokenBytes is the entropy of a new token: nobody guesses it, so its plain SHA-256 is
// as good as a slow hash would be.
const tokenBytes = 32

// NewToken makes a secret for one client or many.
func NewToken() string {
	var secret [tokenBytes]byte
	rand.Read(secret[:]) //nolint:errcheck // it never fails: it ends the program
	return base64.RawURLEncoding.EncodeToString(secret[:])
}

// HashToken returns what a file of tokens has of one.
func HashToken(token []byte) [sha256.Size]byte { return sha256.Sum256(token) }

// String writes the token's line.
func (t Token) String() string {
	return strings.TrimRight(hex.EncodeToString(t.Hash[:])+" "+t.Client+" "+t.Note, " ")
}

// AppendToken adds a token's line to a file, which it makes if there is none.
func AppendToken(path string, token Token) error {
	if problem := checkTokenPattern(token.Client); problem != "" {
		return fmt.Errorf("client %s %s", quote(token.Client), problem)
	}
	if strings.ContainsAny(token.Note, "\r\n") {
		return errors.New("a note is one line")
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	line := token.String() + "\n"
	if broken, err := torn(file); err != nil || broken {
		line = "\n" + line
	}
	_, err = file.WriteString(line)
	return errors.Join(err, file.Close())
}

// torn says whether a file's last line has no end, as a full disk or an editor may
// leave it: what is appended would belong to that line's note.
func torn(file *os.File) (bool, error) {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return false, err
	}
	var last [1]byte
	_, err = file.ReadAt(last[:], info.Size()-1)
	return last[0] != '\n', err
}

// checkTokenPattern is checkPattern for a field of a line.
func checkTokenPattern(pattern string) string {
	if strings.ContainsAny(pattern, " \t\r\n") {
		return "contains blanks, which no private name has: write it without"
	}
	return checkPattern(pattern)
}

// TokenOf returns the token that a client has shown. It takes the same time for every
// wrong one: only hashes are compared, and all of them.
func (a Access) TokenOf(secret []byte) (Token, bool) {
	hash := HashToken(secret)
	found := -1
	for i := range a.Tokens {
		if subtle.ConstantTimeCompare(hash[:], a.Tokens[i].Hash[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return Token{}, false
	}
	return a.Tokens[found], true
}

// Admits says whether the token is one for a client of that private name.
func (t Token) Admits(client string) bool { return Matches(t.Client, client) }

// loadTokens reads a file of tokens. What is wrong with the file as a whole is the
// fault of the topology's line that names it.
func (r *reader) loadTokens(path string, fault func(format string, args ...any)) []Token {
	unreadable := func(err error) []Token {
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		fault("the tokens cannot be read from %s: %v: make one with `ringway keys token`", path, err)
		return nil
	}
	info, err := os.Stat(path)
	switch { // before it is opened: to open a pipe waits for who writes
	case err != nil:
		return unreadable(err)
	case !info.Mode().IsRegular():
		fault("the tokens cannot be read from %s: it is no ordinary file", path)
		return nil
	case info.Mode().Perm()&0o022 != 0:
		fault("others may write to %s, which lets them in as whom they like: chmod 600 it", path)
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return unreadable(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxTokenFileBytes+1))
	switch {
	case err != nil:
		return unreadable(err)
	case len(data) > maxTokenFileBytes:
		fault("%s is larger than %d KiB, which no tokens need", path, maxTokenFileBytes>>10)
		return nil
	}
	inner := &collector{path: path}
	tokens := parseTokens(inner, data)
	r.others = append(r.others, inner)
	return tokens
}

// parseTokens reads the lines of a file of tokens: HASH PATTERN and, behind, whatever
// the operator wants to note. Empty lines and those that begin with # are skipped.
func parseTokens(c *collector, data []byte) []Token {
	var tokens []Token
	seen := map[[sha256.Size]byte]int{}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		fields := strings.Fields(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(tokens) >= maxTokens {
			c.add(n, "one token too many: at most %d fit", maxTokens)
			return tokens
		}
		token, problem := parseToken(fields)
		if problem != "" {
			c.add(n, "%s", problem)
			continue
		}
		if first, twice := seen[token.Hash]; twice {
			c.add(n, "the token is that of line %d: keep one of them", first)
			continue
		}
		seen[token.Hash] = n
		tokens = append(tokens, token)
	}
	return tokens
}

func parseToken(fields []string) (token Token, problem string) {
	hash, err := hex.DecodeString(fields[0])
	if err != nil || len(hash) != sha256.Size {
		return token, fmt.Sprintf("the line does not begin with a hash of %d hexadecimal digits: let `ringway keys token` write it", 2*sha256.Size)
	}
	if len(fields) < 2 {
		return token, "no client pattern after the hash: write * for every client"
	}
	if problem := checkPattern(fields[1]); problem != "" {
		return token, fmt.Sprintf("client %s %s", quote(fields[1]), problem)
	}
	token.Hash = [sha256.Size]byte(hash)
	token.Client, token.Note = fields[1], strings.Join(fields[2:], " ")
	return token, ""
}
