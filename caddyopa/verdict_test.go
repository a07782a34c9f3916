// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"net/http"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/token"
)

// Whatever a policy answers, only the boolean true lets a request pass.
func TestSec_S301_OnlyTrueGrants(t *testing.T) {
	p := &PEP{logger: zap.NewNop()}
	for text, want := range map[string]outcome{
		`true`:                               granted,
		`{"allow": true}`:                    granted,
		`{"allowed": true}`:                  granted,
		`{"allow": true, "allowed": true}`:   granted,
		`{"allow": true, "other": "x"}`:      granted,
		`false`:                              denied,
		`{"allow": false}`:                   denied,
		`{"allowed": false}`:                 denied,
		`{"allow": false, "allowed": false}`: denied,
		`{}`:                                 undefined,
		`{"allows": true}`:                   undefined,
		`{"Allow": true}`:                    undefined,
		`{"result": true}`:                   undefined,
		`null`:                               failed,
		`1`:                                  failed,
		`0`:                                  failed,
		`"true"`:                             failed,
		`"false"`:                            failed,
		`""`:                                 failed,
		`[]`:                                 failed,
		`[true]`:                             failed,
		`{"allow": null}`:                    failed,
		`{"allow": "true"}`:                  failed,
		`{"allow": "false"}`:                 failed,
		`{"allow": 1}`:                       failed,
		`{"allow": 0}`:                       failed,
		`{"allow": {}}`:                      failed,
		`{"allow": {"allow": true}}`:         failed,
		`{"allow": []}`:                      failed,
		`{"allow": [true]}`:                  failed,
		`{"allow": true, "allowed": false}`:  failed,
		`{"allow": false, "allowed": true}`:  failed,
		`{"allow": true, "allowed": null}`:   failed,
		`{"allow": true, "headers": 5}`:      failed,
		`{"allow": true, "headers": {"a b": "c"}}`:                           failed,
		`{"allow": false, "status": "404"}`:                                  denied,
		`{"allow": false, "status": [404]}`:                                  denied,
		`{"allow": false, "status": 302, "headers": 5}`:                      denied,
		`{"allow": false, "challenge": true}`:                                failed,
		`{"allow": false, "challenge": {}}`:                                  failed,
		`{"allow": false, "challenge": {"max_age": -1}}`:                     failed,
		`{"allow": true, "response_headers_to_add": {"X-A": "a\r\nX-B: c"}}`: failed,
	} {
		value, err := ast.ParseTerm(text)
		if err != nil {
			t.Fatal(text, err)
		}
		v := p.read(value.Value)
		if v.outcome != want {
			t.Errorf("%s: got %s (%v), want %s", text, v.outcome, v.cause, want)
		}
		if (v.outcome == failed) != (v.cause != nil) {
			t.Errorf("%s: %s with the cause %v", text, v.outcome, v.cause)
		}
	}
	for _, text := range []string{`{true}`, `set()`, `{"allow": {true}}`} { // sets, which JSON does not have
		if v := p.read(ast.MustParseTerm(text).Value); v.outcome != failed {
			t.Errorf("%s: got %s, want %s", text, v.outcome, failed)
		}
	}
	if v := p.read(nil); v.outcome != undefined {
		t.Errorf("nothing: got %s, want %s", v.outcome, undefined)
	}
}

// asked is a question of a verified caller.
func asked(p *PEP, authenticated bool) *question {
	q := &question{pep: p, r: &http.Request{Host: "api.example.com", Header: http.Header{}}, id: &identity.Identity{}}
	if authenticated {
		q.id.Token = &token.Token{ClientID: "c"}
	}
	return q
}

func refusalOf(t *testing.T, p *PEP, authenticated bool, result string) *identity.Refusal {
	t.Helper()
	value, err := ast.ParseTerm(result)
	if err != nil {
		t.Fatal(err)
	}
	return p.refusalFor(asked(p, authenticated), p.read(value.Value))
}

// A policy can choose how it refuses, but not that a refusal looks like a success.
func TestSec_S318_ARefusalStaysOne(t *testing.T) {
	p := &PEP{logger: zap.NewNop()}
	for result, want := range map[string]int{
		`{"allow": false, "status": 200}`:              403,
		`{"allow": false, "status": 204}`:              403,
		`{"allow": false, "status": 0}`:                403,
		`{"allow": false, "status": -400}`:             403,
		`{"allow": false, "status": 399}`:              403,
		`{"allow": false, "status": 500}`:              403,
		`{"allow": false, "status": 999}`:              403,
		`{"allow": false, "status": 404.5}`:            403,
		`{"allow": false, "status": "404"}`:            403,
		`{"allow": false, "status_code": null}`:        403,
		`{"allow": false, "http_status": {"a": 404}}`:  403,
		`{"allow": false, "status": 301}`:              403,
		`{"allow": false, "status": 302}`:              403,
		`{"allow": false, "status": 400}`:              400,
		`{"allow": false, "status_code": 404}`:         404,
		`{"allow": false, "http_status": 451}`:         451,
		`{"allow": false, "status": 401}`:              401,
		`{"allow": false, "status": 499, "body": "x"}`: 499,
		`{"allow": false}`:                             403,
		`false`:                                        403,
	} {
		if got := refusalOf(t, p, true, result); got == nil || got.Status != want {
			t.Errorf("%s: got %+v, want %d", result, got, want)
		}
	}
	got := refusalOf(t, p, true, `{"allow": false, "headers": {"X-A": "b", "Set-Cookie": "a=b"}, "response_headers_to_add": {"X-A": "b"}}`)
	if len(got.Fields) != 0 {
		t.Errorf("fields: %v, want none", got.Fields)
	}
	if got := refusalOf(t, p, true, `{"allow": false, "status": 401}`); got.Challenge == nil {
		t.Error("401 has no challenge")
	}
	if got := refusalOf(t, p, false, `{"allow": false, "status": 404}`); got.Status != 401 || got.Reason != "no_token" {
		t.Errorf("without a token: got %d %s, want 401 no_token", got.Status, got.Reason)
	}
}

func TestAMessageIsShortAndHasNoControls(t *testing.T) {
	p := &PEP{logger: zap.NewNop()}
	long := strings.Repeat("ä", 300)
	for result, want := range map[string]string{
		`{"allow": false, "message": "ask Ann"}`:                  "ask Ann",
		`{"allow": false, "reason": "a\u0000b\nc\u2028d"}`:        "abcd",
		`{"allow": false, "body": "text"}`:                        "text",
		`{"allow": false, "message": "` + long + `"}`:             long[:400],
		`{"allow": false}`:                                        "The policy does not allow this request.",
		`{"allow": false, "message": "first", "reason": "other"}`: "first",
	} {
		if got := refusalOf(t, p, true, result); got.Description != want {
			t.Errorf("%.60s: got %q, want %q", result, got.Description, want)
		}
	}
	if got := refusalOf(t, p, true, `{"allow": false, "body": {"code": 7}}`); string(got.Body) != `{"code":7}` {
		t.Errorf("the document is %s", got.Body)
	}
	if got := refusalOf(t, p, true, `{"allow": false, "body": ["`+strings.Repeat("x", 9<<10)+`"]}`); got.Body != nil {
		t.Errorf("a document of %d bytes was taken", len(got.Body))
	}
}

func TestAChallengeIsThatOfOtherHandlers(t *testing.T) {
	p := &PEP{logger: zap.NewNop()}
	got := refusalOf(t, p, true, `{"allow": false, "challenge": {"acr_values": ["gold", "silver"], "max_age": 300}}`)
	if got.Status != 401 || got.Reason != identity.ReasonStepUp || got.StepUp == nil || strings.Join(got.StepUp.ACR, " ") != "gold silver" || got.StepUp.MaxAge != 300 {
		t.Errorf("got %+v", got)
	}
	got = refusalOf(t, p, true, `{"allow": false, "challenge": {"scope": "todos:write todos:read"}}`)
	if got.Status != 403 || got.Error != "insufficient_scope" || got.Challenge == nil || !strings.Contains(got.Description, "todos:write todos:read") {
		t.Errorf("got %+v", got)
	}
}

// A policy's answer cannot lead a client elsewhere, give it a session, or split the
// answer in two.
func TestSec_S327_NoRedirectElsewhere(t *testing.T) {
	p := &PEP{logger: zap.NewNop(), Config: Config{RedirectOrigins: []string{"https://login.example.com"}}}
	for location, want := range map[string]int{
		"/login?next=%2F":                    302,
		"http://api.example.com/login":       302,
		"https://login.example.com/a?b=c":    302,
		"https://api.example.com/login":      403, // this request came over http
		"http://login.example.com/":          403,
		"https://login.example.com:8443/":    403,
		"https://login.example.com.evil.org": 403,
		"https://evil.example/":              403,
		"//evil.example/":                    403,
		`/\\evil.example/`:                   403,
		"javascript:alert(1)":                403,
		"login":                              403,
		"https://a@login.example.com/":       403,
		"":                                   403,
		"/x y":                               403,
		`/x\r\nSet-Cookie: a=b`:              403,
		`/\t/evil.example/`:                  403,
	} {
		for _, authenticated := range []bool{true, false} {
			got := refusalOf(t, p, authenticated, `{"allow": false, "status": 302, "headers": {"location": "`+location+`"}}`)
			status := want
			if want == 403 && !authenticated {
				status = 401
			}
			if got.Status != status || (status == 302) != (len(got.Fields) == 1) {
				t.Errorf("%q, token %t: got %d %v, want %d", location, authenticated, got.Status, got.Fields, status)
			}
		}
	}
	for _, name := range []string{"Set-Cookie", "content-length", "WWW-Authenticate", "Connection", "transfer-encoding", "Location", "Clear-Site-Data"} {
		v := p.read(ast.MustParseTerm(`{"allow": true, "response_headers_to_add": {"` + name + `": "x", "X-Fine": "y"}}`).Value)
		if v.outcome != granted || len(v.response) != 1 || v.response.Get("X-Fine") != "y" {
			t.Errorf("%s: got %s with %v", name, v.outcome, v.response)
		}
	}
}

func TestOnlyNamedHeadersAreSet(t *testing.T) {
	p := &PEP{logger: zap.NewNop(), Config: Config{SetHeaders: []string{"X-Role", "x-tenant"}}}
	v := p.read(ast.MustParseTerm(`{"allow": true, "headers": {"x-role": ["admin", "user"], "X-Tenant": 7, "X-Consumer-ID": "forged"}, "request_headers_to_remove": ["x-tenant", "Authorization"]}`).Value)
	h := http.Header{"Authorization": {"a"}, "X-Tenant": {"old"}}
	v.apply(h)
	if strings.Join(h["X-Role"], " ") != "admin user" || h.Get("X-Tenant") != "7" || h.Get("X-Consumer-Id") != "" || h.Get("Authorization") != "a" {
		t.Errorf("the upstream gets %v", h)
	}
	if v = p.read(ast.MustParseTerm(`{"allow": true, "headers": [{"X-Role": "a"}, {"X-Role": "b"}]}`).Value); len(v.set["X-Role"]) != 2 {
		t.Errorf("a list of objects, as Envoy has it, sets %v", v.set)
	}
}
