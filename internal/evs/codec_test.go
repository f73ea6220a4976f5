package evs

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func TestCodecRoundTrip(t *testing.T) {
	events := life("a",
		Event{Kind: Start, T: 1, Up: 2, Machine: "m"},
		ringOf("1", []string{"a", "b"}, []string{"a"}),
		Event{Kind: Lineage, Inst: "A", Number: Number{1 << 60, 3}, Electorate: []string{"a"}, Role: "heir"},
		formed("A", Number{1, 1}, "a"),
		connect("c1"), ask("c1", "g", "join"), join("c1", "g"),
		submit("c1", 1<<63, Safe, "g", "h"),
		keyed("c1", 1, Agreed, "A", 1<<62, 7, "A", "B"),
		Event{Kind: Reject, Msg: msg("c1", 1), Why: "late"},
		kdlv("c1", "c1", 1, "A", 20, 1),
		gview("c1", "g", "1", "c1"), gsig("c1", "g", "1", "c1"),
		sig(1, "A", "A"), lone(1, "A", "a"), view(1, "A", "A"),
		Event{Kind: Attach, Inst: "A", MinT: 5},
		imported("B", 0, 5), promised("B", "out", 6),
		Event{Kind: Cut, PI: in(2), C: []string{"A"}, CutTS: []string{"A"}, K: 1, B: 2, F: 3},
		Event{Kind: Horizon, H: 3, V: 2, L: Number{1, 2}},
		Event{Kind: Down, Client: "c1", T: 5, N: 6},
		leave("c1", "g"), gone("c1"), stop(),
	).Events
	var b bytes.Buffer
	if err := Encode(&b, events); err != nil {
		t.Fatal(err)
	}
	again, err := Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(events, again) {
		t.Errorf("wrote %+v\nread  %+v", events, again)
	}
}

func TestDecodeIsStrict(t *testing.T) {
	for _, test := range []struct{ name, line, want string }{
		{"unknown event", `{"t":1,"node":"a","boot":1,"ev":"dance"}`, `"dance" does not exist`},
		{"unknown field", `{"t":1,"node":"a","boot":1,"ev":"stop","colour":1}`, "colour"},
		{"no node", `{"t":1,"boot":1,"ev":"stop"}`, "names no node"},
		{"missing field", `{"t":1,"node":"a","boot":1,"ev":"ring","ring":"1"}`, "lacks members"},
		{"set out of order", `{"t":1,"node":"a","boot":1,"ev":"ring","ring":"1","members":["b","a"]}`, "not sorted"},
		{"unknown service", `{"t":1,"node":"a","boot":1,"ev":"submit","msg":["c",1],"groups":["g"],"svc":"fast"}`, `"fast" does not exist`},
		{"unknown phase", `{"t":1,"node":"a","boot":1,"ev":"dlv","client":"c","msg":["c",1],"phase":"x"}`, `"x" does not exist`},
		{"short pair", `{"t":1,"node":"a","boot":1,"ev":"reject","msg":["c"]}`, "array of 2"},
		{"two in a line", `{"t":1,"node":"a","boot":1,"ev":"stop"} {}`, "more than one"},
		{"cut off", `{"t":1,"node":"a"`, "line 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Decode(strings.NewReader(test.line + "\n"))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"t":1,"node":"a","boot":1,"ev":"submit","msg":["c",1],"groups":["g"],"svc":"safe"}`))
	f.Add([]byte(`{"t":1,"node":"a","boot":1,"ev":"start","T":5,"up":3,"machine":"m"}`))
	f.Add([]byte(`{"t":1,"node":"a","boot":1,"ev":"dlv","client":"c","msg":["c",1],"T":5,"view":[1,"x"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, err := Decode(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := Encode(&b, events); err != nil {
			t.Fatal(err)
		}
		again, err := Decode(&b)
		if err != nil || len(again) != len(events) {
			t.Fatalf("%d events became %d: %v", len(events), len(again), err)
		}
		Check([]Trace{{Node: "a", Events: events}}, Options{Settled: true, OneClock: true})
	})
}
