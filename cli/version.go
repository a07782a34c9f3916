// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/internal/version"
)

// newVersionCommand returns `caddy gluu version`.
func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Prints the versions of the gateway, Caddy and Go",
		Long: `
Prints what a report of a fault should contain, one per line: the version of
these modules, that of Caddy and that of Go. A build from a working tree has the
version (devel).
`,
		Example: `  caddy gluu version`,
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			built := version.Read()
			_, err := fmt.Fprintf(command.OutOrStdout(), "gluu-gateway %s\ncaddy %s\ngo %s\n", built.Gateway, built.Caddy, built.Go)
			return err
		},
	}
}
