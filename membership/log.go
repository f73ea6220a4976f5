package membership

import "fmt"

// A LogID names the stream of exported records of one site instance in one site
// view: every site is a log that the others pull.
type LogID struct {
	Site     SiteID
	Instance InstanceID
	View     ViewID
}

// Source is the instance that the log is of.
func (l LogID) Source() SiteInstance { return SiteInstance{Instance: l.Instance, Site: l.Site} }

func (l LogID) String() string { return fmt.Sprintf("%v/%v/%v", l.Site, l.Instance, l.View) }
