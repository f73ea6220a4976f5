package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// chunk is how much is read at once; maxLine is how long a line may be in one message.
const (
	chunk   = 64 << 10
	maxLine = 1 << 20
)

// pollEvery is how often a file that is followed is looked at.
const pollEvery = 200 * time.Millisecond

// A splitter turns what is read into lines.
type splitter struct{ rest []byte }

// split returns the lines that data completes, in memory of their own.
func (s *splitter) split(data []byte) [][]byte {
	var lines [][]byte
	for {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			break
		}
		line := append(s.rest, data[:i]...)
		lines = append(lines, bytes.TrimSuffix(line, []byte("\r")))
		s.rest, data = nil, data[i+1:]
	}
	s.rest = append(s.rest, data...)
	for len(s.rest) >= maxLine {
		lines = append(lines, s.rest[:maxLine:maxLine])
		s.rest = append([]byte(nil), s.rest[maxLine:]...)
	}
	return lines
}

// flush returns a last line without an end.
func (s *splitter) flush() [][]byte {
	if len(s.rest) == 0 {
		return nil
	}
	line := s.rest
	s.rest = nil
	return [][]byte{line}
}

// readLines sends the lines of in, until it ends.
func readLines(ctx context.Context, in io.Reader, send func([][]byte) error) error {
	var s splitter
	buffer := make([]byte, chunk)
	for ctx.Err() == nil {
		n, err := in.Read(buffer)
		if lines := s.split(buffer[:n]); len(lines) > 0 {
			if err := send(lines); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			if last := s.flush(); last != nil {
				return send(last)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// tail sends the lines of a file and, if it is to be followed, those that are added to
// it, or to a file that takes its name.
func tail(ctx context.Context, path string, fromStart, follow bool, send func([][]byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { file.Close() }()
	if !fromStart && follow {
		if _, err := file.Seek(0, io.SeekEnd); err != nil {
			return err
		}
	}
	if !follow {
		return readLines(ctx, file, send)
	}
	var s splitter
	buffer := make([]byte, chunk)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		n, err := file.Read(buffer)
		if lines := s.split(buffer[:n]); len(lines) > 0 {
			if err := send(lines); err != nil {
				return err
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n > 0 {
			continue
		}
		next, err := successor(file, path)
		if err != nil {
			return err
		}
		if next != nil {
			file.Close()
			file, s.rest = next, nil
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// successor returns another file that has taken the name of one that was read to its
// end, or rewinds one that was truncated. It returns nil if there is nothing new.
func successor(file *os.File, path string) (*os.File, error) {
	old, err := file.Stat()
	if err != nil {
		return nil, err
	}
	at, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	if old.Size() < at {
		_, err := file.Seek(0, io.SeekStart)
		return nil, err
	}
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && os.SameFile(old, now) {
		return nil, nil // between two files, or the same one
	}
	if err != nil {
		return nil, err
	}
	next, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return next, err
}
