package topology

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A table is one table of the decoded file, with what messages about it need. Its
// methods read a key, report what is wrong with it, and say whether there is a value
// to go on with.
type table struct {
	*collector
	lines *lineIndex
	data  map[string]any
	path  string // for the line index
	outer string // how messages name the table that this one is in
	what  string // how messages name this one: site "lon": node "lon-1"
}

// fault reports what is wrong with a key; the message begins with the table's name.
func (t table) fault(key, format string, args ...any) {
	t.faultAt(t.keyLine(key), format, args...)
}

// here reports what is wrong with the table as a whole.
func (t table) here(format string, args ...any) {
	t.faultAt(t.line(), format, args...)
}

func (t table) faultAt(line int, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if t.what != "" {
		message = t.what + ": " + message
	}
	t.add(line, "%s", message)
}

func (t table) line() int              { return t.lines.line(t.path) }
func (t table) keyLine(key string) int { return t.lines.line(child(t.path, key)) }
func (t table) has(key string) bool    { _, ok := t.data[key]; return ok }
func (t table) elementLine(key string, i int) int {
	return t.lines.line(element(child(t.path, key), i))
}

// keys reports every key that is not one of known.
func (t table) keys(known ...string) {
	for _, key := range slices.Sorted(maps.Keys(t.data)) {
		if slices.Contains(known, key) {
			continue
		}
		if near := nearest(key, known); near != "" {
			t.fault(key, "unknown key %s: did you mean %q?", quote(key), near)
		} else {
			t.fault(key, "unknown key %s: what may stand here is %s", quote(key), strings.Join(known, ", "))
		}
	}
}

// text reads a string. The example shows in the fault how to write it.
func (t table) text(key, example string) (string, bool) {
	value, ok := t.data[key]
	if !ok {
		return "", false
	}
	text, ok := value.(string)
	if !ok {
		t.fault(key, "%s is %s: write a string, as in %s = %q", key, describe(value), key, example)
	}
	return text, ok
}

// needed is text for a key that must be there.
func (t table) needed(key, example string) (string, bool) {
	if !t.has(key) {
		t.here("%s is missing: add %s = %q", key, key, example)
		return "", false
	}
	return t.text(key, example)
}

// texts reads an array of strings.
func (t table) texts(key, example string) ([]string, bool) {
	value, ok := t.data[key]
	if !ok {
		return nil, false
	}
	list, ok := value.([]any)
	if !ok {
		t.fault(key, "%s is %s: write an array of strings, as in %s = %s", key, describe(value), key, example)
		return nil, false
	}
	texts := make([]string, 0, len(list))
	for i, v := range list {
		text, isText := v.(string)
		if !isText {
			t.faultAt(t.elementLine(key, i), "%s has %s: write an array of strings, as in %s = %s", key, describe(v), key, example)
			ok = false
			continue
		}
		texts = append(texts, text)
	}
	return texts, ok
}

// number reads an integer or a float.
func (t table) number(key, example string) (float64, bool) {
	switch value := t.data[key].(type) {
	case nil:
		return 0, false
	case int64:
		return float64(value), true
	case float64:
		return value, true
	default:
		t.fault(key, "%s is %s: write a number, as in %s = %s", key, describe(value), key, example)
		return 0, false
	}
}

// flag reads a truth value.
func (t table) flag(key string, usual bool) bool {
	value, ok := t.data[key]
	if !ok {
		return usual
	}
	truth, ok := value.(bool)
	if !ok {
		t.fault(key, "%s is %s: write %s = true or %s = false", key, describe(value), key, key)
		return usual
	}
	return truth
}

// integer reads a whole number from low to high; 0 if there is none.
func (t table) integer(key, example string, low, high int) int {
	value, ok := t.data[key]
	if !ok {
		return 0
	}
	n, ok := value.(int64)
	switch {
	case !ok:
		t.fault(key, "%s is %s: write a whole number, as in %s = %s", key, describe(value), key, example)
	case n < int64(low) || n > int64(high):
		t.fault(key, "%s %d is out of range: from %d to %d", key, n, low, high)
	default:
		return int(n)
	}
	return 0
}

// duration reads a Go duration from low to high.
func (t table) duration(key, example string, low, high time.Duration) (time.Duration, bool) {
	value, ok := t.data[key]
	if !ok {
		return 0, false
	}
	text, ok := value.(string)
	if !ok {
		t.fault(key, "%s is %s: write a duration, as in %s = %q", key, describe(value), key, example)
		return 0, false
	}
	d, problem := parseDuration(text, low, high)
	if problem != "" {
		t.fault(key, "%s %s %s", key, quote(text), problem)
		return 0, false
	}
	return d, true
}

// table reads a table within this one.
func (t table) table(key, what string) (table, bool) {
	value, ok := t.data[key]
	if !ok {
		return table{}, false
	}
	data, ok := value.(map[string]any)
	if !ok {
		t.fault(key, "%s is %s: write one table, [%s]", key, describe(value), t.header(key))
		return table{}, false
	}
	return t.within(child(t.path, key), what, data), true
}

// tables reads an array of tables. The function names the element, from 1.
func (t table) tables(key string, what func(i int) string) []table {
	value, ok := t.data[key]
	if !ok {
		return nil
	}
	list, ok := elements(value)
	if !ok {
		t.fault(key, "%s is %s: write each as a table, [[%s]]", key, describe(value), t.header(key))
		return nil
	}
	tables := make([]table, 0, len(list))
	for i, v := range list {
		data, ok := v.(map[string]any)
		if !ok {
			t.faultAt(t.elementLine(key, i), "%s has %s: write each as a table, [[%s]]", key, describe(v), t.header(key))
			continue
		}
		tables = append(tables, t.within(element(child(t.path, key), i), what(i+1), data))
	}
	return tables
}

// header returns what stands in the brackets above a table within this one.
func (t table) header(key string) string {
	var parts []string
	for part := range strings.SplitSeq(child(t.path, key), pathSeparator) {
		if _, err := strconv.Atoi(part); err != nil {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ".")
}

func (t table) within(path, what string, data map[string]any) table {
	inner := table{collector: t.collector, lines: t.lines, data: data, path: path, outer: t.what}
	return inner.called(what)
}

// called returns the table under a better name.
func (t table) called(what string) table {
	t.what = what
	if t.outer != "" {
		t.what = t.outer + ": " + what
	}
	return t
}

// elements returns the elements of an array, which the decoder types in two ways.
func elements(value any) ([]any, bool) {
	switch list := value.(type) {
	case []any:
		return list, true
	case []map[string]any:
		all := make([]any, len(list))
		for i := range list {
			all[i] = list[i]
		}
		return all, true
	}
	return nil, false
}

// describe says what a value of a wrong type is.
func describe(value any) string {
	switch value := value.(type) {
	case string:
		return "the string " + quote(value)
	case int64:
		return "the number " + strconv.FormatInt(value, 10)
	case float64:
		return "the number " + strconv.FormatFloat(value, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(value)
	case time.Time:
		return "a date"
	case map[string]any:
		return "a table"
	case []map[string]any:
		return "an array of tables"
	}
	return "an array"
}

// nearest returns the known word that an unknown one is most likely a slip of, or "".
func nearest(word string, known []string) string {
	if len(word) > quoteBytes {
		return ""
	}
	best, bestSlips := "", 3 // two slips at most, and one for three letters
	for _, k := range known {
		if n := slips(strings.ToLower(word), k); n < bestSlips && 3*n <= len(k) {
			best, bestSlips = k, n
		}
	}
	return best
}

// slips counts the bytes to insert, delete, replace or swap with the next to turn a
// into b.
func slips(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			replace := row[j]
			if a[i] != b[j] {
				replace++
			}
			next[j+1] = min(replace, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
