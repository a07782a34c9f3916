// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/liveconfig"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/introspect"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

const host = "admin.example.com"

// runApp runs a configuration whose app the pages show.
func runApp(t *testing.T) *introspect.App {
	t.Helper()
	caddytest.StopAfter(t)
	site := caddytest.FreeAddress(t)
	source := "{\n" + caddytest.Options(t.TempDir(), caddytest.FreeAddress(t)) + `
}
http://` + site + ` {
	bind 127.0.0.1
	gluu_ui {
		local
	}
}
`
	if err := caddytest.Run(source, site); err != nil {
		t.Fatal(err)
	}
	return introspect.Running()
}

// newUI returns the pages of a site on which people log in.
func newUI(t *testing.T, app *introspect.App) *UI {
	t.Helper()
	roles, err := compileRoles(map[string]string{
		"admin": `id_token.groups.exists(g, g == "admins")`, "operator": `"operators" in id_token.groups`, "viewer": `"viewers" in id_token.groups`,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &UI{
		config: newTestEditor(t), app: app, roles: roles, guard: newGuard(place{hosts: []string{host}, isSecure: true}),
		tails:  newTailLimiter(t.Context()),
		signer: "a key of this test", logger: zap.NewNop(), now: time.Now,
	}
}

// newTestEditor returns an editor whose admin endpoint does not answer.
func newTestEditor(t *testing.T) *configEditor {
	t.Helper()
	endpoint, err := liveconfig.NewEndpoint("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	return &configEditor{endpoint: endpoint, trials: liveconfig.Trial, key: "a key of this test", serial: serials.Add(1)}
}

// request is one of a person in a group, "" for one who has not logged in.
func request(method, path, group string, form url.Values) *http.Request {
	r := httptest.NewRequest(method, "https://"+host+path, strings.NewReader(form.Encode()))
	if strings.HasSuffix(path, "/tail") {
		// It would go on until the browser leaves.
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		r = r.WithContext(ctx)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{}))
	if group != "" {
		identity.Attach(r, &identity.Identity{
			Token:   &token.Token{Subject: "ann", ClaimsJSON: `{"sub": "ann", "groups": ["` + group + `"]}`},
			Details: func(name string) (any, bool) { return "session-of-" + group, name == "session" },
		})
	}
	return r
}

// answer serves a request. A next handler must not be reached.
func answer(t *testing.T, u *UI, r *http.Request) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		t.Errorf("%s %s was passed on", r.Method, r.URL)
		return nil
	})
	if err := u.ServeHTTP(w, r, next); err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	return w.Result()
}

// tokenOf is the token for changes that a page of a person has.
func tokenOf(u *UI, group string) string { return u.signer.of("oidc session-of-" + group) }

func bodyOf(t *testing.T, response *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// loginOf returns the identity of a request.
func loginOf(r *http.Request) *identity.Identity { return identity.Of(r) }

func attach(r *http.Request, id identity.Identity) { identity.Attach(r, &id) }

type handlerFunc = caddyhttp.HandlerFunc
