//go:build linux

package scenario

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// A word of a script: either a setting, which stands before everything else, or
// something that is done.
type word struct {
	args     string // as an error says it
	min, max int    // how many; max -1: any number
	setting  func(s *Script, args []string) error
	block    func(s *Script, args []string) error // begins or ends lines that are repeated
	check    func(s *Script, args []string) error // when the script is read
	do       func(p *play, ctx context.Context, args []string) error
}

// words are the vocabulary. Those of `ringway lab` do what they do there.
var words map[string]*word

func init() {
	words = map[string]*word{
		"lab":  {args: "FILE", min: 1, max: 1, setting: (*Script).setLab},
		"disk": {args: "NODE SIZE", min: 2, max: 2, setting: (*Script).setDisk},
		"chat": {args: "TIME", min: 1, max: 1, setting: (*Script).setChat},

		"untraced": {setting: (*Script).setUntraced},

		"repeat": {args: "TIMES", min: 1, max: 1, block: (*Script).beginRepeat},
		"end":    {block: (*Script).endRepeat},

		"run": ofNodes("run"), "kill": ofNodes("kill"), "stop": ofNodes("stop"), "restart": ofNodes("restart"),
		"pause": ofNodes("pause"), "continue": ofNodes("continue"),
		"set":       {args: "LINK|SITE|NODE KEY=VALUE…", min: 2, max: -1, do: inLab("set")},
		"cut":       {args: "A-B", min: 1, max: 1, do: inLab("cut")},
		"join":      {args: "A-B", min: 1, max: 1, do: inLab("join")},
		"partition": {args: "A,B/C", min: 1, max: 1, do: inLab("partition")},
		"heal":      {do: inLab("heal")},
		"flap":      {args: "A-B TIMES DOWN UP", min: 4, max: 4, check: checkFlap, do: (*play).flap},

		"stream": {args: "NODE RATE", min: 2, max: 2, check: checkStream, do: (*play).stream},
		"watch":  {do: (*play).watch},
		"stall":  {args: "A B / C", min: 1, max: -1, check: checkParts, do: (*play).stall},

		"settle":   {do: (*play).settle},
		"view":     {args: "all|without A B|A B / C", min: 1, max: -1, check: checkParts, do: (*play).view},
		"together": {args: "A B", min: 1, max: -1, check: checkParts, do: (*play).together},
		"deliver":  {args: "all|without A B|A B / C", min: 1, max: -1, check: checkParts, do: (*play).deliver},
		"sites":    {args: "all|A B / C", min: 1, max: -1, check: checkSites, do: (*play).sites},
		"path":     {args: "SITE [NEXT] SITE", min: 2, max: 3, check: checkPath, do: (*play).path},
		"go":       {args: "TIME", min: 1, max: 1, check: checkTime, do: (*play).goOn},

		"files":  {args: "NODE NUMBER", min: 2, max: 2, check: checkFiles, do: (*play).files},
		"crowd":  {args: "NODE", min: 1, max: 1, check: checkNodes, do: (*play).crowd},
		"leave":  {args: "NODE", min: 1, max: 1, check: checkNodes, do: (*play).leave},
		"filled": {args: "NODE", min: 1, max: 1, check: checkNodes, do: (*play).filled},
	}
}

func wordList() []string { return slices.Sorted(maps.Keys(words)) }

// inLab does what the command of `ringway lab` does.
func inLab(command string) func(*play, context.Context, []string) error {
	return func(p *play, _ context.Context, args []string) error { return p.federation.Lab.Do(command, args...) }
}

// ofNodes is a command for nodes, or for all nodes of sites.
func ofNodes(command string) *word {
	return &word{args: "NODE|SITE…", min: 1, max: -1, check: checkNodes, do: func(p *play, _ context.Context, args []string) error {
		names, err := p.script.nodes(args)
		if err != nil {
			return err
		}
		return p.federation.Lab.Do(command, names...)
	}}
}

func checkNodes(s *Script, args []string) error {
	_, err := s.nodes(args)
	return err
}

func checkParts(s *Script, args []string) error {
	_, err := s.parts(args)
	return err
}

func checkTime(_ *Script, args []string) error {
	if d, err := time.ParseDuration(args[0]); err != nil || d <= 0 || d > patience {
		return fmt.Errorf("%s: want a time of up to %v, as 2s", args[0], patience)
	}
	return nil
}

func checkFiles(s *Script, args []string) error {
	if n, err := strconv.Atoi(args[1]); err != nil || n < 1 {
		return fmt.Errorf("%s: want a number of files", args[1])
	}
	return checkNodes(s, args[:1])
}

// settle waits until all clients are in one view and everything sent there has arrived.
func (p *play) settle(ctx context.Context, _ []string) error { return p.chatter.Settled(ctx) }

// view waits until the clients of each part have a view of their own.
func (p *play) view(ctx context.Context, args []string) error {
	parts, err := p.script.parts(args)
	if err != nil {
		return err
	}
	return p.chatter.Views(ctx, parts...)
}

// together waits until the clients of a part are in one view, with others or without.
func (p *play) together(ctx context.Context, args []string) error {
	parts, err := p.script.parts(args)
	for _, part := range parts {
		err = errors.Join(err, p.chatter.Together(ctx, part))
	}
	return err
}

// goOn lets the clients chat.
func (p *play) goOn(ctx context.Context, args []string) error {
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	return sleep(ctx, d)
}

// filled waits until a node has filled its disk and says what it could not write.
func (p *play) filled(ctx context.Context, args []string) error {
	return poll(ctx, "the disk of "+args[0]+" to be full, and the node to say so", func() error {
		if d := p.federation.disks[args[0]]; d != nil {
			if err := d.full(); err != nil {
				return err
			}
		}
		status, err := p.federation.member(args[0]).Status(ctx)
		if err != nil {
			return err
		}
		if status.Counters["trace_lost_events"] == 0 {
			return errors.New("trace_lost_events is 0")
		}
		return nil
	})
}
