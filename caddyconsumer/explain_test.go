// SPDX-License-Identifier: Apache-2.0

package caddyconsumer

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/introspect"
)

// What explain says is what a request gets.
func TestExplainKnowsGroups(t *testing.T) {
	const (
		mapped = "gluu_oauth_auth"
		guest  = "gluu_oauth_auth {\nanonymous guest\n}"
		rules  = "\ngluu_oauth_pep {\npath / {\nGET scope read\n}\n}"
		strict = "\ngluu_oauth_pep {\npath / {\nGET scope admin\n}\n}"
	)
	g := start(t)
	for _, test := range []struct {
		name, acl, site, token string
		status                 int
		decision, reason       string
	}{
		{"in an allowed group", "allow admins", mapped + rules, "client-ann", 200, explain.Allow, ""},
		{"in another group", "allow admins", mapped + rules, "client-bob", 403, explain.Deny, "group_missing"},
		{"in a denied group", "deny guests", mapped + rules, "client-bob", 403, explain.Deny, "group_denied"},
		{"in no group", "deny guests", mapped + rules, "client-carl", 200, explain.Allow, ""},
		{"a site without rules", "allow admins", mapped, "client-bob", 403, explain.Deny, "group_missing"},
		{"a site without rules, allowed", "allow admins", mapped, "client-ann", 200, explain.Allow, ""},
		{"an anonymous consumer", "deny guests", guest, "", 401, explain.Deny, "no_token"},
		{"an anonymous consumer, allowed", "allow guests", guest, "", 200, explain.Allow, ""},
		{"no token", "allow admins", mapped, "", 401, explain.Deny, "no_token"},
		{"the rules refuse first", "allow admins", mapped + strict, "client-bob", 403, explain.Deny, "scope_missing"},
		{"a dry run", "allow admins\ndry_run", mapped + rules, "client-bob", 200, explain.Allow, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			g.load(test.acl, test.site)
			app, err := caddy.ActiveContext().App("gluu")
			if err != nil {
				t.Fatal(err)
			}
			answer, err := app.(*introspect.App).Explain(t.Context(), explain.Question{Token: test.token, Request: "GET /"})
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(answer.Decision)
			if err != nil {
				t.Fatal(err)
			}
			reason := ""
			if answer.Decision.Refused != nil {
				reason = answer.Decision.Refused.Reason
			}
			if answer.Decision.Decision != test.decision || reason != test.reason {
				t.Errorf("got %s, want %s %s", text, test.decision, test.reason)
			}
			// A caller who is refused before has not come as far as the groups.
			if test.token != "" && !strings.Contains(string(text), "access_lists") {
				t.Errorf("the groups are missing: %s", text)
			}
			if response, _ := g.get(test.token); response.StatusCode != test.status {
				t.Errorf("a request gets %s, want %d", response.Status, test.status)
			}
		})
	}
}
