// Command ringway is the router and everything that an operator needs with it: one
// file a subcommand, each only flags and wiring.
//
// Exit codes: 0 done; 1 it did not hold, or failed while running; 2 wrong usage or a
// wrong file. Errors go to stderr as "ringway: what: why", one line each. Output that is
// piped is plain and stable; --json is one object per line.
//
// RINGWAY_TOPOLOGY, RINGWAY_CONNECT and RINGWAY_ADMIN give defaults for --topology,
// --connect and --admin; RINGWAY_CA and RINGWAY_TOKEN_FILE are for nodes that are reached
// over TLS and that want a token.
package main
