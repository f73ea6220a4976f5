package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"ringway/membership"
)

// The fields of steps: a node is n2, its client 1 is n2.1, a partition gives each
// node a letter for its side. A site is s1.
var (
	nodeField = field{"node",
		func(s *Step) string { return nodeText(s.Node) },
		func(s *Step, word string) (err error) { s.Node, err = parseNode(word); return }}
	peerField = field{"peer",
		func(s *Step) string { return nodeText(s.Peer) },
		func(s *Step, word string) (err error) { s.Peer, err = parseNode(word); return }}
	clientField = field{"client",
		func(s *Step) string { return fmt.Sprintf("n%d.%d", s.Node, s.Client) },
		parseClient}
	siteField = field{"site",
		func(s *Step) string { return siteText(s.Site) },
		func(s *Step, word string) (err error) { s.Site, err = parseSite(word); return }}
	farField = field{"other site",
		func(s *Step) string { return siteText(s.Far) },
		func(s *Step, word string) (err error) { s.Far, err = parseSite(word); return }}
	forField  = timeField("for", func(s *Step) *time.Duration { return &s.For })
	byField   = timeField("by", func(s *Step) *time.Duration { return &s.By })
	leapField = field{"by",
		func(s *Step) string { return s.By.String() },
		parseLeap}
	everyField = timeField("every", func(s *Step) *time.Duration { return &s.Every })

	percentField = field{"percent",
		func(s *Step) string { return strconv.FormatFloat(s.Percent, 'g', -1, 64) + "%" },
		parsePercent}
	sidesField = field{"sides",
		func(s *Step) string { return s.Sides },
		func(s *Step, word string) error { s.Sides = word; return nil }}
	groupsField = field{"groups",
		func(s *Step) string { return strings.Join(s.Groups, ",") },
		parseGroups}
	sessionField = field{"groups",
		func(s *Step) string {
			if s.Free {
				return strings.Join(s.Groups, ",") + freeSuffix
			}
			return strings.Join(s.Groups, ",")
		},
		parseSession}
	serviceField = field{"service",
		func(s *Step) string {
			if s.Discard {
				return s.Service.String() + "/discard"
			}
			return s.Service.String()
		},
		parseService}
	sizeField = field{"size",
		func(s *Step) string { return strconv.Itoa(s.Size) + "B" },
		func(s *Step, word string) (err error) { s.Size, err = parseCount(word, "", "B", maxSize); return }}
	countField = field{"count",
		func(s *Step) string { return "x" + strconv.Itoa(s.Count) },
		func(s *Step, word string) (err error) { s.Count, err = parseCount(word, "x", "", maxBurst); return }}
)

func siteText(i int) string { return "s" + strconv.Itoa(i) }

func parseSite(word string) (int, error) { return parseCount(word, "s", "", maxSites-1) }

func nodeText(i int) string { return "n" + strconv.Itoa(i) }

func timeField(name string, of func(*Step) *time.Duration) field {
	return field{name,
		func(s *Step) string { return of(s).String() },
		func(s *Step, word string) (err error) { *of(s), err = parseTime(word); return }}
}

// parseLeap reads by how much a clock leaps; back, if it is negative.
func parseLeap(s *Step, word string) (err error) {
	ahead, back := strings.CutPrefix(word, "-")
	if s.By, err = parseTime(ahead); back {
		s.By = -s.By
	}
	return err
}

// parseCount reads a number that has something before or behind it.
func parseCount(word, prefix, suffix string, most int) (int, error) {
	if !strings.HasPrefix(word, prefix) || !strings.HasSuffix(word, suffix) || len(word) < len(prefix)+len(suffix) {
		return 0, fmt.Errorf("want %s<number>%s", prefix, suffix)
	}
	n, err := strconv.Atoi(word[len(prefix) : len(word)-len(suffix)])
	if err == nil && (n < 0 || n > most) {
		err = fmt.Errorf("want 0 to %d", most)
	}
	return n, err
}

func parseNode(word string) (int, error) { return parseCount(word, "n", "", maxNodes-1) }

func parseClient(s *Step, word string) (err error) {
	node, slot, ok := strings.Cut(word, ".")
	if !ok {
		return fmt.Errorf("want a client, like n2.1")
	}
	if s.Node, err = parseNode(node); err != nil {
		return err
	}
	s.Client, err = parseCount(slot, "", "", maxSlots-1)
	return err
}

func parsePercent(s *Step, word string) error {
	number, ok := strings.CutSuffix(word, "%")
	p, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(p >= 0 && p <= 100) {
		return fmt.Errorf("want 0%% to 100%%")
	}
	s.Percent = p
	return nil
}

func parseGroups(s *Step, word string) error {
	s.Groups = strings.Split(word, ",")
	if len(s.Groups) > membership.MaxGroups {
		return fmt.Errorf("%d groups, at most %d", len(s.Groups), membership.MaxGroups)
	}
	return nil
}

// freeSuffix stands behind the groups of a client whose session has independent scopes.
const freeSuffix = "/independent"

func parseSession(s *Step, word string) error {
	word, s.Free = strings.CutSuffix(word, freeSuffix)
	return parseGroups(s, word)
}

func parseService(s *Step, word string) (err error) {
	word, s.Discard = strings.CutSuffix(word, "/discard")
	s.Service, err = membership.ParseService(word)
	return err
}
