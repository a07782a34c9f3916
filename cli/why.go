// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/internal/decisions"
)

// newWhyCommand returns `caddy gluu why`.
func newWhyCommand() *cobra.Command {
	var g gateway
	cmd := &cobra.Command{
		Use:   "why <request id> [--address <address>] [--json]",
		Short: "Says why a running gateway has refused a request",
		Long: `
Says why a running gateway has refused a request: what each of its handlers
decided, in their order, the rule, the scopes that the token had, those that
are missing and those that would do, what the reason means, who can change it,
and a text to send to the caller.

The request id is in the body of each answer to a refused client, in the log of
refusals, and in the access log as uuid. The gateway must be the one that
refused; it remembers the last 10,000 refusals.
` + gatewayHelp + `
The exit code is 0, or 2 for an error, also if the request is not remembered.
`,
		Example: `  caddy gluu why a3b1c7de-2f64-4f0b-9c55-0d8a1f6b2e90`,
		Args:    cobra.ExactArgs(1),
	}
	g.register(cmd)
	return asCommand(cmd, nil, func(cmd *cobra.Command, args []string) (int, error) {
		return showAnswer(&g, cmd, "/gluu/decisions/"+url.PathEscape(args[0]), printWhy)
	})
}

type whyAnswer struct {
	Decisions []decisions.Why `json:"decisions"`
}

func printWhy(p *painter, answer *whyAnswer) {
	for i := range answer.Decisions {
		if i > 0 {
			p.line("")
		}
		printReason(p, &answer.Decisions[i])
	}
}

func printReason(p *painter, d *decisions.Why) {
	field := func(name, value string) {
		if value != "" {
			p.line("%s %s", p.faint(fmt.Sprintf("%-10s", name)), printable(value))
		}
	}
	field("request", d.Method+" "+d.Host+d.Path)
	field("time", d.Time.UTC().Format("2006-01-02 15:04:05 UTC"))
	field("address", d.ClientIP)
	field("client", d.ClientID)
	field("consumer", d.Consumer)
	field("provider", d.Provider)
	for i, step := range d.Chain {
		name := "handlers"
		if i > 0 {
			name = ""
		}
		p.line("%s %s %s", p.faint(fmt.Sprintf("%-10s", name)), printable(step.Handler), verdict(p, step.Verdict))
	}
	field("rule", d.Rule)
	field("operation", d.Operation)
	field("policy", d.Policy)
	field("requires", d.Required)
	field("scopes", strings.Join(d.Scopes, " "))
	field("missing", strings.Join(d.Missing, " "))
	field("would do", strings.Join(d.Enough, " "))
	p.line("\n%s %s", p.faint("refused   "), p.bold(p.bad(printable(fmt.Sprintf("%d %s", d.Status, d.Reason)))))
	if d.DryRun {
		field("", "dry_run is on: the request passed all the same")
	}
	field("meaning", d.Meaning.Meaning)
	field("cause", d.Detail)
	field("who", d.Fix)
	p.line("\n%s", p.faint("to send to the client:"))
	p.line("%s", printable(d.ForClient))
}

func verdict(p *painter, v decisions.Verdict) string {
	text := strings.ReplaceAll(string(v), "_", " ")
	switch v {
	case decisions.RefusedIt, decisions.WouldRefuse:
		return p.bad(text)
	case decisions.Anonymous, decisions.NoToken:
		return p.warn(text)
	}
	return p.good(printable(text))
}
