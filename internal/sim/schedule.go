package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringway/membership"
)

// version is that of the text form of schedules. A transcript of another one is
// refused: it would not show what it was kept for.
const version = 1

// Limits of a schedule, so that a broken transcript costs an error and not the
// machine.
const (
	maxNodes  = membership.MaxSiteNodes
	maxSlots  = 64 // clients of a node
	maxBurst  = 100_000
	maxSize   = membership.MaxMessageBytes
	maxLength = time.Hour
)

// A Schedule is one run of one site written down: the site, its network, and
// everything that happens to it, in the order of time. It has a text form (see
// doc.go), which is what a failure is kept as; every line of it may be left out and
// it is still a schedule.
type Schedule struct {
	Profile  string // that drew it
	Seed     uint64 // of the network's dice, clocks and boot ids too
	Nodes    int
	Gateways int
	Answers  float64 // of a hundred deliveries, how many are answered
	LAN      LAN
	Length   time.Duration // until clients fall silent and all faults have ended
	Steps    []Step
}

// A Step is one thing that happens. Which fields count depends on the verb.
type Step struct {
	At   time.Duration
	Verb Verb

	Node, Peer int           // which
	Client     int           // of Node
	For        time.Duration // how long a fault lasts
	By         time.Duration // how slow, how late
	Every      time.Duration // between the messages of a burst
	Percent    float64
	Sides      string // of a partition: a letter for each node
	Groups     []string
	Service    membership.Service
	Discard    bool // the sender does not want its message back
	Size       int
	Count      int
}

// A Verb says what happens.
type Verb string

// The verbs. Faults last For a time and then end by themselves, so that leaving one
// out leaves out its end too.
const (
	Start     Verb = "start"     // a node begins; a node without it is never there
	Crash     Verb = "crash"     // a node dies and begins anew after a while
	Die       Verb = "die"       // a node dies and stays dead
	Pause     Verb = "pause"     // a node sleeps, as by SIGSTOP
	Slow      Verb = "slow"      // each step of a node takes a time
	Partition Verb = "partition" // nodes on different sides do not hear each other
	Lose      Verb = "lose"      // packets between all nodes get lost
	OneWay    Verb = "oneway"    // packets of one node to another get lost
	Late      Verb = "late"      // packets come late by up to a time, and so out of order
	Double    Verb = "double"    // packets come twice
	Delay     Verb = "delay"     // all packets take longer

	Connect Verb = "connect" // a client begins its session, and again whenever its node begins
	Bye     Verb = "bye"     // a client ends it
	Join    Verb = "join"
	Leave   Verb = "leave"
	Say     Verb = "say" // a client sends messages
)

// A field is a part of a step as text.
type field struct {
	name  string
	print func(*Step) string
	parse func(*Step, string) error
}

// grammar says which fields follow the time and the verb.
var grammar = map[Verb][]field{
	Start:     {nodeField},
	Crash:     {nodeField, forField},
	Die:       {nodeField},
	Pause:     {nodeField, forField},
	Slow:      {nodeField, byField, forField},
	Partition: {sidesField, forField},
	Lose:      {percentField, forField},
	OneWay:    {nodeField, peerField, percentField, forField},
	Late:      {percentField, byField, forField},
	Double:    {percentField, forField},
	Delay:     {byField, forField},
	Connect:   {clientField, groupsField},
	Bye:       {clientField},
	Join:      {clientField, groupsField},
	Leave:     {clientField, groupsField},
	Say:       {clientField, serviceField, groupsField, sizeField, countField, everyField},
}

// fault says whether the step makes something go wrong.
func (s *Step) fault() bool {
	switch s.Verb {
	case Crash, Die, Pause, Slow, Partition, Lose, OneWay, Late, Double, Delay:
		return true
	}
	return false
}

// end is when the step is over.
func (s *Step) end() time.Duration { return s.At + s.For + s.Every*time.Duration(max(0, s.Count-1)) }

func (s *Step) String() string {
	words := []string{s.At.String(), string(s.Verb)}
	for _, f := range grammar[s.Verb] {
		words = append(words, f.print(s))
	}
	return strings.Join(words, " ")
}

// String is the text form.
func (s *Schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "schedule %d profile %s seed %d nodes %d gateways %d answers %g length %v\n", version, s.Profile, s.Seed, s.Nodes, s.Gateways, s.Answers, s.Length)
	l := &s.LAN
	fmt.Fprintf(&b, "lan delay %v %v jitter %v loss %g double %g late %g %v\n", l.Delay[0], l.Delay[1], l.Jitter, l.Loss, l.Duplicate, l.Late, l.LateBy)
	for i := range s.Steps {
		b.WriteString(s.Steps[i].String())
		b.WriteByte('\n')
	}
	return b.String()
}

// ParseSchedule reads the text form. Lines that begin with # are comments.
func ParseSchedule(text string) (*Schedule, error) {
	s := &Schedule{}
	head := 0
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		var err error
		switch head++; head {
		case 1:
			err = s.parseHead(line)
		case 2:
			err = s.parseLAN(line)
		default:
			var step Step
			if step, err = s.parseStep(line); err == nil {
				s.Steps = append(s.Steps, step)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("schedule, line %d: %q: %w", i+1, line, err)
		}
	}
	if head < 2 {
		return nil, fmt.Errorf("a schedule begins with a line \"schedule ...\" and a line \"lan ...\"; this has %d lines", head)
	}
	slices.SortStableFunc(s.Steps, func(a, b Step) int { return int(a.At - b.At) })
	return s, nil
}

// scan reads a line in which words and values alternate.
func scan(line string, want ...any) error {
	words := strings.Fields(line)
	if len(words) != len(want) {
		return fmt.Errorf("want %d words, got %d", len(want), len(words))
	}
	for i, w := range want {
		if err := scanWord(words[i], w); err != nil {
			return err
		}
	}
	return nil
}

func scanWord(word string, want any) (err error) {
	switch want := want.(type) {
	case string:
		if word != want {
			err = fmt.Errorf("want the word %q", want)
		}
	case *string:
		*want = word
	case *int:
		*want, err = strconv.Atoi(word)
	case *uint64:
		*want, err = strconv.ParseUint(word, 10, 64)
	case *float64:
		*want, err = strconv.ParseFloat(word, 64)
	case *time.Duration:
		*want, err = parseTime(word)
	}
	return err
}

func parseTime(word string) (time.Duration, error) {
	d, err := time.ParseDuration(word)
	if err == nil && (d < 0 || d > maxLength) {
		err = fmt.Errorf("%v is not between 0 and %v", d, maxLength)
	}
	return d, err
}

func (s *Schedule) parseHead(line string) error {
	var v int
	if err := scan(line, "schedule", &v, "profile", &s.Profile, "seed", &s.Seed, "nodes", &s.Nodes, "gateways", &s.Gateways, "answers", &s.Answers, "length", &s.Length); err != nil {
		return err
	}
	switch {
	case v != version:
		return fmt.Errorf("version %d, this program reads %d; draw the run anew from its seed", v, version)
	case s.Nodes < 1 || s.Nodes > maxNodes || s.Gateways < 0 || s.Gateways > s.Nodes:
		return fmt.Errorf("%d nodes with %d gateways, want 1 to %d nodes and no more gateways than nodes", s.Nodes, s.Gateways, maxNodes)
	case !(s.Answers >= 0 && s.Answers <= 100):
		return fmt.Errorf("answers to %g of a hundred", s.Answers)
	}
	return nil
}

func (s *Schedule) parseLAN(line string) error {
	l := &s.LAN
	return scan(line, "lan", "delay", &l.Delay[0], &l.Delay[1], "jitter", &l.Jitter, "loss", &l.Loss, "double", &l.Duplicate, "late", &l.Late, &l.LateBy)
}

func (s *Schedule) parseStep(line string) (Step, error) {
	words := strings.Fields(line)
	if len(words) < 2 {
		return Step{}, fmt.Errorf("want a time and a verb")
	}
	at, err := parseTime(words[0])
	if err != nil {
		return Step{}, err
	}
	step := Step{At: at, Verb: Verb(words[1])}
	fields, ok := grammar[step.Verb]
	if !ok || len(fields) != len(words)-2 {
		var names []string
		for _, f := range fields {
			names = append(names, f.name)
		}
		return step, fmt.Errorf("unknown verb, or not what follows it: %v", names)
	}
	for i, f := range fields {
		if err := f.parse(&step, words[i+2]); err != nil {
			return step, fmt.Errorf("%s %q: %w", f.name, words[i+2], err)
		}
	}
	if step.Node >= s.Nodes || step.Peer >= s.Nodes || len(step.Sides) > s.Nodes {
		return step, fmt.Errorf("there are only %d nodes", s.Nodes)
	}
	return step, nil
}

// clone is a copy whose steps may be changed, but not their groups.
func (s *Schedule) clone() *Schedule {
	c := *s
	c.Steps = slices.Clone(s.Steps)
	return &c
}
