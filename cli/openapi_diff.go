// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/internal/openapi"
	"github.com/caddy-gluu/gateway/pathmatch"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// newOpenAPIDiffCommand returns `caddy gluu openapi diff`.
func newOpenAPIDiffCommand() *cobra.Command {
	var flags sourceFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "diff --policy <file> [--handler <n>] [--json] [...] <openapi file>",
		Short: "Says where a policy and an OpenAPI document differ",
		Long: `
Compares the rules of a policy with the security of each operation of an OpenAPI
document. Each difference is a line:

	no_rule       no rule decides about the operation
	partly        rules decide about some paths of the operation only
	no_operation  a rule decides about no operation
	differs       the rule requires something else than the operation

--policy, --handler
    The policy: a scope expression document in JSON, a Caddyfile, or a Caddy
    JSON configuration and the number of a handler in it.

--security-scheme, --base-path, --unlisted, --prefix
    How the document is read: the options of the openapi block.

--json
    Print one JSON object per difference: {"kind", "method", "path",
    "operation", "rule", "policy", "document", "file", "line"}.

The exit code is 0 if there is no difference, 1 if there is one, and 2 for an
error.
`,
		Example: `  caddy gluu openapi diff --policy Caddyfile openapi.yaml`,
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVarP(&flags.Policy, "policy", "p", "", "Scope expression document (JSON), Caddyfile or Caddy JSON configuration")
	cmd.Flags().IntVar(&flags.Handler, "handler", 0, "Number of the handler, counting from 1")
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print JSON")
	var document documentFlags
	document.registerOptions(cmd)
	return asCommand(cmd, []string{"policy"}, func(cmd *cobra.Command, args []string) (int, error) {
		policy, err := flags.one("")
		if err != nil {
			return exitError, err
		}
		if policy.isRego {
			return exitError, fmt.Errorf("%s has a policy in Rego, which cannot be compared with a document", policy.name)
		}
		wanted, err := loadOpenAPI(&document, args[0])
		if err != nil {
			return exitError, err
		}
		differences := diff(policy, wanted)
		p := newPainter(cmd.OutOrStdout())
		for _, d := range differences {
			if asJSON {
				if err := writeLine(cmd.OutOrStdout(), d); err != nil {
					return exitError, err
				}
				continue
			}
			p.line("%s", printable(d.String()))
		}
		if len(differences) > 0 {
			return exitNo, nil
		}
		if !asJSON {
			p.line("%s, no difference", plural(len(wanted.api.Operations), "operation"))
		}
		return exitYes, nil
	})
}

// A difference is one between a policy and a document.
type difference struct {
	Kind      string `json:"kind"`
	Method    string `json:"method"`
	Path      string `json:"path"`
	Operation string `json:"operation,omitempty"`
	Rule      string `json:"rule,omitempty"`
	Policy    string `json:"policy,omitempty"`   // what the policy requires
	Document  string `json:"document,omitempty"` // what the document requires
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`
}

// The kinds of differences.
const (
	noRule      = "no_rule"
	partly      = "partly"
	noOperation = "no_operation"
	differs     = "differs"
)

func (d difference) String() string {
	place := fmt.Sprintf("%s %s", d.Method, d.Path)
	if d.Operation != "" {
		place += fmt.Sprintf(" (%s, %s:%d)", d.Operation, d.File, d.Line)
	}
	switch d.Kind {
	case noRule:
		return fmt.Sprintf("no_rule       %s: the document requires %s", place, d.Document)
	case partly:
		return fmt.Sprintf("partly        %s: only paths of %s have a rule; the document requires %s", place, d.Rule, d.Document)
	case noOperation:
		return fmt.Sprintf("no_operation  %s: the rule requires %s", place, d.Policy)
	}
	return fmt.Sprintf("differs       %s: the rule %s requires %s, the document %s", place, d.Rule, d.Policy, d.Document)
}

// diff compares a policy with the rules of a document.
func diff(policy, document *source) []difference {
	var differences []difference
	rules, wanted := indexRules(policy.policy), indexRules(document.policy)
	used := make(map[*scopeexpr.Rule]bool)
	for _, op := range document.api.Operations {
		want := wanted[op.Method+" "+op.Pattern]
		d := difference{
			Method: op.Method, Path: op.Pattern, Operation: op.Name, File: op.File, Line: op.Line,
			Document: document.demand(want),
		}
		got, some := rules.deciding(policy.policy, op, want.PathPattern())
		for _, r := range some {
			used[r] = true
		}
		switch {
		case got != nil:
			used[got] = true
			d.Rule, d.Policy = got.Method()+" "+got.Pattern(), policy.demand(got)
			if same(policy.policy, got, document.policy, want) {
				continue
			}
			d.Kind = differs
		case len(some) > 0:
			d.Kind, d.Rule = partly, some[0].Method()+" "+some[0].Pattern()
		case op.Denied && policy.denyByDefault:
			continue
		default:
			d.Kind = noRule
		}
		differences = append(differences, d)
	}
	for _, r := range policy.policy.Rules() {
		if !used[r] && r.Access() != scopeexpr.Denied {
			differences = append(differences, difference{Kind: noOperation, Method: r.Method(), Path: r.Pattern(), Policy: policy.demand(r)})
		}
	}
	return differences
}

// ruleIndex finds rules by method and pattern.
type ruleIndex map[string]*scopeexpr.Rule

func indexRules(policy *scopeexpr.Policy) ruleIndex {
	index := make(ruleIndex)
	for _, r := range policy.Rules() {
		index[r.Method()+" "+r.Pattern()] = r
	}
	return index
}

// deciding returns the rule that decides about all paths of an operation, nil if there
// is none, and all rules that decide about some of them before.
func (i ruleIndex) deciding(policy *scopeexpr.Policy, op openapi.Operation, pattern *pathmatch.Pattern) (all *scopeexpr.Rule, some []*scopeexpr.Rule) {
	for _, r := range policy.Rules() {
		if i.of(r.Pattern(), op.Method) != r || r.PathPattern().Disjoint(pattern) {
			continue
		}
		if r.PathPattern().Covers(pattern) {
			return r, some
		}
		some = append(some, r)
	}
	return nil, some
}

// of returns the rule of a path for a method.
func (i ruleIndex) of(pattern, method string) *scopeexpr.Rule {
	if r := i[method+" "+pattern]; r != nil {
		return r
	}
	if r := i[http.MethodGet+" "+pattern]; r != nil && method == http.MethodHead {
		return r
	}
	return i[pathmatch.Any+" "+pattern]
}

// maxCompared bounds the combinations of scopes that are compared.
const maxCompared = 12

// same reports whether two rules of different policies require the same.
func same(policyA *scopeexpr.Policy, a *scopeexpr.Rule, policyB *scopeexpr.Policy, b *scopeexpr.Rule) bool {
	if a.Access() != b.Access() || extras(a) != extras(b) {
		return false
	}
	if a.Access() != "" {
		return true
	}
	if text, err := a.Expression().Short(); err == nil {
		if other, err := b.Expression().Short(); err == nil && text == other {
			return true
		}
	}
	scopes := slices.Concat(a.Expression().Data, b.Expression().Data)
	slices.Sort(scopes)
	scopes = slices.Compact(scopes)
	if len(scopes) > maxCompared || slices.ContainsFunc(scopes, func(s string) bool { return strings.HasPrefix(s, "^") }) {
		return false
	}
	for bits := range 1 << len(scopes) {
		var held []string
		for i, scope := range scopes {
			if bits>>i&1 == 1 {
				held = append(held, scope)
			}
		}
		if a.Decide("", scopeexpr.NewScopes(policyA, held)) != b.Decide("", scopeexpr.NewScopes(policyB, held)) {
			return false
		}
	}
	return true
}
