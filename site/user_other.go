//go:build !unix

package site

import "fmt"

func becomeUser(name string) error {
	return fmt.Errorf("user %s: this system has no users to change to: start the node as %s instead", name, name)
}
