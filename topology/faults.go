package topology

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"
)

// A Fault is one thing that is wrong with a topology file and what would be right.
type Fault struct {
	Path    string // of the file
	Line    int    // from 1; 0: the file as a whole
	Message string
	Cause   error // why the file could not be read; nil for what is wrong inside
}

// Error returns path:line: message.
func (f Fault) Error() string {
	if f.Line == 0 {
		return f.Path + ": " + f.Message
	}
	return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Message)
}

// Unwrap returns the cause.
func (f Fault) Unwrap() error { return f.Cause }

// Faults is the error of Load and Parse: everything that is wrong with a file, by
// line. A command that gets one exits with code 2.
type Faults struct {
	errs *multierror.Error
}

// Faults returns what is wrong, by line.
func (f *Faults) Faults() []Fault {
	list := make([]Fault, 0, len(f.errs.Errors))
	for _, err := range f.errs.Errors {
		var fault Fault
		if errors.As(err, &fault) {
			list = append(list, fault)
		}
	}
	return list
}

// Error returns one line per fault.
func (f *Faults) Error() string { return f.errs.Error() }

// Unwrap returns the *multierror.Error within.
func (f *Faults) Unwrap() error { return f.errs }

// NewFaults returns what is wrong with a file that another package read, as the error
// that Load would give: by line. It is nil if nothing is wrong.
func NewFaults(faults []Fault) error {
	c := &collector{}
	for _, f := range faults {
		c.path = f.Path
		c.add(f.Line, "%s", f.Message)
	}
	return c.err()
}

// maxFaults bounds what is reported of one file; who has mended a thousand faults
// runs the check again.
const maxFaults = 1000

// A collector gathers faults while a file is read.
type collector struct {
	path    string
	faults  []Fault
	dropped int
	others  []*collector // of files that this one names; their faults come behind
}

// add reports a fault at a line. The same words about the same line are said once:
// two checks may come upon one mistake.
func (c *collector) add(line int, format string, args ...any) {
	if len(c.faults) >= maxFaults {
		c.dropped++
		return
	}
	fault := Fault{Path: c.path, Line: line, Message: fmt.Sprintf(format, args...)}
	if !slices.Contains(c.faults, fault) {
		c.faults = append(c.faults, fault)
	}
}

// err returns the faults by line, or nil if there are none.
func (c *collector) err() error {
	faults := c.sorted()
	for _, other := range c.others {
		faults = append(faults, other.sorted()...)
	}
	if len(faults) == 0 {
		return nil
	}
	errs := &multierror.Error{ErrorFormat: oneLineEach}
	for _, fault := range faults {
		errs = multierror.Append(errs, fault)
	}
	return &Faults{errs: errs}
}

// sorted returns the faults of one file by line, and how many are not among them.
func (c *collector) sorted() []Fault {
	slices.SortStableFunc(c.faults, func(a, b Fault) int { return a.Line - b.Line })
	if c.dropped > 0 {
		c.faults = append(c.faults, Fault{Path: c.path, Message: fmt.Sprintf("and %d more faults: mend these first", c.dropped)})
	}
	return c.faults
}

func oneLineEach(errs []error) string {
	lines := make([]string, len(errs))
	for i, err := range errs {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// quoteBytes is how much of a text from the file is repeated in a message.
const quoteBytes = 64

// quote returns s in quotes, cut where it is long, so that a fault stays one line.
func quote(s string) string {
	if len(s) > quoteBytes {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(s[:quoteBytes], ""))
	}
	return fmt.Sprintf("%q", s)
}
