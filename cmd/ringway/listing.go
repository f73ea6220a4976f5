package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ringway/client"
)

// listedGroup and listedMembers are what `groups --json` and `members --json` print, one
// object a line.
type listedGroup struct {
	Type     string `json:"type"` // "group"
	Group    string `json:"group"`
	Members  int    `json:"members"`  // known at the node
	Sites    int    `json:"sites"`    // that have members
	Complete bool   `json:"complete"` // members counts all that there are
}

type listedMembers struct {
	Type     string   `json:"type"` // "members"
	Group    string   `json:"group"`
	Members  []string `json:"members"`
	Complete bool     `json:"complete"` // they are all that there are
}

func newGroups() *cobra.Command {
	c := connection{giveUp: connectTime}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "groups --connect ADDR [PATTERN]",
		Short: "List groups that somebody is in, as one node knows them",
		Long: `List groups that somebody is in, as one node knows them: how many members, and how many
sites have some. A node knows the members at other sites of groups that a client of its own
site is in; for other groups a + stands behind the number.`,
		Example: "  ringway groups --connect 4803@lon-1 'logs.*'",
		Args:    args(0, 1, "one PATTERN at most"),
		RunE: func(cmd *cobra.Command, args []string) error {
			pattern := ""
			if len(args) > 0 {
				pattern = args[0]
			}
			return listing(cmd, &c, func(ctx context.Context, conn *client.Session, out io.Writer) error {
				groups, err := conn.Groups(ctx, pattern)
				if err != nil {
					return err
				}
				return printGroups(out, groups, asJSON)
			})
		},
	}
	listingFlags(cmd, &c, &asJSON)
	return cmd
}

func newMembers() *cobra.Command {
	c := connection{giveUp: connectTime}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "members --connect ADDR GROUP",
		Short: "List the members of a group, as one node knows them",
		Long: `List the members of a group, as one node knows them, in the order of views. A node of a site
without a member of its own does not know those at other sites, and says so: ask another.`,
		Args: args(1, 1, "one GROUP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return listing(cmd, &c, func(ctx context.Context, conn *client.Session, out io.Writer) error {
				members, complete, err := conn.Members(ctx, args[0])
				if err != nil {
					return err
				}
				if asJSON {
					return json.NewEncoder(out).Encode(listedMembers{"members", args[0], append([]string{}, members...), complete})
				}
				for _, m := range members {
					if _, err := fmt.Fprintln(out, printable(m)); err != nil {
						return err
					}
				}
				if !complete {
					fmt.Fprintf(cmd.ErrOrStderr(), "ringway: members: %s has members at other sites that %s does not know: ask a node there\n", args[0], conn.Node())
				}
				return nil
			})
		},
	}
	listingFlags(cmd, &c, &asJSON)
	return cmd
}

func listingFlags(cmd *cobra.Command, c *connection, asJSON *bool) {
	cmd.Flags().StringVar(&c.connect, "connect", "", "the node to ask; of several, with commas between, the first that answers (default $RINGWAY_CONNECT)")
	c.flags(cmd.Flags())
	cmd.Flags().BoolVar(asJSON, "json", false, "one JSON object per line")
}

// listing connects and asks, while somebody receives.
func listing(cmd *cobra.Command, c *connection, ask func(context.Context, *client.Session, io.Writer) error) error {
	conn, err := c.open(cmd, client.Options{})
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	go watch(ctx, cmd, conn, cancel)
	if err := ask(ctx, conn, cmd.OutOrStdout()); err != nil {
		return fmt.Errorf("%s: %w", title(cmd), err)
	}
	return nil
}

func printGroups(out io.Writer, groups []client.GroupInfo, asJSON bool) error {
	if asJSON {
		lines := json.NewEncoder(out)
		for _, g := range groups {
			if err := lines.Encode(listedGroup{"group", g.Name, g.Members, g.Sites, g.Complete}); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "group\tmembers\tsites")
	for _, g := range groups {
		more := ""
		if !g.Complete {
			more = "+"
		}
		fmt.Fprintf(table, "%s\t%d%s\t%d\n", printable(g.Name), g.Members, more, g.Sites)
	}
	return table.Flush()
}
