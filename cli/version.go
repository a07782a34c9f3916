// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"
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
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return errors.New("this binary contains no build information")
			}
			_, err := fmt.Fprintf(command.OutOrStdout(), "gluu-gateway %s\ncaddy %s\ngo %s\n",
				cmp.Or(release, versionOf(info, gatewayModule)), versionOf(info, "github.com/caddyserver/caddy/v2"), info.GoVersion)
			return err
		},
	}
}

// release is the version under which the binary was released. The linker sets
// it: a release is built from a copy of the sources, which has no version.
var release string

const gatewayModule = "github.com/caddy-gluu/gateway"

// versionOf returns the version of a module in a binary, whether it is the main
// module, a dependency, or a dependency that is replaced, as xcaddy does for a
// working tree.
func versionOf(info *debug.BuildInfo, path string) string {
	const workingTree = "(devel)"
	if info.Main.Path == path {
		return cmp.Or(info.Main.Version, workingTree)
	}
	i := slices.IndexFunc(info.Deps, func(m *debug.Module) bool { return m.Path == path })
	switch {
	case i < 0:
		return "unknown"
	case info.Deps[i].Replace != nil:
		return cmp.Or(info.Deps[i].Replace.Version, workingTree)
	}
	return info.Deps[i].Version
}
