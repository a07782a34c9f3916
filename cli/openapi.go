// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/internal/openapi"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// documentFlags select an OpenAPI document and say how it is read.
type documentFlags struct {
	OpenAPI        string   `yaml:"openapi"`
	SecurityScheme []string `yaml:"security_scheme"`
	BasePath       string   `yaml:"base_path"`
	Unlisted       string   `yaml:"unlisted"`
	Prefix         string   `yaml:"prefix"`
}

// registerOptions adds the flags that say how a document is read.
func (f *documentFlags) registerOptions(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.SecurityScheme, "security-scheme", nil, "Security scheme of the OpenAPI document that the gateway verifies; can be repeated")
	cmd.Flags().StringVar(&f.BasePath, "base-path", "", "What precedes the paths of the OpenAPI document: a path, servers or none")
	cmd.Flags().StringVar(&f.Unlisted, "unlisted", "", "Operations without any security: deny, public or authenticated")
	cmd.Flags().StringVar(&f.Prefix, "prefix", "", "Text before each scope of the OpenAPI document")
}

func (f *documentFlags) hasOptions() bool {
	return len(f.SecurityScheme) > 0 || f.BasePath != "" || f.Unlisted != "" || f.Prefix != ""
}

func (f *documentFlags) load(folder string, uma bool) (*openapi.API, error) {
	name := f.OpenAPI
	if !filepath.IsAbs(name) {
		name = filepath.Join(folder, name)
	}
	return openapi.Load(name, openapi.Options{
		SecuritySchemes: f.SecurityScheme, BasePath: f.BasePath, Unlisted: f.Unlisted, Prefix: f.Prefix, UMA: uma,
	})
}

// fromDocument makes a policy of the document alone.
func (f *sourceFlags) fromDocument(folder string) []*source {
	s := &source{name: f.OpenAPI, denyByDefault: true}
	s.api, s.refused = f.load(folder, f.UMA)
	if s.refused == nil {
		s.policy, s.refused = s.api.Document.Compile(scopeexpr.Options{UMA: f.UMA})
	}
	return []*source{s}
}

// newOpenAPICommand returns `caddy gluu openapi`.
func newOpenAPICommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "openapi <command>",
		Short: "Compares an OpenAPI document with a policy, and writes tests of it",
		Long: `
Works with the OpenAPI document of an API (version 2.0, 3.0 or 3.1), which says
in the security of its operations who may do what.

	diff   says where a policy and the document differ
	tests  writes policy tests for each operation

To see the rules that the gateway makes of a document, run
"caddy gluu rules --openapi <file>".
`,
		Example: `  caddy gluu openapi diff --policy Caddyfile openapi.yaml`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newOpenAPIDiffCommand(), newOpenAPITestsCommand())
	return cmd
}

// loadOpenAPI loads the document and its rules alone.
func loadOpenAPI(f *documentFlags, file string) (*source, error) {
	flags := sourceFlags{documentFlags: *f}
	flags.OpenAPI = file
	s := flags.fromDocument("")[0]
	if s.refused != nil {
		return nil, fmt.Errorf("%s: %w", s.name, s.refused)
	}
	return s, nil
}
