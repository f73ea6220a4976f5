package spreadconf

import (
	"fmt"
	"strings"

	"ringway/topology"
)

// A token is a word, a quoted text, or one of { } = ; by itself. The one with kind 0 ends
// the file.
type token struct {
	kind byte // 'w' word, '"' quoted, or the sign itself
	text string
	line int
}

// What a file may have. Spread takes 128 daemons; a file with a page of comment for each
// is far below this.
const (
	maxFileBytes = 1 << 20
	maxFaults    = 1000
)

const signs = "{}=;"

// A collector gathers what is wrong with the file.
type collector struct {
	path   string
	faults []topology.Fault
}

func (c *collector) add(line int, format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, topology.Fault{Path: c.path, Line: line, Message: fmt.Sprintf(format, args...)})
	}
}

// lex cuts a file into tokens. Comments go from # to the end of their line.
func lex(c *collector, data []byte) []token {
	var tokens []token
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		for rest := strings.TrimLeft(line, blanks); rest != ""; rest = strings.TrimLeft(rest, blanks) {
			t := token{kind: 'w', line: number}
			var n int
			switch {
			case rest[0] == '#':
				n = len(rest)
			case strings.IndexByte(signs, rest[0]) >= 0:
				t.kind, t.text, n = rest[0], rest[:1], 1
			case rest[0] == '"':
				end := strings.IndexAny(rest[1:], "\"\n")
				if end < 0 || rest[1+end] == '\n' {
					c.add(number, "a quoted text without its end: put the second \" on the same line")
					end = len(strings.TrimRight(rest[1:], blanks))
					n = len(rest)
				} else {
					n = end + 2
				}
				t.kind, t.text = '"', rest[1:1+end]
			default:
				if n = strings.IndexAny(rest, blanks+signs+"#\""); n < 0 {
					n = len(rest)
				}
				t.text = rest[:n]
			}
			if rest[0] != '#' {
				tokens = append(tokens, t)
			}
			rest = rest[n:]
		}
	}
	return append(tokens, token{line: max(number, 1)})
}

const blanks = " \t\r\n\f\v"

// said returns a text of the file in quotes, cut where it is long.
func said(s string) string {
	const most = 64
	if len(s) > most {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(s[:most], ""))
	}
	return fmt.Sprintf("%q", s)
}
