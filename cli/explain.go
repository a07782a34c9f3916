// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/internal/policylint"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// newExplainCommand returns `caddy gluu explain`.
func newExplainCommand() *cobra.Command {
	var flags sourceFlags
	var running runningFlags
	var rego regoFlags
	var requestText, scopes string
	var asJSON, asTest bool
	cmd := &cobra.Command{
		Use:   "explain ((--policy <file> | --openapi <file>) [--scopes <scopes>] | --token <token>) --request <request> [--handler <n>] [--json | --as-test] [...]",
		Short: "Explains the decision for one request",
		Long: `
Decides one request and explains the decision.

With --policy it decides offline, and shows the matching rule and why it takes
precedence, the captures of the path, the scope that satisfies each entry of
the rule's data, and the expression as a tree. With --token it asks a running
gateway through its admin endpoint, and shows the provider, the issuer, the
audience, the client, the consumer, the grants and the expiry of the token, the
rule and the decision. Nothing is sent to the upstream.

The decision is one of:

	allow        the scopes satisfy the rule, or it is public or authenticated
	deny         the scopes do not satisfy the rule, or no rule matches and
	             deny_by_default is true
	unprotected  no rule matches and deny_by_default is false
	bad_request  the path or method is ambiguous; the gateway answers 400

--policy
    A scope expression document in JSON, a Caddyfile, or a Caddy JSON
    configuration; or a policy in Rego (policy.rego, or 'policies/*' with its
    data). The policy of gluu_opa_pep in a configuration is one in Rego.

--decision, --claims, --consumer, --why
    For a policy in Rego: the package or rule that decides (that of the handler,
    or httpapi/authz, if left out), a file with the claims of the token as a JSON
    object, the username of the consumer that is calling, and whether to show
    the expressions that failed. --why also works with --token.

--openapi
    An OpenAPI document, in place of a policy, with the options of the openapi
    block as flags: --security-scheme, --base-path, --unlisted, --prefix.

--handler
    Which handler to use if several in the configuration have a policy,
    counting from 1.

--request
    The method and the path as a client sends them, percent-encoded.

--scopes
    The scopes of the token, separated by spaces. For gluu_uma_pep, the scopes
    of the permission for the resource.

--no-token
    Decide for a caller without a token, with --policy or on a running gateway.

--token
    The token, a JWT or an opaque one. Other users of the machine can see the
    arguments of a command: write - to read the token from standard input.

--address
    The address of the running gateway's admin endpoint; localhost:2019 if left
    out.

--host
    Which site of the running gateway, if several have rules.

--json
    With --token, print {"hosts", "request", "caller", "decision"}, as the admin
    endpoint answers. With --policy, print {"decision", "rule", "method", "captures", "data": [{"entry",
    "matched", "by"}], "expression"}, where "expression" is the rule in JSON
    Logic. Rules of gluu_uma_pep also have "resource" and "ticket", and
    "obtain_rpt" if the gateway redeems the ticket for people; a decision
    without a rule also has "reason". Rules that are public or authenticated
    have "access" and "reason", and no expression. Rules of an OpenAPI document
    have "operation". A policy in Rego has {"decision", "operation", "outcome",
    "result", "reason", "why"}.

--as-test
    With a policy of scope expressions, print the decision as a case for a file of
    'caddy gluu test'.

The exit code is 0 for allow, 1 for any other decision, and 2 for an error.
`,
		Example: `  caddy gluu explain --policy scopes.json --request "GET /todos/hh" --scopes "todos:hh email"
  caddy gluu explain --policy Caddyfile --handler 2 --request "HEAD /todos/hh" --json
  caddy gluu explain --token - --request "GET /todos/hh" <token.txt`,
		Args: cobra.NoArgs,
	}
	flags.register(cmd)
	flags.registerDefaults(cmd)
	running.register(cmd)
	rego.register(cmd)
	cmd.Flags().StringVarP(&requestText, "request", "r", "", `Request to decide, for example "GET /todos/hh"`)
	cmd.Flags().StringVarP(&scopes, "scopes", "s", "", "Scopes of the token, separated by spaces")
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print JSON")
	cmd.Flags().BoolVar(&asTest, "as-test", false, "Print a case for a test file")
	cmd.MarkFlagsMutuallyExclusive("as-test", "json")
	cmd.MarkFlagsMutuallyExclusive("as-test", "token")
	cmd.MarkFlagsMutuallyExclusive("policy", "openapi", "token")
	cmd.MarkFlagsMutuallyExclusive("no-token", "token")
	cmd.MarkFlagsMutuallyExclusive("no-token", "scopes")
	cmd.MarkFlagsMutuallyExclusive("token", "scopes")
	return asCommand(cmd, []string{"request"}, func(cmd *cobra.Command, _ []string) (int, error) {
		if asTest && (isRego(flags.Policy) || flags.Policy == "" && flags.OpenAPI == "") {
			return exitError, errNotATest
		}
		if flags.Policy == "" && flags.OpenAPI == "" {
			if running.token == "" && !running.noToken {
				return exitError, errors.New("missing flag: write --policy <file> to decide offline, or --token <token> to ask a running gateway")
			}
			if err := rego.checkRunning(); err != nil {
				return exitError, err
			}
			return running.explainRunning(cmd, requestText, flags.Handler, rego.why, asJSON)
		}
		who := caller{splitScopes(scopes), running.noToken}
		if isRego(flags.Policy) {
			policy, err := loadRego(flags.Policy)
			if err != nil {
				return exitError, err
			}
			return rego.explain(cmd.OutOrStdout(), policy, requestText, who, asJSON)
		}
		if !cmd.Flags().Changed("deny-by-default") {
			flags.DenyByDefault = nil // use the configuration
		}
		s, err := flags.one("")
		if err != nil {
			return exitError, err
		}
		if s.isRego && asTest {
			return exitError, errNotATest
		}
		if s.isRego {
			return rego.explain(cmd.OutOrStdout(), s.rego, requestText, who, asJSON)
		}
		if err := rego.check(flags.Policy); err != nil {
			return exitError, err
		}
		r, err := parseRequest(requestText, s.paths())
		if err != nil {
			return exitError, err
		}
		d := s.decide(r, who)
		switch {
		case asJSON:
			err = d.writeJSON(cmd.OutOrStdout())
		case asTest:
			var text string
			if text, err = d.testCase(requestText).YAML(); err == nil {
				_, err = io.WriteString(cmd.OutOrStdout(), text)
			}
		default:
			d.print(newPainter(cmd.OutOrStdout()))
		}
		if err != nil {
			return exitError, err
		}
		if d.what != allow {
			return exitNo, nil
		}
		return exitYes, nil
	})
}

var errNotATest = errors.New("--as-test is for a policy of scope expressions, with --policy or --openapi")

// splitScopes splits scopes as in a token: only at spaces.
func splitScopes(s string) []string {
	return slices.DeleteFunc(strings.Split(s, " "), func(scope string) bool { return scope == "" })
}

// explanationJSON is what explain --json prints.
type explanationJSON struct {
	Decision   string          `json:"decision"`
	Rule       *string         `json:"rule"`
	Method     *string         `json:"method"`
	Captures   []*string       `json:"captures"`
	Data       []dataJSON      `json:"data"`
	Expression json.RawMessage `json:"expression"`
	Access     string          `json:"access,omitempty"`
	Operation  string          `json:"operation,omitempty"`
	Resource   *resourceJSON   `json:"resource,omitempty"`
	Ticket     []string        `json:"ticket,omitempty"`
	ObtainRPT  bool            `json:"obtain_rpt,omitempty"`
	Reason     string          `json:"reason,omitempty"`
}

type dataJSON struct {
	Entry   string  `json:"entry"`
	Matched bool    `json:"matched"`
	By      *string `json:"by"`
}

// resourceJSON is the resource of a UMA rule at the authorization server.
type resourceJSON struct {
	ID     string   `json:"id,omitempty"`
	Name   string   `json:"name,omitempty"`
	Scopes []string `json:"scopes"`
}

func (d *decision) writeJSON(w io.Writer) error {
	out := explanationJSON{Decision: d.what, Rule: d.rulePattern(), Captures: d.captures(), Data: []dataJSON{}, Reason: d.reason}
	if d.rule != nil {
		method := d.rule.Method()
		out.Method = &method
		out.Access, out.Operation = d.rule.Access(), d.rule.Operation()
		if expression := d.rule.Expression(); expression != nil {
			out.Expression = expression.Rule
		}
		for _, e := range d.explanation.Data {
			entry := dataJSON{Entry: e.Entry, Matched: e.Matched}
			if e.Matched {
				entry.By = &e.By
			}
			out.Data = append(out.Data, entry)
		}
		out.Resource = resourceOf(d.rule, d.source.resourcePrefix)
		if d.what == deny && out.Resource != nil {
			out.Ticket, out.ObtainRPT = out.Resource.Scopes, d.source.obtainsRPT
		}
	}
	return writeLine(w, out)
}

// resourceOf returns the resource of a UMA rule, and nil for any other rule.
func resourceOf(r *scopeexpr.Rule, prefix string) *resourceJSON {
	if !r.HasResource() {
		return nil
	}
	return &resourceJSON{ID: r.Condition().ResourceID, Name: r.ResourceName(prefix), Scopes: r.Scopes()}
}

func (r *resourceJSON) String() string {
	if r.ID != "" {
		return "id " + r.ID
	}
	return r.Name
}

// writeLine writes a value as one line of JSON, without HTML escapes: patterns are
// full of <, > and &.
func writeLine(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// print prints the decision for people.
func (d *decision) print(p *painter) {
	p.line("%s %s", p.faint("request   "), printable(d.request.String()))
	if d.noToken {
		p.line("%s %s", p.faint("token     "), "none")
	}
	if len(d.scopes) > 0 {
		p.line("%s %s", p.faint("scopes    "), printable(strings.Join(d.scopes, " ")))
	}
	if d.rule != nil {
		d.printRule(p)
	}
	if d.rule != nil && d.rule.Access() == "" && !d.noToken {
		d.printData(p)
		p.line("\n%s", p.faint("expression"))
		printTree(p, d.explanation.Tree, "  ")
	}
	colour := p.bad
	if d.what == allow {
		colour = p.good
	}
	p.line("\n%s %s", p.faint("decision  "), p.bold(colour(d.what)))
	if d.reason != "" {
		p.line("           %s", printable(d.reason))
	}
	if resource := d.resource(); resource != nil && d.what == deny {
		printTicket(p, resource, d.source.obtainsRPT)
	}
}

// printTicket says what a refusal by a UMA rule would come with.
func printTicket(p *painter, resource *resourceJSON, obtainsRPT bool) {
	p.line("           a permission ticket for %s would request %s", printable(resource.String()), printable(strings.Join(resource.Scopes, " ")))
	if obtainsRPT {
		p.line("           the gateway redeems it for a person who has logged in (obtain_rpt)")
	}
}

func (d *decision) resource() *resourceJSON {
	if d.rule == nil {
		return nil
	}
	return resourceOf(d.rule, d.source.resourcePrefix)
}

// printRule prints the matching rule, its requirements other than scopes, and the
// rules that it takes precedence over.
func (d *decision) printRule(p *painter) {
	p.line("%s %s %s", p.faint("rule      "), d.rule.Method(), p.bold(d.rule.Pattern()))
	if operation := d.rule.Operation(); operation != "" {
		p.line("%s %s", p.faint("operation "), printable(operation))
	}
	for i, c := range d.explanation.Captures {
		label := ""
		if i == 0 {
			label = "captures"
		}
		value := p.warn("absent")
		if c.Present {
			value = fmt.Sprintf("%q", c.Value)
		}
		p.line("%s PC%d = %s", p.faint(fmt.Sprintf("%-10s", label)), i+1, value)
	}
	if resource := d.resource(); resource != nil {
		p.line("%s %s, with %s", p.faint("resource  "), printable(resource.String()), strings.Join(resource.Scopes, " "))
	}
	if extras := extras(d.rule); extras != "" {
		p.line("%s %s", p.faint("asks also "), extras)
	}
	label := "before"
	rules := policylint.NewTable(d.source.policy)
	for _, other := range d.source.policy.Rules() {
		if other == d.rule || other != rules.Rule(other.Pattern(), d.request.method) || !other.PathPattern().Matches(d.request.path) {
			continue
		}
		p.line("%s %s %s: %s", p.faint(fmt.Sprintf("%-10s", label)), other.Method(), other.Pattern(), whyBefore(d.rule, other))
		label = ""
	}
}

// extras describes the requirements other than scopes (RFC 9470).
func extras(r *scopeexpr.Rule) string {
	var parts []string
	if acr := r.Condition().ACR; len(acr) > 0 {
		parts = append(parts, "acr "+strings.Join(acr, " or "))
	}
	if age := r.Condition().MaxAge; age > 0 {
		parts = append(parts, fmt.Sprintf("max_age %d s", age))
	}
	return strings.Join(parts, ", ")
}

func (d *decision) printData(p *painter) {
	p.line("\n%s", p.faint("data"))
	width := 0
	for _, e := range d.explanation.Data {
		width = max(width, len([]rune(e.Entry)))
	}
	for i, e := range d.explanation.Data {
		why := ""
		switch {
		case e.Matched:
			why = "by " + e.By
		case e.Note != "":
			why = e.Note
		}
		if !e.Used {
			why = strings.TrimSpace(why + " (not used by the rule)")
		}
		padding := strings.Repeat(" ", width-len([]rune(e.Entry)))
		p.line("  %s %d  %s%s  %s", p.tick(e.Matched), i, e.Entry, padding, p.faint(printable(why)))
	}
}

// printTree prints an expression, with operands indented below their operator.
func printTree(p *painter, n *scopeexpr.TreeNode, indent string) {
	label := n.Label
	switch {
	case n.Operator && label == "!":
		label = "not"
	case !n.Operator:
		label = printable(label)
	}
	if _, isBool := n.Value.(bool); n.Operator && !isBool {
		label += p.warn(fmt.Sprintf(" = %v", n.Value))
	}
	p.line("%s%s %s", indent, p.tick(n.Value), label)
	for _, o := range n.Operands {
		printTree(p, o, indent+"  ")
	}
}
