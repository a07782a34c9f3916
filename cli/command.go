// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "gluu",
		Usage: "<command>",
		Short: "Asks what the policies of gluu_oauth_pep and gluu_uma_pep do",
		Long: `
Asks what the policies of gluu_oauth_pep and gluu_uma_pep do, without sending
a request, and prepares what their configuration needs.
`,
		CobraFunc: func(root *cobra.Command) {
			root.Args = cobra.NoArgs // so that a mistyped command is an error
			root.RunE = func(root *cobra.Command, _ []string) error { return root.Help() }
			for _, newCommand := range commands {
				root.AddCommand(newCommand())
			}
		},
	})
}

// commands make the commands below `caddy gluu`.
var commands = []func() *cobra.Command{
	newExplainCommand,
	newTestCommand,
	newRulesCommand,
	newHashSecretCommand,
}

// Exit codes. 1 is an answer, so that errors need a code of their own.
const (
	exitYes   = 0
	exitNo    = 1
	exitError = 2
)

// asCommand completes a command: what it does is a function that returns an
// exit code, and whatever is wrong with its arguments is an error like others.
func asCommand(cmd *cobra.Command, required []string, command func(cmd *cobra.Command, args []string) (int, error)) *cobra.Command {
	positional := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		return failure(cmd, positional(cmd, args))
	}
	cmd.SetFlagErrorFunc(failure)
	cmd.DisableFlagsInUseLine = true
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, name := range required {
			if !cmd.Flags().Changed(name) {
				return failure(cmd, fmt.Errorf("the flag --%s is missing; see %s --help", name, cmd.CommandPath()))
			}
		}
		code, err := command(cmd, args)
		if err == nil && code == exitNo {
			cmd.SilenceErrors = true // it has been told already
			return errNo
		}
		return failure(cmd, err)
	}
	return cmd
}

// failure makes an error end the process with exitError, of which other errors
// know nothing, and writes it for a person: Caddy would make a line of its log
// of it, and these errors may have several.
func failure(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "Error:", err)
	cmd.SilenceErrors = true // it has been told
	exit := caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return exitError, nil })(cmd, nil)
	return &failed{err, exit}
}

// failed is an error that has been told, with the exit code in Caddy's own type.
type failed struct {
	error
	exit error
}

func (f *failed) Unwrap() []error { return []error{f.error, f.exit} }

// errNo ends a command whose answer is no.
var errNo = errors.New("the answer is no")
