// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/visible"
)

// decisionFlags are the filters that have a flag of their own, by the name that the
// admin API has for them.
var decisionFlags = []struct{ flag, name, usage string }{
	{"host", "host", "Only requests for this host"},
	{"path", "path", "Only requests for this path, or for those that begin with it if it ends in *"},
	{"method", "method", "Only requests with this method"},
	{"reason", "reason", "Only refusals for this reason, such as scope_missing"},
	{"rule", "rule", "Only refusals by the rule with this path pattern"},
	{"handler", "handler", "Only refusals by this handler, such as gluu_oauth_pep"},
	{"client", "client_id", "Only requests of this client"},
	{"consumer", "consumer", "Only requests of this consumer"},
	{"status", "status", "Only refusals with this status"},
	{"since", "since", "Only refusals since then: 15m, or 2026-01-31T12:00:00Z"},
	{"dry-run", "dry_run", "true: only requests that passed because of a dry run; false: only others"},
	{"text", "text", "Only refusals in which this text occurs, in any case"},
}

// newDecisionsCommand returns `caddy gluu decisions`.
func newDecisionsCommand() *cobra.Command {
	var g gateway
	var follow bool
	var limit int
	cmd := &cobra.Command{
		Use:   "decisions [--follow] [--limit <n>] [--reason <reason>] [--host <host>] [--path <path>] [--client <id>] [--since <time>] [...]",
		Short: "Lists the requests that a running gateway has refused lately",
		Long: `
Lists the requests that a running gateway has refused lately, the newest first.

A gateway remembers the last 10,000 refusals of its own in memory, over reloads but
not over a restart. Several filters must all fit. On a terminal, long columns
are cut; the last column has the id for 'caddy gluu why'.

--follow
    Print refusals as they happen, until interrupted.

--limit
    How many to list, up to 1000.
` + gatewayHelp + `
    With --follow, each refusal is a line.

The exit code is 0, or 2 for an error.
`,
		Example: `  caddy gluu decisions --since 15m --reason scope_missing
  caddy gluu decisions --follow --client todo-app-client`,
		Args: cobra.NoArgs,
	}
	g.register(cmd)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "Print refusals as they happen")
	cmd.Flags().IntVarP(&limit, "limit", "n", 50, "How many to list")
	for _, f := range decisionFlags {
		cmd.Flags().String(f.flag, "", f.usage)
	}
	return asCommand(cmd, nil, func(cmd *cobra.Command, _ []string) (int, error) {
		query := url.Values{}
		for _, f := range decisionFlags {
			if value := cmd.Flags().Lookup(f.flag).Value.String(); value != "" {
				query.Set(f.name, value)
			}
		}
		if follow {
			return exitYes, g.follow(cmd, "/gluu/decisions?"+query.Encode())
		}
		query.Set("limit", strconv.Itoa(limit))
		return showAnswer(&g, cmd, "/gluu/decisions?"+query.Encode(), printDecisions)
	})
}

type decisionList struct {
	Decisions []decisions.Decision `json:"decisions"`
}

func printDecisions(p *painter, list *decisionList) {
	if len(list.Decisions) == 0 {
		p.line("no refusals")
		return
	}
	table := decisionColumns(p)
	for i := range list.Decisions {
		table.add(decisionCells(&list.Decisions[i])...)
	}
	table.print(p, p.width())
}

func decisionColumns(p *painter) *columns {
	return &columns{
		header: []string{"time", "status", "reason", "request", "caller", "request id"},
		paint: func(column int, cell string) string {
			if column == 2 {
				return p.bad(cell)
			}
			return cell
		},
	}
}

func decisionCells(d *decisions.Decision) []string {
	reason := d.Reason
	if d.DryRun {
		reason += " (dry run)"
	}
	return []string{d.Time.UTC().Format("01-02 15:04:05Z"), strconv.Itoa(d.Status), reason, d.Method + " " + d.Host + d.Path, callerOf(d), d.RequestID}
}

// callerOf is the shortest name of who sent a request.
func callerOf(d *decisions.Decision) string {
	switch {
	case d.Consumer != "":
		return d.Consumer
	case d.ClientID != "":
		return d.ClientID
	}
	return d.ClientIP
}

// follow prints what the gateway sends until it ends.
func (g *gateway) follow(cmd *cobra.Command, target string) error {
	client, err := newAdminClient(g.address)
	if err != nil {
		return err
	}
	response, err := client.do(cmd.Context(), http.MethodGet, target, http.Header{"Accept": {"text/event-stream"}}, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(io.LimitReader(response.Body, maxAdminAnswer))
		return client.refused(response.StatusCode, answer)
	}
	p := newPainter(cmd.OutOrStdout())
	var event string
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			event = value
		case "data":
			if err := g.printEvent(cmd, p, event, value); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the gateway has ended the stream: %w", err)
	}
	return errors.New("the gateway has ended the stream")
}

func (g *gateway) printEvent(cmd *cobra.Command, p *painter, event, data string) error {
	switch {
	case event == "missed":
		_, err := fmt.Fprintln(cmd.ErrOrStderr(), printable(data)+" refusals were too fast to be shown")
		return err
	case event != "decision":
		return nil
	case g.json:
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", visible.JSON([]byte(data)))
		return err
	}
	var d decisions.Decision
	if err := json.Unmarshal([]byte(data), &d); err != nil {
		return err
	}
	cells := decisionCells(&d)
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	p.line("%s  %s %s  %s  %s  %s", p.faint(cells[0]), cells[1], p.bad(cells[2]), cells[3], cells[4], p.faint(cells[5]))
	return nil
}
