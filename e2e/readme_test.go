// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// What README.md shows as the answers of the quickstart is what it answers.
func TestReadmeShowsRealAnswers(t *testing.T) {
	t.Parallel()
	shown := regexp.MustCompile("(?s)\n(HTTP/1.1 .*?)```").FindAllStringSubmatch(readFile(t, "README.md"), -1)
	if len(shown) != 3 {
		t.Fatalf("README.md shows %d answers, want 3", len(shown))
	}
	gateway := startQuickstart(t)

	form := "grant_type=client_credentials&scope=todos%3Aread"
	answer := gateway.Send(harness.Request{Method: "POST", Target: "/oauth2/token", Body: form, Fields: []harness.Field{
		{Name: "Content-Type", Value: "application/x-www-form-urlencoded"},
		{Name: "Authorization", Value: "Basic dG9kby1hcHAtY2xpZW50OnRvZG8tYXBwLXNlY3JldA=="},
	}})
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(answer.Body), &token); err != nil || token.AccessToken == "" {
		t.Fatalf("the token endpoint: %s", answer)
	}
	bearer := []harness.Field{harness.Bearer(token.AccessToken)}
	gateway.WaitReady("/todos", bearer...)
	for i, request := range []harness.Request{
		{Method: "GET", Target: "/todos"},
		{Method: "POST", Target: "/todos", Fields: bearer},
		{Method: "GET", Target: "/todos", Fields: bearer},
	} {
		got, want := printed(gateway.Send(request)), strings.TrimSpace(shown[i][1])
		if steady(got) != steady(want) {
			t.Errorf("answer %d: README.md shows\n%s\nbut it is\n%s", i+1, want, got)
		}
	}
}

// startQuickstart runs the quickstart on free ports.
func startQuickstart(t *testing.T) *harness.Gateway {
	t.Helper()
	api, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(api.Addr().String())
	api.Close()
	return harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: strings.NewReplacer(
			"{$QUICKSTART_PORT:18480}", "{$PORT}",
			"admin 127.0.0.1:{$QUICKSTART_ADMIN_PORT:18482}", "",
		).Replace(readFile(t, "examples/quickstart/Caddyfile")),
		Binary: harness.StandardBinary(t),
		Env:    map[string]string{"QUICKSTART_API_PORT": port},
	})
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root(), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// printed writes an answer as `curl -i` does, but for the date.
func printed(answer *harness.Response) string {
	lines := []string{fmt.Sprintf("HTTP/1.1 %d %s", answer.Status, http.StatusText(answer.Status))}
	for _, name := range slices.Sorted(maps.Keys(answer.Header)) {
		if name != "Date" {
			lines = append(lines, name+": "+strings.Join(answer.Header[name], ", "))
		}
	}
	return strings.Join(lines, "\n") + "\n\n" + strings.TrimSpace(answer.Body)
}

// steady leaves out what differs from run to run.
func steady(text string) string {
	return regexp.MustCompile(`(X-OAuth-Expiration: +)\d+`).ReplaceAllString(text, "${1}*")
}
