// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/internal/explain"
)

// runningFlags ask a running gateway.
type runningFlags struct {
	token, address, host string
	noToken              bool
}

func (f *runningFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.token, "token", "t", "", "Token to explain on a running gateway; - reads it from standard input")
	cmd.Flags().BoolVar(&f.noToken, "no-token", false, "Decide for a caller without a token")
	cmd.Flags().StringVar(&f.address, "address", "", "Address of the running gateway's admin endpoint")
	cmd.Flags().StringVar(&f.host, "host", "", "Site of the running gateway, if several have rules")
}

// question returns what to ask.
func (f *runningFlags) question(stdin io.Reader, request string, handler int) (explain.Question, error) {
	token := f.token
	if token == "-" {
		read, err := io.ReadAll(io.LimitReader(stdin, 1<<20))
		if err != nil {
			return explain.Question{}, err
		}
		token = string(read)
	}
	token = strings.TrimSpace(token)
	if token == "" && !f.noToken {
		return explain.Question{}, errors.New("the token is empty; write --no-token for a caller without one")
	}
	return explain.Question{Token: token, Request: request, Host: f.host, Handler: handler}, nil
}

// ask asks the gateway at the admin endpoint.
func (f *runningFlags) ask(ctx context.Context, q explain.Question) (*explain.Answer, []byte, error) {
	client, err := newAdminClient(f.address)
	if err != nil {
		return nil, nil, err
	}
	text, err := client.ask(ctx, http.MethodPost, "/gluu/explain", q)
	if err != nil {
		return nil, nil, err
	}
	var answer explain.Answer
	return &answer, text, json.Unmarshal(text, &answer)
}

// explainRunning explains a token on a running gateway.
func (f *runningFlags) explainRunning(cmd *cobra.Command, request string, handler int, why, asJSON bool) (int, error) {
	q, err := f.question(cmd.InOrStdin(), request, handler)
	if err != nil {
		return exitError, err
	}
	q.Why = why
	answer, text, err := f.ask(cmd.Context(), q)
	if err != nil {
		return exitError, err
	}
	if asJSON {
		if _, err := cmd.OutOrStdout().Write(text); err != nil {
			return exitError, err
		}
	} else {
		printAnswer(newPainter(cmd.OutOrStdout()), answer, time.Now())
	}
	if answer.Decision.Decision != explain.Allow {
		return exitNo, nil
	}
	return exitYes, nil
}

// printAnswer prints an answer for people, in the columns of an explanation without
// a gateway.
func printAnswer(p *painter, a *explain.Answer, now time.Time) {
	field := func(name, value string) {
		if value != "" {
			p.line("%s %s", p.faint(fmt.Sprintf("%-10s", name)), printable(value))
		}
	}
	field("request", a.Request)
	field("site", strings.Join(a.Hosts, " "))
	if a.Caller == nil {
		field("caller", "no handler authenticates on this site")
	} else {
		printCaller(field, a.Caller, now)
	}
	d := a.Decision
	if d.Rule != "" {
		field("rule", d.Method+" "+d.Rule)
	}
	field("operation", d.Operation)
	if d.Rule != "" {
		field("requires", strings.TrimSpace(d.Access+" "+d.Required))
		for i, capture := range d.Captures {
			field("", fmt.Sprintf("PC%d = %q", i+1, capture))
		}
	}
	for _, list := range d.AccessLists {
		printAccessList(field, list)
	}
	field("policy", d.DecidedBy)
	field("revision", d.Revision)
	field("result", string(d.Result))
	printFailed(p, d.Why)
	colour := p.bad
	if d.Decision == explain.Allow {
		colour = p.good
	}
	p.line("\n%s %s", p.faint("decision  "), p.bold(colour(d.Decision)))
	if d.Refused != nil {
		p.line("           %s", printable(d.Refused.String()))
	}
	if r := d.Resource; r != nil && d.Decision == explain.Deny {
		printTicket(p, &resourceJSON{ID: r.ID, Name: r.Name, Scopes: r.Scopes}, r.ObtainRPT)
	}
	if d.DryRun {
		p.line("           dry_run is on: the request passes all the same")
	}
}

// printAccessList prints the groups that decide, and what a dry run would refuse.
func printAccessList(field func(name, value string), list explain.AccessList) {
	if len(list.Allow) > 0 {
		field("groups", "allow "+strings.Join(list.Allow, ", "))
	}
	if len(list.Deny) > 0 {
		field("groups", "deny "+strings.Join(list.Deny, ", "))
	}
	if list.DryRun && list.Refused != nil {
		field("", "dry_run is on: "+list.Refused.String()+" is not answered")
	}
}

func printCaller(field func(name, value string), c *explain.Caller, now time.Time) {
	field("provider", c.Provider)
	if c.Refused != nil {
		field("token", c.Refused.String())
	}
	field("issuer", c.Issuer)
	field("audience", strings.Join(c.Audience, " "))
	field("subject", c.Subject)
	field("client", c.ClientID)
	consumer := c.Consumer
	if c.Anonymous {
		consumer += " (anonymous)"
	}
	field("consumer", consumer)
	field("grants", strings.Join(c.Grants, " "))
	if !c.ExpiresAt.IsZero() {
		field("expires", fmt.Sprintf("%s, in %s", c.ExpiresAt.UTC().Format(time.RFC3339), c.ExpiresAt.Sub(now).Truncate(time.Second)))
	}
	if c.Bound != "" {
		field("bound", "the request must prove possession of the key by "+c.Bound+"; that is not checked here")
	}
}
