// Package admin is a node's port for operators: HTTP with the node's status, its
// metrics and a dashboard.
//
//	/status    what the node knows of itself and its surroundings: JSON, type Status
//	/metrics   the same for Prometheus
//	/healthz   200 while the node's event loop answers
//	/readyz    200 while the ring is formed and every site of the topology is in the
//	           view; 503 and the reason otherwise
//	/          a page that shows /status, refreshed every second
//
// The node hands in a Source; this package asks it, keeps the answer for an instant
// and shares it among all who ask.
//
// # Rules
//
//  1. Everything is read-only, and only GET and HEAD are answered.
//  2. However many ask, the Source is asked by one goroutine at a time; one that does
//     not answer holds up requests, for a bounded time, and nothing else.
//  3. Connections, header sizes and the time a request may take are bounded, so that
//     garbage, slow writers and floods on the port never matter to the node.
//  4. The dashboard is part of the program: it fetches nothing from elsewhere, and
//     writes what it shows as text, never as HTML.
//  5. JSON fields and metric names are only ever added to.
//
// It imports nothing of Ringway's, so that a reader of /status, such as package main's
// `ringway status`, needs nothing else.
package admin
