// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/internal/status"
)

// newUMACommand returns `caddy gluu uma`.
func newUMACommand() *cobra.Command {
	var g gateway
	cmd := &cobra.Command{
		Use:   "uma [--address <address>] [--json]",
		Short: "Lists the UMA resources of a running gateway",
		Long: `
Lists the resources that the rules of a running gateway protect: whether the
authorization server knows each of them, why not, and with which scopes. Requests
for a resource that is missing there are refused.
` + gatewayHelp + `
The exit code is 0, or 2 for an error.
`,
		Example: `  caddy gluu uma`,
		Args:    cobra.NoArgs,
	}
	g.register(cmd)
	return asCommand(cmd, nil, func(cmd *cobra.Command, _ []string) (int, error) {
		return showAnswer(&g, cmd, "/gluu/uma", printUMA)
	})
}

func printUMA(p *painter, handlers *[]status.UMA) {
	if len(*handlers) == 0 {
		p.line("no handler gluu_uma_pep")
	}
	for _, h := range *handlers {
		p.line("%s %s", p.bold(printable(siteName(h.Hosts))), p.faint(printable("provider "+h.Provider+", "+h.Issuer+", registration "+h.Registration)))
		if h.Problem != nil {
			p.line("%s", p.bad(printable(problemText(h.Problem))))
		}
		p.line("%d tickets issued, %d failed, %d not asked for", h.Tickets.Issued, h.Tickets.Failed, h.Tickets.Limited)
		table := &columns{header: []string{"state", "resource", "scopes", "id"}}
		for _, r := range h.Resources {
			name := r.Name
			if name == "" {
				name = strings.Join(r.Rules, ", ")
			}
			table.add(r.State, name, strings.Join(r.Scopes, " "), r.ID)
		}
		for _, r := range h.Left {
			table.add("left over", r.Name, strings.Join(r.Scopes, " "), r.ID)
		}
		table.print(p, p.width())
		p.line("")
	}
}

// siteName is how a site is called in lists.
func siteName(hosts []string) string {
	if len(hosts) == 0 {
		return "all hosts"
	}
	return strings.Join(hosts, " ")
}

func problemText(problem *status.Problem) string {
	return fmt.Sprintf("since %s: %s", utc(problem.Time), problem.Error)
}

// utc writes a time for people, "never" for none.
func utc(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}
