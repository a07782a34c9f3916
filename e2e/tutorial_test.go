// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// fenced is a block of a page in a language.
func fenced(t *testing.T, page, language string) (blocks []string) {
	t.Helper()
	for _, found := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		blocks = append(blocks, found[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("the page has no block of %s", language)
	}
	return blocks
}

// The steps of docs/tutorial.md, with a server in this process and an upstream of the
// harness: each Caddyfile works, and the commands say what the text says.
func TestTheTutorial(t *testing.T) {
	t.Parallel()
	page := readFile(t, "docs/tutorial.md")
	caddyfiles := fenced(t, page, "caddyfile")
	if len(caddyfiles) != 4 {
		t.Fatalf("the tutorial has %d Caddyfiles, want 4", len(caddyfiles))
	}
	rules := caddyfiles[2]
	offline := harness.GatewayConfig{Caddyfile: rules, Files: map[string]string{"policy.test.yaml": fenced(t, page, "yaml")[0]}}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"gluu", "rules", "--policy", "Caddyfile"}, "/todos/?"},
		{[]string{"gluu", "explain", "--policy", "Caddyfile", "--request", "GET /todos/1", "--scopes", "todos:read"}, "allow"},
		{[]string{"gluu", "explain", "--policy", "Caddyfile", "--request", "GET /health", "--no-token"}, "allow"},
		{[]string{"gluu", "test", "policy.test.yaml"}, "5"},
	} {
		if command := strings.Join(test.args[:2], " "); !strings.Contains(page, "bin/caddy "+command) {
			t.Errorf("the tutorial has no command %q", command)
		}
		if out, ok := harness.RunCaddy(t, offline, test.args...); !ok || !strings.Contains(out, test.want) {
			t.Errorf("%s: got (%t)\n%s\nwant %q", strings.Join(test.args, " "), ok, out, test.want)
		}
	}

	stub := newStubServer(t)
	upstream := harness.StartUpstream(t)
	for i, test := range []struct {
		step                    string
		withToken, withoutToken int // the statuses of GET /todos
	}{
		{"pass everything on", 200, 200},
		{"without refusing any request yet", 200, 200},
		{"rules", 200, 401},
	} {
		t.Run(test.step, func(t *testing.T) {
			gateway := harness.StartGateway(t, harness.GatewayConfig{
				Caddyfile: strings.NewReplacer(
					"http://localhost:8000", "{$SITE}", "localhost:9000", upstream.Addr, "https://op.example.com", "http://"+stub.addr,
					"audience https://api.example.com", "introspection_endpoint http://"+stub.addr+"/introspect\nverify introspection",
				).Replace(caddyfiles[i]),
				Env: map[string]string{"CLIENT_SECRET": "stub-secret-5f2b"},
			})
			gateway.WaitReady("/todos", harness.Bearer("a-token"))
			for path, pair := range map[string][2]int{"/todos": {test.withToken, test.withoutToken}, "/health": {200, 200}} {
				if got := gateway.Get(path, harness.Bearer("a-token")).Status; got != pair[0] {
					t.Errorf("%s with a token: got %d, want %d", path, got, pair[0])
				}
				if got := gateway.Get(path).Status; got != pair[1] {
					t.Errorf("%s without a token: got %d, want %d", path, got, pair[1])
				}
			}
		})
	}
}
