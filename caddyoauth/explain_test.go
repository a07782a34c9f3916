// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	_ "github.com/caddy-gluu/gateway/caddyadmin"
	"github.com/caddy-gluu/gateway/internal/explain"
)

// explain asks the admin endpoint of the running gateway.
func (g *gateway) explain(q explain.Question) (status int, answer explain.Answer, text string) {
	g.Helper()
	body, err := json.Marshal(q)
	if err != nil {
		g.Fatal(err)
	}
	response, err := http.Post("http://"+g.adminAddress+"/gluu/explain", "application/json", strings.NewReader(string(body)))
	if err != nil {
		g.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		g.Fatal(err)
	}
	if err := json.Unmarshal(read, &answer); err != nil {
		g.Fatalf("%v: %s", err, read)
	}
	return response.StatusCode, answer, string(read)
}

// An explanation says what the gateway then does, for every caller and for each
// way to treat callers without a token.
func TestAnExplanationIsWhatTheGatewayDoes(t *testing.T) {
	const rules = `gluu_oauth_pep {
	%s
	path /open {
		GET public
	}
	path /todos/{\d+} {
		GET scope todos:read
		PUT scope todos:write
		DELETE authenticated
	}
	path /fresh {
		GET authenticated {
			max_age 10m
		}
	}
}
reverse_proxy {upstream}
`
	for _, auth := range []string{"", "optional\n", "anonymous guest\n", "consumer_mapping false\n"} {
		for _, pep := range []string{"", "deny_by_default false"} {
			s := newScene(t)
			s.load(fmt.Sprintf(sceneProvider, "")+"consumer guest\n", "gluu_oauth_auth {\n"+auth+"}\n"+fmt.Sprintf(rules, pep))
			tokens := map[string]string{
				"none": "", "good": s.jwt(nil), "fresh": s.jwt(map[string]any{"auth_time": time.Now().Unix()}), "opaque": "unknown",
				"stranger": s.jwt(map[string]any{"client_id": "client-x"}), "late": s.jwt(map[string]any{"exp": time.Now().Unix() - 9}),
			}
			for name, token := range tokens {
				for _, request := range []string{"GET /open", "GET /todos/1", "HEAD /todos/1?x=%2F", "PUT /todos/1", "DELETE /todos/1", "GET /todos/a", "GET /fresh", "GET /other", "GET /todos/%2e", "get /open", "FROB /todos/1"} {
					method, target, _ := strings.Cut(request, " ")
					before := len(s.records("request refused"))
					got := s.request(method, target, token)
					reason := ""
					if records := s.records("request refused"); len(records) > before {
						reason, _ = records[before]["reason"].(string)
					}
					_, answer, text := s.explain(explain.Question{Token: token, Request: request})
					allowed := answer.Decision.Decision == explain.Allow || answer.Decision.Decision == explain.Unprotected
					switch refused := answer.Decision.Refused; {
					case allowed != (got.status == http.StatusOK):
						t.Errorf("%q %q, %s with the token %s: got %d, and the explanation %s", auth, pep, request, name, got.status, text)
					case !allowed && (refused == nil || refused.Status != got.status || refused.Reason != reason):
						t.Errorf("%q %q, %s with the token %s: got %d %s, and the explanation %s", auth, pep, request, name, got.status, reason, text)
					}
				}
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// An explanation shows what the token says and which rule decided.
func TestAnExplanationShowsTheCallerAndTheRule(t *testing.T) {
	s := newScene(t)
	s.load(fmt.Sprintf(sceneProvider, ""), strings.Replace(sceneRules, "/todos/?", `/todos/{(\d)(x)?}`, 1))
	token := s.jwt(map[string]any{"scope": "todos:read email", "exp": 4102444800})
	status, answer, text := s.explain(explain.Question{Token: token, Request: "GET /todos/7?page=2"})
	want := explain.Answer{
		Hosts:   []string{"127.0.0.1"},
		Request: "GET /todos/7?page=2",
		Caller: &explain.Caller{
			Provider: "default", Issuer: s.server.URL, Audience: []string{"https://api.example.com"}, Subject: "ann", ClientID: "client-a",
			ExpiresAt: time.Unix(4102444800, 0), Consumer: "ann", Grants: []string{"todos:read", "email"}, JWT: true,
		},
		Decision: &explain.Decision{Decision: explain.Allow, Method: "GET", Rule: `/todos/{(\d)(x)?}`, Captures: []string{"7", ""}, Required: "todos:read"},
	}
	if status != http.StatusOK || !answer.Caller.ExpiresAt.Equal(want.Caller.ExpiresAt) {
		t.Fatalf("got %d %s", status, text)
	}
	answer.Caller.ExpiresAt = want.Caller.ExpiresAt
	if !reflect.DeepEqual(answer, want) {
		t.Errorf("got %+v %+v %+v", answer, answer.Caller, answer.Decision)
	}
	if strings.Contains(text, token) {
		t.Error("the answer contains the token")
	}
	if s.upstream.requests() != 0 || len(s.records("request refused")) != 0 || strings.Contains(s.metrics(), "gluu_oauth_client_authenticated{") {
		t.Error("the explanation left a trace")
	}

	bound := s.jwt(map[string]any{"cnf": map[string]any{"jkt": strings.Repeat("A", 43)}})
	if _, answer, text := s.explain(explain.Question{Token: bound, Request: "GET /todos/7"}); answer.Caller.Bound != "DPoP" || answer.Decision.Decision != explain.Allow {
		t.Errorf("got %s, want the token explained, and that it is bound", text)
	}
}

// A question that cannot be answered is told so, without quoting a token.
func TestQuestionsThatCannotBeAnswered(t *testing.T) {
	s := newScene(t)
	s.load(fmt.Sprintf(sceneProvider, ""), sceneRules+"\n@two path /two\ngluu_oauth_pep @two {\npath /two {\nGET public\n}\n}\n")
	for name, test := range map[string]struct{ body, says string }{
		"no request":       {`{"token":"s3cret"}`, "write a method and a path"},
		"no path":          {`{"token":"s3cret","request":"GET todos"}`, "write a method and a path"},
		"several handlers": {`{"token":"s3cret","request":"GET /two"}`, "several handlers have rules"},
		"no such handler":  {`{"token":"s3cret","request":"GET /two","handler":3}`, "there is no handler 3"},
		"no such host":     {`{"token":"s3cret","request":"GET /two","host":"other.example"}`, `no site with rules has the host \"other.example\"`},
		"no JSON":          {`s3cret`, "not a JSON object"},
		"unknown member":   {`{"tokens":"s3cret"}`, `unknown member \"tokens\"`},
	} {
		response, err := http.Post("http://"+s.adminAddress+"/gluu/explain", "application/json", strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), test.says) || strings.Contains(string(text), "s3cret") {
			t.Errorf("%s: got %d %s, want 400 and %s", name, response.StatusCode, text, test.says)
		}
	}
	if _, answer, text := s.explain(explain.Question{Request: "GET /two", Handler: 2, Host: "127.0.0.1"}); answer.Decision.Decision != explain.Deny || answer.Decision.Refused.Reason != "no_token" {
		t.Errorf("got %s, want 401: the authentication handler of the site demands a token", text)
	}
	response, err := http.Get("http://" + s.adminAddress + "/gluu/explain")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: got %d, want 405", response.StatusCode)
	}
}
