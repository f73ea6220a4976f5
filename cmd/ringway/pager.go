package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// A pager shows a part of a text that is longer than the screen.
type pager struct {
	lines         []string
	first         int // line at the top
	columns, rows int
}

// A key is what a user pressed, as far as a pager is concerned.
type key int

const (
	keyOther key = iota
	keyUp
	keyDown
	keyPageUp
	keyPageDown
	keyHome
	keyEnd
	keyQuit
)

// keySequences are what terminals send for keys.
var keySequences = map[string]key{
	"\x1b[A": keyUp, "\x1bOA": keyUp, "k": keyUp,
	"\x1b[B": keyDown, "\x1bOB": keyDown, "j": keyDown, "\r": keyDown,
	"\x1b[5~": keyPageUp, "b": keyPageUp, "\x1b[6~": keyPageDown, " ": keyPageDown,
	"\x1b[H": keyHome, "\x1bOH": keyHome, "\x1b[1~": keyHome, "g": keyHome,
	"\x1b[F": keyEnd, "\x1bOF": keyEnd, "\x1b[4~": keyEnd, "G": keyEnd,
	"q": keyQuit, "Q": keyQuit, "\x03": keyQuit, "\x04": keyQuit,
}

// parseKeys returns the keys in what a terminal sent at once.
func parseKeys(b string) (keys []key) {
	for b != "" {
		n := 1
		if strings.HasPrefix(b, "\x1b[") || strings.HasPrefix(b, "\x1bO") {
			for n = 2; n < len(b) && (b[n] < '@' || b[n] > '~'); n++ {
			}
			n = min(n+1, len(b))
		}
		keys, b = append(keys, keySequences[b[:n]]), b[n:]
	}
	return keys
}

// readKeys reads a terminal key by key, unseen, until restore is called. Without a
// terminal there are no keys. Its goroutine ends with the program.
func readKeys(in io.Reader) (keys <-chan key, restore func()) {
	file, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil, func() {}
	}
	before, err := term.MakeRaw(int(file.Fd()))
	if err != nil {
		return nil, func() {}
	}
	pressed := make(chan key, 64)
	go func() {
		b := make([]byte, 256)
		for {
			n, err := file.Read(b)
			if err != nil {
				return
			}
			for _, k := range parseKeys(string(b[:n])) {
				pressed <- k
			}
		}
	}()
	return pressed, func() { term.Restore(int(file.Fd()), before) } //nolint:errcheck // there is nothing left to try
}

// screenSize returns that of a terminal, or that of the first ones.
func screenSize(out io.Writer) (columns, rows int) {
	if file, ok := out.(*os.File); ok {
		if columns, rows, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 && rows > 0 {
			return columns, rows
		}
	}
	return 80, 24
}

// headRows stand above the text.
const headRows = 2

// page is how many lines of the text are seen.
func (p *pager) page() int { return max(p.rows-headRows, 1) }

// press moves; it returns false when the user has seen enough.
func (p *pager) press(k key) bool {
	switch k {
	case keyUp:
		p.first--
	case keyDown:
		p.first++
	case keyPageUp:
		p.first -= p.page()
	case keyPageDown:
		p.first += p.page()
	case keyHome:
		p.first = 0
	case keyEnd:
		p.first = len(p.lines)
	case keyQuit:
		return false
	}
	return true
}

// frame returns a screenful, painted over the one before so that nothing flickers. The
// text may have become shorter since the last move.
func (p *pager) frame(title string) []byte {
	p.first = max(min(p.first, len(p.lines)-p.page()), 0)
	end := min(p.first+p.page(), len(p.lines))
	head := fmt.Sprintf("%s  %s  q ends", title, time.Now().Format(time.TimeOnly))
	if end-p.first < len(p.lines) {
		head += fmt.Sprintf("  lines %d to %d of %d: arrows, pages", p.first+1, end, len(p.lines))
	}
	rows := append([]string{head, ""}, p.lines[p.first:end]...)
	for i, row := range rows {
		if cells := []rune(row); len(cells) > p.columns { // one that wraps would push others out
			rows[i] = string(cells[:p.columns])
		}
	}
	return []byte(homeCursor + strings.Join(rows, clearLine+"\r\n") + clearLine + clearBelow)
}
