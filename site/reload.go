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

// A reloader puts what may change of the topology in force again when the file, or that of
// the tokens, has changed, or when the operator says so: the rules of [access], and at a
// gateway the links. The rest counts from the node's next start: ring and merge of a site
// decide by it on every node alike, and the nodes do not read the file at one moment. A file
// with faults is refused: what was in force stays.
type reloader struct {
	node   *node
	now    *topology.Topology // as read last
	watch  *fsnotify.Watcher  // nil: nobody watches the files
	done   atomic.Uint64
	failed atomic.Uint64
}

// run watches until the context ends.
func (r *reloader) run(ctx context.Context) error {
	var events chan fsnotify.Event
	var lost chan error
	if r.begin(); r.watch != nil {
		defer r.watch.Close()
		events, lost = r.watch.Events, r.watch.Errors
	}
	// The files are read again at once: they may have changed since the node read them.
	settle := time.NewTimer(0)
	defer settle.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.node.cfg.Reload:
			if r.reload() == nil {
				r.node.log.Info("nothing has changed in the topology file", "file", r.now.Path)
			}
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

// begin watches the folders of the files: an editor puts a new file in the old one's
// place. Without it, SIGHUP is left.
func (r *reloader) begin() {
	if r.now.Path == "" {
		return
	}
	var err error
	if r.watch, err = fsnotify.NewWatcher(); err == nil {
		_, err = r.follow()
	}
	if err != nil {
		r.node.log.Warn("changes of the topology file are not noticed: send SIGHUP after one", "error", err)
	}
}

// follow watches the folders that are not watched yet: another file may name another one
// of tokens. It returns whether there were any.
func (r *reloader) follow() (more bool, err error) {
	watched := r.watch.WatchList()
	for _, folder := range r.folders() {
		more = more || !slices.Contains(watched, folder)
		err = errors.Join(err, r.watch.Add(folder)) // again does no harm, and a link may lead elsewhere now
	}
	return more, err
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

// reload reads the files and puts them in force, if nothing is wrong with them. It returns
// which parts have changed; nil: none has. Those of a file with faults are not looked at.
func (r *reloader) reload() (changed []string) {
	if r.now.Path == "" {
		return nil
	}
	next, err := topology.Load(r.now.Path)
	if err != nil {
		r.refuse(err)
		return []string{}
	}
	if changed = topology.Changed(r.now, next); len(changed) == 0 {
		return nil
	}
	r.done.Add(1)
	r.now = next
	var later []string
	for _, part := range changed {
		if !r.apply(part) {
			later = append(later, part)
		}
	}
	if len(later) > 0 {
		r.node.log.Warn("parts of the topology have changed that count from the node's next start", "parts", later)
	}
	if r.watch == nil {
		return changed
	}
	switch more, err := r.follow(); {
	case err != nil:
		r.node.log.Warn("changes of the tokens are not noticed: send SIGHUP after one", "error", err)
	case more:
		r.reload() // what was read may have changed before its folder was watched
	}
	return changed
}

// apply puts a part of the newest topology in force, if that can be done while the node
// runs.
func (r *reloader) apply(part string) bool {
	switch t := r.now; part {
	case "access":
		r.node.sessions.SetAccess(t.Access)
		r.node.log.Info("rules of access are in force", "file", t.Path, "methods", t.Access.Methods,
			"rules", len(t.Access.Allow), "tokens", len(t.Access.Tokens))
	case "link":
		if r.node.gateway != nil { // other nodes have no use for them
			r.node.gateway.SetLinks(t.Links)
			r.node.log.Info("links of the topology are in force", "file", t.Path, "links", len(t.Links))
		}
	default:
		return false
	}
	return true
}

// refuse tells what is wrong with a file.
func (r *reloader) refuse(err error) {
	r.failed.Add(1)
	r.node.log.Error("the topology file has faults: what was in force stays in force", "file", r.now.Path)
	var faults *topology.Faults
	if errors.As(err, &faults) {
		for _, fault := range faults.Faults()[:min(maxLoggedFaults, len(faults.Faults()))] {
			r.node.log.Error("fault in the topology", "fault", fault.Error())
		}
	}
}

// maxLoggedFaults bounds the lines about one bad file; `ringway check` has them all.
const maxLoggedFaults = 10
