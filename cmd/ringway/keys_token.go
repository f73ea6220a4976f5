package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"ringway/topology"
)

func newKeysToken() *cobra.Command {
	var file string
	token := topology.Token{}
	cmd := &cobra.Command{
		Use:   "token --client PATTERN [--file tokens] [--note TEXT]",
		Short: "Make a token by which clients are let in, and add its hash to a file",
		Long: `Make a token by which clients are let in, and add its hash to a file.

The token is printed once and kept nowhere: give it to the client. The file has its hash,
the pattern of private names that it is for, and the note; the topology names it with
[access] tokens, and every node that offers method TOKEN needs it. Nodes notice the new
line. To take a token back, delete its line: the sessions that used it end.`,
		Example: `  ringway keys token --client 'web-*' --note "the web servers" --file tokens`,
		Args:    args(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if token.Client == "" {
				return usage("keys token: no --client: give a pattern of private names, '*' for every client")
			}
			secret := topology.NewToken()
			token.Hash = topology.HashToken([]byte(secret))
			if err := topology.AppendToken(file, token); err != nil {
				return fmt.Errorf("keys token: %w", err)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "for clients %s, in %s; this is the token, shown once:\n", token.Client, file)
			_, err := fmt.Fprintln(cmd.OutOrStdout(), secret)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&file, "file", "tokens", "file of hashes")
	flags.StringVar(&token.Client, "client", "", "shell pattern of private names that it is for")
	flags.StringVar(&token.Note, "note", "", "your own words about it")
	return cmd
}
