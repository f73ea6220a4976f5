// Package conformance holds a real node against Spread's client protocol, byte by byte.
// It is tests only. Its client (client_test.go) is made of bytes and shares no code with
// the server's codec or with package client, so that a mistake in those shows.
//
// Every statement about connecting is tried over TCP, TCP on IPv6 where the machine has
// it, and a unix socket; every statement about messages there in both byte orders.
// Statements about partitions need several nodes, which are processes that are stopped,
// continued and killed. That nothing comes is shown without waiting: a message of the
// client's to itself is the next thing that it receives.
//
// # What is held, and where
//
// The numbers are those of the sections of the protocol's description that this project
// was built from; docs/spread.md has the defects (B) in words.
//
//	1   constants, names                TestNames, TestEveryByteOfAName, TestGroupNames,
//	                                    TestHundredGroups
//	2.1 hello                           TestHelloOfEveryVersion, TestNames, TestInventedNames,
//	                                    TestFlags
//	2.2 list or reject                  TestHelloOfEveryVersion, TestMethodIP, TestRepliesComeWhole
//	2.3 choice                          TestChoices, TestMethodIP
//	2.4 verdict                         TestHelloOfEveryVersion, TestTheAnnouncedVersion
//	2.5 codes                           TestNames, TestChoices, TestTooManySessions
//	3   byte order, hint                TestServices, TestTheHintIsUntouched; all others in both orders
//	4   header, type bits, checks       TestServices, TestIllegalHeaders, TestForgedMembership,
//	                                    TestSelfDiscard
//	5   requests                        TestOnlyTheFirstGroupOfAJoin, TestRedundantJoinAndLeave,
//	                                    TestOpenGroups, TestOnceForManyGroups, TestNamesEndAtTheirNUL
//	6.1 messages                        TestServices, TestSelfDiscard
//	6.2 membership                      TestJoinLeaveDisconnect, TestManyMembers, TestPartitionAndMerge
//	6.3 transitional signal             TestPartitionAndMerge
//	6.4 own leave                       TestJoinLeaveDisconnect
//	6.5 to whom                         TestWhoDidNotAsk, TestFlags
//	6.6 order                           TestMembershipBeforeMessages
//	7   rejects                         TestRejects
//	8   sizes                           TestSizes
//	9   a partition                     TestPartitionAndMerge
//	11  versions                        TestHelloOfEveryVersion
//
// Traps for servers, and what is kinder here than in the original:
//
//	T1  pieces of a handshake           TestHandshakeSplitEverywhere, TestHandshakeByteByByte
//	T2  all in one                      TestHandshakeMerged
//	T3  silence                         TestSilentConnectionsDelayNobody
//	T4  where a reject stands           TestNames, TestChoices
//	T5  the hint                        TestTheHintIsUntouched
//	T6  no answers                      TestRedundantJoinAndLeave
//	T7  the name of who has gone        TestANameIsFreeAgain
//	T8  slow readers                    TestASlowReader
//	T9  44 groups and more              TestHundredGroups
//	T11 the announced version           TestTheAnnouncedVersion
//	T12 more than 100 members           TestManyMembers
//	T13 one write each                  TestRepliesComeWhole
//	T14 clients of big endian           everywhere
//	T15 joins of no name                TestGroupNames
//
// T10 is about what clients see of a reset, T16 about linking old libraries: nothing that
// a server could do.
package conformance
