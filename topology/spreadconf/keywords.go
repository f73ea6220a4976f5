package spreadconf

import (
	"fmt"
	"strconv"
	"strings"
)

// A kind is what values a keyword takes.
type kind int

const (
	number   kind = iota // one, not negative
	toggle               // true or false, or nothing for true
	word                 // any one text
	optional             // any one text or nothing
	list                 // texts in { }, or one text
)

// A keyword is one of Spread's, and what became of it in the topology. Notes say why and
// what to do instead; those of keywords that convert.go translates are made there.
type keyword struct {
	name    string
	kind    kind
	example string
	note    string
}

const segmentKeyword = "Spread_Segment"

// keywords are those of Spread 5.
var keywords = []keyword{
	{segmentKeyword, word, "239.192.7.1:4803 { … }", ""},

	{"WideAreaNetwork", toggle, "false", ""},
	{"AcceleratedRing", toggle, "true", "every ring passes the token before its packets. Nothing to do."},
	{"ActiveIPVersion", word, "IPv4", "the addresses say it; each site may use the one it likes. Nothing to do."},

	{"Window", number, "160", windowNote},
	{"PersonalWindow", number, "20", windowNote},
	{"AcceleratedWindow", number, "15", windowNote},

	{"TokenTimeout", number, "1250", ""},
	{"HurryTimeout", number, "500", "an idle token rests for token_loss / 12, and a node with work wakes it at once. Nothing to do."},
	{"AliveTimeout", number, "250", followsNote},
	{"JoinTimeout", number, "250", followsNote},
	{"RepTimeout", number, "625", "there are no representatives of segments. Nothing to do."},
	{"SegTimeout", number, "500", "segments are sites with rings of their own; gateways watch each other every [timing] hello. Nothing to do."},
	{"GatherTimeout", number, "1250", followsNote},
	{"FormTimeout", number, "1250", followsNote},
	{"LookupTimeout", number, "30000", "rings that can hear each other again merge within a second. Nothing to do."},

	{"MaxSessionMessages", number, "1000", ""},

	{"DebugFlags", list, "{ PRINT EXIT }", logNote},
	{"EventPriority", word, "INFO", logNote},
	{"EventLogFile", word, "/var/log/spread.log", "a node logs to stderr. Let the service manager keep it (systemd's journal), or write `ringway node … 2>>FILE`."},
	{"EventTimeStamp", optional, `"%d %b %Y %H:%M:%S"`, "every line of the log has its time. `ringway node --log-format json` writes it for machines."},
	{"EventPreciseTimeStamp", toggle, "true", "every line of the log has its time, finer than a second. Nothing to do."},

	{"DangerousMonitor", toggle, "false", "no node takes orders from the network: admin is read-only. Partitions are rehearsed with `ringway lab`, and a node is stopped by a signal."},
	{"SocketPortReuse", word, "AUTO", "a node can always be started again at once on its ports. Nothing to do."},
	{"RuntimeDir", word, "/var/run/spread", "a node needs no folder of its own and no root. Let the service manager confine it (systemd: ProtectSystem=strict)."},
	{"DaemonUser", word, "spread", userNote},
	{"DaemonGroup", word, "spread", userNote},

	{"RequiredAuthMethods", word, `"NULL"`, ""},
	{"AllowedAuthMethods", word, `"NULL"`, ""},
	{"AccessControlPolicy", word, `"PERMIT"`, ""},

	{"ExcludeSegAddrsFromHash", toggle, "false", "nodes tell each other by the federation's name, not by a hash of the file: a change of one site's group concerns that site alone. Nothing to do."},
	{"IgnoreMulticastJoinErrors", toggle, "false", "a site says transport = \"unicast\" where its network has no multicast; a node that cannot join its site's group does not start."},
}

const (
	windowNote  = "windows are built in and the same at all nodes; what is under way is bounded by what the slowest node has received. Nothing to do."
	followsNote = "the durations of the ring follow from [timing] token_loss; `ringway check` prints them. Nothing to do."
	logNote     = "a node logs what an operator needs and counts the rest: `ringway status`, and /metrics on admin."
	userNote    = "a node needs no root. Run it as an ordinary user, by the service manager (systemd: User=, Group=)."
)

// find returns the keyword of that name; capitals do not matter.
func find(name string) (keyword, bool) {
	for _, k := range keywords {
		if strings.EqualFold(k.name, name) {
			return k, true
		}
	}
	return keyword{}, false
}

// nearest returns the keyword that was probably meant: the one that begins most like the
// text, if that is half of it; "" if there is none.
func nearest(text string) string {
	const least = 4 // letters that tell keywords apart
	text = strings.ToLower(text)
	best, most := "", max(least, (len(text)+1)/2)-1
	for _, k := range keywords {
		name, n := strings.ToLower(k.name), 0
		for n < len(name) && n < len(text) && name[n] == text[n] {
			n++
		}
		if n > most {
			best, most = k.name, n
		}
	}
	return best
}

// check says what is wrong with the values of a keyword; "" if nothing is.
func (k keyword) check(values []string) (problem string) {
	switch k.kind {
	case number:
		// 2^31 ms are 24 days, and more packets than any window has.
		if n, err := strconv.ParseInt(values[0], 10, 32); err != nil || n < 0 {
			return fmt.Sprintf("%s is no number from 0 to %d", said(values[0]), 1<<31-1)
		}
	case toggle:
		if _, ok := parseBool(values[0]); !ok {
			return fmt.Sprintf("%s is neither true nor false", said(values[0]))
		}
	}
	return ""
}
