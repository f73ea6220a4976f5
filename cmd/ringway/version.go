package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"ringway/internal/admin"
	"ringway/internal/pki"
)

// Versions of the protocols that this program speaks.
const (
	ringProtocol   = 1
	spreadProtocol = "5.0.1" // of the client protocol; 3.1 and later are understood
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the program, of Go and of the protocols",
		Args:  args(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "ringway %s\ngo %s %s/%s\nring protocol %d\noverlay protocol %s\nclient protocol Spread %s\n",
				admin.ProgramVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH, ringProtocol, pki.ALPN, spreadProtocol)
			return err
		},
	}
}
