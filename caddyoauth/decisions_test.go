// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/decisions"
)

// The request id of a refusal leads to its reasons.
func TestRefusalsAreRemembered(t *testing.T) {
	g := start(t, simpleApp, "gluu_oauth_auth\n"+simplePEP)
	g.auth.issue("narrow", claims("client-a", "other read"))
	for _, test := range []struct {
		name, method, path, token string
		reason                    string
		status                    int
		chain                     []decisions.Step
		client                    string
		scopes, missing           []string
		policy                    bool
	}{
		{
			"no token", "GET", "/todos/1?secret=query", "", "no_token", 401,
			[]decisions.Step{{Handler: "gluu_oauth_auth", Verdict: decisions.RefusedIt}}, "", nil, nil, false,
		},
		{
			"scopes", "GET", "/todos/1?secret=query", "narrow", "scope_missing", 403,
			[]decisions.Step{
				{Handler: "gluu_oauth_auth", Verdict: decisions.Authenticated}, {Handler: "gluu_oauth_pep", Verdict: decisions.RefusedIt},
			}, "client-a", []string{"other", "read"}, []string{"list"}, true,
		},
		{
			"no rule", "GET", "/elsewhere", "narrow", "no_rule", 403,
			[]decisions.Step{
				{Handler: "gluu_oauth_auth", Verdict: decisions.Authenticated}, {Handler: "gluu_oauth_pep", Verdict: decisions.RefusedIt},
			}, "client-a", []string{"other", "read"}, nil, true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := test.method + " " + test.path + " HTTP/1.1\nHost: " + g.address
			if test.token != "" {
				request += "\nAuthorization: Bearer " + test.token
			}
			var body struct {
				ID string `json:"request_id"`
			}
			if err := json.Unmarshal([]byte(g.send(request).body), &body); err != nil {
				t.Fatal(err)
			}
			found := decisions.Recent.Find(body.ID)
			if len(found) != 1 {
				t.Fatalf("%d refusals are remembered, want 1", len(found))
			}
			got := found[0]
			if got.Reason != test.reason || got.Status != test.status || got.ClientID != test.client || !slices.Equal(got.Chain, test.chain) {
				t.Errorf("got %+v", got)
			}
			if !slices.Equal(got.Scopes, test.scopes) || !slices.Equal(got.Missing, test.missing) || (got.Policy != "") != test.policy {
				t.Errorf("got the scopes %q, missing %q, policy %q", got.Scopes, got.Missing, got.Policy)
			}
			text, err := json.Marshal(got)
			if err != nil || strings.Contains(string(text), "secret=query") || test.token != "" && strings.Contains(string(text), test.token) {
				t.Errorf("the record has the query or the token: %s (%v)", text, err)
			}
		})
	}
}

// In a dry run the request passes, and the record says so.
func TestADryRunIsRemembered(t *testing.T) {
	g := start(t, simpleApp, "gluu_oauth_auth\n"+strings.Replace(simplePEP, "{", "{\ndry_run", 1))
	g.auth.issue("narrow", claims("client-a", "other"))
	dryRun := true
	before := len(decisions.Recent.List(decisions.Filter{DryRun: &dryRun}, decisions.Size))
	if got := g.send("GET /todos/1 HTTP/1.1\nHost: " + g.address + "\nAuthorization: Bearer narrow"); got.status != 200 {
		t.Fatalf("got %d", got.status)
	}
	found := decisions.Recent.List(decisions.Filter{DryRun: &dryRun}, decisions.Size)
	if len(found) != before+1 || found[0].Reason != "scope_missing" || found[0].Chain[1].Verdict != decisions.WouldRefuse {
		t.Errorf("got %d refusals, before %d", len(found), before)
	}
}

// Rules that decide alike have one revision, and others another.
func TestRevisionsTellRulesApart(t *testing.T) {
	revision := func(pep string) string {
		g := start(t, simpleApp, "gluu_oauth_auth\n"+pep)
		g.auth.issue("narrow", claims("client-a", "other"))
		g.send("GET /no-such-thing HTTP/1.1\nHost: " + g.address + "\nAuthorization: Bearer narrow")
		return decisions.Recent.List(decisions.Filter{Reason: "no_rule"}, 1)[0].Policy
	}
	one, again, other := revision(simplePEP), revision(simplePEP), revision(strings.Replace(simplePEP, "list", "write", 1))
	if one == "" || one != again || one == other {
		t.Errorf("got the revisions %q, %q and %q", one, again, other)
	}
}
