package conformance

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// statements are what the protocol's description says a server does, one by one, with the
// tests that hold a node to it. The numbers are those of the description; where a section
// has a list, the items count from 1.
var statements = []struct{ number, says, tests string }{
	{"0.1", "the same bytes over TCP and a unix socket of mode 0666", "TestUnixSocket"},
	{"1.1", "group names of up to 31 bytes and a NUL", "TestGroupNames TestNamesEndAtTheirNUL"},
	{"1.2", "private names of up to 10 bytes, private groups #name#node", "TestNames"},
	{"1.3", "100 groups in a message", "TestHundredGroups TestIllegalHeaders"},
	{"1.4", "bytes of a private name are $ to ~", "TestEveryByteOfAName"},
	{"2.1.1", "two bytes of version up to 3.14, three from 3.15 on", "TestHelloOfEveryVersion"},
	{"2.1.2", "below 3.1: -7; no upper bound; 128 is negative", "TestHelloOfEveryVersion"},
	{"2.1.3", "the lowest bit asks for membership, the high nibble is priority", "TestFlags"},
	{"2.1.4", "a name that is too long or illegal: -5", "TestNames TestEveryByteOfAName"},
	{"2.1.5", "a name in use on this node: -6", "TestNames"},
	{"2.1.6", "no name: the node invents one", "TestInventedNames"},
	{"2.1.7", "names are unique for each node, not for all", "TestPartitionAndMerge"},
	{"2.2.1", "a reject is one negative byte, and the end", "TestNames TestHelloOfEveryVersion TestTooManySessions"},
	{"2.2.2", "the list of methods, each with a blank behind it, in one write", "TestMethodIP TestRepliesComeWhole"},
	{"2.2.3", "before 3.16 neither list nor choice; let in by address, or by NULL", "TestHelloOfEveryVersion TestMethodIP"},
	{"2.3.1", "three fields of 30 bytes, read up to the first empty one", "TestChoices"},
	{"2.3.2", "a method not offered, or none: -9; NULL twice is fine", "TestChoices"},
	{"2.3.3", "NULL and IP exchange nothing; unix sockets count for IP", "TestChoices TestMethodIP"},
	{"2.4.1", "1, the version, with its patch from 3.15 on, and the private group", "TestHelloOfEveryVersion TestTheAnnouncedVersion"},
	{"2.4.2", "the verdict in one write", "TestRepliesComeWhole"},
	{"2.5.1", "too many sessions: -3, before the hello is read", "TestTooManySessions"},
	{"2.5.2", "-4 is never sent", "TestInventedNames"},
	{"3.1", "either order is read, by the marker in the type", "TestServices TestIllegalHeaders"},
	{"3.2", "the hint's four bytes are untouched", "TestTheHintIsUntouched"},
	{"3.3", "what the node writes claims its own order, integers of views too", "TestServices TestJoinLeaveDisconnect"},
	{"4.1", "exactly one bit of services and requests", "TestIllegalHeaders"},
	{"4.2", "the private group is this session's", "TestIllegalHeaders"},
	{"4.3", "0 to 100 groups", "TestIllegalHeaders TestHundredGroups"},
	{"4.4", "no other bits in the hint", "TestIllegalHeaders"},
	{"4.5", "0 to 144000 bytes of data", "TestIllegalHeaders TestSizes"},
	{"4.6", "data and names up to 144000 - 48", "TestIllegalHeaders TestSizes"},
	{"4.7", "self discard goes with a service, and stays set for the others", "TestSelfDiscard TestIllegalHeaders"},
	{"4.8", "bits of membership from a client do not come through", "TestForgedMembership"},
	{"5.1", "join, leave, disconnect, multicast", "TestJoinLeaveDisconnect TestServices"},
	{"5.2", "of a join only the first group counts", "TestOnlyTheFirstGroupOfAJoin"},
	{"5.3", "a redundant join or leave: no answer", "TestRedundantJoinAndLeave"},
	{"5.4", "after a disconnect the node closes; a lost connection looks the same to others", "TestJoinLeaveDisconnect"},
	{"5.5", "no group: accepted, goes nowhere", "TestOpenGroups"},
	{"5.6", "whoever wants may send; a private group reaches one; nobody: silence", "TestOpenGroups"},
	{"5.7", "once to each session, with the whole list as sent", "TestOnceForManyGroups"},
	{"5.8", "names are compared up to the NUL", "TestNamesEndAtTheirNUL"},
	{"6.1", "messages as they were sent, back to their sender, too", "TestServices TestManyPiecesAndManyAtOnce"},
	{"6.2.1", "all members, in the order of the configuration, then by name", "TestPartitionAndMerge TestManyMembers"},
	{"6.2.2", "view id, number of sets, offset, sets", "TestJoinLeaveDisconnect"},
	{"6.2.3", "join, leave, disconnect: one set, who changed", "TestJoinLeaveDisconnect"},
	{"6.2.4", "network: sets by where members were, the receiver's at the offset", "TestPartitionAndMerge"},
	{"6.3", "the transitional signal, for groups that lose somebody", "TestPartitionAndMerge"},
	{"6.4", "one's own leave", "TestJoinLeaveDisconnect"},
	{"6.5", "only to those that asked in the hello", "TestWhoDidNotAsk TestFlags"},
	{"6.6", "the view that lets one in comes before messages in it", "TestMembershipBeforeMessages"},
	{"7", "a reject has the old type, the groups and the sender's own, the data", "TestRejects"},
	{"8", "sizes up to 144000 - 48 - 32 for each group pass", "TestSizes"},
	{"9", "what a partition and a merge look like", "TestPartitionAndMerge"},
	{"T1", "a handshake in pieces", "TestHandshakeSplitEverywhere TestHandshakeByteByByte"},
	{"T2", "a handshake in one", "TestHandshakeMerged"},
	{"T3", "silence delays nobody", "TestSilentConnectionsDelayNobody"},
	{"T4", "a reject stands for the list or for the verdict", "TestNames TestChoices"},
	{"T5", "the hint's order is not mended", "TestTheHintIsUntouched"},
	{"T6", "no answer to what is redundant", "TestRedundantJoinAndLeave"},
	{"T7", "a name is free again", "TestANameIsFreeAgain"},
	{"T8", "a slow reader ends at a bound", "TestASlowReader"},
	{"T9", "44 groups and more reach the last", "TestHundredGroups"},
	{"T11", "5.0.1 is announced", "TestTheAnnouncedVersion"},
	{"T12", "more than 100 members", "TestManyMembers"},
	{"T13", "list, verdict and message in one write each", "TestRepliesComeWhole"},
	{"T14", "clients of big endian", "TestServices TestTheHintIsUntouched"},
	{"T15", "joins of no name, an empty one, one without a NUL", "TestGroupNames"},
	{"11", "every version gets the membership body of 4.0", "TestHelloOfEveryVersion"},
}

// testsOf returns the names of the tests in a folder.
func testsOf(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", folder, err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && regexp.MustCompile("^(Test|Fuzz)").MatchString(f.Name.Name) {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

// TestTheListsAreTrue: each statement names tests that there are, each test here holds a
// statement, and the page about Spread names tests that there are, for each defect.
func TestTheListsAreTrue(t *testing.T) {
	here := testsOf(t, ".")
	unnamed := slices.DeleteFunc(slices.Clone(here), func(name string) bool { return name == "TestMain" || name == "TestTheListsAreTrue" })
	seen := map[string]bool{}
	for _, s := range statements {
		if seen[s.number] || s.says == "" || s.tests == "" {
			t.Errorf("statement %s stands twice, or says or names nothing", s.number)
		}
		seen[s.number] = true
		for _, name := range strings.Fields(s.tests) {
			if !slices.Contains(here, name) {
				t.Errorf("statement %s: there is no %s", s.number, name)
			}
			unnamed = slices.DeleteFunc(unnamed, func(n string) bool { return n == name })
		}
	}
	if len(unnamed) > 0 {
		t.Errorf("these tests hold no statement: %v", unnamed)
	}

	page, err := os.ReadFile("../../docs/spread.md")
	if err != nil {
		t.Fatal(err)
	}
	known := append(here, testsOf(t, "../../site/session")...)
	for _, name := range regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+`).FindAllString(string(page), -1) {
		if !slices.Contains(known, name) {
			t.Errorf("docs/spread.md: there is no %s", name)
		}
	}
	_, defects, _ := strings.Cut(string(page), "## B. ")
	defects, _, _ = strings.Cut(defects, "## C. ")
	rows := regexp.MustCompile(`(?m)^\| (\d+)\. `).FindAllStringSubmatch(defects, -1)
	if len(rows) != 10 {
		t.Errorf("docs/spread.md has %d of 10 defects", len(rows))
	}
}

// TestUnixSocket: 0.1. Everybody on the machine may connect to the socket's file.
func TestUnixSocket(t *testing.T) {
	for _, e := range plain.endpoints {
		if e.network != "unix" {
			continue
		}
		info, err := os.Stat(e.address)
		if err != nil || info.Mode().Perm() != 0o666 || info.Mode()&os.ModeSocket == 0 {
			t.Errorf("%s: %v, %v", e.address, info.Mode(), err)
		}
		return
	}
	t.Error("no endpoint is a unix socket")
}
