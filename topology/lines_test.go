package topology

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// TestLines has a mark #PATH on each line where the index must find PATH.
func TestLines(t *testing.T) {
	text := `# [[site]] "not here"
top = 1 #top
"quoted.key" = 2 #quoted.key
'literal' = 3 #literal
a.b . "c" = 4 #a/b/c
text = """
[[site]] ""
x = 1 \""" """"" # six lines are one value
raw = '''
[[site]]
y = 2''' # so do these
after = true #after
list = [ #list
  1, # a comment, with ] and "
  [ "]", 2 ], #list/1/1
  { x = "}", y = [ #list/2/y
    5, #list/2/y/0
  ] }, #
  """
  """, 7 #list/4
] #
when = 1979-05-27 07:32:00 #when
inline = { a = 1, b.c = 2 } #inline/b/c

[table] #table
key = "#" #table/key
[table.inner] #table/inner
key = '#' #table/inner/key
[[many]] #many/0
key = 1 #many/0/key
  [[many.more]] #many/0/more/0
  key = 2 #many/0/more/0/key
  [[many.more]] #many/0/more/1
  [many.more.table] #many/0/more/1/table
[[ many ]] #many/1
  [[ many . "more" ]] #many/1/more/0
  key = 3 #many/1/more/0/key
`
	for _, newline := range []string{"\n", "\r\n"} {
		for _, mark := range []string{"", "\xef\xbb\xbf"} {
			data := mark + strings.ReplaceAll(text, "\n", newline)
			if _, err := unmarshal(data); err != nil {
				t.Fatal(err)
			}
			index, excess := indexLines([]byte(data))
			if excess != nil {
				t.Fatal(excess)
			}
			checkMarks(t, text, index)
		}
	}
}

func checkMarks(t *testing.T, text string, index *lineIndex) {
	t.Helper()
	marks := 0
	for i, line := range strings.Split(text, "\n") {
		mark := line[strings.LastIndex(line, "#")+1:]
		if mark == "" || strings.ContainsAny(mark, " '\"") || !strings.Contains(line, "#") {
			continue
		}
		marks++
		path := strings.ReplaceAll(mark, "/", pathSeparator)
		if got, ok := index.lines[path]; !ok || got != i+1 {
			t.Errorf("%s: line %d, %v; want %d", mark, got, ok, i+1)
		}
	}
	if marks < 25 {
		t.Errorf("only %d marks were checked", marks)
	}
}

func TestLineOfWhatIsNotThere(t *testing.T) {
	index, _ := indexLines([]byte("\n\n[a]\nb = 1\n"))
	for path, want := range map[string]int{"a/b/c": 4, "a/x": 3, "x": 1, "": 1} {
		if got := index.line(strings.ReplaceAll(path, "/", pathSeparator)); got != want {
			t.Errorf("%s: line %d, want %d", path, got, want)
		}
	}
}

func TestIndexIsBounded(t *testing.T) {
	index, excess := indexLines([]byte("a = [" + strings.Repeat("1,", maxPositions+10) + "]\nb = 2\n"))
	if excess != nil || len(index.lines) != maxPositions {
		t.Errorf("%d positions, %v", len(index.lines), excess)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte(federation(2, 1)))
	_, cases := readBroken(f)
	for _, c := range cases {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		top, err := Parse("fuzz.toml", data)
		checkIndex(t, data)
		if err != nil {
			checkFaults(t, data, err)
			return
		}
		checkTopology(t, top)
	})
}

// checkFaults: faults are in order, on lines that exist, one line each.
func checkFaults(t *testing.T, data []byte, err error) {
	var faults *Faults
	if !errors.As(err, &faults) || len(faults.Faults()) == 0 {
		t.Fatalf("%T without faults: %v", err, err)
	}
	lines := strings.Count(string(data), "\n") + 1
	last := 0
	for _, fault := range faults.Faults() {
		if fault.Line < last && fault.Line != 0 || fault.Line > lines {
			t.Errorf("line %d after %d of %d: %v", fault.Line, last, lines, fault)
		}
		last = fault.Line
		if strings.Contains(fault.Message, "\n") || fault.Message == "" || len(fault.Message) > 4096 {
			t.Errorf("message %q", fault.Message)
		}
	}
}

// checkTopology: what was accepted keeps the rules of doc.go and can be explained.
func checkTopology(t *testing.T, top *Topology) {
	names := map[string]bool{}
	for n := range top.nodes {
		if names[n.Name] || n.Name == "" || n.ID == 0 || !n.Address.IsValid() || len(n.Clients) == 0 || n.Site == nil {
			t.Errorf("node %+v", n)
		}
		names[n.Name] = true
	}
	for _, s := range top.Sites {
		if len(s.Nodes) == 0 || s.Name == "" || len(top.Sites) > 1 && len(s.Gateways()) == 0 {
			t.Errorf("site %+v", s)
		}
		if got := len(top.Paths(s)); got != len(top.Sites)-1 {
			t.Errorf("%s reaches %d sites of %d", s.Name, got, len(top.Sites)-1)
		}
	}
	var first, second strings.Builder
	if err := top.Explain(&first); err != nil {
		t.Error(err)
	}
	if err := top.Explain(&second); err != nil || first.String() != second.String() {
		t.Error("two explanations differ")
	}
	if err := top.ExplainJSON(&first); err != nil {
		t.Error(err)
	}
}

// checkIndex: the index knows every key that the decoder found.
func checkIndex(t *testing.T, data []byte) {
	index, excess := indexLines(data)
	if excess != nil || len(index.lines) == maxPositions {
		return
	}
	tree, err := unmarshal(string(data))
	if err != nil {
		return
	}
	for _, path := range paths("", tree) {
		// A key with an escape that only TOML has is filed as it is written.
		if _, ok := index.lines[path]; !ok && !strings.Contains(string(data), `\`) {
			t.Errorf("no line for %q in:\n%s", path, data)
		}
	}
}

// paths returns the paths of everything in a decoded value.
func paths(path string, value any) []string {
	var all []string
	if list, ok := elements(value); ok {
		for i, v := range list {
			all = append(all, paths(element(path, i), v)...)
		}
		return all
	}
	if data, ok := value.(map[string]any); ok {
		for _, key := range slices.Sorted(maps.Keys(data)) {
			if key != "" {
				all = append(all, child(path, key))
				all = append(all, paths(child(path, key), data[key])...)
			}
		}
	}
	return all
}

// BenchmarkParse reads the largest federation that is allowed.
func BenchmarkParse(b *testing.B) {
	sites := slices.Repeat([]int{128}, 64)
	data := []byte(federation(sites...))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse("", data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecoderAlone shows how much of BenchmarkParse is the TOML decoder's.
func BenchmarkDecoderAlone(b *testing.B) {
	data := federation(slices.Repeat([]int{128}, 64)...)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		var tree map[string]any
		if _, err := toml.Decode(data, &tree); err != nil {
			b.Fatal(err)
		}
	}
}
