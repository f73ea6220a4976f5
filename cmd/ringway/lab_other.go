//go:build !linux

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newLab() *cobra.Command {
	return &cobra.Command{
		Use:   "lab",
		Short: "Rehearse a topology on this machine (Linux only)",
		RunE: func(*cobra.Command, []string) error {
			return errors.New("lab: a lab is made of network namespaces, which only Linux has")
		},
	}
}
