package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// A writerState is what a writer keeps: up to where its file is in the group's order, and
// which file that is.
type writerState struct {
	place
	Print string `json:"print"`
}

// load reads a state file; one that is not there leaves the state as it is.
func load(path string, state any) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, state)
	}
	if err != nil {
		return fmt.Errorf("state file %s: %w: remove it to begin anew", path, err)
	}
	return nil
}

// save writes a state file so that it is whole whatever happens meanwhile.
func save(path string, state any) error {
	b, err := json.Marshal(state)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
