// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/outbound"
	"github.com/caddy-gluu/gateway/introspect"
)

func answering(kind, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, body)
	}
}

func ofStatus(status int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"result": true}`)
	}
}

// A server that does not decide is not the client's fault, and never a grant.
func TestSec_S325_NoAnswerIs503(t *testing.T) {
	const jsonType = "application/json"
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter)
		status int
		reason string
	}{
		"500":             {ofStatus(500), 503, "policy_unavailable"},
		"404":             {ofStatus(404), 503, "policy_unavailable"},
		"204":             {ofStatus(204), 503, "policy_unavailable"},
		"302":             {ofStatus(302), 503, "policy_unavailable"},
		"400":             {ofStatus(400), 503, "policy_unavailable"},
		"not JSON":        {answering(jsonType, "true"), 503, "policy_unavailable"},
		"broken JSON":     {answering(jsonType, `{"result": true`), 503, "policy_unavailable"},
		"two results":     {answering(jsonType, `{"result": true, "result": false}`), 503, "policy_unavailable"},
		"HTML":            {answering("text/html", `{"result": true}`), 503, "policy_unavailable"},
		"no type":         {answering("", `{"result": true}`), 503, "policy_unavailable"},
		"too long":        {answering(jsonType, `{"result": true, "x": "`+strings.Repeat("x", outbound.MaxAnswer)+`"}`), 503, "policy_unavailable"},
		"slow":            {func(http.ResponseWriter) { time.Sleep(400 * time.Millisecond) }, 503, "policy_unavailable"},
		"hangs up":        {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, 503, "policy_unavailable"},
		"no result":       {answering(jsonType, `{"decision_id": "x"}`), 403, "policy_undefined"},
		"an empty result": {answering(jsonType, `{"result": {}}`), 403, "policy_undefined"},
		"a text":          {answering(jsonType, `{"result": "true"}`), 500, "policy_error"},
		"a list":          {answering(jsonType, `{"result": [true]}`), 500, "policy_error"},
		"denied":          {answering(jsonType, `{"result": {"allow": false}}`), 403, "policy_denied"},
		"granted":         {answering(jsonType, `{"result": true}`), 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPDP(t)
			p.answer = test.answer
			w := newWorld(t)
			w.run(w.config("", authenticate+"gluu_opa_pep {\n url "+p.URL+"\n timeout 200ms\n}"))
			got := w.get("/", "good")
			if test.status == 200 {
				if got.StatusCode != 200 {
					t.Errorf("got %d %s, want 200", got.StatusCode, got.text)
				}
				return
			}
			w.wantReason(test.status, test.reason, got)
			if (test.status == 503) != (got.Header.Get("Retry-After") != "") {
				t.Errorf("%d with Retry-After %q", got.StatusCode, got.Header.Get("Retry-After"))
			}
			if w.count() != 0 {
				t.Error("the upstream received it")
			}
		})
	}
}

// A server that is down is not waited for by each request.
func TestTheBreakerOpens(t *testing.T) {
	p := newPDP(t)
	p.Close()
	w := newWorld(t)
	w.run(w.config("", authenticate+"gluu_opa_pep {\n url "+p.URL+"\n}"))
	for range outbound.Failures {
		w.wantReason(503, "policy_unavailable", w.get("/", "good"))
	}
	got := w.get("/", "good")
	w.wantReason(503, "policy_unavailable", got)
	if got.Header.Get("Retry-After") != "10" {
		t.Errorf("Retry-After is %q, want 10", got.Header.Get("Retry-After"))
	}
	records := caddytest.Records(t, w.dir, "request refused")
	if text, _ := records[len(records)-1]["error"].(string); !strings.Contains(text, outbound.ErrOpen.Error()) {
		t.Errorf("the last error is %q", text)
	}
	status := introspect.Running().OPAStatus()
	if d := status.Deciders[0]; d.Kind != "opa" || d.By != p.URL || d.Breaker != "open" || d.Problem == nil || !strings.Contains(d.Problem.Error, "connection refused") {
		t.Errorf("the handler says %+v", d)
	}
}

// What a client sends chooses neither the address nor the name of the decision.
func TestSec_S316_RequestsChooseNoDecision(t *testing.T) {
	var paths []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.RequestURI())
		answering("application/json", `{"result": true}`)(w)
	}))
	t.Cleanup(server.Close)
	w := newWorld(t)
	w.run(w.config("", authenticate+"gluu_opa_pep {\n url "+server.URL+"/v1/data/httpapi/authz\n}"))
	for _, target := range []string{"/", "/v1/data/system", "/?pretty=true&decision=x", "/http:/evil"} {
		w.send("GET", target, "good", "", func(r *http.Request) { r.Host = "evil.example"; r.URL.Host = w.address })
		w.get(target, "good")
	}
	for _, path := range paths {
		if path != "/v1/data/httpapi/authz" {
			t.Errorf("the server was asked at %s", path)
		}
	}
	if len(paths) < 4 {
		t.Errorf("the server was asked %d times", len(paths))
	}
}

func TestTheServerKnowsTheGateway(t *testing.T) {
	t.Setenv("GLUU_OPA_TEST_TOKEN", "s3cret")
	p := newPDP(t)
	w := newWorld(t)
	w.run(w.config("", authenticate+"gluu_opa_pep {\n url "+p.URL+"\n token {env.GLUU_OPA_TEST_TOKEN}\n}"))
	w.get("/", "good")
	if got := p.header.Get("Authorization"); got != "Bearer s3cret" {
		t.Errorf("Authorization is %q", got)
	}
	if strings.Contains(string(w.logged()), "s3cret") {
		t.Error("the token is in the log")
	}
}

func TestAuthZEN(t *testing.T) {
	for answer, want := range map[string]struct {
		status int
		reason string
	}{
		`{"decision": true}`:                      {200, ""},
		`{"decision": true, "context": {"x": 1}}`: {200, ""},
		`{"decision": false}`:                     {403, "policy_denied"},
		`{"decision": "true"}`:                    {500, "policy_error"},
		`{"decision": {"allow": true}}`:           {500, "policy_error"},
		`{"decision": 1}`:                         {500, "policy_error"},
		`{"decision": null}`:                      {500, "policy_error"},
		`{}`:                                      {500, "policy_error"},
		`{"result": true}`:                        {500, "policy_error"},
		`[]`:                                      {503, "policy_unavailable"},
		`{"decision": true, "decision": false}`:   {503, "policy_unavailable"},
	} {
		t.Run(answer, func(t *testing.T) {
			p := newPDP(t)
			p.answer = answering("application/json", answer)
			w := newWorld(t)
			w.run(w.config("", authenticate+"gluu_opa_pep {\n authzen "+p.URL+"/\n body json\n}"))
			got := w.send("POST", "/a/b?x=y", "good", `{"n": 1}`, typed("application/json"))
			if want.status == 200 && got.StatusCode != 200 {
				t.Errorf("got %d %s", got.StatusCode, got.text)
			} else if want.status != 200 {
				w.wantReason(want.status, want.reason, got)
			}
			asked := p.asked[0]
			subject, resource := asked["subject"].(map[string]any), asked["resource"].(map[string]any)
			if subject["type"] != "user" || subject["id"] != "ann" || resource["type"] != "route" || resource["id"] != "/a/b" || text2(asked["action"]) != `{"name":"POST"}` {
				t.Errorf("asked %s", text2(asked))
			}
			properties := resource["properties"].(map[string]any)
			if text2(properties["path"]) != `["a","b"]` || text2(properties["body"]) != `{"n":1}` || text2(properties["uri_args"]) != `{"x":"y"}` {
				t.Errorf("properties %s", text2(properties))
			}
		})
	}
}

// The documents of Kong's and Envoy's plugins, for policies that were written for them.
func TestTheInputsOfOthers(t *testing.T) {
	const kong = `package httpapi.authz

default allow := false

allow if {
	input.request.http.method == "POST"
	input.request.http.path == "/a/b"
	input.request.http.querystring == {"x": "y"}
	input.request.http.parsed_body.n == 1
	input.request.http.headers["x-a"] == "1"
	input.request.http.host == "127.0.0.1"
	input.request.http.port > 1000
	input.request.http.body_size == 8
	input.consumer.username == "partner"
	input.client_ip == "127.0.0.1"
}
`
	const envoy = `package envoy.authz

default allow := false

allow := {"allowed": true, "headers": {"x-set": "yes"}} if {
	http := input.attributes.request.http
	http.method == "POST"
	http.path == "/a/b?x=y"
	http.headers["x-a"] == "1"
	http.body == "{\"n\": 1}"
	input.parsed_path == ["a", "b"]
	input.parsed_query == {"x": ["y"]}
	input.parsed_body.n == 1
	input.truncated_body == false
	input.attributes.source.address.socketAddress.address == "127.0.0.1"
	input.attributes.metadataContext.filterMetadata["envoy.filters.http.jwt_authn"].verified_jwt.sub == "ann"
}
`
	for name, test := range map[string]struct{ policy, options string }{
		"kong":  {kong, "input kong"},
		"envoy": {envoy, "input envoy\ndecision envoy/authz/allow\nset_headers X-Set"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).start(test.policy, test.options+"\nbody json")
			got := w.send("POST", "/a//b?x=y", "good", `{"n": 1}`, func(r *http.Request) {
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("X-A", "1")
				r.Header.Set("X-Set", "forged")
			})
			if got.StatusCode != 200 {
				t.Fatalf("got %d %s, want 200", got.StatusCode, got.text)
			}
			if set := w.last().Header.Get("X-Set"); name == "envoy" && set != "yes" {
				t.Errorf("the upstream receives X-Set %q", set)
			}
			if got := w.get("/a/b", "good"); got.StatusCode != 403 {
				t.Errorf("got %d, want 403", got.StatusCode)
			}
		})
	}
}

// What a policy may set is never what a client has sent.
func TestHeadersOfThePolicyCannotBeForged(t *testing.T) {
	const policy = `package httpapi.authz

default result := {"allow": false}

result := {"allow": true, "headers": {"X-Role": "admin"}, "response_headers_to_add": {"X-Served-By": "policy"}} if input.path == ["admin"]
result := {"allow": true} if input.path == ["user"]
`
	w := newWorld(t).start(policy, "decision httpapi/authz/result\nset_headers X-Role")
	forged := func(r *http.Request) { r.Header.Set("X-Role", "forged"); r.Header["X_role"] = []string{"forged"} }
	for path, want := range map[string]string{"/admin": "admin", "/user": ""} {
		got := w.send("GET", path, "good", "", forged)
		if got.StatusCode != 200 || w.last().Header.Get("X-Role") != want || w.last().Header["X_role"] != nil {
			t.Errorf("%s: got %d, the upstream receives %v", path, got.StatusCode, w.last().Header)
		}
		if path == "/admin" && got.Header.Get("X-Served-By") != "policy" {
			t.Errorf("the client gets %v", got.Header)
		}
	}
}
