package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// maxLine is how long a line may be in one event; longer ones are cut. chunk is how much
// is read at once.
const (
	maxLine = 128 << 10
	chunk   = 256 << 10
)

// A source is a file that grows, and that another one may replace.
type source struct {
	path  string
	file  *os.File
	epoch int64
}

// openSource opens a file where a writer left it; the state says which file that was.
func openSource(path string, s *writerState, now time.Time) (*source, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	src := &source{path: path, file: file, epoch: s.Epoch}
	print, err := src.print(s.Offset)
	if err != nil || print != s.Print || s.Epoch == 0 {
		// Another file, or one that was cut off; or the first start.
		src.epoch = now.UnixMilli()
		s.place, s.Print = place{Epoch: src.epoch}, ""
	}
	return src, nil
}

func (s *source) close() { s.file.Close() }

// printBytes of the beginning tell one file from another.
const printBytes = 1 << 10

// print returns what a file that was read up to offset begins with, as a hash.
func (s *source) print(offset int64) (string, error) {
	if offset == 0 {
		return "", nil
	}
	info, err := s.file.Stat()
	if err != nil {
		return "", err
	}
	if info.Size() < offset {
		return "", io.ErrUnexpectedEOF
	}
	b := make([]byte, min(offset, printBytes))
	if _, err := s.file.ReadAt(b, 0); err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// read returns the events of whole lines from offset on, about a chunk of them. rest is
// set for a file that does not grow any more: its last line counts without an end, too.
func (s *source) read(offset int64, rest bool) ([]event, error) {
	b := make([]byte, chunk)
	n, err := s.file.ReadAt(b, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	b = b[:n]
	var events []event
	for len(b) > 0 {
		size := bytes.IndexByte(b, '\n') + 1
		line := b[:max(size-1, 0)]
		switch {
		case size > maxLine || size == 0 && len(b) >= maxLine:
			size, line = maxLine, b[:maxLine]
		case size == 0 && rest && errors.Is(err, io.EOF):
			size, line = len(b), b
		case size == 0:
			return events, nil
		}
		events = append(events, event{s.epoch, offset, offset + int64(size), bytes.TrimSuffix(line, []byte("\r"))})
		b, offset = b[size:], offset+int64(size)
	}
	return events, nil
}

// replaced says whether another file has taken the name, or this one was cut off below
// offset.
func (s *source) replaced(offset int64) (bool, error) {
	old, err := s.file.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // between two files
	}
	if err != nil {
		return false, err
	}
	return !os.SameFile(old, now) || old.Size() < offset, nil
}

// next goes to the file that has the name now.
func (s *source) next(now time.Time) error {
	file, err := os.Open(s.path)
	if err != nil {
		return err
	}
	s.file.Close()
	s.file, s.epoch = file, max(now.UnixMilli(), s.epoch+1)
	return nil
}
