// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// The sample policy of the system before, as it is.
func TestThePeersPolicyDecidesUnchanged(t *testing.T) {
	w := newWorld(t).start(peerPolicy, "")
	for _, test := range []struct {
		method, path, token string
		want                int
	}{
		{"GET", "/folder/command", "good", 200},
		{"GET", "/folder/command", "other", 403},
		{"POST", "/folder/command", "good", 403},
		{"GET", "/folder/command/", "good", 403},
		{"GET", "/folder//command", "good", 200},
		{"GET", "/", "good", 403},
		{"GET", "/folder/command", "", 401},
		{"GET", "/folder%2Fcommand", "good", 400},
		{"get", "/folder/command", "good", 400},
	} {
		got := w.send(test.method, test.path, test.token, "", nil)
		if got.StatusCode != test.want {
			t.Errorf("%s %s as %s: got %d %s, want %d", test.method, test.path, test.token, got.StatusCode, got.text, test.want)
		}
	}
	warnings := caddytest.Records(t, w.dir, "a policy is in the syntax of OPA 0.x: it is used as it is; rewrite it with 'opa fmt --write --v0-v1 <file>'")
	if len(warnings) == 0 {
		t.Error("nothing is said about the old syntax")
	}
}

// allowAll is a policy that grants everything.
const allowAll = "package httpapi.authz\n\ndefault allow := true\n"

func TestCallersWithoutAToken(t *testing.T) {
	const policy = `package httpapi.authz

default allow := false

allow if {
	input.anonymous
	input.path == ["open"]
	input.consumer == expected
	input.request_token_data == {}
	input.client_id == ""
	input.scopes == []
}

expected := null if input.headers["x-expect"] == "null"
expected := {"id": input.consumer.id, "username": "nobody", "custom_id": "", "tags": []} if input.headers["x-expect"] == "nobody"
`
	for name, test := range map[string]struct{ option, expect string }{
		"optional":  {"optional", "null"},
		"anonymous": {"anonymous nobody", "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.run(w.config("opa {\n policy "+w.file("p.rego", policy)+"\n}", "gluu_oauth_auth {\n"+test.option+"\nconsumer_mapping false\n}\ngluu_opa_pep"))
			expect := func(r *http.Request) { r.Header.Set("X-Expect", test.expect) }
			if got := w.send("GET", "/open", "", "", expect); got.StatusCode != 200 {
				t.Errorf("got %d %s, want 200", got.StatusCode, got.text)
			}
			got := w.send("GET", "/closed", "", "", expect)
			w.wantReason(401, "no_token", got)
			if !strings.HasPrefix(got.Header.Get("Www-Authenticate"), "Bearer realm=") {
				t.Errorf("the challenge is %q", got.Header.Get("Www-Authenticate"))
			}
			w.wantReason(403, "policy_denied", w.send("GET", "/open", "other", "", expect))
		})
	}
}

func TestWithoutAuthenticationNothingPasses(t *testing.T) {
	w := newWorld(t)
	w.run(w.config("opa {\n policy "+w.file("p.rego", allowAll)+"\n}", "gluu_opa_pep"))
	w.wantReason(403, "not_authenticated", w.get("/", "good"))
	if w.count() != 0 {
		t.Error("the upstream received it")
	}
}

func TestADryRunRefusesNothing(t *testing.T) {
	w := newWorld(t).start(peerPolicy, "dry_run")
	if got := w.get("/elsewhere", "other"); got.StatusCode != 200 {
		t.Errorf("got %d, want 200", got.StatusCode)
	}
	if records := caddytest.Records(t, w.dir, "request would be refused"); len(records) != 1 || records[0]["reason"] != "policy_denied" {
		t.Errorf("logged: %v", records)
	}
}

func TestUndefinedPassesOnlyIfThatIsWanted(t *testing.T) {
	const policy = "package httpapi.authz\n\nallow := false if input.path == [\"closed\"]\n"
	for options, want := range map[string]int{"": 403, "deny_by_default true": 403, "deny_by_default false": 200} {
		t.Run(options, func(t *testing.T) {
			w := newWorld(t).start(policy, options)
			if got := w.get("/anything", "good"); got.StatusCode != want {
				t.Errorf("got %d %s, want %d", got.StatusCode, got.text, want)
			}
			w.wantReason(403, "policy_denied", w.get("/closed", "good"))
		})
	}
}

func TestGrantsAreLoggedWithTheirDecision(t *testing.T) {
	w := newWorld(t).start(allowAll, "log_grants")
	w.get("/x", "good")
	records := caddytest.Records(t, w.dir, "request granted")
	if len(records) != 1 {
		t.Fatalf("%d lines, want 1", len(records))
	}
	if r := records[0]; r["decision"] != "httpapi/authz" || len(r["decision_id"].(string)) != 36 || r["revision"] == "" || r["client_id"] != "0123456789" || r["consumer"] != "partner" {
		t.Errorf("logged: %v", r)
	}
}

func TestARefusalHasTheIDOfItsDecision(t *testing.T) {
	w := newWorld(t).start(peerPolicy, "")
	got := w.get("/x", "good")
	records := caddytest.Records(t, w.dir, "request refused")
	if id := got.member("decision_id"); len(id) != 36 || id[14] != '7' || len(records) != 1 || records[0]["decision_id"] != id {
		t.Errorf("the answer has the id %q, the log %v", id, records)
	}
	if got.member("error") != "access_denied" || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %v %s", got.Header, got.text)
	}
}

func TestTheRuleOfAnotherHandlerIsSeen(t *testing.T) {
	const policy = `package httpapi.authz

default allow := false

allow if {
	input.rule == "/users/?/{(a)|b}/??"
	input.captures == ["7", null]
}
`
	w := newWorld(t)
	w.run(w.config("opa {\n policy "+w.file("p.rego", policy)+"\n}", authenticate+`
	gluu_oauth_pep {
		path /users/?/{(a)|b}/?? {
			GET scope todos:read
		}
	}
	gluu_opa_pep`))
	if got := w.get("/users/7/b/x", "good"); got.StatusCode != 200 {
		t.Errorf("got %d %s, want 200", got.StatusCode, got.text)
	}
	if got := w.get("/users/8/b/x", "good"); got.StatusCode != 403 {
		t.Errorf("got %d %s, want 403", got.StatusCode, got.text)
	}
}
