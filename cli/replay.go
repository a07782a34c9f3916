// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/replay"
	"github.com/caddy-gluu/gateway/internal/visible"
)

// newReplayCommand returns `caddy gluu replay`.
func newReplayCommand() *cobra.Command {
	var g gateway
	var flags sourceFlags
	var host, since string
	var limit int
	cmd := &cobra.Command{
		Use:   "replay (--policy <file> | --openapi <file>) [--host <host>] [--since <time>] [--limit <n>] [--handler <n>] [--address <address>] [--json] [...]",
		Short: "Says which refused requests would pass with other rules",
		Long: `
Decides once more, by the rules of a file, about the last requests that
gluu_oauth_pep has refused on a running gateway, and lists those that would pass.
Nothing is sent to an upstream, and nothing is changed.

Requests that passed are not remembered: the page of the rules in gluu_ui says
which callers with a token in memory changed rules would lock out. A rule that
asks for acr or max_age lets no replayed request pass.

--policy, --openapi, --handler
    The rules: as for 'caddy gluu explain'.

--host
    Only requests for this host.

--since
    Only refusals since then: 15m, or 2026-01-31T12:00:00Z.

--limit
    How many refusals to try, up to 1000.
` + gatewayHelp + `
    Here it is {"tried", "decisions"}, with those that would pass.

The exit code is 0 if none would pass, 1 if any would, and 2 for an error.
`,
		Example: `  caddy gluu replay --policy draft.json --host api.example.com`,
		Args:    cobra.NoArgs,
	}
	g.register(cmd)
	flags.register(cmd)
	flags.registerDefaults(cmd)
	cmd.Flags().StringVar(&host, "host", "", "Only requests for this host")
	cmd.Flags().StringVar(&since, "since", "", "Only refusals since then: 15m, or 2026-01-31T12:00:00Z")
	cmd.Flags().IntVarP(&limit, "limit", "n", 1000, "How many refusals to try")
	return asCommand(cmd, []string{"policy|openapi"}, func(cmd *cobra.Command, _ []string) (int, error) {
		if !cmd.Flags().Changed("deny-by-default") {
			flags.DenyByDefault = nil // use the configuration
		}
		rules, err := flags.one("")
		switch {
		case err != nil:
			return exitError, err
		case rules.isRego || rules.uma:
			return exitError, errors.New("rules of gluu_oauth_pep alone are replayed: those of gluu_uma_pep and policies in Rego decide by more than what is remembered of a request")
		}
		query := url.Values{"handler": {oauthPEP}, "limit": {strconv.Itoa(limit)}}
		for name, value := range map[string]string{"host": host, "since": since} {
			if value != "" {
				query.Set(name, value)
			}
		}
		return g.replay(cmd, rules, query)
	})
}

// replayAnswer is what replay --json prints.
type replayAnswer struct {
	Tried     int                   `json:"tried"`
	Decisions []*decisions.Decision `json:"decisions"`
}

func (g *gateway) replay(cmd *cobra.Command, rules *source, query url.Values) (int, error) {
	text, err := g.ask(cmd.Context(), http.MethodGet, "/gluu/decisions?"+query.Encode())
	if err != nil {
		return exitError, err
	}
	var refused replayAnswer
	if err := json.Unmarshal(text, &refused); err != nil {
		return exitError, fmt.Errorf("reading the answer of the gateway: %w", err)
	}
	answer := replayAnswer{Decisions: []*decisions.Decision{}}
	passes, tried := replay.Refusals(refused.Decisions, replay.Rules{Policy: rules.policy, IsOpen: !rules.denyByDefault})
	answer.Tried, answer.Decisions = tried, append(answer.Decisions, passes...)
	if g.json {
		if text, err = json.Marshal(answer); err == nil {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", visible.JSON(text))
		}
	} else {
		answer.print(newPainter(cmd.OutOrStdout()))
	}
	if err == nil && len(passes) > 0 {
		return exitNo, nil
	}
	return exitYes, err
}

func (a *replayAnswer) print(p *painter) {
	if len(a.Decisions) > 0 {
		table := decisionColumns(p)
		for _, d := range a.Decisions {
			table.add(decisionCells(d)...)
		}
		table.print(p, p.width())
	}
	p.line("%d of %d refused requests would pass", len(a.Decisions), a.Tried)
}
