package netem

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// maxValue bounds the text of a value; none that makes sense is half as long.
const maxValue = 160

// quoted writes a value into a message without letting it fill the screen.
func quoted(text string) string { return fmt.Sprintf("%.40q", text) }

// isNumber says whether only a unit is missing.
func isNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil && len(text) <= maxValue/8
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil && isNumber(text):
		return 0, fmt.Errorf("%s has no unit: write %sms or %ss", quoted(text), text, text)
	case err != nil:
		return 0, fmt.Errorf("%s is not a duration: write one like 80ms or 0.5ms", quoted(text))
	case d < 0:
		return 0, fmt.Errorf("%s is negative", quoted(text))
	}
	return d, nil
}

// formatDuration writes what time.ParseDuration and tc both read, with no loss. tc does
// not know nanoseconds.
func formatDuration(d time.Duration) string {
	unit, name := time.Microsecond, "us"
	switch {
	case d >= time.Second:
		unit, name = time.Second, "s"
	case d >= time.Millisecond || d == 0:
		unit, name = time.Millisecond, "ms"
	}
	whole := strconv.FormatInt(int64(d/unit), 10)
	if rest := d % unit; rest > 0 {
		digits := len(strconv.FormatInt(int64(unit), 10)) - 1
		whole += "." + strings.TrimRight(fmt.Sprintf("%0*d", digits, int64(rest)), "0")
	}
	return whole + name
}

// parsePercent returns a fraction. Moving the decimal point in the text, rather than
// dividing, lets formatPercent be its exact inverse.
func parsePercent(text string) (float64, error) {
	number, isPercent := strings.CutSuffix(text, "%")
	plain := !strings.ContainsFunc(number, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	share, err := strconv.ParseFloat(number+"e-2", 64)
	switch {
	case !isPercent && isNumber(text):
		return 0, fmt.Errorf("%s has no percent sign: write %s%%", quoted(text), text)
	case !isPercent || !plain || err != nil:
		return 0, fmt.Errorf("%s is not a percentage: write one like 0.5%%", quoted(text))
	case share > 1:
		return 0, fmt.Errorf("%s is out of range: from 0%% to 100%%", quoted(text))
	case share > 0 && share < minShare:
		return 0, fmt.Errorf("%s is too small to happen: at least %s, or 0%%", quoted(text), formatPercent(minShare))
	}
	return share, nil
}

func formatPercent(share float64) string {
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(share, 'e', -1, 64), "e")
	e, _ := strconv.Atoi(exponent)
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	point := 1 + e + 2 // the decimal point stands so far into digits
	switch {
	case share == 0:
		return "0%"
	case point <= 0:
		return "0." + strings.Repeat("0", -point) + digits + "%"
	case point >= len(digits):
		return digits + strings.Repeat("0", point-len(digits)) + "%"
	default:
		return digits[:point] + "." + digits[point:] + "%"
	}
}

// units of rates count in thousands, those of sizes in 1024, as tc does.
var (
	rateUnits = []unit{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}
	sizeUnits = []unit{{"mb", 1 << 20}, {"kb", 1 << 10}, {"b", 1}}
)

type unit struct {
	suffix string
	factor float64
}

func parseRate(text string) (uint64, error) {
	rate, ok := parseUnits(text, rateUnits)
	switch {
	case !ok && isNumber(text):
		return 0, fmt.Errorf("%s has no unit: write %smbit, %skbit, %sgbit or %sbit", quoted(text), text, text, text, text)
	case !ok:
		return 0, fmt.Errorf("%s is not a rate: write one like 200mbit, with bit, kbit, mbit or gbit", quoted(text))
	case rate != 0 && !(rate >= 1 && rate <= maxRate):
		return 0, fmt.Errorf("%s is out of range: from 1bit to 1000gbit, or 0bit for no rate", quoted(text))
	}
	return uint64(math.Round(rate)), nil
}

// parseLimit reads a time or a size.
func parseLimit(text string) (Limit, error) {
	if bytes, ok := parseUnits(text, sizeUnits); ok {
		if !(bytes >= 1 && bytes <= maxLimit) {
			return Limit{}, fmt.Errorf("%s is out of range: from 1b to 1024mb", quoted(text))
		}
		return Limit{Bytes: int64(math.Round(bytes))}, nil
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil && isNumber(text):
		return Limit{}, fmt.Errorf("%s has no unit: write a time like %sms or a size like %skb", quoted(text), text, text)
	case err != nil:
		return Limit{}, fmt.Errorf("%s is neither a time nor a size: write one like 50ms or 256kb", quoted(text))
	case d < time.Microsecond:
		return Limit{}, fmt.Errorf("%s is out of range: from 1us to %v", quoted(text), maxDelay)
	}
	return Limit{Time: d}, nil
}

func parseUnits(text string, units []unit) (float64, bool) {
	for _, u := range units {
		if number, ok := strings.CutSuffix(text, u.suffix); ok {
			value, err := strconv.ParseFloat(number, 64)
			return value * u.factor, err == nil && value >= 0
		}
	}
	return 0, false
}

// formatUnits writes a whole number in the largest unit that divides it.
func formatUnits(value uint64, units []unit) string {
	for _, u := range units {
		if f := uint64(u.factor); value >= f && value%f == 0 {
			return strconv.FormatUint(value/f, 10) + u.suffix
		}
	}
	return "0" + units[len(units)-1].suffix
}

func (l Limit) String() string {
	switch {
	case l.Bytes > 0:
		return formatUnits(uint64(l.Bytes), sizeUnits)
	case l.Time > 0:
		return formatDuration(l.Time)
	default:
		return formatDuration(defaultLimit)
	}
}
