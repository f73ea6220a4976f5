package site

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"

	"ringway/topology"
)

// settleTime is how long files must have been quiet before they are read again: whoever
// writes one writes it in pieces.
const settleTime = 200 * time.Millisecond

// A reloader puts the topology's [access] in force again when the file, or that of the
// tokens, has changed, or when the operator says so. A file with faults is refused: what
// was in force stays.
type reloader struct {
	node   *node
	now    *topology.Topology // in force, as far as its access goes
	done   atomic.Uint64
	failed atomic.Uint64
}

// run watches until the context ends.
func (r *reloader) run(ctx context.Context) error {
	var events chan fsnotify.Event
	var lost chan error
	if watcher := r.watch(); watcher != nil {
		defer watcher.Close()
		events, lost = watcher.Events, watcher.Errors
	}
	settle := time.NewTimer(0)
	settle.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.node.cfg.Reload:
			r.reload()
		case event, ok := <-events:
			if !ok {
				events = nil
			} else if r.concerns(event.Name) {
				settle.Reset(settleTime)
			}
		case _, ok := <-lost: // events were lost: look
			if !ok {
				lost = nil
			} else {
				settle.Reset(settleTime)
			}
		case <-settle.C:
			r.reload()
		}
	}
}

// watch watches the folders of the files: an editor puts a new file in the old one's
// place. Without it, SIGHUP is left.
func (r *reloader) watch() *fsnotify.Watcher {
	if r.now.Path == "" {
		return nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		for _, folder := range r.folders() {
			err = errors.Join(err, watcher.Add(folder))
		}
	}
	if err != nil {
		r.node.log.Warn("changes of the topology file are not noticed: send SIGHUP after one", "error", err)
	}
	return watcher
}

func (r *reloader) files() []string {
	files := []string{filepath.Clean(r.now.Path)}
	if tokens := r.now.Access.TokenFile; tokens != "" {
		files = append(files, tokens)
	}
	return files
}

func (r *reloader) folders() []string {
	var folders []string
	for _, file := range r.files() {
		if folder := filepath.Dir(file); !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	return folders
}

// concerns says whether an event is about one of the files, or about a link by which a
// whole folder changes at once, as container platforms mount configuration.
func (r *reloader) concerns(name string) bool {
	return slices.Contains(r.files(), filepath.Clean(name)) || strings.HasPrefix(filepath.Base(name), "..data")
}

// reload reads the files and puts them in force, if nothing is wrong with them.
func (r *reloader) reload() {
	if r.now.Path == "" {
		return
	}
	next, err := topology.Load(r.now.Path)
	if err != nil {
		r.failed.Add(1)
		r.node.log.Error("the topology file has faults: what was in force stays in force", "file", r.now.Path)
		var faults *topology.Faults
		if errors.As(err, &faults) {
			for _, fault := range faults.Faults()[:min(maxLoggedFaults, len(faults.Faults()))] {
				r.node.log.Error("fault in the topology", "fault", fault.Error())
			}
		}
		return
	}
	changed := topology.Changed(r.now, next)
	if len(changed) == 0 {
		return
	}
	r.done.Add(1)
	if i := slices.Index(changed, "access"); i >= 0 {
		r.node.sessions.SetAccess(next.Access)
		r.node.log.Info("rules of access are in force", "file", next.Path, "methods", next.Access.Methods,
			"rules", len(next.Access.Allow), "tokens", len(next.Access.Tokens))
		changed = slices.Delete(changed, i, i+1)
	}
	if len(changed) > 0 {
		r.node.log.Warn("parts of the topology have changed that count from the node's next start", "parts", changed)
	}
	r.now = next
}

// maxLoggedFaults bounds the lines about one bad file; `ringway check` has them all.
const maxLoggedFaults = 10
