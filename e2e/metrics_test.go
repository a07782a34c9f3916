// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// startExample runs an example that needs no other server, in the binary that
// people run.
func startExample(t *testing.T, name string) *api {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root(), "examples", name, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	a := &api{t: t}
	a.Gateway = harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: asTest(string(content), "{$SITE}"),
		Binary:    harness.StandardBinary(t),
	})
	a.WaitReady("/", harness.Bearer("is-the-authorization-server-there"))
	return a
}

// exampleToken gets a token as the examples' README says.
func (a *api) exampleToken(consumer, scopes string) string {
	a.t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+a.Addr+"/oauth2/token",
		strings.NewReader(url.Values{"grant_type": {"client_credentials"}, "scope": {scopes}}.Encode()))
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(consumer+"-client", consumer+"-secret")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer answer.Body.Close()
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || body.Token == "" {
		a.t.Fatalf("no token for %s: %s %v", consumer, answer.Status, err)
	}
	return body.Token
}

// The dashboard only shows metrics and labels that the gateway exports, and it
// shows every metric that this configuration has.
func TestExampleMetricsAndItsDashboard(t *testing.T) {
	t.Parallel()
	a := startExample(t, "metrics")
	token := a.exampleToken("todo-app", "todos:read")
	a.status(get("/todos", token), http.StatusOK)
	a.status(harness.Request{Method: "POST", Target: "/todos", Fields: []harness.Field{harness.Bearer(token)}}, http.StatusForbidden)
	a.status(harness.Request{Target: "/todos"}, http.StatusUnauthorized)

	_, text := a.AdminCall(http.MethodGet, "/metrics", nil)
	exported := map[string]map[string]bool{} // the labels of each metric
	for _, series := range regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? `).FindAllStringSubmatch(string(text), -1) {
		if exported[series[1]] == nil {
			exported[series[1]] = map[string]bool{}
		}
		for _, label := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(series[2], -1) {
			exported[series[1]][label[1]] = true
		}
	}
	for _, series := range []string{
		`gluu_client_refused{reason="scope_missing",rule="/todos"} 1`,
		`gluu_oauth_client_granted{consumer="todo-app"} 1`,
		`gluu_endpoint_method{endpoint="/todos",method="POST"} 1`,
	} {
		if !strings.Contains(string(text), series) {
			t.Errorf("%s is not among the metrics", series)
		}
	}

	content, err := os.ReadFile(filepath.Join(harness.Root(), "examples", "metrics", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			names := regexp.MustCompile(`(?:gluu|caddy)_[a-z_]+`).FindAllString(target.Expr, -1)
			if len(names) != 1 {
				t.Errorf("%s: %s has the metrics %q, want one", panel.Title, target.Expr, names)
				continue
			}
			labels, ok := exported[names[0]]
			if !ok {
				t.Errorf("%s: the gateway does not export %s", panel.Title, names[0])
			}
			shown[names[0]] = true
			if by := regexp.MustCompile(`by \(([^)]*)\)`).FindStringSubmatch(target.Expr); by != nil {
				for label := range strings.SplitSeq(by[1], ", ") {
					if !labels[label] {
						t.Errorf("%s: %s has no label %s", panel.Title, names[0], label)
					}
				}
			}
			for _, label := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				if !strings.Contains(target.Expr, label[1]) {
					t.Errorf("%s: the legend names %s, which %s does not keep", panel.Title, label[1], target.Expr)
				}
			}
		}
	}
	for name := range exported {
		histogram := strings.HasSuffix(name, "_sum") || strings.HasSuffix(name, "_count")
		if strings.HasPrefix(name, "gluu_") && !shown[name] && !histogram && !strings.HasPrefix(name, "gluu_oauth_server_") {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

// Consumers do not share a limit, and a new token does not reset it.
func TestExampleRateLimitIsEachConsumersOwn(t *testing.T) {
	t.Parallel()
	a := startExample(t, "rate-limit")
	todo, report := a.exampleToken("todo-app", "todos:read"), a.exampleToken("report-app", "todos:read")
	for range 5 {
		a.status(get("/todos", todo), http.StatusOK)
		// Refused requests do not count.
		a.status(harness.Request{Target: "/todos"}, http.StatusUnauthorized)
		a.status(get("/nowhere", report), http.StatusForbidden)
	}
	a.status(get("/todos", todo), http.StatusTooManyRequests)
	a.status(get("/todos", a.exampleToken("todo-app", "todos:read")), http.StatusTooManyRequests)
	for range 5 {
		a.status(get("/todos", report), http.StatusOK)
	}
	a.status(get("/todos", report), http.StatusTooManyRequests)
}
