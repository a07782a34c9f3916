// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// newTestCommand returns `caddy gluu test`.
func newTestCommand() *cobra.Command {
	var asJSON, verbose bool
	cmd := &cobra.Command{
		Use:   "test [--verbose] [--json] <file>...",
		Short: "Runs policy tests",
		Long: `
Runs the test cases of one or more files and prints each failed case with the
expected and the actual decision. A test file is YAML, with one document per
policy:

	policy: scopes.json     # path relative to this file: a scope expression
	                        # document, a Caddyfile or a Caddy JSON configuration
	                        # (add handler: N if several handlers have a policy);
	                        # or write scope_expression: [...] inline, or
	                        # openapi: <file> with security_scheme, base_path,
	                        # unlisted and prefix as in the openapi block
	deny_by_default: true   # overrides the configuration
	ambiguous_paths: reject # overrides the configuration
	encoded_slashes: reject # overrides the configuration
	uma: false              # true for a document of gluu_uma_pep
	tests:
	  - name: own todos     # optional
	    request: GET /todos/hh/command/123-abcd
	    scopes: [todos:hh, command:123]
	                        # or no_token: true for a caller without one
	    want: allow         # allow, deny, unprotected, bad_request or refused
	    rule: /todos/?/command/{^(\d\d\d)-([a-d]{4})$}  # optional
	    captures: [hh, 123, abcd]                       # optional; ~ for an absent group

For a policy in Rego (policy: todo.rego, or 'policies/*' with its data, or a handler
gluu_opa_pep of a configuration) a document can have "decision: httpapi/authz/allow",
and a case "claims: {sub: ann}" and "consumer: todo-app"; it cannot have rule and
captures.

Files that end with .rego or .json are policies in Rego and their data: the rules
in them whose names begin with test_ are run as 'opa test' does, together with the
policies and the data in the folder of each *_test.rego. Rules whose names begin
with todo_test_ are skipped, which is not a failure.

A case with "want: refused" passes if the policy does not load, and needs no
request. If a policy does not load, all of its cases get "refused".

--verbose
    Also print the cases that pass.

--json
    Print one JSON object per case: {"file", "index", "request", "want", "got",
    "rule", "captures", "pass", "reason"}. The index counts from 1 within a
    file. Cases of gluu_uma_pep also have "resource" and "ticket", and
    "obtain_rpt" if the gateway redeems the ticket for people.

The exit code is 0 if all cases pass, 1 if any fails, and 2 for an error.
`,
		Example: `  caddy gluu test policies/*_test.yaml
  caddy gluu test policies/todo_test.rego`,
		Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml", "rego"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print JSON")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "Also print the cases that pass")
	return asCommand(cmd, nil, func(cmd *cobra.Command, files []string) (int, error) {
		p := newPainter(cmd.OutOrStdout())
		passed, failed := 0, 0
		files, tests := splitTests(files)
		if len(tests) > 0 {
			var err error
			if passed, failed, err = runRegoTests(cmd.OutOrStdout(), tests, asJSON, verbose); err != nil {
				return exitError, err
			}
		}
		for _, file := range files {
			results, err := RunTestFile(file, nil)
			if err != nil {
				return exitError, err
			}
			for i := range results {
				r := &results[i]
				if r.Pass {
					passed++
				} else {
					failed++
				}
				if asJSON {
					err = writeLine(cmd.OutOrStdout(), r)
				} else if !r.Pass || verbose {
					r.print(p)
				}
				if err != nil {
					return exitError, err
				}
			}
		}
		if !asJSON {
			colour := p.good
			if failed > 0 {
				colour = p.bad
			}
			p.line("%s", colour(fmt.Sprintf("%d passed, %d failed", passed, failed)))
		}
		if failed > 0 {
			return exitNo, nil
		}
		return exitYes, nil
	})
}

// print prints a case with the expected and the actual decision.
func (r *TestResult) print(p *painter) {
	request := r.Request
	if request == "" {
		request = "the policy"
	}
	if r.Name != "" {
		request = r.Name + ": " + request
	}
	at := fmt.Sprintf("%s, test %d: %s", r.File, r.Index, printable(request))
	if r.Pass {
		p.line("%s %s", p.good("ok  "), at)
		return
	}
	p.line("%s %s", p.bad("FAIL"), at)
	if r.Request != "" {
		p.line("     scopes %q", r.Scopes)
	}
	p.line("     want %s, got %s", p.bold(r.Want), p.bold(r.Got))
	if r.Reason != "" {
		p.line("     %s", printable(r.Reason))
	}
	if r.Resource != nil {
		p.line("     resource %s, with %q", printable(r.Resource.String()), r.Resource.Scopes)
	}
}
