// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/caddy-gluu/gateway/internal/openapi"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// newOpenAPITestsCommand returns `caddy gluu openapi tests`.
func newOpenAPITestsCommand() *cobra.Command {
	var policy string
	var handler int
	var document documentFlags
	cmd := &cobra.Command{
		Use:   "tests [--policy <file> [--handler <n>]] [...] <openapi file>",
		Short: "Writes policy tests for each operation of an OpenAPI document",
		Long: `
Writes a test file for "caddy gluu test" with a request for each operation of an
OpenAPI document: one that is allowed with its scopes, and one without each of
them. Keep the file, and a change of the document or of the policy that lets in
other callers fails a test.

--policy, --handler
    Test this policy instead of the rules that the gateway makes of the
    document. The name is written as it is: relative to the test file.

--security-scheme, --base-path, --unlisted, --prefix
    How the document is read: the options of the openapi block.

The exit code is 0, and 2 for an error.
`,
		Example: `  caddy gluu openapi tests openapi.yaml > openapi.test.yaml`,
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVarP(&policy, "policy", "p", "", "Policy to test, as the test file names it")
	cmd.Flags().IntVar(&handler, "handler", 0, "Number of the handler, counting from 1")
	document.registerOptions(cmd)
	return asCommand(cmd, nil, func(cmd *cobra.Command, args []string) (int, error) {
		s, err := loadOpenAPI(&document, args[0])
		if err != nil {
			return exitError, err
		}
		suite := writtenSuite{Policy: policy, Handler: handler}
		if policy == "" {
			suite.OpenAPI, suite.SecurityScheme = filepath.Base(args[0]), document.SecurityScheme
			suite.BasePath, suite.Unlisted, suite.Prefix = document.BasePath, document.Unlisted, document.Prefix
		}
		var skipped []string
		rules := indexRules(s.policy)
		for _, op := range s.api.Operations {
			tests, ok := s.testsOf(op, rules[op.Method+" "+op.Pattern])
			if !ok {
				skipped = append(skipped, op.Name)
			}
			suite.Tests = append(suite.Tests, tests...)
		}
		out := cmd.OutOrStdout()
		_, _ = fmt.Fprintf(out, "# Written by: caddy gluu openapi tests %s\n", filepath.Base(args[0]))
		for _, name := range skipped {
			_, _ = fmt.Fprintf(out, "# No request is known that only %s matches: write its tests by hand.\n", printable(name))
		}
		encoder := yaml.NewEncoder(out)
		encoder.SetIndent(2)
		if err := encoder.Encode(suite); err != nil {
			return exitError, err
		}
		return exitYes, encoder.Close()
	})
}

// A writtenSuite is a suite as it is written, without what is empty.
type writtenSuite struct {
	Policy         string        `yaml:"policy,omitempty"`
	Handler        int           `yaml:"handler,omitempty"`
	OpenAPI        string        `yaml:"openapi,omitempty"`
	SecurityScheme []string      `yaml:"security_scheme,omitempty,flow"`
	BasePath       string        `yaml:"base_path,omitempty"`
	Unlisted       string        `yaml:"unlisted,omitempty"`
	Prefix         string        `yaml:"prefix,omitempty"`
	Tests          []writtenTest `yaml:"tests"`
}

type writtenTest struct {
	Name    string   `yaml:"name"`
	Request string   `yaml:"request"`
	Scopes  []string `yaml:"scopes,flow"`
	Want    string   `yaml:"want"`
}

// testsOf returns the tests of an operation; ok is false if there is no request for it
// alone.
func (s *source) testsOf(op openapi.Operation, rule *scopeexpr.Rule) (tests []writtenTest, ok bool) {
	path, ok := s.samplePath(rule)
	if !ok {
		return nil, false
	}
	request := op.Method + " " + (&url.URL{Path: path}).EscapedPath()
	add := func(name string, scopes []string, want string) {
		if scopes == nil {
			scopes = []string{}
		}
		tests = append(tests, writtenTest{op.Name + name, request, scopes, want})
	}
	switch rule.Access() {
	case scopeexpr.Public:
		add(" is public", nil, allow)
		return tests, true
	case scopeexpr.Authenticated:
		add(" with any token", nil, allow)
		return tests, true
	case scopeexpr.Denied:
		add(" is denied", nil, deny)
		return tests, true
	}
	for _, scopes := range s.sufficient(rule, path) {
		add(" with its scopes", scopes, allow)
		for i, scope := range scopes {
			less := slices.Delete(slices.Clone(scopes), i, i+1)
			want := deny
			if rule.Explain(path, less).Granted {
				want = allow
			}
			add(" without "+scope, less, want)
		}
	}
	if len(tests) == 0 {
		return nil, false
	}
	return tests, true
}

// sufficient returns the smallest sets of scopes that satisfy a rule.
func (s *source) sufficient(rule *scopeexpr.Rule, path string) (sets [][]string) {
	var captures []string
	for _, c := range rule.Explain(path, nil).Captures {
		captures = append(captures, c.Value)
	}
	data := make([]string, 0, len(rule.Expression().Data))
	for _, entry := range rule.Expression().Data {
		scope, ok := sampleScope(entry, captures)
		if !ok {
			return nil
		}
		data = append(data, scope)
	}
	if len(data) > maxCompared {
		return nil
	}
	var masks []int
	for bits := range 1 << len(data) {
		if slices.ContainsFunc(masks, func(m int) bool { return bits&m == m }) {
			continue // a smaller set will do
		}
		var held []string
		for i, scope := range data {
			if bits>>i&1 == 1 {
				held = append(held, scope)
			}
		}
		if rule.Explain(path, held).Granted {
			masks, sets = append(masks, bits), append(sets, held)
		}
	}
	return sets
}

// samplePath returns a path that a rule decides about.
func (s *source) samplePath(rule *scopeexpr.Rule) (string, bool) {
	for _, word := range []string{"example", "7", "a"} {
		var b strings.Builder
		for element := range strings.SplitSeq(rule.Pattern()[1:], "/") {
			text, ok := sampleElement(element, word)
			if !ok {
				return "", false
			}
			b.WriteString("/" + text)
		}
		if s.policy.Find(rule.Method(), b.String()) == rule {
			return b.String(), true
		}
	}
	return "", false
}
