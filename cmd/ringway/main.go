package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"ringway/topology"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // it did not hold, or failed while running
	exitUsage  = 2 // wrong usage or a wrong file
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal, a second one ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes a command line and returns its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	report(errs, err)
	return exitCode(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "ringway",
		Short:         "Ordered group messages between datacenters",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("%s: no such command: `ringway --help` lists them", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(cmd.ErrOrStderr())
			if err := cmd.Help(); err != nil {
				return err
			}
			return errShown
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetHelpCommand(newHelp())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%s: %v: `%s --help` lists the flags", title(cmd), err, cmd.CommandPath())
	})
	root.AddCommand(
		newDemo(), newNode(), newCheck(), newPub(), newSub(), newGroups(), newMembers(), newStatus(), newTop(), newBench(), newTrace(), newLab(), newKeys(), newVersion(),
	)
	return root
}

// errShown is the error of wrong usage about which everything was said.
var errShown = errors.New("wrong usage")

// A usageError is wrong usage: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

func exitCode(err error) int {
	var wrongFile *topology.Faults
	var wrongUse usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errShown), errors.As(err, &wrongUse), errors.As(err, &wrongFile):
		return exitUsage
	}
	return exitFailed
}

// report writes an error, a line for each fault.
func report(w io.Writer, err error) {
	if err == nil || errors.Is(err, errShown) {
		return
	}
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			fmt.Fprintf(w, "ringway: %s\n", line)
		}
	}
}

// title is what a command is called in errors: "keys issue", say.
func title(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// args returns a check of the number of arguments; what says which are wanted.
func args(low, high int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if n := len(args); n < low || high >= 0 && n > high {
			return usage("%s: %d arguments: want %s", title(cmd), n, what)
		}
		return nil
	}
}

// commands is the check of a command that has others, and takes no arguments itself.
func commands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	return usage("%s: %s: no such command: want %s", title(cmd), args[0], strings.Join(names, ", "))
}

// newHelp explains a command. Of one that there is not, it says so.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Explain a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about := cmd.Root()
			for _, name := range args {
				i := slices.IndexFunc(about.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
				if i < 0 {
					return usage("help: %s: no such command: `%s --help` lists them", strings.Join(args, " "), about.CommandPath())
				}
				about = about.Commands()[i]
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// fromEnv returns the flag's value, or else that of an environment variable.
func fromEnv(cmd *cobra.Command, flag, value, variable string) (string, error) {
	if value != "" {
		return value, nil
	}
	if value = os.Getenv(variable); value != "" {
		return value, nil
	}
	return "", usage("%s: no --%s: give it, or set %s", title(cmd), flag, variable)
}

// isTerminal says whether somebody reads w on a screen.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	// /dev/null is a character device too.
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && file.Name() != os.DevNull
}
