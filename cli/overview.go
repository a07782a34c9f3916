// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/internal/decisions"
)

// newOverviewCommand returns `caddy gluu overview`.
func newOverviewCommand() *cobra.Command {
	var g gateway
	cmd := &cobra.Command{
		Use:   "overview [--address <address>] [--json]",
		Short: "Shows what a running gateway does at the moment",
		Long: `
Shows what a running gateway does at the moment: how many requests it has granted
and refused in the last minute and for which reasons, the health of its
authorization servers, its cache and streams, the rules that are in force, and
warnings about the configuration.
` + gatewayHelp + `
The exit code is 0, or 2 for an error.
`,
		Example: `  caddy gluu overview`,
		Args:    cobra.NoArgs,
	}
	g.register(cmd)
	return asCommand(cmd, nil, func(cmd *cobra.Command, _ []string) (int, error) {
		return showAnswer(&g, cmd, "/gluu/overview", printOverview)
	})
}

// overviewAnswer is what the admin endpoint answers, as far as it is printed.
type overviewAnswer struct {
	Time      time.Time         `json:"time"`
	Loaded    time.Time         `json:"configuration_loaded"`
	Versions  map[string]string `json:"versions"`
	Requests  decisions.Counts  `json:"requests"`
	Providers []struct {
		Name      string `json:"name"`
		Health    string `json:"health"`
		Issuer    string `json:"issuer"`
		LastError *struct {
			Error string `json:"error"`
		} `json:"last_error"`
	} `json:"providers"`
	Cache struct {
		Positive struct {
			Entries int `json:"entries"`
		} `json:"positive"`
		Shared *struct {
			State string `json:"state"`
		} `json:"shared"`
	} `json:"cache"`
	Streams  int `json:"streams"`
	Policies []struct {
		Handler  string    `json:"handler"`
		Hosts    []string  `json:"hosts"`
		Rules    int       `json:"rules"`
		Revision string    `json:"revision"`
		Since    time.Time `json:"since"`
	} `json:"policies"`
	Missing []struct {
		What   string `json:"what"`
		Reason string `json:"reason"`
	} `json:"missing"`
	Warnings []struct {
		Where   string `json:"where"`
		Warning string `json:"warning"`
	} `json:"warnings"`
}

func printOverview(p *painter, o *overviewAnswer) {
	field := func(name, value string) {
		p.line("%s %s", p.faint(fmt.Sprintf("%-10s", name)), printable(value))
	}
	field("gateway", fmt.Sprintf("%s, caddy %s, configuration of %s", o.Versions["gateway"], o.Versions["caddy"], o.Loaded.Format("2006-01-02 15:04:05 UTC")))
	field("requests", fmt.Sprintf("%d granted, %d refused in %s", o.Requests.Granted, o.Requests.Refused, o.Requests.To.Sub(o.Requests.From).Truncate(time.Second)))
	if o.Requests.DryRun > 0 {
		field("", fmt.Sprintf("%d passed because of a dry run", o.Requests.DryRun))
	}
	for _, r := range o.Requests.Reasons {
		field("", fmt.Sprintf("%6d  %s", r.Count, r.Reason))
	}
	shared := ""
	if o.Cache.Shared != nil {
		shared = ", shared cache " + o.Cache.Shared.State
	}
	field("cache", strconv.Itoa(o.Cache.Positive.Entries)+" tokens"+shared)
	field("streams", strconv.Itoa(o.Streams)+" open")
	for _, m := range o.Missing {
		p.line("%s %s", p.faint("not ready "), p.bad(printable(m.What+": "+m.Reason)))
	}
	o.printProviders(p)
	o.printPolicies(p)
	for _, w := range o.Warnings {
		p.line("%s %s", p.warn("warning   "), printable(w.Where+": "+w.Warning))
	}
}

func (o *overviewAnswer) printProviders(p *painter) {
	if len(o.Providers) == 0 {
		return
	}
	table := &columns{header: []string{"provider", "health", "issuer", "last error"}}
	for _, provider := range o.Providers {
		problem := ""
		if provider.LastError != nil {
			problem = provider.LastError.Error
		}
		table.add(provider.Name, provider.Health, provider.Issuer, problem)
	}
	p.line("")
	table.print(p, p.width())
}

func (o *overviewAnswer) printPolicies(p *painter) {
	if len(o.Policies) == 0 {
		return
	}
	table := &columns{header: []string{"rules of", "handler", "rules", "revision", "in force since"}}
	for _, policy := range o.Policies {
		site := strings.Join(policy.Hosts, " ")
		if site == "" {
			site = "all hosts"
		}
		table.add(site, policy.Handler, strconv.Itoa(policy.Rules), policy.Revision, policy.Since.Format("2006-01-02 15:04:05 UTC"))
	}
	p.line("")
	table.print(p, p.width())
	p.line("")
}
