package netem

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	const us = time.Microsecond
	for text, want := range map[string]Profile{
		"":                                             {},
		"delay=80ms":                                   {Delay: 80 * ms},
		"  delay=1.5s\tloss=0.5%":                      {Delay: 1500 * ms, Loss: 0.005},
		"delay=80ms jitter=500us/25%":                  {Delay: 80 * ms, Jitter: 500 * us, JitterCor: 0.25},
		"jitter=2ms distribution=paretonormal":         {Jitter: 2 * ms, JitterShape: ParetoNormal},
		"loss=1%/12.5%":                                {Loss: 0.01, LossCor: 0.125},
		"loss-model=gemodel:1%":                        {Burst: GilbertElliott{P: 0.01, R: 0.99, LossBad: 1}},
		"loss-model=gemodel:1%:10%":                    {Burst: GilbertElliott{P: 0.01, R: 0.1, LossBad: 1}},
		"loss-model=gemodel:1%:10%:70%:0.1%":           {Burst: GilbertElliott{0.01, 0.1, 0.7, 0.001}},
		"loss-model=none":                              {},
		"rate=200mbit":                                 {Rate: 200_000_000},
		"rate=1.5gbit limit=50ms":                      {Rate: 1_500_000_000, Limit: Limit{Time: 50 * ms}},
		"rate=64kbit limit=256kb":                      {Rate: 64_000, Limit: Limit{Bytes: 256 << 10}},
		"duplicate=1%/5%":                              {Duplicate: 0.01, DuplicateCor: 0.05},
		"delay=10ms reorder=25%/50% gap=5":             {Delay: 10 * ms, Reorder: 0.25, ReorderCor: 0.5, Gap: 5},
		"delay=10ms jitter=2ms reorder=allow":          {Delay: 10 * ms, Jitter: 2 * ms, Overtake: true},
		"delay=10ms jitter=2ms reorder=allow/25%/100%": {Delay: 10 * ms, Jitter: 2 * ms, Overtake: true, Reorder: 0.25, ReorderCor: 1},
		"delay=0ms loss=0% duplicate=0%/0% rate=0bit":  {},
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%q:\n %+v (%v)\nwant\n %+v", text, got, err, want)
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"80ms":                          `"80ms": want key=value`,
		"delay=":                        "want key=value",
		"delay=80":                      "no unit: write 80ms",
		"delay=-1ms":                    "negative",
		"delay=11s":                     "out of range: from 0s to 10s",
		"delay=soon":                    "is not a duration",
		"delay=1ms delay=2ms":           "delay stands twice",
		"dealy=1ms":                     "the keys are delay, jitter",
		"jitter=2ms/":                   "write it like 2ms/25%",
		"jitter=2ms/25":                 "correlation: \"25\" has no percent sign: write 25%",
		"jitter=0ms/25%":                "jitter has a correlation but is 0",
		"distribution=normal":           "add jitter=2ms",
		"jitter=2ms distribution=bell":  "the distributions are uniform, normal",
		"loss=0.5":                      "no percent sign: write 0.5%",
		"loss=101%":                     "out of range: from 0% to 100%",
		"loss=-1%":                      "is not a percentage",
		"loss=0.00000001%":              "too small to happen: at least 0.0000001%, or 0%",
		"loss=NaN%":                     "is not a percentage",
		"loss=1e1%":                     "is not a percentage",
		"loss=1% loss-model=gemodel:1%": "exclude each other",
		"loss-model=bernoulli:1%":       "write gemodel:P:R:1-H:1-K",
		"loss-model=gemodel":            "write gemodel:P:R:1-H:1-K",
		"loss-model=gemodel:1%:x":       "r of gemodel: \"x\" is not a percentage",
		"rate=200":                      "write 200mbit",
		"rate=0.1bit":                   "out of range",
		"rate=Infbit":                   "out of range",
		"limit=100ms":                   "there is no rate",
		"rate=1mbit limit=1000":         "write a time like 1000ms or a size like 1000kb",
		"rate=1mbit limit=x":            "neither a time nor a size",
		"rate=1mbit limit=0ms":          "out of range",
		"reorder=25%":                   "reorder needs a delay",
		"delay=1ms reorder=0%/5%":       "reorder has a correlation",
		"delay=1ms reorder=allow":       "add jitter=2ms",
		"delay=1ms reorder=allowed":     "percentage, allow, or both",
		"delay=1ms gap=5":               "reorder has a correlation or a gap",
		"delay=1ms reorder=5% gap=0":    "not a number of packets",
		strings.Repeat("a=b ", 300):     "settings of 1200 bytes",
	} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: error %v, want one with %q", text, err, want)
		}
	}
}

func TestWith(t *testing.T) {
	base := "delay=80ms jitter=2ms distribution=normal loss=1%/25% reorder=5% gap=3 rate=200mbit limit=50ms"
	for settings, want := range map[string]string{
		"":                              base,
		"delay=40ms loss=0.5%":          "delay=40ms jitter=2ms distribution=normal loss=0.5% reorder=5% gap=3 rate=200mbit limit=50ms",
		"loss-model=gemodel:1%:10%":     "delay=80ms jitter=2ms distribution=normal loss-model=gemodel:1%:10%:100%:0% reorder=5% gap=3 rate=200mbit limit=50ms",
		"jitter=0ms reorder=0% loss=0%": "delay=80ms rate=200mbit limit=50ms",
		"rate=0bit reorder=0%":          "delay=80ms jitter=2ms distribution=normal loss=1%/25%",
	} {
		got, err := mustParse(t, base).With(settings)
		if err != nil || got.String() != want {
			t.Errorf("with %q:\n %v (%v)\nwant\n %v", settings, got, err, want)
		}
	}
	if _, err := mustParse(t, base).With("delay=0ms"); err == nil || !strings.Contains(err.Error(), "reorder needs a delay") {
		t.Errorf("no delay, but reordering: %v", err)
	}
	burst := mustParse(t, "loss-model=gemodel:1%:10%")
	if got, err := burst.With("loss=2%"); err != nil || got != (Profile{Loss: 0.02}) {
		t.Errorf("loss after loss-model: %v (%v)", got, err)
	}
}

func TestStringIsTheInverseOfParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyProfile().Draw(t, "profile")
		got, err := Parse(want.String())
		if err != nil || got != want {
			t.Fatalf("%v is read as\n%+v (%v), want\n%+v", want, got, err, want)
		}
		data, err := json.Marshal(want)
		var back Profile
		if err == nil {
			err = json.Unmarshal(data, &back)
		}
		if err != nil || back != want {
			t.Fatalf("%s is read as\n%+v (%v), want\n%+v", data, back, err, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("delay=80ms jitter=2ms/25% distribution=pareto loss-model=gemodel:1%:10%:70%:0.1% duplicate=1%/5% reorder=allow/25%/50% gap=5 rate=200mbit limit=256kb")
	f.Add("delay=1h loss=1e-5% rate=1e300bit limit=Infb")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(p.String()); err != nil || again != p {
			t.Fatalf("%q is %+v, written %q, read again %+v (%v)", text, p, p, again, err)
		}
		NewModel(p, seeded(1)).Admit(time.Second, 1400)
	})
}

func TestTC(t *testing.T) {
	for settings, want := range map[string]string{
		"":                          "limit 100000",
		"delay=80ms":                "limit 100000 delay 80ms",
		"delay=80ms jitter=1500us":  "limit 100000 delay 80ms 1.5ms rate 100gbit", // keeps the order
		"delay=8ms rate=1mbit":      "limit 1000 delay 8ms rate 1mbit",
		"delay=80ms rate=1gbit":     "limit 14861 delay 80ms rate 1gbit",
		"delay=80ms rate=1500mbit":  "limit 22291 delay 80ms rate 1500mbit",
		"rate=100mbit limit=1024mb": "limit 709208 rate 100mbit",
		"delay=80ms jitter=2ms/25% distribution=normal loss=0.5%/30% duplicate=1%/5% reorder=allow/25%/50% gap=5": "limit 100000 delay 80ms 2ms 25% distribution normal " +
			"loss random 0.5% 30% duplicate 1% 5% reorder 25% 50% gap 5",
		"loss-model=gemodel:1%:10%:70%:0.1%": "limit 100000 loss gemodel 1% 10% 70% 0.1%",
	} {
		if got := strings.Join(mustParse(t, settings).TC(), " "); got != want {
			t.Errorf("%q:\n %s\nwant\n %s", settings, got, want)
		}
	}
}

// TestTCUnderstands has the real tc read what TC returns. It fails at the kernel, which
// has no such device, or before, when tc does not understand.
func TestTCUnderstands(t *testing.T) {
	tc, err := exec.LookPath("tc")
	if err != nil {
		t.Fatalf("%v: install iproute2", err)
	}
	try := func(args ...string) string {
		// To tc, a device that is not there is an error after the arguments.
		cmd := exec.Command(tc, slices.Concat([]string{"qdisc", "add", "dev", "nosuchdevice", "root", "netem"}, args)...)
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	const understood = "Cannot find device \"nosuchdevice\"\n"
	if out := try("delay", "soon"); out == understood {
		t.Fatalf("tc does not say what it does not understand")
	}
	for _, settings := range []string{
		"", "delay=80ms", "delay=1ns", "delay=1.000000001s jitter=1ns", "jitter=2ms/25%", "delay=80ms jitter=1.5ms/25% distribution=normal",
		"delay=80ms jitter=1ms distribution=pareto", "delay=80ms jitter=1ms distribution=paretonormal reorder=allow",
		"loss=0.5%/25%", "loss=100%", "loss-model=gemodel:1%", "loss-model=gemodel:1%:10%:70%:0.1%", "loss=0.0000001%",
		"duplicate=1%/5%", "delay=10ms reorder=25%/50% gap=5", "delay=10ms reorder=100%", "delay=80ms rate=123456789bit limit=1mb", "rate=1000gbit",
	} {
		args := mustParse(t, settings).TC()
		if out := try(args...); out != understood {
			t.Errorf("netem %s: %s", strings.Join(args, " "), out)
		}
	}
}
