// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"slices"
	"testing"
)

// A dry run of authentication passes everything on with its credential, and records
// what it would refuse.
func TestADryRunOfAuthenticationRefusesNothing(t *testing.T) {
	for _, mode := range []string{"", "pass_credentials hide\n", "anonymous guest\n"} {
		g := start(t, simpleApp, "gluu_oauth_auth {\ndry_run\n"+mode+"}\nreverse_proxy {upstream}\n")
		g.auth.issue("good", claims("client-a", "read"))
		g.auth.issue("stranger", claims("client-x", "read"))
		for _, test := range []struct {
			authorization, reason, clientID string
		}{
			{"Bearer good", "", "client-a"},
			{"Bearer unknown", "token_inactive", ""},
			{"Bearer stranger", "unknown_consumer", ""},
			{"Bearer", "malformed_request", ""},
			{"Basic Zm9vOmJhcg==", "no_token", ""},
		} {
			t.Run(mode+test.authorization, func(t *testing.T) {
				before := len(g.records("request would be refused"))
				got := g.get("/todos", "", "Authorization: "+test.authorization, "X-OAuth-Client-ID: forged")
				if got.status != 200 || !slices.Equal(got.received("Authorization"), []string{test.authorization}) {
					t.Errorf("got %d, and the upstream received %q", got.status, got.received("Authorization"))
				}
				if ids := got.received("X-OAuth-Client-ID"); test.clientID == "" && len(ids) != 0 || test.clientID != "" && !slices.Equal(ids, []string{test.clientID}) {
					t.Errorf("the upstream received the client %q, want %q", ids, test.clientID)
				}
				records := g.records("request would be refused")[before:]
				if mode == "anonymous guest\n" && test.reason != "malformed_request" {
					return // passes as the anonymous consumer
				}
				if test.reason == "" && len(records) != 0 || test.reason != "" && (len(records) != 1 || records[0]["reason"] != test.reason) {
					t.Errorf("got the records %v, want the reason %q", records, test.reason)
				}
			})
		}
		g.auth.setDown(true)
		if got := g.get("/todos", "other"); got.status != 200 {
			t.Errorf("while the server is unavailable: got %d", got.status)
		}
		if n := len(g.records("request refused")); n != 0 {
			t.Errorf("%d requests were refused", n)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// Rules that are not in a dry run still refuse what authentication only observed.
func TestRulesRefuseWhatAuthenticationOnlyObserves(t *testing.T) {
	g := start(t, simpleApp, "gluu_oauth_auth {\ndry_run\n}\n"+simplePEP)
	g.auth.issue("good", claims("client-a", "read list"))
	if got := g.get("/todos/1", "unknown"); got.status != 401 {
		t.Errorf("got %d, want 401", got.status)
	}
	if got := g.get("/todos/1", "good"); got.status != 200 {
		t.Errorf("got %d %s, want 200", got.status, got.body)
	}
}
