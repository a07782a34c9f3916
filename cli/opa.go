// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/internal/status"
)

// newOPACommand returns `caddy gluu opa`.
func newOPACommand() *cobra.Command {
	var g gateway
	cmd := &cobra.Command{
		Use:   "opa [--address <address>] [--json]",
		Short: "Shows which policies decide on a running gateway",
		Long: `
Shows the policy engines of a running gateway: which policies decide, since when,
how old their bundles are, and what keeps newer ones from being used. It also
lists what decides for each handler gluu_opa_pep.
` + gatewayHelp + `
The exit code is 0, or 2 for an error.
`,
		Example: `  caddy gluu opa`,
		Args:    cobra.NoArgs,
	}
	g.register(cmd)
	return asCommand(cmd, nil, func(cmd *cobra.Command, _ []string) (int, error) {
		return showAnswer(&g, cmd, "/gluu/opa", printOPA)
	})
}

func printOPA(p *painter, all *status.OPA) {
	for _, e := range all.Engines {
		printEngine(p, &e)
	}
	if len(all.Deciders) == 0 {
		p.line("no handler gluu_opa_pep")
		return
	}
	table := &columns{header: []string{"site", "asks", "decision", "breaker", "last error"}}
	for _, d := range all.Deciders {
		problem := ""
		if d.Problem != nil {
			problem = problemText(d.Problem)
		}
		table.add(siteName(d.Hosts), d.Kind+" "+d.By, d.Decision, d.Breaker, problem)
	}
	table.print(p, p.width())
}

func printEngine(p *painter, e *status.Engine) {
	p.line("%s %s", p.bold(printable("engine "+e.Name)), stateOfEngine(p, e))
	if e.Ready {
		modules := "modules"
		if e.Modules == 1 {
			modules = "module"
		}
		p.line("revision %s since %s, %d %s", printable(e.Revision), utc(e.Since), e.Modules, modules)
	}
	for _, name := range e.Files {
		p.line("file %s", printable(name))
	}
	if e.Problem != nil {
		p.line("%s", p.bad(printable(problemText(e.Problem))))
	}
	if len(e.Bundles) > 0 {
		if !e.Since.IsZero() {
			p.line("age %s", time.Duration(e.Age*float64(time.Second)).Truncate(time.Second))
		}
		printBundles(p, e.Bundles)
	}
	p.line("")
}

func stateOfEngine(p *painter, e *status.Engine) string {
	switch {
	case !e.Ready:
		return p.bad("no policies: requests are answered 503")
	case e.Stale:
		return p.bad(fmt.Sprintf("older than %s: requests are answered 503", time.Duration(e.MaxStale*float64(time.Second))))
	}
	return p.good("decides")
}

func printBundles(p *painter, bundles []status.Bundle) {
	table := &columns{header: []string{"bundle", "revision", "newest at", "server", "last error"}}
	for _, b := range bundles {
		problem := ""
		if b.Problem != nil {
			problem = problemText(b.Problem)
		}
		table.add(b.Name, b.Revision, utc(b.Checked), b.Server, problem)
	}
	table.print(p, p.width())
}
