package client

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"ringway/internal/spread"
)

// TestWhoKnowsNoIndependentScopesSaysSo: a node that does not know them refuses, as it
// does with a policy that it does not allow. The client does not go on without: its
// messages would wait, and nobody would know why.
func TestWhoKnowsNoIndependentScopesSaysSo(t *testing.T) {
	address := answering(t, func(conn net.Conn) {
		admitKnown(conn)
		conn.Close()
	})
	_, err := Dial(testContext(t), address, Options{Name: "me", IndependentScopes: true})
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Code != spread.Refused || !strings.Contains(err.Error(), "independent scopes") {
		t.Errorf("with independent scopes: %v", err)
	}
	c, err := Dial(testContext(t), address, Options{Name: "me"})
	if err != nil {
		t.Fatalf("without: %v", err)
	}
	c.Close()
}

// admitKnown is a handshake of a node of an earlier release.
func admitKnown(conn net.Conn) {
	if _, err := io.ReadFull(conn, make([]byte, 7)); err != nil {
		return
	}
	dribble(conn, "\x05NULL ")
	choice := make([]byte, spread.ChoiceBytes)
	if _, err := io.ReadFull(conn, choice); err != nil {
		return
	}
	unknown := func(m string) bool { return m != "NULL" && m != spread.MethodRingway }
	if slices.ContainsFunc(spread.ParseChoice(choice), unknown) {
		dribble(conn, "\xf7")
		return
	}
	dribble(conn, "\x01\x05\x00\x01\x06#me#d1")
	io.Copy(io.Discard, conn) //nolint:errcheck // until the client goes
}
