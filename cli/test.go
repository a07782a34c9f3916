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
		Short: "Runs files of test cases against policies",
		Long: `
Runs test files and prints each case that fails, expected beside actual. A test
file is YAML, with several documents if there are several policies:

	policy: scopes.json     # relative to this file; or a Caddyfile or Caddy's
	                        # JSON, then with handler: N if several have policies;
	                        # or scope_expression: [...] inline
	deny_by_default: true   # only to override what a configuration says
	ambiguous_paths: reject # likewise
	uma: false              # true for a document of gluu_uma_pep
	tests:
	  - name: own todos     # optional
	    request: GET /todos/hh/command/123-abcd
	    scopes: [todos:hh, command:123]
	    want: allow         # allow, deny, unprotected, bad_request or refused
	    rule: /todos/?/command/{^(\d\d\d)-([a-d]{4})$}  # optional
	    captures: [hh, 123, abcd]                       # optional; ~ is absent

A case that wants refused expects that the policy does not load, and needs no
request. If a policy does not load, that is what all of its cases get.

--verbose
    Also prints the cases that pass.

--json
    Prints one JSON object a case: {"file", "index", "request", "want", "got",
    "rule", "captures", "pass", "reason"}. Cases count from 1 within a file.
    Those of gluu_uma_pep have "resource" and "ticket" besides.

The exit code is 0 if all cases pass, 1 if one fails, 2 for an error.
`,
		Example: `  caddy gluu test policies/*_test.yaml`,
		Args:    cobra.MinimumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print JSON")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "Print the cases that pass, too")
	return asCommand(cmd, nil, func(cmd *cobra.Command, files []string) (int, error) {
		p := newPainter(cmd.OutOrStdout())
		passed, failed := 0, 0
		for _, file := range files {
			results, err := runFile(file)
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

// print shows a case, what was expected beside what was decided.
func (r *result) print(p *painter) {
	request := r.Request
	if request == "" {
		request = "the policy"
	}
	if r.name != "" {
		request = r.name + ": " + request
	}
	at := fmt.Sprintf("%s, test %d: %s", r.File, r.Index, printable(request))
	if r.Pass {
		p.line("%s %s", p.good("ok  "), at)
		return
	}
	p.line("%s %s", p.bad("FAIL"), at)
	if r.Request != "" {
		p.line("     scopes %q", r.scopes)
	}
	p.line("     want %s, got %s", p.bold(r.Want), p.bold(r.Got))
	if r.Reason != "" {
		p.line("     %s", printable(r.Reason))
	}
	if r.Resource != nil {
		p.line("     resource %s, with %q", printable(r.Resource.String()), r.Resource.Scopes)
	}
}
