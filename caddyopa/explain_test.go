// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	_ "github.com/caddy-gluu/gateway/caddyadmin"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/explain"
)

// explained asks the admin endpoint of the running gateway.
func (w *world) explained(q explain.Question) *explain.Decision {
	w.Helper()
	body, err := json.Marshal(q)
	if err != nil {
		w.Fatal(err)
	}
	status, text := caddytest.Admin(w, http.MethodPost, "/gluu/explain", string(body))
	var answer explain.Answer
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusOK || answer.Decision == nil {
		w.Fatalf("got %d %s, %v", status, text, err)
	}
	return answer.Decision
}

const explainedPolicy = `package httpapi.authz

default allow := false

allow if {
	input.method == "GET"
	input.consumer.username == "partner"
	input.path[0] in data.open
}

allow if {
	input.anonymous
	input.path == ["public"]
}

conflict := true if input.path == ["conflict"]
conflict := false if input.path == ["conflict"]
`

// An explanation says what the gateway then does, and what it lacked.
func TestAnExplanationIsWhatTheGatewayDoes(t *testing.T) {
	w := newWorld(t)
	data := w.file("data.json", `{"open": ["news"]}`)
	w.run(w.config("opa {\n policy "+w.file("policy.rego", explainedPolicy)+" "+data+"\n}", "gluu_oauth_auth {\n optional\n consumer_mapping false\n}\ngluu_opa_pep {\n cache 1s\n}"))
	for _, test := range []struct {
		token, request, decision string
		status                   int
		result, why              string
	}{
		{"good", "GET /news", explain.Allow, 200, `{"allow":true}`, ""},
		{"good", "GET //news", explain.Allow, 200, `{"allow":true}`, ""},
		{"good", "POST /news", explain.Deny, 403, `{"allow":false}`, `policy.rego:6: input.method == "GET"`},
		{"other", "GET /news", explain.Deny, 403, `{"allow":false}`, `policy.rego:7: input.consumer.username`},
		{"good", "GET /other", explain.Deny, 403, `{"allow":false}`, `policy.rego:8: input.path[0] in data.open`},
		{"", "GET /public", explain.Allow, 200, `{"allow":true}`, ""},
		{"", "GET /news", explain.Deny, 401, `{"allow":false}`, `policy.rego:13: input.path == ["public"]`},
		{"good", "GET /conflict", explain.Deny, 500, ``, ""},
		{"good", "GET /a%2fb", explain.BadRequest, 400, ``, ""},
		{"good", "GET /news?a=%zz", explain.Allow, 200, `{"allow":true}`, ""},
	} {
		d := w.explained(explain.Question{Token: test.token, Request: test.request, Why: true})
		if d.Decision != test.decision || string(d.Result) != test.result || d.DecidedBy != "httpapi/authz" || !strings.Contains(strings.Join(d.Why, "\n"), test.why) {
			t.Errorf("%s of %q: got %+v, result %s, want %+v", test.request, test.token, d, d.Result, test)
		}
		if (d.Refused == nil) != (test.status == 200) || d.Refused != nil && d.Refused.Status != test.status {
			t.Errorf("%s of %q: got %+v, want %d", test.request, test.token, d.Refused, test.status)
		}
		method, target, _ := strings.Cut(test.request, " ")
		if got := w.send(method, target, test.token, "", nil); got.StatusCode != test.status {
			t.Errorf("%s of %q: the gateway answers %d, want %d", test.request, test.token, got.StatusCode, test.status)
		}
	}
	if d := w.explained(explain.Question{Token: "good", Request: "GET /news"}); len(d.Why) != 0 || d.Revision == "" {
		t.Errorf("without why: got %+v", d)
	}
}

// Nothing that was explained is counted, logged or remembered.
// A policy sees the rule of the handler before it, asked or running.
func TestAnExplanationSeesTheRuleOfTheHandlerBefore(t *testing.T) {
	const policy = `package httpapi.authz

allow := {"allow": input.rule == "/users/?/{x([0-9]+)}", "rule": input.rule, "captures": input.captures}
`
	w := newWorld(t)
	w.run(w.config("opa {\n policy "+w.file("policy.rego", policy)+"\n}", `gluu_oauth_auth {
 consumer_mapping false
}
gluu_oauth_pep {
 deny_by_default false
 path /users/?/{x([0-9]+)} {
  GET public
 }
}
gluu_opa_pep {
 decision httpapi/authz/allow
}`))
	for _, test := range []struct {
		request string
		status  int
		result  string
	}{
		{"/users/7/x12", 200, `{"allow":true,"captures":["7","12"],"rule":"/users/?/{x([0-9]+)}"}`},
		{"/users/7/y", 403, `{"allow":false,"captures":[],"rule":null}`},
	} {
		if got := w.get(test.request, "good"); got.StatusCode != test.status {
			t.Errorf("%s: got %d %s, want %d", test.request, got.StatusCode, got.text, test.status)
		}
		if got := w.explained(explain.Question{Token: "good", Request: "GET " + test.request, Handler: 2}); string(got.Result) != test.result {
			t.Errorf("%s explained: got %s, want %s", test.request, got.Result, test.result)
		}
	}
}

func TestAnExplanationLeavesNoTrace(t *testing.T) {
	w := newWorld(t).start(peerPolicy, "decision_log all\nlog_grants\ncache 60s")
	before := len(caddytest.Records(t, w.dir, "request refused"))
	w.explained(explain.Question{Token: "good", Request: "GET /folder/command"})
	w.explained(explain.Question{Token: "good", Request: "GET /elsewhere"})
	w.run(w.config("", "respond gone")) // writes what waits
	for _, message := range []string{"Decision Log", "request granted"} {
		if records := caddytest.Records(t, w.dir, message); len(records) != 0 {
			t.Errorf("%s: %v", message, records)
		}
	}
	if got := len(caddytest.Records(t, w.dir, "request refused")); got != before || w.count() != 0 {
		t.Errorf("%d refusals more, the upstream received %d", got-before, w.count())
	}
}

// A server is asked as for a request.
func TestTheDecisionOfAServerIsExplained(t *testing.T) {
	p := newPDP(t)
	p.answer = answering("application/json", `{"result": {"allow": false, "status": 404}}`)
	w := newWorld(t)
	w.run(w.config("", authenticate+"gluu_opa_pep {\n url "+p.URL+"?secret=s3cret\n}"))
	d := w.explained(explain.Question{Token: "good", Request: "GET /x", Why: true})
	if d.Decision != explain.Deny || d.Refused == nil || d.Refused.Status != 404 || string(d.Result) != `{"allow":false,"status":404}` || d.DecidedBy != p.URL {
		t.Errorf("got %+v", d)
	}
	if input := p.input(); text2(input["path"]) != `["x"]` || input["client_id"] != "0123456789" {
		t.Errorf("the server was asked %s", text2(input))
	}
	p.Close()
	if d := w.explained(explain.Question{Token: "good", Request: "GET /x"}); d.Decision != explain.Deny || d.Refused == nil || d.Refused.Reason != "policy_unavailable" {
		t.Errorf("without the server: got %+v", d)
	}
}
