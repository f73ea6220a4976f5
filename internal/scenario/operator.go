//go:build linux

package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"ringway/internal/admin"
)

// An operator asks a node's admin port, on the node's own machine.
type operator struct {
	node, address string
	http          http.Client
}

func newOperator(node, address string, dial func(ctx context.Context, network, address string) (net.Conn, error)) operator {
	return operator{node: node, address: address, http: http.Client{
		Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial},
	}}
}

// Status asks the node's admin port.
func (o *operator) Status(ctx context.Context) (*admin.Status, error) {
	body, err := o.get(ctx, "/status")
	if err != nil {
		return nil, err
	}
	var status admin.Status
	if err := json.Unmarshal(body, &status); err != nil {
		return nil, fmt.Errorf("status of %s: %w", o.node, err)
	}
	return &status, nil
}

// maxAnswer bounds what is read of an admin port's answer.
const maxAnswer = 4 << 20

func (o *operator) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+o.address+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := o.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s of %s: %s", path, o.node, answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
}
