// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "gluu",
		Usage: "<command>",
		Short: "Checks Gluu Gateway policies and prepares configuration",
		Long: `
Checks the policies of gluu_oauth_pep and gluu_uma_pep without sending a
request, and prepares values for the configuration.

Run a subcommand with --help for its flags, output and exit codes.
`,
		CobraFunc: func(root *cobra.Command) {
			root.Args = cobra.NoArgs // a mistyped subcommand is an error
			root.RunE = func(root *cobra.Command, _ []string) error { return root.Help() }
			for _, newCommand := range commands {
				root.AddCommand(newCommand())
			}
		},
	})
}

// commands are the constructors of the subcommands.
var commands = []func() *cobra.Command{
	newExplainCommand,
	newTestCommand,
	newRulesCommand,
	newOpenAPICommand,
	newHashSecretCommand,
	newOverviewCommand,
	newRoutesCommand,
	newUMACommand,
	newOPACommand,
	newDecisionsCommand,
	newWhyCommand,
	newReplayCommand,
	newAuditCommand,
	newCompareCommand,
	newImportTokensCommand,
	newUICommand,
	newVersionCommand,
}

// Exit codes. 1 is a regular answer ("no"), so errors have a code of their own.
const (
	exitYes   = 0
	exitNo    = 1
	exitError = 2
)

// asCommand completes a command with a function that returns an exit code.
// Wrong flags and arguments are reported like any other error. Of required flags that
// are joined by a bar one suffices.
func asCommand(cmd *cobra.Command, required []string, command func(cmd *cobra.Command, args []string) (int, error)) *cobra.Command {
	positional := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		return failure(cmd, positional(cmd, args))
	}
	cmd.SetFlagErrorFunc(failure)
	cmd.DisableFlagsInUseLine = true
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, name := range required {
			if !slices.ContainsFunc(strings.Split(name, "|"), cmd.Flags().Changed) {
				return failure(cmd, fmt.Errorf("missing required flag --%s; run %q for usage", strings.ReplaceAll(name, "|", " or --"), cmd.CommandPath()+" --help"))
			}
		}
		code, err := command(cmd, args)
		if err == nil && code == exitNo {
			cmd.SilenceErrors = true // the answer has been printed
			return errNo
		}
		return failure(cmd, err)
	}
	return cmd
}

// failure prints an error and makes the process exit with exitError. Caddy would
// write the error as one line of its log; these errors may have several lines.
func failure(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "Error:", err)
	cmd.SilenceErrors = true // it has been printed
	exit := caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return exitError, nil })(cmd, nil)
	return &failed{err, exit}
}

// failed is an error that has been printed, with the exit code in Caddy's type.
type failed struct {
	error
	exit error
}

func (f *failed) Unwrap() []error { return []error{f.error, f.exit} }

// errNo ends a command whose answer is no.
var errNo = errors.New("the answer is no")
