//go:build linux

package netem

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A request is one line of JSON on the control socket; its reply is another.
type request struct {
	Do       string   `json:"do"`
	Link     *Link    `json:"link,omitempty"`     // of connect
	From     string   `json:"from,omitempty"`     // of all but connect and status
	To       string   `json:"to,omitempty"`       //
	OneWay   bool     `json:"one_way,omitempty"`  // not the other direction
	Profile  *Profile `json:"profile,omitempty"`  // of set
	Settings string   `json:"settings,omitempty"` // of change
	Down     bool     `json:"down,omitempty"`     // of down
}

type reply struct {
	Error      string      `json:"error,omitempty"`
	Directions []Direction `json:"directions,omitempty"` // of status
}

// Limits of the control socket.
const (
	maxRequest = 16 << 10
	maxReply   = 2 * maxLinks * (32 << 10) // a direction's histogram included
	callTime   = 10 * time.Second          // for a request and its reply
)

// inherited is the first file that a process gets besides the standard ones.
const inherited = 3

// Pair makes the two ends of a control socket: a client, and a file for the process of
// an engine to inherit as its only extra one. The engine ends when the client does.
func Pair() (*Client, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("control socket: %w", err)
	}
	conn, err := connOf(fds[0])
	if err != nil {
		unix.Close(fds[1])
		return nil, nil, err
	}
	return &Client{conn: conn, in: bufio.NewReader(conn)}, os.NewFile(uintptr(fds[1]), "control"), nil
}

// Inherited returns the control socket that this process has from whoever called Pair.
func Inherited() (net.Conn, error) { return connOf(inherited) }

// connOf takes a socket over.
func connOf(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "control")
	defer file.Close() // the connection has a copy
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w: was this process started by a lab?", err)
	}
	return conn, nil
}

// Serve has the engine do what comes over a control socket, until the client leaves or
// says stop, or the context ends. It closes the socket, not the engine.
func Serve(ctx context.Context, conn net.Conn, e *Engine) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	serve(conn, e)
}

// serve answers requests until the client leaves, says stop or talks nonsense.
func serve(conn net.Conn, e *Engine) {
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxRequest)
	for lines.Scan() {
		r, err := decodeRequest(lines.Bytes())
		var answer reply
		if err == nil {
			answer.Directions, err = e.obey(r)
		}
		if err != nil {
			answer.Error = err.Error()
		}
		line, err := json.Marshal(answer)
		if err != nil {
			return
		}
		conn.SetWriteDeadline(time.Now().Add(callTime)) //nolint:errcheck // then the write fails
		if _, err := conn.Write(append(line, '\n')); err != nil {
			return
		}
		if r.Do == "stop" && answer.Error == "" {
			return
		}
	}
}

func decodeRequest(line []byte) (request, error) {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return request{}, fmt.Errorf("request: %w", err)
	}
	if r.Do == "connect" && r.Link == nil || r.Do == "set" && r.Profile == nil {
		return request{}, fmt.Errorf("request %s: it says not what to %s: add link, or profile", r.Do, r.Do)
	}
	return r, nil
}

func (e *Engine) obey(r request) ([]Direction, error) {
	switch r.Do {
	case "connect":
		return nil, e.Connect(*r.Link)
	case "disconnect":
		return nil, e.Disconnect(r.From, r.To)
	case "set":
		return nil, e.set(r.From, r.To, !r.OneWay, *r.Profile)
	case "change":
		return nil, e.change(r.From, r.To, !r.OneWay, r.Settings)
	case "down":
		return nil, e.setDown(r.From, r.To, !r.OneWay, r.Down)
	case "status":
		return e.Status(), nil
	case "stop":
		return nil, nil
	default:
		return nil, fmt.Errorf("request %s is not known: the engine knows connect, disconnect, set, change, down, status and stop", quoted(r.Do))
	}
}

// ErrGone is what a Client's methods say when nobody answers any more.
var ErrGone = errors.New("has it ended?")

// A Client drives an engine in another process. Its methods are the engine's, and may
// be called concurrently.
type Client struct {
	mu   sync.Mutex
	conn net.Conn
	in   *bufio.Reader
}

// Close ends the engine's process too.
func (c *Client) Close() error { return c.conn.Close() }

// Stop ends the engine's process, and with it all links.
func (c *Client) Stop() error { return c.tell(request{Do: "stop"}) }

// Connect is Engine.Connect. Spaces and the like are the engine's.
func (c *Client) Connect(spec Link) error { return c.tell(request{Do: "connect", Link: &spec}) }

// Disconnect is Engine.Disconnect.
func (c *Client) Disconnect(a, b string) error {
	return c.tell(request{Do: "disconnect", From: a, To: b})
}

// Set is Engine.Set.
func (c *Client) Set(a, b string, p Profile) error {
	return c.tell(request{Do: "set", From: a, To: b, Profile: &p})
}

// SetOneWay is Engine.SetOneWay.
func (c *Client) SetOneWay(from, to string, p Profile) error {
	return c.tell(request{Do: "set", From: from, To: to, OneWay: true, Profile: &p})
}

// Change is Engine.Change.
func (c *Client) Change(a, b, settings string) error {
	return c.tell(request{Do: "change", From: a, To: b, Settings: settings})
}

// ChangeOneWay is Engine.ChangeOneWay.
func (c *Client) ChangeOneWay(from, to, settings string) error {
	return c.tell(request{Do: "change", From: from, To: to, OneWay: true, Settings: settings})
}

// SetDown is Engine.SetDown.
func (c *Client) SetDown(a, b string, down bool) error {
	return c.tell(request{Do: "down", From: a, To: b, Down: down})
}

// SetDownOneWay is Engine.SetDownOneWay.
func (c *Client) SetDownOneWay(from, to string, down bool) error {
	return c.tell(request{Do: "down", From: from, To: to, OneWay: true, Down: down})
}

// Status is Engine.Status.
func (c *Client) Status() ([]Direction, error) {
	answer, err := c.call(request{Do: "status"})
	return answer.Directions, err
}

func (c *Client) tell(r request) error {
	_, err := c.call(r)
	return err
}

func (c *Client) call(r request) (reply, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return reply{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.conn.SetDeadline(time.Now().Add(callTime)); err != nil {
		return reply{}, fmt.Errorf("link emulator: %w", err)
	}
	if _, err := c.conn.Write(append(line, '\n')); err != nil {
		return reply{}, fmt.Errorf("link emulator: %w: %w", err, ErrGone)
	}
	return c.answer()
}

func (c *Client) answer() (reply, error) {
	var answer reply
	line, err := readLine(c.in)
	if err == nil {
		err = json.Unmarshal(line, &answer)
	}
	if err != nil {
		// What the next call would read is not its answer.
		c.conn.Close()
		return reply{}, fmt.Errorf("link emulator: no answer: %w: %w", err, ErrGone)
	}
	if answer.Error != "" {
		return reply{}, errors.New(answer.Error)
	}
	return answer, nil
}

// readLine reads a line of up to maxReply bytes.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxReply {
			return nil, fmt.Errorf("longer than %d bytes", maxReply)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}
