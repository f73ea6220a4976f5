package spreadconf

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ringway/topology"
)

var update = flag.Bool("update", false, "write the files of testdata anew")

// lookup stands for the name service.
func lookup(name string) ([]netip.Addr, error) {
	if name != "a2" {
		return nil, errors.New("no such host")
	}
	return []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::2")}, nil
}

// TestConversions holds the topology of each configuration in testdata against the one
// that stands beside it; -update writes those.
func TestConversions(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatal("no configurations", err)
	}
	for _, file := range files {
		for _, one := range []bool{false, true} {
			golden := strings.TrimSuffix(file, ".conf") + ".toml"
			if one {
				golden = strings.TrimSuffix(file, ".conf") + ".one-site.toml"
			}
			t.Run(filepath.Base(golden), func(t *testing.T) {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				config, err := Parse(file, data)
				if err != nil {
					t.Fatal(err)
				}
				got, err := config.Topology(Options{OneSite: one, Lookup: lookup, AccessIP: []byte("local # this machine\n10.0.0.0/8 2001:db8::/32\n"), AccessIPPath: "spread.access_ip"})
				if err != nil {
					t.Fatal(err)
				}
				if *update {
					if err := os.WriteFile(golden, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("not as in %s (go test ./topology/spreadconf -update writes it):\n%s", golden, got)
				}
				// Not Load, which would read the tokens that the operator is told to make.
				if _, err := topology.Parse(golden, got); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestEveryKeywordIsTold makes sure that nothing of a file is passed over in silence.
func TestEveryKeywordIsTold(t *testing.T) {
	for _, k := range keywords {
		if k.name == segmentKeyword {
			continue
		}
		text := fmt.Sprintf("Spread_Segment 239.1.1.1 { a 10.0.0.1 }\n%s = %s\n", strings.ToUpper(k.name), k.example)
		config, err := Parse("f", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", k.name, err)
			continue
		}
		out, err := config.Topology(Options{})
		if err != nil {
			t.Errorf("%s: %v", k.name, err)
		}
		if !strings.Contains(string(out), "#    2  "+k.name) {
			t.Errorf("%s is not told of:\n%s", k.name, out)
		}
	}
}

// TestFaults has one line of what is wrong and what is said about it.
func TestFaults(t *testing.T) {
	const good = "Spread_Segment 239.1.1.1 { a 10.0.0.1 }\n"
	for text, want := range map[string]string{
		"":                                                                  "f: there is no Spread_Segment",
		good + "Windoww = 3":                                                `f:2: "Windoww" is no keyword of Spread's: did you mean Window?`,
		good + "eventprioriti = INFO":                                       `f:2: "eventprioriti" is no keyword of Spread's: did you mean EventPriority?`,
		good + "Colour = { red\nblue }":                                     `f:2: "Colour" is no keyword of Spread 5's`,
		good + "Window = many":                                              `f:2: Window "many" is no number from 0 to 2147483647: write Window = 160`,
		good + "Window = -1":                                                "is no number",
		good + "Window":                                                     "f:2: Window has no value: write Window = 160",
		good + "Window = }":                                                 "f:2: Window has no value after =",
		good + "DangerousMonitor = perhaps":                                 `"perhaps" is neither true nor false`,
		good + "DebugFlags = { PRINT":                                       "f:2: DebugFlags has no }",
		good + "EventTimeStamp = \"%d\nWindow = 1":                          "f:2: a quoted text without its end",
		"\nSpread_Segment { a 10.0.0.1 }":                                   "f:2: Spread_Segment has no address",
		"Spread_Segment here { a 10.0.0.1 }":                                `f:1: segment address "here" is no address`,
		"Spread_Segment 239.1.1.1:0 { a 10.0.0.1 }":                         "has no port from 1 to 65534",
		"Spread_Segment 239.1.1.1:1 239.1.1.2:2 { a 10.0.0.1 }":             "has another port",
		"Spread_Segment 239.1.1.1 a 10.0.0.1":                               "f:1: Spread_Segment has no { after its address",
		"Spread_Segment 239.1.1.1 { a 10.0.0.1":                             "has no } at the end of its daemons",
		"Spread_Segment 239.1.1.1 { }":                                      "has no daemon",
		"Spread_Segment 239.1.1.1 { a 239.1.1.3 }":                          `address "239.1.1.3" is no address of a machine`,
		"Spread_Segment 239.1.1.1 { a fe80::1%eth0 }":                       "has a zone",
		"Spread_Segment 239.1.1.1 { a 10.0.0.1 { E 10.0.0.2 } }":            `interface "E" of daemon "a" is no address`,
		"Spread_Segment 239.1.1.1 { a 10.0.0.1 { D 10.0.0.2 ":               "have no } at their end",
		"Spread_Segment 239.1.1.1 { a 10.0.0.1 VirtualID = x }":             `VirtualID "x" is no number`,
		"Spread_Segment 239.1.1.1 { a 10.0.0.1\nb 10.0.0.1 }":               `f:2: daemon "b" is at 10.0.0.1:4803, and another daemon uses that port`,
		"Spread_Segment 239.1.1.1 { a 10.0.0.1\nb fd00::1 }":                "f:2: daemon \"b\" has the address fd00::1",
		"Spread_Segment 239.1.1.1 { a }":                                    `f:1: daemon "a" has no address, and looking it up failed (no such host)`,
		"Spread_Segment 239.1.1.1 { a 10.0.0.1 { C 10.0.0.1 C 10.0.0.1 } }": "clients of daemon \"a\" connect to 10.0.0.1:4803",
	} {
		config, err := Parse("f", []byte(text))
		if err == nil {
			_, err = config.Topology(Options{Lookup: lookup})
		}
		var faults *topology.Faults
		if !errors.As(err, &faults) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// TestAFileOfMethodIP reports what is wrong in it by its own lines.
func TestAFileOfMethodIP(t *testing.T) {
	config, err := Parse("f", []byte("Spread_Segment 239.1.1.1 { a 10.0.0.1 }\nAllowedAuthMethods = IP\n"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"unix\nthere": `ip:2: "there" is no entry`, "# nobody\n": "ip: no address"} {
		_, err := config.Topology(Options{AccessIP: []byte(text), AccessIPPath: "ip"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if out, err := config.Topology(Options{}); err != nil || !strings.Contains(string(out), "--access-ip") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAFederationOfThatName passes the name through to the file, and refuses a bad one.
func TestAFederationOfThatName(t *testing.T) {
	config, err := Parse("f", []byte("Spread_Segment 239.1.1.1 { a 10.0.0.1 }"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := config.Topology(Options{Federation: "acme"}); err != nil || !strings.Contains(string(out), `name  = "acme"`) {
		t.Errorf("%v\n%s", err, out)
	}
	var faults *topology.Faults
	if _, err := config.Topology(Options{Federation: "A B"}); !errors.As(err, &faults) {
		t.Errorf("got %v", err)
	}
}

// FuzzConvert: whatever the file says, there are faults or a topology that passes.
func FuzzConvert(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.conf")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, false)
		f.Add(data, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, one bool) {
		config, err := Parse("f", data)
		if err != nil {
			return
		}
		_, err = config.Topology(Options{OneSite: one, Lookup: lookup})
		if err != nil && strings.Contains(err.Error(), "does not pass") {
			t.Fatal(err)
		}
	})
}
