//go:build linux

package lab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// runFolder has a folder for each lab that is up.
const runFolder = "/run/ringway-lab"

// callTime bounds a command; the longest are starting and ending all nodes.
const callTime = time.Minute

// maxRequest bounds a command line.
const maxRequest = 64 << 10

// ErrNotUp says that no server keeps this lab.
var ErrNotUp = errors.New("the lab is not up: `ringway lab up FILE` makes it")

// A Request is a command to a lab.
type Request struct {
	Command string   `json:"command"`
	Args    []string `json:"args,omitempty"`
}

// A Reply answers it.
type Reply struct {
	Error  string  `json:"error,omitempty"`
	Status *Status `json:"status,omitempty"`
}

// Home returns the folder of the lab of a topology file: its socket is there, and by
// default its logs and traces.
func Home(topologyFile string) (string, error) {
	path, err := filepath.Abs(topologyFile)
	if err != nil {
		return "", err
	}
	base := filepath.Base(path)
	return filepath.Join(runFolder, fmt.Sprintf("%s-%08x", base[:len(base)-len(filepath.Ext(base))], hashOf(path))), nil
}

func socketOf(home string) string { return filepath.Join(home, "control.sock") }

// Call gives a command to the lab with that home.
func Call(home string, r Request) (*Reply, error) {
	conn, err := net.Dial("unix", socketOf(home))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNotUp
	} else if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(callTime)); err != nil {
		return nil, err
	}
	reply := &Reply{}
	err = json.NewEncoder(conn).Encode(r)
	if err == nil {
		err = json.NewDecoder(conn).Decode(reply)
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return nil, fmt.Errorf("its server ended before it answered: %w", ErrNotUp) // killed, it seems
	case err != nil:
		return nil, fmt.Errorf("the lab's answer: %w", err)
	}
	if reply.Error != "" {
		return reply, errors.New(reply.Error)
	}
	return reply, nil
}

// A Server keeps a lab and obeys commands until one of them is "down".
type Server struct {
	lab    *Lab
	home   string
	listen net.Listener
	down   chan struct{}
	once   sync.Once
}

// Serve begins to take commands for a lab.
func Serve(l *Lab, home string) (*Server, error) {
	os.Remove(socketOf(home)) // of a server that was killed: Call has found nobody there
	listen, err := net.Listen("unix", socketOf(home))
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(socketOf(home), 0o600); err != nil {
		return nil, errors.Join(err, listen.Close())
	}
	return &Server{lab: l, home: home, listen: listen, down: make(chan struct{})}, nil
}

// Run serves until the lab is taken down, by a command or because stop is closed, and
// has removed everything.
func (s *Server) Run(stop <-chan struct{}) error {
	go s.accept()
	select {
	case <-s.down:
	case <-stop:
	}
	s.listen.Close()
	return s.lab.Close()
}

func (s *Server) accept() {
	for {
		conn, err := s.listen.Accept()
		if err != nil {
			return
		}
		go s.serve(conn)
	}
}

func (s *Server) serve(conn net.Conn) {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(callTime)); err != nil {
		return
	}
	line, err := bufio.NewReaderSize(conn, maxRequest).ReadSlice('\n')
	if err != nil {
		return
	}
	var r Request
	var reply Reply
	if err := json.Unmarshal(line, &r); err != nil {
		reply.Error = err.Error()
	} else if reply.Status, err = s.obey(&r); err != nil {
		reply.Error = err.Error()
	}
	_ = json.NewEncoder(conn).Encode(reply) // who asked may be gone
}

// obey carries out a command.
func (s *Server) obey(r *Request) (*Status, error) {
	switch r.Command {
	case "status":
		return s.lab.Status(), nil
	case "down":
		s.once.Do(func() { close(s.down) })
		return nil, nil
	}
	return nil, s.lab.Do(r.Command, r.Args...)
}
