package netem

import (
	"fmt"
	"strconv"
	"strings"
)

// keys of settings, in the order in which String writes them.
var keys = []string{"delay", "jitter", "distribution", "loss", "loss-model", "duplicate", "reorder", "gap", "rate", "limit"}

// maxSettings bounds the text of settings: ten keys and their values.
const maxSettings = 1024

// Parse reads settings like "delay=80ms jitter=2ms/25% loss=0.5%". What is not named is
// as in the zero Profile. The package's text has the keys.
func Parse(text string) (Profile, error) { return Profile{}.With(text) }

// With returns the profile changed by settings: what they do not name stays. Naming
// loss drops loss-model and the other way round, and a value that becomes zero takes
// along what belongs to it: jitter=0ms its distribution, rate=0bit its limit.
func (p Profile) With(text string) (Profile, error) {
	if len(text) > maxSettings {
		return Profile{}, fmt.Errorf("settings of %d bytes: at most %d make sense", len(text), maxSettings)
	}
	named := map[string]bool{}
	for _, setting := range strings.Fields(text) {
		key, value, ok := strings.Cut(setting, "=")
		if !ok || value == "" || len(value) > maxValue {
			return Profile{}, fmt.Errorf("setting %s: want key=value, as in delay=80ms", quoted(setting))
		}
		if named[key] {
			return Profile{}, fmt.Errorf("setting %s: %s stands twice: name it once", quoted(setting), key)
		}
		named[key] = true
		if err := p.set(key, value); err != nil {
			return Profile{}, fmt.Errorf("setting %s: %w", key, err)
		}
	}
	p.settle(named)
	if err := p.Validate(); err != nil {
		return Profile{}, err
	}
	return p, nil
}

// settle drops what other settings have made meaningless, unless it was named too:
// then it is a mistake, which Validate reports.
func (p *Profile) settle(named map[string]bool) {
	if named["loss"] && !named["loss-model"] {
		p.Burst = GilbertElliott{}
	}
	if named["loss-model"] && !named["loss"] {
		p.Loss, p.LossCor = 0, 0
	}
	if p.Jitter == 0 && !named["distribution"] {
		p.JitterShape = Uniform
	}
	if p.Jitter == 0 && !named["reorder"] {
		p.Overtake = false
	}
	if p.Reorder == 0 && !named["gap"] {
		p.Gap = 0
	}
	if p.Rate == 0 && !named["limit"] {
		p.Limit = Limit{}
	}
}

func (p *Profile) set(key, value string) (err error) {
	switch key {
	case "delay":
		p.Delay, err = parseDuration(value)
	case "jitter":
		length, cor, _ := strings.Cut(value, "/")
		if p.Jitter, err = parseDuration(length); err == nil {
			p.JitterCor, err = parseCorrelation(value, cor)
		}
	case "distribution":
		p.JitterShape, err = parseDistribution(value)
	case "loss":
		p.Loss, p.LossCor, err = parseShare(value)
	case "loss-model":
		p.Burst, err = parseModel(value)
	case "duplicate":
		p.Duplicate, p.DuplicateCor, err = parseShare(value)
	case "reorder":
		err = p.setReorder(value)
	case "gap":
		if p.Gap, err = strconv.Atoi(value); err != nil || p.Gap < 1 || p.Gap > maxGap {
			err = fmt.Errorf("%s is not a number of packets: from 1 to %d", quoted(value), maxGap)
		}
	case "rate":
		p.Rate, err = parseRate(value)
	case "limit":
		p.Limit, err = parseLimit(value)
	default:
		err = fmt.Errorf("not known: the keys are %s", strings.Join(keys, ", "))
	}
	return err
}

// parseShare reads PERCENT or PERCENT/CORRELATION.
func parseShare(text string) (share, cor float64, err error) {
	first, second, _ := strings.Cut(text, "/")
	if share, err = parsePercent(first); err == nil {
		cor, err = parseCorrelation(text, second)
	}
	return share, cor, err
}

func parseCorrelation(whole, text string) (float64, error) {
	switch {
	case !strings.Contains(whole, "/"):
		return 0, nil
	case text == "":
		return 0, fmt.Errorf("%s has a stroke and no correlation after it: write it like %s25%%", quoted(whole), whole)
	}
	cor, err := parsePercent(text)
	if err != nil {
		return 0, fmt.Errorf("correlation: %w", err)
	}
	return cor, nil
}

func parseDistribution(text string) (Distribution, error) {
	for i, name := range distributionNames {
		if name == text {
			return Distribution(i), nil
		}
	}
	return 0, fmt.Errorf("%s is not known: the distributions are %s", quoted(text), strings.Join(distributionNames[:], ", "))
}

// setReorder reads PERCENT[/CORRELATION], and "allow" in front or alone.
func (p *Profile) setReorder(text string) (err error) {
	p.Overtake, p.Reorder, p.ReorderCor = false, 0, 0
	rest, allow := strings.CutPrefix(text, "allow")
	if p.Overtake = allow; allow {
		var more bool
		switch rest, more = strings.CutPrefix(rest, "/"); {
		case !more && rest == "":
			return nil
		case !more:
			return fmt.Errorf("%s: write a percentage, allow, or both, as in 25%%/50%% or allow/25%%", quoted(text))
		}
	}
	p.Reorder, p.ReorderCor, err = parseShare(rest)
	return err
}

// parseModel reads gemodel:P[:R[:1-H[:1-K]]], with the defaults of tc: r = 1-p, all is
// lost while bad and nothing while good; or none.
func parseModel(text string) (GilbertElliott, error) {
	parts := strings.Split(text, ":")
	if text == "none" {
		return GilbertElliott{}, nil
	}
	if parts[0] != "gemodel" || len(parts) < 2 || len(parts) > 5 {
		return GilbertElliott{}, fmt.Errorf("%s is not known: write gemodel:P:R:1-H:1-K, as in gemodel:1%%:10%%:70%%:0.1%% (all but P may be left out), or none", quoted(text))
	}
	var values [4]float64
	for i, part := range parts[1:] {
		var err error
		if values[i], err = parsePercent(part); err != nil {
			return GilbertElliott{}, fmt.Errorf("%s of gemodel: %w", [...]string{"p", "r", "1-h", "1-k"}[i], err)
		}
	}
	given := len(parts) - 1
	if given < 2 {
		values[1] = 1 - values[0]
	}
	if given < 3 {
		values[2] = 1
	}
	return GilbertElliott{P: values[0], R: values[1], LossBad: values[2], LossGood: values[3]}, nil
}

// String writes the settings that Parse reads, without those that are zero; for the
// zero Profile it is empty.
func (p Profile) String() string {
	var parts []string
	add := func(key, value string) { parts = append(parts, key+"="+value) }
	if p.Delay > 0 {
		add("delay", formatDuration(p.Delay))
	}
	if p.Jitter > 0 {
		add("jitter", withCorrelation(formatDuration(p.Jitter), p.JitterCor))
	}
	if p.JitterShape != Uniform {
		add("distribution", p.JitterShape.String())
	}
	if p.Loss > 0 {
		add("loss", withCorrelation(formatPercent(p.Loss), p.LossCor))
	}
	if g := p.Burst; g != (GilbertElliott{}) {
		add("loss-model", strings.Join([]string{"gemodel", formatPercent(g.P), formatPercent(g.R), formatPercent(g.LossBad), formatPercent(g.LossGood)}, ":"))
	}
	if p.Duplicate > 0 {
		add("duplicate", withCorrelation(formatPercent(p.Duplicate), p.DuplicateCor))
	}
	switch share := withCorrelation(formatPercent(p.Reorder), p.ReorderCor); {
	case p.Overtake && p.Reorder > 0:
		add("reorder", "allow/"+share)
	case p.Overtake:
		add("reorder", "allow")
	case p.Reorder > 0:
		add("reorder", share)
	}
	if p.Gap > 0 {
		add("gap", strconv.Itoa(p.Gap))
	}
	if p.Rate > 0 {
		add("rate", formatUnits(p.Rate, rateUnits))
	}
	if p.Limit != (Limit{}) {
		add("limit", p.Limit.String())
	}
	return strings.Join(parts, " ")
}

func withCorrelation(value string, cor float64) string {
	if cor == 0 {
		return value
	}
	return value + "/" + formatPercent(cor)
}

// MarshalText writes what String does: profiles stand in JSON as settings.
func (p Profile) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what Parse does.
func (p *Profile) UnmarshalText(text []byte) (err error) {
	*p, err = Parse(string(text))
	return err
}
