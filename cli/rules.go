// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/internal/policylint"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// newRulesCommand returns `caddy gluu rules`.
func newRulesCommand() *cobra.Command {
	var flags sourceFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rules (--policy <file> | --openapi <file>) [--handler <n>] [--json]",
		Short: "Lists rules in order of precedence, with warnings",
		Long: `
Lists the rules of a policy in order of precedence: the method, the path, the
scopes that the token needs, and any further requirements. If several rules
match a request, the first one in the list decides.

Warnings follow for rules that are shadowed by others and never match, rules
that are redundant because a wider rule decides the same, rules that allow or
refuse every token, and entries that no scope can satisfy. A warning is always
right; regular expressions that are too complex to compare produce none.

--policy
    A scope expression document in JSON, a Caddyfile, or a Caddy JSON
    configuration.

--openapi
    An OpenAPI document, in place of a policy: lists the rules that gluu_oauth_pep
    makes of it, and what is probably wrong with the document. The flags
    --security-scheme, --base-path, --unlisted and --prefix are the options of
    the same names; --security-scheme can be repeated.

--handler
    List only this handler of the configuration, counting from 1. Without it,
    all handlers with a policy are listed.

--json
    Print one JSON object per handler: {"handler", "rules": [{"method", "path",
    "expression", "data"}], "warnings": [{"kind", "method", "path", "text"}]}.
    Rules of an OpenAPI document have "operation".
    Rules that are public or authenticated have "access", and no expression.

The exit code is 0, even if there are warnings, and 2 for an error.
`,
		Example: `  caddy gluu rules --policy Caddyfile`,
		Args:    cobra.NoArgs,
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print JSON")
	return asCommand(cmd, []string{"policy|openapi"}, func(cmd *cobra.Command, _ []string) (int, error) {
		sources, err := flags.chosen("")
		if err != nil {
			return exitError, err
		}
		p := newPainter(cmd.OutOrStdout())
		for i, s := range sources {
			if s.refused != nil && !s.isRego {
				return exitError, fmt.Errorf("%s: %w", s.name, s.refused)
			}
			if asJSON {
				err = writeLine(cmd.OutOrStdout(), s.rulesJSON())
			} else {
				if i > 0 {
					p.line("")
				}
				err = s.printRules(p)
			}
			if err != nil {
				return exitError, err
			}
		}
		return exitYes, nil
	})
}

// printRules lists the rules of one policy, and its warnings.
func (s *source) printRules(p *painter) error {
	if s.isRego {
		p.line("%s, a policy in Rego: ask about a request with 'caddy gluu explain'", p.bold(s.name))
		return nil
	}
	rules := s.policy.Rules()
	p.line("%s, %s", p.bold(s.name), plural(len(rules), "rule"))
	out := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	for _, r := range rules {
		_, _ = fmt.Fprintf(out, "  %s\t%s\t%s", r.Method(), r.Pattern(), s.demand(r))
		if operation := r.Operation(); operation != "" {
			_, _ = fmt.Fprintf(out, "\t%s", printable(operation))
		}
		_, _ = fmt.Fprintln(out)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if !s.denyByDefault {
		p.line("%s requests that no rule matches are not protected (deny_by_default false)", p.warn("!"))
	}
	if s.api != nil {
		for _, w := range s.api.Warnings {
			p.line("%s %s", p.warn("!"), printable(w.Error()))
		}
	}
	for _, w := range policylint.Check(s.policy) {
		p.line("%s %s %s %s", p.warn("!"), w.Rule.Method(), w.Rule.Pattern(), printable(w.Text))
	}
	return nil
}

// demand describes the requirements of a rule on one line.
func (s *source) demand(r *scopeexpr.Rule) string {
	demand := r.Access()
	if expression := r.Expression(); expression != nil {
		var err error
		if demand, err = expression.Short(); err != nil { // no short form
			demand = fmt.Sprintf("%s over %q", expression.Rule, expression.Data)
		}
	}
	if extras := extras(r); extras != "" {
		demand += ", " + extras
	}
	if resource := resourceOf(r, s.resourcePrefix); resource != nil {
		demand += fmt.Sprintf(" (resource %s, ticket for %s)", resource, strings.Join(resource.Scopes, " "))
	}
	return printable(demand)
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// rulesJSON is what rules --json prints for a handler.
type rulesJSON struct {
	Handler  string        `json:"handler"`
	Rules    []ruleJSON    `json:"rules"`
	Warnings []warningJSON `json:"warnings"`
}

type ruleJSON struct {
	Method     string          `json:"method"`
	Path       string          `json:"path"`
	Access     string          `json:"access,omitempty"`
	Operation  string          `json:"operation,omitempty"`
	Expression json.RawMessage `json:"expression"`
	Data       []string        `json:"data"`
	ACR        []string        `json:"acr,omitempty"`
	MaxAge     int64           `json:"max_age,omitempty"`
	Resource   *resourceJSON   `json:"resource,omitempty"`
}

type warningJSON struct {
	Kind   string `json:"kind"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Text   string `json:"text"`
}

func (s *source) rulesJSON() rulesJSON {
	out := rulesJSON{Handler: s.name, Rules: []ruleJSON{}, Warnings: []warningJSON{}}
	if s.isRego {
		return out
	}
	for _, r := range s.policy.Rules() {
		rule := ruleJSON{
			Method: r.Method(), Path: r.Pattern(), Access: r.Access(), Operation: r.Operation(), Data: []string{},
			ACR: r.Condition().ACR, MaxAge: r.Condition().MaxAge, Resource: resourceOf(r, s.resourcePrefix),
		}
		if expression := r.Expression(); expression != nil {
			rule.Expression, rule.Data = expression.Rule, expression.Data
		}
		out.Rules = append(out.Rules, rule)
	}
	if s.api != nil {
		for _, w := range s.api.Warnings {
			out.Warnings = append(out.Warnings, warningJSON{Kind: "openapi", Text: w.Error()})
		}
	}
	for _, w := range policylint.Check(s.policy) {
		out.Warnings = append(out.Warnings, warningJSON{w.Kind, w.Rule.Method(), w.Rule.Pattern(), w.Text})
	}
	return out
}
