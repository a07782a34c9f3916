// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// A handler with an id is changed under that id, wherever it is; a reload of the
// file undoes the change.
func TestRulesAreChangedByID(t *testing.T) {
	g := &gateway{TB: t, dir: t.TempDir(), auth: newAuthServer(t), upstream: newUpstream(t), address: caddytest.FreeAddress(t), adminAddress: caddytest.FreeAddress(t)}
	caddytest.StopAfter(t)
	const site = "route {\ngluu_oauth_auth {\nid callers\n}\ngluu_oauth_pep {\nid todo-rules\npath /todos {\nGET scope read\n}\n}\nreverse_proxy {upstream}\n}\n"
	g.load(simpleApp, site)
	g.auth.issue("reader", claims("client-a", "read"))
	if got := g.get("/todos", "reader"); got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	for path, body := range map[string]string{
		"callers/realm": `"todos"`,
		"todo-rules/oauth_scope_expression": `[{"path": "/todos", "conditions": [{"httpMethods": ["GET"],
			"scope_expression": {"rule": {"var": 0}, "data": ["admin"]}}]}]`,
	} {
		method := http.MethodPatch
		if path == "callers/realm" {
			method = http.MethodPost
		}
		request, err := http.NewRequest(method, "http://"+g.adminAddress+"/id/"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: got %s %s", path, response.Status, text)
		}
	}
	want := `Bearer realm="todos", error="insufficient_scope", scope="admin"`
	if got := g.get("/todos", "reader"); got.status != http.StatusForbidden || got.header.Get("WWW-Authenticate") != want {
		t.Errorf("got %d %q, want 403 %q", got.status, got.header.Get("WWW-Authenticate"), want)
	}
	g.load(simpleApp, site)
	if got := g.get("/todos", "reader"); got.status != http.StatusOK {
		t.Errorf("after a reload of the file: got %d %s", got.status, got.body)
	}
}

func TestEveryHandlerTakesAnID(t *testing.T) {
	for name, block := range map[string]string{
		"gluu_oauth_auth":        "id x\n",
		"gluu_oauth_pep":         "id x\npath /a {\nGET scope b\n}\n",
		"gluu_resource_metadata": "id x\nresource https://api.example.com\n",
		"gluu_jwks":              "id x\n",
	} {
		t.Run(name, func(t *testing.T) {
			adapt := func(block string) (string, error) {
				got, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(fmt.Appendf(nil, ":80 {\n%s {\n%s}\n}\n", name, block), map[string]any{"filename": "Caddyfile"})
				return string(got), err
			}
			if got, err := adapt(block); err != nil || !strings.Contains(got, `"@id":"x"`) {
				t.Errorf("got %s, error %v; want an @id", got, err)
			}
			if _, err := adapt(strings.Replace(block, "id x", "id a/b", 1)); err == nil || !strings.Contains(err.Error(), "Caddyfile:3") {
				t.Errorf("an id with a slash: got %v, want an error on its line", err)
			}
		})
	}
}
