// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/internal/audit"
)

// newAuditCommand returns `caddy gluu audit`.
func newAuditCommand() *cobra.Command {
	var g gateway
	var limit int
	cmd := &cobra.Command{
		Use:   "audit [--limit <n>] [--address <address>] [--json]",
		Short: "Lists who changed what on a running gateway",
		Long: `
Lists the changes that people and programs made to a running gateway, the newest
first: consumers, credentials, tokens that were forgotten or revoked, sessions and
streams that were ended, keys, policies and the configuration.

A gateway keeps the last 1,000 changes that were made through it in memory. The
log has a line for each, 'changed', by the logger gluu.audit.

--limit
    How many to list, up to 1000.
` + gatewayHelp + `
The exit code is 0, or 2 for an error.
`,
		Example: `  caddy gluu audit --limit 20`,
		Args:    cobra.NoArgs,
	}
	g.register(cmd)
	cmd.Flags().IntVarP(&limit, "limit", "n", 50, "How many to list")
	return asCommand(cmd, nil, func(cmd *cobra.Command, _ []string) (int, error) {
		return showAnswer(&g, cmd, "/gluu/audit?limit="+strconv.Itoa(limit), printChanges)
	})
}

type changeList struct {
	Changes []audit.Change `json:"changes"`
}

func printChanges(p *painter, list *changeList) {
	if len(list.Changes) == 0 {
		p.line("no changes since the gateway started")
		return
	}
	table := &columns{header: []string{"time", "by", "from", "address", "change", "subject", "detail"}}
	for _, c := range list.Changes {
		table.add(c.Time.UTC().Format("01-02 15:04:05Z"), c.By, c.From, c.Address, c.Change, c.Subject, c.Detail)
	}
	table.print(p, p.width())
}
