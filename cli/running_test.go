// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/explain"
)

// admin is an admin endpoint that answers every question alike and keeps the last one.
func admin(t *testing.T, status int, answer string) (address string, asked *explain.Question) {
	t.Helper()
	asked = new(explain.Question)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, asked); err != nil || r.Method != http.MethodPost || r.URL.String() != "/gluu/explain" {
			t.Errorf("got %s %s %s", r.Method, r.URL, body)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), asked
}

func TestExplainOnARunningGateway(t *testing.T) {
	const allowed = `{"hosts":["api.example.com"],"request":"GET /todos/1","caller":{"provider":"default","issuer":"https://op.example.com","audience":["todo-api"],"subject":"ann","client_id":"app","consumer":"todo-app","grants":["todos:read","email"],"bound":"DPoP"},"decision":{"decision":"allow","method":"GET","rule":"/todos/?","captures":["1"],"required":"todos:read"}}` + "\n"
	address, asked := admin(t, http.StatusOK, allowed)
	args := []string{"--address", address, "--request", "GET /todos/1"}
	check(t, newExplainCommand, append(args, "--token", "secret-token", "--host", "api.example.com", "--handler", "2"), exitYes, `
request    GET /todos/1
site       api.example.com
provider   default
issuer     https://op.example.com
audience   todo-api
subject    ann
client     app
consumer   todo-app
grants     todos:read email
bound      the request must prove possession of the key by DPoP; that is not checked here
rule       GET /todos/?
requires   todos:read
           PC1 = "1"

decision   allow
`)
	if want := (explain.Question{Token: "secret-token", Request: "GET /todos/1", Host: "api.example.com", Handler: 2}); *asked != want {
		t.Errorf("asked %+v, want %+v", *asked, want)
	}
	check(t, newExplainCommand, append(args, "--token", "t", "--json"), exitYes, "\n"+allowed)

	address, asked = admin(t, http.StatusOK, `{"hosts":null,"request":"GET /todos/1","caller":{"provider":"default","refused":{"status":401,"reason":"no_token"}},"decision":{"decision":"deny","refused":{"status":401,"reason":"no_token"}}}`)
	check(t, newExplainCommand, []string{"--address", address, "--request", "GET /todos/1", "--no-token"}, exitNo, `
request    GET /todos/1
provider   default
token      401 no_token

decision   deny
           401 no_token
`)
	if asked.Token != "" {
		t.Errorf("asked about the token %q, want none", asked.Token)
	}
}

func TestTheExpiryIsShownWithTheTimeLeft(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	printAnswer(newPainter(&out), &explain.Answer{Caller: &explain.Caller{ExpiresAt: now.Add(90 * time.Second)}, Decision: &explain.Decision{Decision: explain.Allow}}, now)
	if want := "expires    2026-11-26T12:01:30Z, in 1m30s\n"; !strings.Contains(out.String(), want) {
		t.Errorf("got %q, want it to contain %q", out.String(), want)
	}
}

func TestTheTokenCanComeFromStandardInput(t *testing.T) {
	address, asked := admin(t, http.StatusOK, `{"request":"GET /","caller":null,"decision":{"decision":"unprotected"}}`)
	cmd := newExplainCommand()
	cmd.SetIn(strings.NewReader("secret-token\n"))
	cmd.SetOut(io.Discard)
	cmd.SetArgs([]string{"--address", address, "--request", "GET /", "--token", "-"})
	_ = cmd.Execute()
	if asked.Token != "secret-token" {
		t.Errorf("asked about %q", asked.Token)
	}
}

func TestExplainOnARunningGatewayFails(t *testing.T) {
	refusing, _ := admin(t, http.StatusBadRequest, `{"error":"several handlers have rules"}`)
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"nothing listens":   {[]string{"--address", "127.0.0.1:1", "--token", "t"}, "write its admin address with --address"},
		"refused question":  {[]string{"--address", refusing, "--token", "t"}, "several handlers have rules"},
		"neither":           {nil, "missing flag: write --policy <file> to decide offline, or --token <token>"},
		"an empty token":    {[]string{"--token", " "}, "the token is empty"},
		"policy and token":  {[]string{"--policy", "testdata/todos.json", "--token", "t"}, "policy token"},
		"scopes and no one": {[]string{"--policy", "testdata/todos.json", "--no-token", "--scopes", "a"}, "no-token scopes"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			cmd := newExplainCommand()
			cmd.SetOut(io.Discard)
			cmd.SetErr(&out)
			cmd.SilenceUsage = true
			cmd.SetArgs(append([]string{"--request", "GET /"}, test.args...))
			err := cmd.Execute()
			if err == nil || !strings.Contains(err.Error()+out.String(), test.says) {
				t.Errorf("got %v %s, want %q", err, out.String(), test.says)
			}
		})
	}
}

// A caller without a token is decided on offline, too.
func TestExplainWithoutAToken(t *testing.T) {
	check(t, newExplainCommand, []string{"-p", "testdata/todos.json", "-r", "GET /files/a", "--no-token"}, exitNo, `
request    GET /files/a
token      none
rule       GET /files/{a|(b)}
captures   PC1 = absent
asks also  acr gold or silver, max_age 300 s

decision   deny
           a caller without a token may pass only where a rule is public
`)
}
