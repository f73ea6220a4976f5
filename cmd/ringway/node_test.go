package main

import (
	"bytes"
	"errors"
	"testing"
)

// errFull is what a full disk says.
var errFull = errors.New("no space left")

// A fillingDisk takes nothing while it is full.
type fillingDisk struct {
	bytes.Buffer
	full bool
}

func (d *fillingDisk) Write(line []byte) (int, error) {
	if d.full {
		return 0, errFull
	}
	return d.Buffer.Write(line)
}

// TestLogOnAFullDisk: lines that cannot be written are counted, and said later.
func TestLogOnAFullDisk(t *testing.T) {
	disk := &fillingDisk{}
	lines := &logWriter{to: disk}
	log, err := newLog(lines, "text")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("one")
	disk.full = true
	log.Info("two")
	log.Info("three")
	disk.full = false
	if lines.lost.Load() != 2 {
		t.Errorf("%d lines are lost", lines.lost.Load())
	}
	log.Info("four")
	log.Info("five")
	text := disk.String()
	if bytes.Count(disk.Bytes(), []byte("2 lines are lost here")) != 1 || bytes.Count(disk.Bytes(), []byte("\n")) != 4 {
		t.Errorf("the log is\n%s", text)
	}
}
