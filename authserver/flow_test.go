// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/jose"
)

const (
	testVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	testChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	testRedirect  = "https://app.example.com/cb?x=1"
)

// peopleConfig is testConfig with clients that people allow something, and a page that asks
// them.
func peopleConfig() *Server {
	config := testConfig()
	config.Scopes = append(config.Scopes, "openid")
	config.ScopeTexts = map[string]string{"todos:read": "Read your <todos>"}
	config.ConsentPage = new(ConsentPage)
	config.Resources = []string{"https://api.example.com", "https://mcp.example.com/mcp"}
	grants := []string{"authorization_code", "refresh_token"}
	config.Clients["web"] = &Client{Name: "The <Web> App", Secret: cheapHash("web-secret"), Grants: grants, Scopes: []string{"todos:read", "todos:write", "openid"}, RedirectURIs: []string{testRedirect}, PostLogoutRedirectURIs: []string{"https://app.example.com/bye"}}
	config.Clients["phone"] = &Client{Type: "public", Grants: grants, Scopes: []string{"todos:read"}, RedirectURIs: []string{"http://127.0.0.1/cb", "com.example.app:/cb"}}
	config.Clients["web-es"] = &Client{Secret: cheapHash("web-es-secret"), Grants: grants, Scopes: []string{"openid"}, RedirectURIs: []string{testRedirect}, PostLogoutRedirectURIs: []string{"https://app.example.com/bye"}, IDTokenAlg: "ES256"}
	config.Clients["web-jwt"] = &Client{Secret: cheapHash("web-jwt-secret"), Grants: grants, Scopes: []string{"todos:read", "openid"}, RedirectURIs: []string{testRedirect}, TokenFormat: "jwt"}
	return config
}

// browser is a browser with cookies, and who is logged in as the handler in front says.
type browser struct {
	*running
	user    string
	site    string // Sec-Fetch-Site
	origin  string
	cookies map[string]string
}

func (r *running) browser(user string) *browser {
	return &browser{running: r, user: user, site: "cross-site", origin: testIssuer, cookies: map[string]string{}}
}

func (b *browser) send(method, target string, form url.Values) answer {
	b.t.Helper()
	request := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if b.origin != "" {
			request.Header.Set("Origin", b.origin)
		}
	}
	request.Header.Set("Sec-Fetch-Site", b.site)
	for name, value := range b.cookies {
		request.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	replacer := caddy.NewEmptyReplacer()
	replacer.Set("http.auth.user.id", b.user)
	a := b.do(request.WithContext(context.WithValue(request.Context(), caddy.ReplacerCtxKey, replacer)))
	for _, cookie := range a.Result().Cookies() {
		if b.cookies[cookie.Name] = cookie.Value; cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
		}
	}
	return a
}

// authorization is a good authorization request, with changes: an empty value removes a
// parameter.
func authorization(client string, changes ...string) url.Values {
	form := url.Values{
		"client_id": {client}, "response_type": {"code"}, "redirect_uri": {testRedirect}, "scope": {"todos:read"}, "state": {"s t&=a"},
		"code_challenge": {testChallenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		if form.Set(changes[i], changes[i+1]); changes[i+1] == "" {
			form.Del(changes[i])
		}
	}
	return form
}

func (b *browser) authorize(form url.Values) answer {
	b.t.Helper()
	return b.send(http.MethodGet, "/oauth2/authorize?"+form.Encode(), nil)
}

var (
	formAction = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	formToken  = regexp.MustCompile(`name="token" value="([^"]*)"`)
)

// formOf returns where the form of a consent page leads, and its token.
func formOf(t testing.TB, a answer) (path, token string) {
	t.Helper()
	action, hidden := formAction.FindStringSubmatch(a.text), formToken.FindStringSubmatch(a.text)
	if a.Code != http.StatusOK || action == nil || hidden == nil {
		t.Fatalf("no consent page: %d %s", a.Code, a.text)
	}
	return strings.TrimPrefix(html.UnescapeString(action[1]), testIssuer), html.UnescapeString(hidden[1])
}

func (b *browser) decide(page answer, decision string) answer {
	b.t.Helper()
	path, token := formOf(b.t, page)
	before := b.site
	b.site = "same-origin"
	defer func() { b.site = before }()
	return b.send(http.MethodPost, path, url.Values{"token": {token}, "decision": {decision}})
}

// redirect returns the parameters with which a browser is sent back to a client.
func redirectTo(t testing.TB, a answer, uri string) url.Values {
	t.Helper()
	location := a.Header().Get("Location")
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	query, ok := strings.CutPrefix(location, uri+separator)
	if !ok || a.Code != http.StatusFound && a.Code != http.StatusSeeOther {
		t.Fatalf("not sent to %s: %d %q %s", uri, a.Code, location, a.text)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// code has a person allow a client something, and returns the code.
func (b *browser) code(form url.Values) string {
	b.t.Helper()
	values := redirectTo(b.t, b.decide(b.authorize(form), "allow"), testRedirect)
	if values.Get("code") == "" {
		b.t.Fatalf("no code: %v", values)
	}
	return values.Get("code")
}

func exchange(code string, changes ...string) url.Values {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {testRedirect}, "code_verifier": {testVerifier}}
	for i := 0; i < len(changes); i += 2 {
		if form.Set(changes[i], changes[i+1]); changes[i+1] == "" {
			form.Del(changes[i])
		}
	}
	return form
}

func text(a answer, member string) string {
	value, _ := a.body[member].(string)
	return value
}

func claimsIn(t testing.TB, token string) map[string]any {
	t.Helper()
	signed, err := jose.Parse(token, 1<<20)
	if err != nil {
		t.Fatalf("%v in %q", err, token)
	}
	claims := map[string]any{}
	if err := json.Unmarshal(signed.Payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestAPersonAllowsAClient(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	b := server.browser("alice")
	page := b.authorize(authorization("web", "scope", "todos:read openid", "nonce", "n1"))
	for _, want := range []string{"The &lt;Web&gt; App", "alice", "app.example.com", "Read your &lt;todos&gt;", "https://api.example.com"} {
		if !strings.Contains(page.text, want) {
			t.Errorf("the page does not say %q: %s", want, page.text)
		}
	}
	if strings.Contains(page.text, "<script") || !strings.Contains(page.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") || page.Header().Get("Cache-Control") != "no-store" ||
		page.Header().Get("Referrer-Policy") != "same-origin" { // with no-referrer the form comes without an origin
		t.Errorf("headers of the page: %v", page.Header())
	}
	back := b.decide(page, "allow")
	values := redirectTo(t, back, testRedirect)
	if back.Code != http.StatusSeeOther || values.Get("state") != "s t&=a" || values.Get("iss") != testIssuer || values.Get("code") == "" {
		t.Fatalf("got %d %v", back.Code, values)
	}

	granted := server.post(tokenEndpoint, "web", exchange(values.Get("code")))
	if granted.Code != http.StatusOK || granted.body["token_type"] != "Bearer" || granted.body["expires_in"] != 600.0 || granted.body["scope"] != "todos:read openid" ||
		text(granted, "refresh_token") == "" || granted.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d %s", granted.Code, granted.text)
	}
	id := claimsIn(t, text(granted, "id_token"))
	if id["iss"] != testIssuer || id["sub"] != "alice" || id["aud"] != "web" || id["nonce"] != "n1" || id["auth_time"] == nil || id["at_hash"] == nil || id["sid"] == nil {
		t.Errorf("ID token: %v", id)
	}
	told := server.introspect(text(granted, "access_token")).body
	if told["active"] != true || told["sub"] != "alice" || told["client_id"] != "web" || told["scope"] != "todos:read openid" || told["aud"].([]any)[0] != "https://api.example.com" || told["auth_time"] == nil {
		t.Errorf("introspection: %v", told)
	}
	request := httptest.NewRequest(http.MethodGet, "/oauth2/userinfo", nil)
	request.Header.Set("Authorization", "Bearer "+text(granted, "access_token"))
	if a := server.do(request); a.Code != http.StatusOK || a.body["sub"] != "alice" {
		t.Errorf("userinfo: %d %s", a.Code, a.text)
	}

	renewed := server.post(tokenEndpoint, "web", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text(granted, "refresh_token")}})
	if renewed.Code != http.StatusOK || text(renewed, "refresh_token") == text(granted, "refresh_token") || text(renewed, "id_token") == "" {
		t.Fatalf("refresh: %d %s", renewed.Code, renewed.text)
	}
	if claims := claimsIn(t, text(renewed, "id_token")); claims["nonce"] != nil || claims["auth_time"] != id["auth_time"] {
		t.Errorf("ID token of the refresh: %v", claims)
	}
	// With the refresh token ends all.
	if a := server.revoke("web", text(renewed, "refresh_token")); a.Code != http.StatusOK {
		t.Fatalf("revocation: %d %s", a.Code, a.text)
	}
	for _, token := range []string{text(granted, "access_token"), text(renewed, "access_token")} {
		if server.active(token) {
			t.Error("a token is active although its grant was revoked")
		}
	}
}

func TestAPersonSaysNo(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	b := server.browser("alice")
	values := redirectTo(t, b.decide(b.authorize(authorization("web")), "deny"), testRedirect)
	if values.Get("error") != "access_denied" || values.Get("state") != "s t&=a" || values.Get("iss") != testIssuer || values.Has("code") {
		t.Errorf("got %v", values)
	}
}

// twice is an authorization request with a parameter that is given twice.
func twice(name string) url.Values {
	form := authorization("web")
	for range 2 - len(form[name]) {
		form.Add(name, "x")
	}
	return form
}

// What is wrong before the redirect URI is known to be the client's is said on a page. The
// rest is told to the client.
func TestAuthorizationRequestsThatAreRefused(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	for _, test := range []struct {
		name    string
		form    url.Values
		error   string // sent to the client; empty: a page
		changed string
	}{
		{name: "no client", form: authorization("")},
		{name: "an unknown client", form: authorization("unknown")},
		{name: "an unknown redirect URI", form: authorization("web", "redirect_uri", "https://evil.example/cb")},
		{name: "no redirect URI of two", form: authorization("phone", "redirect_uri", "")},
		{name: "a pushed request that does not exist", form: url.Values{"client_id": {"web"}, "request_uri": {"urn:ietf:params:oauth:request_uri:x"}}},
		{name: "the client twice", form: url.Values{"client_id": {"web", "web"}}},
		{name: "the redirect URI twice", form: twice("redirect_uri")},

		{name: "a scope twice", form: twice("scope"), error: "invalid_request"},
		{name: "a challenge twice", form: twice("code_challenge"), error: "invalid_request"},
		{name: "an unknown parameter twice", form: twice("ui<b>"), error: "invalid_request"},
		{name: "no response type", form: authorization("web", "response_type", ""), error: "invalid_request"},
		{name: "implicit", form: authorization("web", "response_type", "token"), error: "unsupported_response_type"},
		{name: "an ID token", form: authorization("web", "response_type", "id_token"), error: "unsupported_response_type"},
		{name: "hybrid", form: authorization("web", "response_type", "code token"), error: "unsupported_response_type"},
		{name: "a response mode", form: authorization("web", "response_mode", "fragment"), error: "invalid_request"},
		{name: "a client without the grant", form: authorization("app", "redirect_uri", testRedirect)},
		{name: "no PKCE", form: authorization("web", "code_challenge", "", "code_challenge_method", ""), error: "invalid_request"},
		{name: "plain PKCE", form: authorization("web", "code_challenge_method", "plain"), error: "invalid_request"},
		{name: "PKCE without a method", form: authorization("web", "code_challenge_method", ""), error: "invalid_request"},
		{name: "a challenge that is not a hash", form: authorization("web", "code_challenge", "x"), error: "invalid_request"},
		{name: "a scope of another", form: authorization("web", "scope", "todos:read admin"), error: "invalid_scope"},
		{name: "an unknown resource", form: authorization("web", "resource", "https://other.example"), error: "invalid_target"},
		{name: "a request object", form: authorization("web", "request", "a.b.c"), error: "request_not_supported"},
		{name: "an unknown prompt", form: authorization("web", "prompt", "please"), error: "invalid_request"},
		{name: "prompt none with another", form: authorization("web", "prompt", "none login"), error: "invalid_request"},
		{name: "a max_age that is not a number", form: authorization("web", "max_age", "-1"), error: "invalid_request"},
		{name: "prompt none without consent", form: authorization("web", "prompt", "none"), error: "consent_required"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := server.browser("alice").authorize(test.form)
			if test.error == "" {
				if a.Code != http.StatusBadRequest || a.Header().Get("Location") != "" || !strings.HasPrefix(a.Header().Get("Content-Type"), "text/html") {
					t.Errorf("got %d %v, want a page", a.Code, a.Header())
				}
				return
			}
			values := redirectTo(t, a, testRedirect)
			if values.Get("error") != test.error || values.Get("iss") != testIssuer || values.Get("state") != "s t&=a" || values.Has("code") {
				t.Errorf("got %v, want %s", values, test.error)
			}
		})
	}
}

// Who is not known gets no page that lets anyone in.
func TestNobodyIsLoggedIn(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	b := server.browser("")
	if a := b.authorize(authorization("web")); a.Code != http.StatusForbidden || strings.Contains(a.text, "<form") {
		t.Errorf("got %d %s", a.Code, a.text)
	}
	values := redirectTo(t, b.authorize(authorization("web", "prompt", "none")), testRedirect)
	if values.Get("error") != "login_required" {
		t.Errorf("silently: %v", values)
	}
}

// A code is good once. Redeemed again, it ends what was granted with it.
func TestSec_S201_ACodeIsGoodOnce(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	code := server.browser("alice").code(authorization("web"))
	first := server.post(tokenEndpoint, "web", exchange(code))
	if first.Code != http.StatusOK {
		t.Fatal(first.text)
	}
	if a := server.post(tokenEndpoint, "web", exchange(code)); a.Code != http.StatusBadRequest || a.body["error"] != "invalid_grant" || server.refusals(tokenEndpoint, "code_reused") != 1 {
		t.Errorf("got %d %s", a.Code, a.text)
	}
	if server.active(text(first, "access_token")) {
		t.Error("the token of a code that was used twice is active")
	}
}

// A code or refresh token that comes again is noticed before anything else that is wrong with
// the request.
func TestSec_S201_S202_AReuseIsNoticedBeforeOtherMistakes(t *testing.T) {
	config := peopleConfig()
	config.RefreshToken = &RefreshToken{Grace: new(caddy.Duration)}
	server := start(t, config, t.TempDir())
	for name, changes := range map[string][]string{
		"an unknown resource":    {"resource", "https://unknown.example"},
		"a resource not granted": {"resource", "https://mcp.example.com/mcp"},
		"a malformed scope":      {"scope", "todos:read \"quoted\""},
		"a scope not granted":    {"scope", "todos:write"},
		"a wrong verifier":       {"code_verifier", "short"},
		"another redirect URI":   {"redirect_uri", "https://evil.example/"},
	} {
		for _, grant := range []string{"authorization_code", "refresh_token"} {
			t.Run(name+", "+grant, func(t *testing.T) {
				reason, form := "code_reused", exchange(server.browser("alice").code(authorization("web")))
				tokens := server.post(tokenEndpoint, "web", form)
				if grant == "refresh_token" {
					reason, form = "refresh_reused", url.Values{"grant_type": {grant}, "refresh_token": {text(tokens, "refresh_token")}}
					tokens = server.post(tokenEndpoint, "web", form)
				}
				if !server.active(text(tokens, "access_token")) {
					t.Fatal("there is no token to lose")
				}
				before := server.refusals(tokenEndpoint, reason)
				form.Set(changes[0], changes[1])
				a := server.post(tokenEndpoint, "web", form)
				if a.Code != http.StatusBadRequest || a.body["error"] != "invalid_grant" || server.refusals(tokenEndpoint, reason) != before+1 {
					t.Errorf("got %d %s", a.Code, a.text)
				}
				if server.active(text(tokens, "access_token")) {
					t.Error("the grant goes on after a reuse")
				}
			})
		}
	}
}

// A resource that was asked for is the audience everywhere. Without one it is the default.
func TestSec_S250_S251_ResourceIsTheAudience(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	const mcp = "https://mcp.example.com/mcp"
	for _, client := range []string{"web", "web-jwt"} {
		b := server.browser("alice")
		granted := server.post(tokenEndpoint, client, exchange(b.code(authorization(client, "resource", mcp)), "resource", mcp))
		if aud := server.introspect(text(granted, "access_token")).body["aud"]; aud.([]any)[0] != mcp {
			t.Errorf("%s: aud %v of %s", client, aud, granted.text)
		}
		renewed := server.post(tokenEndpoint, client, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text(granted, "refresh_token")}})
		if aud := server.introspect(text(renewed, "access_token")).body["aud"]; aud.([]any)[0] != mcp {
			t.Errorf("%s: aud %v after a refresh", client, aud)
		}
		if client == "web-jwt" {
			if aud := claimsIn(t, text(renewed, "access_token"))["aud"].([]any); len(aud) != 1 || aud[0] != mcp {
				t.Errorf("aud %v in the JWT", aud)
			}
		}
		for _, other := range []string{"https://api.example.com", "https://unknown.example"} {
			code := b.code(authorization(client, "resource", mcp))
			if a := server.post(tokenEndpoint, client, exchange(code, "resource", other)); a.body["error"] != "invalid_target" {
				t.Errorf("%s: another resource at the token endpoint: %s", client, a.text)
			}
		}
	}
	own := server.token("app")
	if aud := server.introspect(own).body["aud"].([]any); len(aud) != 1 || aud[0] != "https://api.example.com" {
		t.Errorf("without resource: aud %v", aud)
	}
	a := server.post(tokenEndpoint, "app", url.Values{"grant_type": {"client_credentials"}, "resource": {mcp, "https://api.example.com/"}})
	if aud := server.introspect(text(a, "access_token")).body["aud"].([]any); len(aud) != 2 || aud[1] != "https://api.example.com" {
		t.Errorf("two resources: aud %v", aud)
	}
}
