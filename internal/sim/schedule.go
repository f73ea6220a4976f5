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
const version = 2

// Limits of a schedule, so that a broken transcript costs an error and not the
// machine.
const (
	maxSites  = membership.MaxSites
	maxNodes  = 512 // of all sites
	maxSlots  = 64  // clients of a node
	maxBurst  = 100_000
	maxSize   = membership.MaxMessageBytes
	maxLength = time.Hour
	maxWeight = 1000
)

// A Schedule is one run written down: the sites, their networks, and everything that
// happens to them, in the order of time. It has a text form (see doc.go), which is what
// a failure is kept as; every line of it but those of sites and networks may be left
// out and it is still a schedule.
type Schedule struct {
	Profile string        // that drew it
	Seed    uint64        // of the networks' dice, clocks and boot ids too
	Answers float64       // of a hundred deliveries, how many are answered
	Length  time.Duration // until clients fall silent and all faults have ended
	Sites   []Site
	LAN     LAN // of every site
	WAN     WAN
	Links   []Link
	Steps   []Step
}

// A Site is some nodes. Nodes are numbered from n0 on, through all sites.
type Site struct {
	Nodes    int
	Gateways int           // the first nodes of the site
	Ahead    time.Duration // of its wall clocks
	Weight   int           // for primary views, which the topology asks for if any site has one
}

// primary says whether the topology asks for primary views.
func (s *Schedule) primary() bool {
	return slices.ContainsFunc(s.Sites, func(x Site) bool { return x.Weight > 0 })
}

// A Link joins two sites.
type Link struct {
	A, B   int
	Delay  [2]time.Duration // from A to B, and back
	Jitter time.Duration
	Loss   float64 // percent
}

// LAN is how packets travel in a site. Chances are in percent.
type LAN struct {
	Delay     [2]time.Duration // of a pair of nodes
	Jitter    time.Duration
	Loss      float64
	Duplicate float64
	Late      float64 // comes up to LateBy later than it should, so out of order
	LateBy    time.Duration
	Refuse    bool // the host of a dead process says that nobody listens
}

// WAN is how the overlay does its work. Chances are in percent.
type WAN struct {
	PromiseLoss float64
	Duplicate   float64 // of promises
	Late        float64 // promises up to LateBy late
	LateBy      time.Duration
	Detect      time.Duration // until routing knows of a cut or a dead gateway, at most
	Hints       float64       // of what link state says of delays, how much is wrong
}

// A Step is one thing that happens. Which fields count depends on the verb.
type Step struct {
	At   time.Duration
	Verb Verb

	Node, Peer int           // which
	Site, Far  int           // which
	Client     int           // of Node
	For        time.Duration // how long a fault lasts
	By         time.Duration // how slow, how late
	Every      time.Duration // between the messages of a burst
	Percent    float64
	Sides      string // of a partition: a letter for each node of the site, or for each site
	Groups     []string
	Service    membership.Service
	Discard    bool // the sender does not want its message back
	Free       bool // the session has independent scopes
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
	Jump      Verb = "jump"      // a node's clock leaps ahead, as when a machine was suspended, or back
	Partition Verb = "partition" // nodes of a site on different sides do not hear each other
	Lose      Verb = "lose"      // packets between all nodes of a site get lost
	OneWay    Verb = "oneway"    // packets of one node to another of its site get lost
	Late      Verb = "late"      // packets come late by up to a time, and so out of order
	Double    Verb = "double"    // packets come twice
	Delay     Verb = "delay"     // all packets take longer

	Split   Verb = "split"   // links between sites on different sides are cut
	Cut     Verb = "cut"     // one link is cut
	Stretch Verb = "stretch" // a link takes longer
	Shake   Verb = "shake"   // a link has jitter
	Spoil   Verb = "spoil"   // a link loses packets
	Mute    Verb = "mute"    // promises of one site to another get lost
	Hold    Verb = "hold"    // promises of one site to another come late
	Blind   Verb = "blind"   // one site does not see another in link state, though it reaches it
	Deaf    Verb = "deaf"    // a site's gateways learn nothing new from link state

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
	Jump:      {nodeField, leapField},
	Partition: {siteField, sidesField, forField},
	Lose:      {siteField, percentField, forField},
	OneWay:    {nodeField, peerField, percentField, forField},
	Late:      {siteField, percentField, byField, forField},
	Double:    {siteField, percentField, forField},
	Delay:     {siteField, byField, forField},
	Split:     {sidesField, forField},
	Cut:       {siteField, farField, forField},
	Stretch:   {siteField, farField, byField, forField},
	Shake:     {siteField, farField, byField, forField},
	Spoil:     {siteField, farField, percentField, forField},
	Mute:      {siteField, farField, percentField, forField},
	Hold:      {siteField, farField, byField, forField},
	Blind:     {siteField, farField, forField},
	Deaf:      {siteField, forField},
	Connect:   {clientField, sessionField},
	Bye:       {clientField},
	Join:      {clientField, groupsField},
	Leave:     {clientField, groupsField},
	Say:       {clientField, serviceField, groupsField, sizeField, countField, everyField},
}

// fault says whether the step makes something go wrong.
func (s *Step) fault() bool {
	switch s.Verb {
	case Crash, Die, Pause, Slow, Jump:
		return true
	}
	return s.weather()
}

// weather says whether the step is a fault of a network.
func (s *Step) weather() bool { return s.ofLAN() || s.ofWAN() }

// ofNode says whether the step is about Node.
func (s *Step) ofNode() bool { return !s.weather() || s.Verb == OneWay }

// ofLAN says whether the step is a fault of a site's network.
func (s *Step) ofLAN() bool {
	switch s.Verb {
	case Partition, Lose, OneWay, Late, Double, Delay:
		return true
	}
	return false
}

// ofWAN says whether the step is a fault between sites.
func (s *Step) ofWAN() bool {
	switch s.Verb {
	case Split, Cut, Stretch, Shake, Spoil, Mute, Hold, Blind, Deaf:
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
	fmt.Fprintf(&b, "schedule %d profile %s seed %d answers %g length %v\n", version, s.Profile, s.Seed, s.Answers, s.Length)
	for i, x := range s.Sites {
		fmt.Fprintf(&b, "site s%d nodes %d gateways %d ahead %v", i, x.Nodes, x.Gateways, x.Ahead)
		if x.Weight > 0 {
			fmt.Fprintf(&b, " weight %d", x.Weight)
		}
		b.WriteByte('\n')
	}
	l := &s.LAN
	fmt.Fprintf(&b, "lan delay %v %v jitter %v loss %g double %g late %g %v", l.Delay[0], l.Delay[1], l.Jitter, l.Loss, l.Duplicate, l.Late, l.LateBy)
	if l.Refuse {
		b.WriteString(" refuse")
	}
	b.WriteByte('\n')
	if len(s.Sites) > 1 {
		w := &s.WAN
		fmt.Fprintf(&b, "wan detect %v hints %g promises loss %g double %g late %g %v\n", w.Detect, w.Hints, w.PromiseLoss, w.Duplicate, w.Late, w.LateBy)
	}
	for _, k := range s.Links {
		fmt.Fprintf(&b, "link s%d s%d delay %v %v jitter %v loss %g\n", k.A, k.B, k.Delay[0], k.Delay[1], k.Jitter, k.Loss)
	}
	for i := range s.Steps {
		b.WriteString(s.Steps[i].String())
		b.WriteByte('\n')
	}
	return b.String()
}

// nodes is how many there are in all sites.
func (s *Schedule) nodes() int {
	n := 0
	for _, x := range s.Sites {
		n += x.Nodes
	}
	return n
}

// ParseSchedule reads the text form. Lines that begin with # are comments.
func ParseSchedule(text string) (*Schedule, error) {
	s := &Schedule{}
	lines, lan := 0, false
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		var err error
		word, _, _ := strings.Cut(line, " ")
		switch lines++; {
		case lines == 1:
			err = s.parseHead(line)
		case word == "site":
			err = s.parseSite(line)
		case word == "lan":
			lan = true
			err = s.parseLAN(line)
		case word == "wan":
			err = s.parseWAN(line)
		case word == "link":
			err = s.parseLink(line)
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
	if lines == 0 || len(s.Sites) == 0 || !lan {
		return nil, fmt.Errorf("a schedule begins with a line \"schedule ...\", lines \"site ...\" and a line \"lan ...\"; this has %d lines, %d of sites", lines, len(s.Sites))
	}
	if len(s.Sites) > 1 && s.WAN.Detect <= 0 {
		return nil, fmt.Errorf("a schedule of several sites has a line \"wan ...\" with how long routing takes to notice something")
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
	if words := strings.Fields(line); len(words) > 1 && words[0] == "schedule" && words[1] != strconv.Itoa(version) {
		return fmt.Errorf("version %s, this program reads %d; draw the run anew from its seed", words[1], version)
	}
	if err := scan(line, "schedule", &v, "profile", &s.Profile, "seed", &s.Seed, "answers", &s.Answers, "length", &s.Length); err != nil {
		return err
	}
	if !(s.Answers >= 0 && s.Answers <= 100) {
		return fmt.Errorf("answers to %g of a hundred", s.Answers)
	}
	return nil
}

func (s *Schedule) parseSite(line string) error {
	var x Site
	var name string
	fields := []any{"site", &name, "nodes", &x.Nodes, "gateways", &x.Gateways, "ahead", &x.Ahead}
	if strings.Contains(line, " weight ") {
		fields = append(fields, "weight", &x.Weight)
	}
	if err := scan(line, fields...); err != nil {
		return err
	}
	switch {
	case name != siteText(len(s.Sites)):
		return fmt.Errorf("want site %s", siteText(len(s.Sites)))
	case len(s.Sites) == maxSites:
		return fmt.Errorf("more than %d sites", maxSites)
	case x.Nodes < 1 || x.Nodes > membership.MaxSiteNodes || x.Gateways < 0 || x.Gateways > x.Nodes || s.nodes()+x.Nodes > maxNodes:
		return fmt.Errorf("%d nodes with %d gateways, want 1 to %d nodes, %d in all sites, and no more gateways than nodes", x.Nodes, x.Gateways, membership.MaxSiteNodes, maxNodes)
	case x.Weight < 0 || x.Weight > maxWeight:
		return fmt.Errorf("weight %d, want 0 to %d", x.Weight, maxWeight)
	case len(s.Steps) > 0:
		return fmt.Errorf("sites come before steps")
	}
	s.Sites = append(s.Sites, x)
	return nil
}

func (s *Schedule) parseLAN(line string) error {
	l := &s.LAN
	line, l.Refuse = strings.CutSuffix(line, " refuse")
	return scan(line, "lan", "delay", &l.Delay[0], &l.Delay[1], "jitter", &l.Jitter, "loss", &l.Loss, "double", &l.Duplicate, "late", &l.Late, &l.LateBy)
}

func (s *Schedule) parseWAN(line string) error {
	w := &s.WAN
	return scan(line, "wan", "detect", &w.Detect, "hints", &w.Hints, "promises", "loss", &w.PromiseLoss, "double", &w.Duplicate, "late", &w.Late, &w.LateBy)
}

func (s *Schedule) parseLink(line string) (err error) {
	var k Link
	var a, b string
	if err := scan(line, "link", &a, &b, "delay", &k.Delay[0], &k.Delay[1], "jitter", &k.Jitter, "loss", &k.Loss); err != nil {
		return err
	}
	if k.A, err = s.parseSiteName(a); err != nil {
		return err
	}
	if k.B, err = s.parseSiteName(b); err != nil {
		return err
	}
	if k.A == k.B || !(k.Loss >= 0 && k.Loss < 100) {
		return fmt.Errorf("want two sites and less than 100 %% loss")
	}
	s.Links = append(s.Links, k)
	return nil
}

func (s *Schedule) parseSiteName(word string) (int, error) {
	i, err := parseSite(word)
	if err == nil && i >= len(s.Sites) {
		err = fmt.Errorf("there are only %d sites", len(s.Sites))
	}
	return i, err
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
	if n := s.nodes(); step.Node >= n || step.Peer >= n || len(step.Sides) > n {
		return step, fmt.Errorf("there are only %d nodes", n)
	}
	if n := len(s.Sites); step.Site >= n || step.Far >= n {
		return step, fmt.Errorf("there are only %d sites", n)
	}
	return step, nil
}

// clone is a copy whose steps may be changed, but not their groups.
func (s *Schedule) clone() *Schedule {
	c := *s
	c.Sites, c.Links = slices.Clone(s.Sites), slices.Clone(s.Links)
	c.Steps = slices.Clone(s.Steps)
	return &c
}
