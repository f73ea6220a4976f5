package topology

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// A lineIndex knows on which line each key of a TOML file stands. The decoder keeps
// no positions of what it decoded, and a fault without a line is half a fault.
//
// A key's path is the keys and array indexes that lead to it, joined by child.
// Messages need the index and nothing else does: where it knows no line for a path it
// gives the nearest table's.
type lineIndex struct {
	lines map[string]int
}

// Limits of the index. Beyond the first two the decoder's own effort is no longer in
// proportion to the file (it recurses, and keeps the whole path of each key), so the
// file is refused before it gets there.
const (
	maxNesting   = 16      // arrays and inline tables within each other; a topology has 4
	maxPathBytes = 512     // of a key and the tables it lies in; a topology has 30
	maxPositions = 1 << 18 // lines remembered; the largest federation has about 2^16 keys
)

const pathSeparator = "\x00"

// child returns the path of a key in the table, or of an element in the array, at path.
func child(path, key string) string {
	if path == "" {
		return key
	}
	return path + pathSeparator + key
}

func element(path string, i int) string { return child(path, strconv.Itoa(i)) }

// line returns the line of path, or of what it lies in.
func (x *lineIndex) line(path string) int {
	for {
		if line, ok := x.lines[path]; ok {
			return line
		}
		i := strings.LastIndex(path, pathSeparator)
		if i < 0 {
			return 1
		}
		path = path[:i]
	}
}

func (x *lineIndex) set(path string, line int) {
	if _, ok := x.lines[path]; !ok && len(x.lines) < maxPositions {
		x.lines[path] = line
	}
}

// An excess says that a file goes beyond the limits above.
type excess struct {
	line    int
	message string
}

// indexLines finds the lines of all keys. Where the file is not TOML it stops: the
// decoder stops there too and says why.
func indexLines(data []byte) (*lineIndex, *excess) {
	s := &lineScanner{
		data: trimMark(data), line: 1,
		index:  &lineIndex{lines: map[string]int{}},
		counts: map[string]int{},
	}
	for s.statement() {
	}
	return s.index, s.excess
}

// trimMark removes the byte order marks that the decoder removes.
func trimMark(data []byte) []byte {
	for _, mark := range []string{"\xff\xfe", "\xfe\xff", "\xef\xbb\xbf"} {
		if bytes.HasPrefix(data, []byte(mark)) {
			return data[len(mark):]
		}
	}
	return data
}

// A lineScanner reads TOML only as closely as it must to know which key stands where.
type lineScanner struct {
	data   []byte
	pos    int
	line   int
	index  *lineIndex
	table  string         // path of the table that the last header opened
	counts map[string]int // elements so far of each array of tables
	excess *excess
}

// statement reads one header or key with its value. False is the end.
func (s *lineScanner) statement() bool {
	s.space(true)
	switch {
	case s.pos == len(s.data):
		return false
	case s.skip("[["):
		return s.header("]]")
	case s.skip("["):
		return s.header("]")
	default:
		return s.keyValue(s.table, 0)
	}
}

// header reads the key of a table's header and what closes it.
func (s *lineScanner) header(end string) bool {
	line := s.line
	parts, ok := s.key()
	if !ok || !s.skip(end) {
		return false
	}
	path := ""
	for i, part := range parts {
		if path = child(path, part); len(path) > maxPathBytes {
			return s.refuseKey()
		}
		last := i == len(parts)-1
		s.index.set(path, line)
		if n := s.counts[path]; last && end == "]]" {
			s.counts[path]++
			path = element(path, n)
			s.index.set(path, line)
		} else if !last && n > 0 {
			path = element(path, n-1)
		}
	}
	s.table = path
	return true
}

// keyValue reads a key of the table at path and its value.
func (s *lineScanner) keyValue(path string, depth int) bool {
	line := s.line
	parts, ok := s.key()
	if !ok || !s.skip("=") {
		return false
	}
	for _, part := range parts {
		if path = child(path, part); len(path) > maxPathBytes {
			return s.refuseKey()
		}
		s.index.set(path, line)
	}
	s.space(false)
	return s.value(path, depth)
}

// key reads the parts of a dotted key and the space around it.
func (s *lineScanner) key() ([]string, bool) {
	var parts []string
	size := 0
	for {
		s.space(false)
		part, ok := s.keyPart()
		if !ok {
			return nil, false
		}
		if size += len(part) + 1; size > maxPathBytes {
			return nil, s.refuseKey()
		}
		parts = append(parts, part)
		s.space(false)
		if !s.skip(".") {
			return parts, true
		}
	}
}

func (s *lineScanner) keyPart() (string, bool) {
	from := s.pos
	switch c := s.peek(); c {
	case '"', '\'':
		if !s.quoted(c, false) {
			return "", false
		}
		raw := string(s.data[from:s.pos])
		if c == '"' {
			if text, err := strconv.Unquote(raw); err == nil {
				return text, true
			}
		}
		return raw[1 : len(raw)-1], true
	}
	s.until(" \t\r\n.=,#[]{}\"'")
	return string(s.data[from:s.pos]), s.pos > from
}

// value reads the value of the key, or the element, at path.
func (s *lineScanner) value(path string, depth int) bool {
	switch c := s.peek(); c {
	case '"', '\'':
		return s.quoted(c, true)
	case '[', '{':
		if depth++; depth > maxNesting {
			return s.refuse("nested more than %d deep: a topology needs 4 levels", maxNesting)
		}
		s.pos++
		if c == '[' {
			return s.array(path, depth)
		}
		return s.inlineTable(path, depth)
	}
	from := s.pos
	s.until("\r\n,#]}")
	return s.pos > from
}

func (s *lineScanner) array(path string, depth int) bool {
	for i := 0; ; i++ {
		s.space(true)
		if s.skip("]") {
			return true
		}
		at := element(path, i)
		s.index.set(at, s.line)
		if !s.value(at, depth) {
			return false
		}
		s.space(true)
		if !s.skip(",") {
			return s.skip("]")
		}
	}
}

func (s *lineScanner) inlineTable(path string, depth int) bool {
	for {
		s.space(true)
		if s.skip("}") {
			return true
		}
		if !s.keyValue(path, depth) {
			return false
		}
		s.space(true)
		if !s.skip(",") {
			return s.skip("}")
		}
	}
}

// quoted reads a string that begins with the quote c; in a value, three of them
// begin one of several lines.
func (s *lineScanner) quoted(c byte, isValue bool) bool {
	three := strings.Repeat(string(rune(c)), 3)
	many := isValue && s.skip(three)
	if !many {
		s.pos++
	}
	for s.pos < len(s.data) {
		switch b := s.data[s.pos]; {
		case b == '\\' && c == '"' && s.pos+1 < len(s.data) && s.data[s.pos+1] != '\n':
			s.pos += 2
			continue
		case b == '\n' && !many:
			return false
		case b == '\n':
			s.line++
		case b == c && !many:
			s.pos++
			return true
		case b == c && s.skip(three):
			// Up to two quotes may stand right before the closing three.
			for range 2 {
				s.skip(three[:1])
			}
			return true
		}
		s.pos++
	}
	return false
}

// space skips blanks, and between statements and in arrays lines and comments too.
func (s *lineScanner) space(lines bool) {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == ' ' || c == '\t':
		case lines && c == '\r':
		case lines && c == '\n':
			s.line++
		case lines && c == '#':
			s.until("\n")
			continue
		default:
			return
		}
		s.pos++
	}
}

// until moves on to the next byte that is one of stops, or to the end.
func (s *lineScanner) until(stops string) {
	if i := bytes.IndexAny(s.data[s.pos:], stops); i >= 0 {
		s.pos += i
	} else {
		s.pos = len(s.data)
	}
}

// skip moves past text if it stands here.
func (s *lineScanner) skip(text string) bool {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(text)) {
		return false
	}
	s.pos += len(text)
	return true
}

// peek returns the byte at hand, or zero at the end.
func (s *lineScanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *lineScanner) refuseKey() bool {
	return s.refuse("a key that is, with the tables it lies in, longer than %d bytes: a topology needs 30", maxPathBytes)
}

// refuse notes why the file is not read at all, and is false.
func (s *lineScanner) refuse(format string, args ...any) bool {
	s.excess = &excess{line: s.line, message: fmt.Sprintf(format, args...)}
	return false
}
