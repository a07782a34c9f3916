// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// loginConfig is peopleConfig with a login application instead of the page.
func loginConfig() *Server {
	config := peopleConfig()
	config.ConsentPage = nil
	config.Login = &Login{URL: "https://login.example.com/start?tenant=1", Secrets: []string{cheapHash("login-key"), cheapHash("second-key")}}
	return config
}

// application asks about a challenge with a key.
func (r *running) application(method, name, key, body string) answer {
	r.t.Helper()
	request := httptest.NewRequest(method, "/oauth2/authorize/"+name, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	request = request.WithContext(context.WithValue(request.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: "10.1.2.3"}))
	return r.do(request)
}

// challenge begins a login and returns its name.
func (b *browser) challenge(form url.Values) string {
	b.t.Helper()
	a := b.authorize(form)
	name, ok := strings.CutPrefix(a.Header().Get("Location"), "https://login.example.com/start?tenant=1&challenge=")
	if a.Code != http.StatusFound || !ok || len(name) != 43 {
		b.t.Fatalf("not sent to the login application: %d %v %s", a.Code, a.Header(), a.text)
	}
	return name
}

func TestALoginApplicationDecides(t *testing.T) {
	server := start(t, loginConfig(), t.TempDir())
	b := server.browser("")
	name := b.challenge(authorization("web", "scope", "todos:read openid", "login_hint", "al", "max_age", "60", "prompt", "login"))

	shown := server.application(http.MethodGet, name, "login-key", "")
	client, _ := shown.body["client"].(map[string]any)
	if shown.Code != http.StatusOK || client["client_id"] != "web" || client["self_registered"] != false || shown.body["redirect_host"] != "app.example.com" ||
		shown.body["login_hint"] != "al" || shown.body["max_age"] != 60.0 || !strings.Contains(shown.text, `"text":"Read your \u003ctodos\u003e"`) {
		t.Fatalf("got %d %s", shown.Code, shown.text)
	}
	if strings.Contains(shown.text, testChallenge) || strings.Contains(shown.text, "s t&=a") {
		t.Errorf("the application learns what it does not need: %s", shown.text)
	}
	// Before the answer the browser gets nothing.
	if a := b.send(http.MethodGet, "/oauth2/authorize?login="+name, nil); a.Code != http.StatusBadRequest || a.Header().Get("Location") != "" {
		t.Errorf("before the answer: %d %v", a.Code, a.Header())
	}
	for _, body := range []string{
		``, `[]`, `{}`, `{"subject":""}`, `{"subject":"alice","error":"access_denied"}`, `{"subject":"alice","scopes":["admin"]}`, `{"subject":"alice","colour":1}`,
		`{"subject":"alice","subject":"bob"}`, `{"subject":1}`, `{"error":"nonsense"}`, `{"subject":"a\nb"}`, `{"subject":"` + strings.Repeat("a", 256) + `"}`,
		`{"subject":"alice","claims":{"scope":"admin"}}`, `{"subject":"alice","claims":{"sub":"bob"}}`, `{"subject":"alice","auth_time":99999999999}`, `{"subject":"alice","auth_time":5}`,
	} {
		if a := server.application(http.MethodPut, name, "login-key", body); a.Code != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", body, a.Code, a.text)
		}
	}
	for body, want := range map[string]string{
		`{"subject":1}`: "subject: expected a string, got a number", `{"subject":"a","scopes":"todos:read"}`: "scopes: expected an array, got a string",
		`{"subject":"a","auth_time":"now"}`: "auth_time: expected a whole number, got a string", `{"subject":"a","auth_time":1.5}`: "auth_time: expected a whole number, got a number",
		`{"subject":"a","remember":1}`: "remember: expected a boolean, got a number", `{"subject":"a","scopes":[true]}`: "scopes: expected a string, got a boolean",
		`{"subject":"a","claims":[]}`: "claims: expected an object, got an array", `{"subject":"a","colour":1}`: `unknown field "colour"`,
	} {
		if a := server.application(http.MethodPut, name, "login-key", body); a.body["error_description"] != want {
			t.Errorf("%s: got %q, want %q", body, a.body["error_description"], want)
		}
	}
	put := server.application(http.MethodPut, name, "second-key", `{"subject":"alice","scopes":["openid"],"acr":"gold","claims":{"email":"alice@example.com"}}`)
	if put.Code != http.StatusOK || text(put, "redirect_to") != testIssuer+"/oauth2/authorize?login="+name {
		t.Fatalf("got %d %s", put.Code, put.text)
	}
	if a := server.application(http.MethodPut, name, "login-key", `{"subject":"mallory"}`); a.Code != http.StatusConflict {
		t.Errorf("a second answer: %d %s", a.Code, a.text)
	}
	other := server.browser("")
	if a := other.send(http.MethodGet, "/oauth2/authorize?login="+name, nil); a.Code != http.StatusForbidden || a.Header().Get("Location") != "" {
		t.Errorf("another browser: %d %v", a.Code, a.Header())
	}
	values := redirectTo(t, b.send(http.MethodGet, "/oauth2/authorize?login="+name, nil), testRedirect)
	granted := server.post(tokenEndpoint, "web", exchange(values.Get("code")))
	id := claimsIn(t, text(granted, "id_token"))
	if granted.body["scope"] != "openid" || id["sub"] != "alice" || id["acr"] != "gold" || id["email"] != "alice@example.com" {
		t.Errorf("got %s, %v", granted.text, id)
	}
	if told := server.introspect(text(granted, "access_token")); told.body["email"] != "alice@example.com" || told.body["acr"] != "gold" {
		t.Errorf("introspection: %s", told.text)
	}
	if a := b.send(http.MethodGet, "/oauth2/authorize?login="+name, nil); a.Code != http.StatusBadRequest || a.Header().Get("Location") != "" {
		t.Errorf("a second code for one login: %d %v", a.Code, a.Header())
	}
}

func TestALoginApplicationRefuses(t *testing.T) {
	server := start(t, loginConfig(), t.TempDir())
	b := server.browser("")
	name := b.challenge(authorization("web"))
	if a := server.application(http.MethodPut, name, "login-key", `{"error":"access_denied","error_description":"too \"young\""}`); a.Code != http.StatusOK {
		t.Fatal(a.text)
	}
	values := redirectTo(t, b.send(http.MethodGet, "/oauth2/authorize?login="+name, nil), testRedirect)
	if values.Get("error") != "access_denied" || values.Get("error_description") != "too young" || values.Get("state") != "s t&=a" || values.Has("code") {
		t.Errorf("got %v", values)
	}
}

// The key of the login application is all that separates it from any client: it is hashed, never
// taken from the URL, and good from known addresses only.
func TestSec_S228_TheKeyOfTheLoginApplication(t *testing.T) {
	config := loginConfig()
	config.Login.Allow = []string{"10.0.0.0/8"}
	server := start(t, config, t.TempDir())
	name := server.browser("").challenge(authorization("web"))
	const body = `{"subject":"alice"}`
	for _, key := range []string{"", "x", cheapHash("login-key"), "web-secret", strings.Repeat("x", 5000)} {
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			if a := server.application(method, name, key, body); a.Code != http.StatusUnauthorized || a.body["redirect_to"] != nil {
				t.Errorf("%s with %.20q: got %d %s", method, key, a.Code, a.text)
			}
		}
	}
	request := httptest.NewRequest(http.MethodPut, "/oauth2/authorize/"+name+"?access_token=login-key", strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	if a := server.do(request); a.Code < 400 {
		t.Errorf("in the URL: got %d", a.Code)
	}
	request = httptest.NewRequest(http.MethodGet, "/oauth2/authorize/"+name, nil)
	request.Header.Set("Authorization", "Bearer login-key")
	outside := request.WithContext(context.WithValue(request.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: "192.0.2.1"}))
	if a := server.do(outside); a.Code != http.StatusForbidden {
		t.Errorf("from elsewhere: got %d %s", a.Code, a.text)
	}
	if a := server.application(http.MethodGet, name, "login-key", ""); a.Code != http.StatusOK {
		t.Errorf("from inside: got %d %s", a.Code, a.text)
	}
	if a := server.application(http.MethodGet, strings.Repeat("x", 43), "login-key", ""); a.Code != http.StatusNotFound {
		t.Errorf("an unknown challenge: got %d %s", a.Code, a.text)
	}
}

func TestALoginApplicationLearnsOfEarlierConsent(t *testing.T) {
	server := start(t, loginConfig(), t.TempDir())
	b := server.browser("")
	consented := func(form url.Values, subject string) any {
		a := server.application(http.MethodGet, b.challenge(form)+"?subject="+subject, "login-key", "")
		return a.body["consented"]
	}
	if got := consented(authorization("web"), "alice"); got != false {
		t.Errorf("at first: %v", got)
	}
	name := b.challenge(authorization("web"))
	if a := server.application(http.MethodPut, name, "login-key", `{"subject":"alice","remember":true}`); a.Code != http.StatusOK {
		t.Fatal(a.text)
	}
	redirectTo(t, b.send(http.MethodGet, "/oauth2/authorize?login="+name, nil), testRedirect)
	for _, test := range []struct {
		form    url.Values
		subject string
		want    bool
	}{
		{authorization("web"), "alice", true},
		{authorization("web"), "bob", false},
		{authorization("web", "scope", "todos:read todos:write"), "alice", false},
		{authorization("web", "prompt", "consent"), "alice", false},
	} {
		if got := consented(test.form, test.subject); got != test.want {
			t.Errorf("%v of %s: got %v", test.form, test.subject, got)
		}
	}
}
