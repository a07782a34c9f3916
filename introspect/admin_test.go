// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// admin asks the admin API as Caddy would.
func admin(t *testing.T, method, target, body string) (status int, answer string) {
	t.Helper()
	route := new(adminAPI).Routes()[0]
	mux := http.NewServeMux()
	mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
		err := route.Handler.ServeHTTP(w, r)
		var api caddy.APIError
		if errors.As(err, &api) {
			http.Error(w, api.Error(), api.HTTPStatus)
		} else if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	text, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(text)
}

func TestAdminShowsProviders(t *testing.T) {
	server := newFakeServer(t)
	app := mustLoad(t, t.TempDir(), fmt.Sprintf(`{"providers": {"default": %s, "away": {"issuer": "http://127.0.0.1:1", "verify": "jwt", "audience": ["a"]}}}`, providerJSON(server.introspecting())))
	server.on("/introspect", respondWith(500, "text/plain", "down"))
	for i := range breakerFailures {
		_, _ = verify(t, app, "", fmt.Sprint("token-", i))
	}
	status, body := admin(t, "GET", "/gluu/providers", "")
	if status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
	var got []providerStatus
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != "away" || got[1].Name != "default" {
		t.Fatalf("got %s", body)
	}
	if p := got[0]; p.Health != healthPending || p.Discovery == nil || p.Discovery.Done {
		t.Errorf("the one that is away: got %+v", p)
	}
	p := got[1]
	if p.Health != healthDegraded || p.Breakers["introspection_endpoint"] != "open" {
		t.Errorf("the one that fails: got %+v", p)
	}
	if p.LastError == nil || p.LastError.Endpoint != "introspection_endpoint" || p.LastError.Error != "status 500" {
		t.Errorf("the one that fails: got the last error %+v", p.LastError)
	}
	if p.Endpoints["introspection_endpoint"] != server.URL+"/introspect" {
		t.Errorf("got endpoints %v", p.Endpoints)
	}
}

func TestAdminEvictsTokens(t *testing.T) {
	tests := []struct {
		target, body string
		gone         string // the tokens that are asked for anew
	}{
		{"/gluu/tokens", "", "a1 a2 b1 slash bad"},
		{"/gluu/tokens/client/app-a", "", "a1 a2"},
		{"/gluu/tokens/client/app-b", "", "b1"},
		{"/gluu/tokens/client/app", "", ""},
		{"/gluu/tokens/client/APP-A", "", ""},
		{"/gluu/tokens/client/https%3A%2F%2Fclient.example%2Fx", "", "slash"},
		{"/gluu/tokens/subject/2", "", "a2"},
		{"/gluu/tokens/token", "a1", "a1"},
		{"/gluu/tokens/token", "a1\r\n", "a1"},
		{"/gluu/tokens/token", "bad", "bad"},
		{"/gluu/tokens/token", "a", ""},
	}
	claims := map[string]string{
		"a1": `"client_id":"app-a","sub":"1"`, "a2": `"client_id":"app-a","sub":"2"`,
		"b1": `"client_id":"app-b","sub":"1"`, "slash": `"client_id":"https://client.example/x","sub":"3"`,
	}
	for _, test := range tests {
		t.Run(test.target+" "+test.body, func(t *testing.T) {
			server := newFakeServer(t)
			asked := map[string]int{}
			server.on("/introspect", func(w http.ResponseWriter, r *http.Request) {
				token := r.PostForm.Get("token")
				asked[token]++
				if token == "bad" {
					respond(`{"active":false}`)(w, r)
					return
				}
				respond(`{"active":true,`+claims[token]+`}`)(w, r)
			})
			app := mustLoad(t, t.TempDir(), fmt.Sprintf(`{"providers": {"default": %s}}`, providerJSON(server.introspecting())))
			ask := func() {
				for _, token := range []string{"a1", "a2", "b1", "slash", "bad"} {
					_, _ = verify(t, app, "", token)
				}
			}
			ask()
			status, body := admin(t, "DELETE", test.target, test.body)
			if status != 200 {
				t.Fatalf("got %d %s", status, body)
			}
			ask()
			for token, n := range asked {
				want := 1
				if strings.Contains(" "+test.gone+" ", " "+token+" ") {
					want = 2
				}
				if n != want {
					t.Errorf("%s was asked for %d times, want %d", token, n, want)
				}
			}
		})
	}
}

// S-15: a prefix of a route, or another spelling, is not the route.
func TestSec_S15_AdminRoutesAreExact(t *testing.T) {
	mustLoad(t, t.TempDir(), `{}`)
	for _, request := range []struct {
		method, target string
		want           int
	}{
		{"GET", "/gluu/", 404},
		{"GET", "/gluu/provider", 404},
		{"GET", "/gluu/providersx", 404},
		{"GET", "/gluu/Providers", 404},
		{"GET", "/gluu/providers/", 404},
		{"GET", "/gluu/providers/default", 404},
		{"GET", "/gluu/providers%2Fx", 404},
		{"GET", "/gluu/%70roviders", 200},
		{"GET", "/gluu/cachex", 404},
		{"GET", "/gluu/cache/x", 404},
		{"GET", "/gluu/tokens", 405},
		{"POST", "/gluu/tokens", 405},
		{"POST", "/gluu/providers", 405},
		{"DELETE", "/gluu/providers", 405},
		{"DELETE", "/gluu/cache", 405},
		{"DELETE", "/gluu/tokens/", 404},
		{"DELETE", "/gluu/tokens/client", 404},
		{"DELETE", "/gluu/tokens/client/", 404},
		{"DELETE", "/gluu/tokens/subject/", 404},
		{"DELETE", "/gluu/tokens/client/a/b", 404},
		{"DELETE", "/gluu/tokens/clients/a", 404},
		{"DELETE", "/gluu/tokens/token/abc", 404},
		{"DELETE", "/gluu/tokens/token", 400},
	} {
		if status, body := admin(t, request.method, request.target, ""); status != request.want {
			t.Errorf("%s %s: got %d %s, want %d", request.method, request.target, status, body, request.want)
		}
	}
	if status, _ := admin(t, "DELETE", "/gluu/tokens/token", strings.Repeat("x", maxToken+1)); status != 400 {
		t.Errorf("a token that is too long: got %d", status)
	}
	_ = caddy.Stop()
	if status, _ := admin(t, "GET", "/gluu/providers", ""); status != 503 {
		t.Errorf("without a running app: got %d", status)
	}
}

// While a token is revoked, its introspection is under way with the answer
// from before.
func TestEvictionIsNotOvertaken(t *testing.T) {
	server := newFakeServer(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	server.on("/introspect", func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		respond(active(""))(w, r)
	})
	app := mustLoad(t, t.TempDir(), fmt.Sprintf(`{"providers": {"default": %s}}`, providerJSON(server.introspecting())))
	before := make(chan error)
	go func() {
		_, err := verify(t, app, "", "token")
		before <- err
	}()
	<-arrived
	server.on("/introspect", respond(`{"active":false}`))
	if status, body := admin(t, "DELETE", "/gluu/tokens/token", "token"); status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
	// A request that comes now must not be given the old answer.
	if _, err := verify(t, app, "", "token"); reasonOf(t, err) != TokenInactive {
		t.Errorf("during the old introspection: got %v", err)
	}
	close(release)
	if err := <-before; err != nil {
		t.Errorf("the request from before: got %v", err)
	}
	if _, err := verify(t, app, "", "token"); reasonOf(t, err) != TokenInactive {
		t.Errorf("after the old introspection: got %v", err)
	}
}

// S-54: neither logs at DEBUG nor the admin API nor errors nor what is kept
// show a token or a secret.
func TestSec_S54_NoSecretIsShown(t *testing.T) {
	const token, badToken, secret = "s3cret-token-0123456789", "s3cret-bad-token-0123456789", "s3cret-client-0123456789"
	server := newFakeServer(t)
	dir := t.TempDir()
	config := server.introspecting()
	config.ClientSecret = secret
	config.IntrospectionEndpoint = ""
	app := mustLoad(t, dir, fmt.Sprintf(`{"providers": {"default": %s}}`, providerJSON(config)))
	p, _ := app.Provider("")
	p.server.awaitMetadata(t.Context())
	var shown strings.Builder
	note := func(err error) { fmt.Fprintf(&shown, "%v %+v\n", err, err) }
	for name, answer := range map[string]http.HandlerFunc{
		"active":   respond(active("")),
		"inactive": respond(`{"active":false}`),
		"echoing": func(w http.ResponseWriter, r *http.Request) {
			respondWith(400, "text/plain", r.PostForm.Encode()+r.Header.Get("Authorization"))(w, r)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/x?"+r.PostForm.Encode(), http.StatusFound)
		},
		"garbage": respond(token + secret),
		"hung up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		server.on("/introspect", answer)
		for range 3 {
			_, err := p.Verify(t.Context(), badToken+name)
			note(err)
		}
		_, err := p.Verify(t.Context(), token)
		note(err)
	}
	for _, request := range [][2]string{
		{"GET", "/gluu/providers"}, {"GET", "/gluu/cache"}, {"DELETE", "/gluu/tokens/token"}, {"DELETE", "/gluu/tokens"},
	} {
		_, body := admin(t, request[0], request[1], token)
		shown.WriteString(body)
	}
	_, body := admin(t, "DELETE", "/gluu/tokens/token", token+strings.Repeat("x", maxToken))
	shown.WriteString(body)
	shown.WriteString(logOf(t, dir))
	if !strings.Contains(shown.String(), "introspection_endpoint") {
		t.Error("nothing was shown, so the test tests nothing")
	}
	if strings.Contains(shown.String(), "s3cret") {
		t.Errorf("a secret is shown in:\n%s", shown.String())
	}
}

// A token that was forgotten stays forgotten when settings come back with which
// it was verified once.
func TestForgottenTokensDoNotComeBackWithOldSettings(t *testing.T) {
	server := newFakeServer(t)
	server.on("/introspect", respond(active("")))
	dir := t.TempDir()
	load := func(secret string) *App {
		config := server.introspecting()
		config.ClientSecret = secret
		return mustLoad(t, dir, fmt.Sprintf(`{"providers": {"default": %s}}`, providerJSON(config)))
	}
	if _, err := verify(t, load("old"), "", "token"); err != nil {
		t.Fatal(err)
	}
	load("new")
	if status, body := admin(t, "DELETE", "/gluu/tokens/token", "token"); status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
	server.on("/introspect", respond(`{"active":false}`))
	if _, err := verify(t, load("old"), "", "token"); reasonOf(t, err) != TokenInactive {
		t.Errorf("got %v, want it asked about and refused", err)
	}
}
