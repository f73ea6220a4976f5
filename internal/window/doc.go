// Package window tells what comes a second time, by a counter: packets of a ring under one
// key, and datagrams of one run of a gateway.
package window
