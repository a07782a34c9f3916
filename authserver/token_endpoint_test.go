// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/jose"
)

func TestTokenRequestIsAnsweredByWhoAsksForWhat(t *testing.T) {
	server := start(t, testConfig(), t.TempDir())
	tests := []struct {
		name   string
		client string // authenticates with client_secret_basic
		form   string
		status int
		error  string // empty: a token
		scope  string
		reason string
	}{
		{name: "all scopes of the client", client: "app", form: "grant_type=client_credentials", status: 200, scope: "todos:read todos:write"},
		{name: "some of its scopes", client: "app", form: "grant_type=client_credentials&scope=todos:write", status: 200, scope: "todos:write"},
		{name: "in the order asked for", client: "app", form: "grant_type=client_credentials&scope=todos:write+todos:read", status: 200, scope: "todos:write todos:read"},
		{name: "a scope twice", client: "app", form: "grant_type=client_credentials&scope=todos:read+todos:read", status: 200, scope: "todos:read"},
		{name: "an empty scope is none", client: "app", form: "grant_type=client_credentials&scope=", status: 200, scope: "todos:read todos:write"},
		{name: "a client without scopes", client: "plain", form: "grant_type=client_credentials", status: 200, scope: ""},
		{name: "an unknown parameter", client: "app", form: "grant_type=client_credentials&colour=red", status: 200, scope: "todos:read todos:write"},
		{name: "the server itself as the resource", client: "app", form: "grant_type=client_credentials&resource=" + testIssuer, status: 200, scope: "todos:read todos:write"},
		{name: "an unknown resource", client: "app", form: "grant_type=client_credentials&resource=https://x.example", status: 400, error: "invalid_target", reason: "resource_not_allowed"},
		{name: "the same client id in the body", client: "app", form: "grant_type=client_credentials&client_id=app", status: 200, scope: "todos:read todos:write"},

		{name: "a scope of the server, not of the client", client: "app", form: "grant_type=client_credentials&scope=admin", status: 400, error: "invalid_scope", reason: "scope_not_allowed"},
		{name: "one scope too many", client: "app", form: "grant_type=client_credentials&scope=todos:read+admin", status: 400, error: "invalid_scope", reason: "scope_not_allowed"},
		{name: "an unknown scope", client: "app", form: "grant_type=client_credentials&scope=nonsense", status: 400, error: "invalid_scope", reason: "scope_not_allowed"},
		{name: "a tab between scopes", client: "app", form: "grant_type=client_credentials&scope=todos:read%09todos:write", status: 400, error: "invalid_scope", reason: "scope_not_allowed"},
		{name: "a client without scopes asks for one", client: "plain", form: "grant_type=client_credentials&scope=todos:read", status: 400, error: "invalid_scope", reason: "scope_not_allowed"},

		{name: "a client without grants", client: "gateway", form: "grant_type=client_credentials", status: 400, error: "unauthorized_client", reason: "grant_not_allowed"},
		{name: "no grant type", client: "app", form: "scope=todos:read", status: 400, error: "invalid_request", reason: "malformed_request"},
		{name: "password", client: "app", form: "grant_type=password&username=a&password=b", status: 400, error: "unsupported_grant_type", reason: "grant_not_served"},
		{name: "authorization_code", client: "app", form: "grant_type=authorization_code&code=c&redirect_uri=https://x.example", status: 400, error: "unsupported_grant_type", reason: "grant_not_served"},
		{name: "refresh_token", client: "app", form: "grant_type=refresh_token&refresh_token=x", status: 400, error: "unsupported_grant_type", reason: "grant_not_served"},
		{name: "a JWT as the grant", client: "app", form: "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=a.b.c", status: 400, error: "unsupported_grant_type", reason: "grant_not_served"},
		{name: "token exchange", client: "app", form: "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=x", status: 400, error: "unsupported_grant_type", reason: "grant_not_served"},
		{name: "device code", client: "app", form: "grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code=x", status: 400, error: "unsupported_grant_type", reason: "grant_not_served"},

		{name: "a parameter twice", client: "app", form: "grant_type=client_credentials&scope=todos:read&scope=admin", status: 400, error: "invalid_request", reason: "malformed_request"},
		{name: "the grant twice", client: "app", form: "grant_type=client_credentials&grant_type=client_credentials", status: 400, error: "invalid_request", reason: "malformed_request"},
		{name: "another client id in the body", client: "app", form: "grant_type=client_credentials&client_id=jwt-app", status: 400, error: "invalid_request", reason: "malformed_request"},
		{name: "two ways of authentication", client: "app", form: "grant_type=client_credentials&client_id=app&client_secret=app-secret", status: 400, error: "invalid_request", reason: "malformed_request"},
		{name: "an assertion of an unknown client", form: "grant_type=client_credentials&client_assertion=a.b.c&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer", status: 401, error: "invalid_client", reason: "assertion_invalid"},
		{name: "no form", client: "app", form: "%zz", status: 400, error: "invalid_request", reason: "malformed_request"},
		{name: "a body too large", client: "app", form: "grant_type=client_credentials&scope=" + strings.Repeat("a", maxBody), status: 413, error: "invalid_request", reason: "request_too_large"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := server.refusals(tokenEndpoint, test.reason)
			request := postForm(tokenEndpoint, test.form)
			if test.client != "" {
				request.SetBasicAuth(test.client, test.client+"-secret")
			}
			a := server.do(request)
			if a.Code != test.status {
				t.Fatalf("status: got %d, want %d: %s", a.Code, test.status, a.text)
			}
			if got := a.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control: got %q, want no-store", got)
			}
			if test.error != "" {
				if a.body["error"] != test.error || a.body["access_token"] != nil {
					t.Errorf("answer: got %s, want the error %s", a.text, test.error)
				}
				if got := server.refusals(tokenEndpoint, test.reason) - before; got != 1 {
					t.Errorf("refusals counted with reason %s: got %v, want 1", test.reason, got)
				}
				return
			}
			scope, _ := a.body["scope"].(string)
			if scope != test.scope || a.body["token_type"] != "Bearer" || a.body["expires_in"] != 3600.0 || a.body["access_token"] == "" || a.body["refresh_token"] != nil {
				t.Errorf("answer: got %s, want a Bearer token for 3600 s with scope %q", a.text, test.scope)
			}
		})
	}
}

func TestClientAuthentication(t *testing.T) {
	config := testConfig()
	// What `openssl rand -base64` makes, and what form encoding would change.
	config.Clients["odd"] = &Client{Secret: cheapHash("a+b/c=%41:x y"), Grants: []string{"client_credentials"}}
	config.Clients["a:b+c"] = &Client{Secret: cheapHash("secret"), Grants: []string{"client_credentials"}}
	server := start(t, config, t.TempDir())
	basic := func(id, secret string) func(*http.Request, url.Values) {
		return func(r *http.Request, _ url.Values) { r.SetBasicAuth(id, secret) }
	}
	encoded := func(id, secret string) func(*http.Request, url.Values) {
		return basic(url.QueryEscape(id), url.QueryEscape(secret))
	}
	inForm := func(id, secret string) func(*http.Request, url.Values) {
		return func(_ *http.Request, form url.Values) {
			form.Set("client_id", id)
			form.Set("client_secret", secret)
		}
	}
	header := func(values ...string) func(*http.Request, url.Values) {
		return func(r *http.Request, _ url.Values) { r.Header["Authorization"] = values }
	}
	const app = "YXBwOmFwcC1zZWNyZXQ=" // app:app-secret
	tests := []struct {
		name         string
		authenticate func(*http.Request, url.Values)
		status       int
		reason       string
	}{
		{"client_secret_basic", basic("app", "app-secret"), 200, ""},
		{"client_secret_basic, encoded", encoded("odd", "a+b/c=%41:x y"), 200, ""},
		{"client_secret_basic, not encoded", basic("odd", "a+b/c=%41:x y"), 200, ""},
		{"client id with a colon, encoded", encoded("a:b+c", "secret"), 200, ""},
		{"basic in small letters", header("basic " + app), 200, ""},
		{"client_secret_post", inForm("app", "app-secret"), 200, ""},
		{"client_secret_post beside an empty header", func(r *http.Request, form url.Values) { header("")(r, form); inForm("app", "app-secret")(r, form) }, 200, ""},
		{"client_secret_post, odd characters", inForm("odd", "a+b/c=%41:x y"), 200, ""},

		{"nothing", func(*http.Request, url.Values) {}, 401, reasonUnauthenticated},
		{"only an id", func(_ *http.Request, form url.Values) { form.Set("client_id", "app") }, 401, reasonUnauthenticated},
		{"only a secret", func(_ *http.Request, form url.Values) { form.Set("client_secret", "app-secret") }, 401, reasonUnauthenticated},
		{"a wrong secret", basic("app", "jwt-app-secret"), 401, reasonWrongSecret},
		{"an empty secret", basic("app", ""), 401, reasonUnauthenticated},
		{"a secret that is longer than any", basic("app", strings.Repeat("x", 5000)), 401, reasonWrongSecret},
		{"the hash instead of the secret", basic("app", config.Clients["app"].Secret), 401, reasonWrongSecret},
		{"a wrong secret in the form", inForm("app", "x"), 401, reasonWrongSecret},
		{"an unknown client", basic("unknown", "app-secret"), 401, reasonUnknownClient},
		{"another spelling of the id", basic("APP", "app-secret"), 401, reasonUnknownClient},
		{"Bearer", header("Bearer " + app), 401, reasonUnauthenticated},
		{"no base64", header("Basic ???"), 401, reasonUnauthenticated},
		{"an empty header", header(""), 401, reasonUnauthenticated},
		{"two headers", header("Basic "+app, "Basic "+app), 400, reasonMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			form := url.Values{"grant_type": {"client_credentials"}}
			request := httptest.NewRequest(http.MethodPost, "/oauth2/token", nil)
			test.authenticate(request, form)
			filled := postForm(tokenEndpoint, form.Encode())
			filled.Header["Authorization"] = request.Header["Authorization"]
			if filled.Header["Authorization"] == nil {
				delete(filled.Header, "Authorization")
			}
			a := server.do(filled)
			if a.Code != test.status {
				t.Fatalf("status: got %d, want %d: %s", a.Code, test.status, a.text)
			}
			switch test.status {
			case 401:
				if got := a.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, `Basic realm="`+testIssuer+`"`) {
					t.Errorf("WWW-Authenticate: got %q", got)
				}
				if a.body["error"] != "invalid_client" {
					t.Errorf("error: got %v, want invalid_client", a.body["error"])
				}
			case 200:
				if a.body["access_token"] == nil {
					t.Errorf("no token in %s", a.text)
				}
			}
			if test.reason != "" && server.refusals(tokenEndpoint, test.reason) == 0 {
				t.Errorf("no refusal counted with reason %s", test.reason)
			}
		})
	}
}

func TestUnknownClientIsRefusedLikeAWrongSecret(t *testing.T) {
	server := start(t, testConfig(), t.TempDir())
	unknown := postForm(tokenEndpoint, "grant_type=client_credentials&client_id=unknown&client_secret=x")
	wrong := postForm(tokenEndpoint, "grant_type=client_credentials&client_id=app&client_secret=x")
	a, b := server.do(unknown), server.do(wrong)
	if a.Code != b.Code || a.text != b.text || !reflect.DeepEqual(a.Header(), b.Header()) {
		t.Errorf("answers differ:\n%d %v %s\n%d %v %s", a.Code, a.Header(), a.text, b.Code, b.Header(), b.text)
	}
}

func TestFormIsReadFromTheBodyOnly(t *testing.T) {
	server := start(t, testConfig(), t.TempDir())
	const form = "grant_type=client_credentials&client_id=app&client_secret=app-secret"
	tests := []struct {
		name        string
		target      string
		contentType string
		body        string
		status      int
	}{
		{"a form", "/oauth2/token", "application/x-www-form-urlencoded", form, 200},
		{"with a charset", "/oauth2/token", "application/x-www-form-urlencoded; charset=utf-8", form, 200},
		{"all in the URL", "/oauth2/token?" + form, "application/x-www-form-urlencoded", "", 400},
		{"the secret in the URL", "/oauth2/token?client_secret=app-secret", "application/x-www-form-urlencoded", "grant_type=client_credentials&client_id=app", 400},
		{"another parameter in the URL", "/oauth2/token?a=b", "application/x-www-form-urlencoded", form, 400},
		{"JSON", "/oauth2/token", "application/json", `{"grant_type":"client_credentials"}`, 400},
		{"multipart", "/oauth2/token", "multipart/form-data; boundary=x", "--x--", 400},
		{"no type", "/oauth2/token", "", form, 400},
		{"no body", "/oauth2/token", "application/x-www-form-urlencoded", "", 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodPost, test.target, strings.NewReader(test.body))
			request.Header.Set("Content-Type", test.contentType)
			if a := server.do(request); a.Code != test.status {
				t.Errorf("status: got %d, want %d: %s", a.Code, test.status, a.text)
			}
		})
	}
}

func TestJWTAccessTokenIsOneOfRFC9068(t *testing.T) {
	config := testConfig()
	config.TokenTTL = 90_500_000_000 // 90.5 s
	server := start(t, config, t.TempDir())
	before := time.Now().Unix()
	text := server.token("jwt-app")

	signed, err := jose.Parse(text, authcore.MaxToken)
	if err != nil {
		t.Fatal(err)
	}
	if signed.Header.Type != "at+jwt" || signed.Header.Algorithm != "RS256" {
		t.Errorf("header: got typ %q and alg %q, want at+jwt and RS256", signed.Header.Type, signed.Header.Algorithm)
	}
	set, err := jose.ParseKeySet(server.do(httptest.NewRequest(http.MethodGet, "/oauth2/jwks", nil)).Body.Bytes())
	if err != nil || len(set.Keys) != 1 {
		t.Fatalf("key set: %v %v", set, err)
	}
	if set.Keys[0].ID() != signed.Header.KeyID || signed.Header.KeyID == "" {
		t.Errorf("kid: got %q in the token, %q in the key set", signed.Header.KeyID, set.Keys[0].ID())
	}
	if err := signed.Verify(set.Keys[0], "RS256"); err != nil {
		t.Errorf("the published key does not verify the token: %v", err)
	}
	var got map[string]any
	if err := json.Unmarshal(signed.Payload, &got); err != nil {
		t.Fatal(err)
	}
	issued, _ := got["iat"].(float64)
	jti, _ := got["jti"].(string)
	want := map[string]any{
		"iss": testIssuer, "sub": "jwt-app", "aud": []any{testIssuer}, "client_id": "jwt-app", "scope": "todos:read",
		"iat": issued, "exp": issued + 90, "jti": jti,
	}
	if !reflect.DeepEqual(got, want) || int64(issued) < before || len(jti) < 22 {
		t.Errorf("claims: got %v, want %v", got, want)
	}
}

func TestClientsHaveTheirOwnTokenFormat(t *testing.T) {
	config := testConfig()
	config.TokenFormat = "jwt"
	config.Clients["app"].TokenFormat = "opaque"
	config.Clients["jwt-app"].TokenFormat = ""
	server := start(t, config, t.TempDir())
	if text := server.token("app"); strings.Contains(text, ".") || len(text) < 43 {
		t.Errorf("token of app: got %d characters, JWT %v; want an opaque one of at least 43", len(text), strings.Contains(text, "."))
	}
	if text := server.token("jwt-app"); !strings.Contains(text, ".") {
		t.Errorf("token of jwt-app: got an opaque one, want a JWT")
	}
	if a, b := server.token("app"), server.token("app"); a == b {
		t.Error("two tokens are the same")
	}
}

func TestAClientCannotFillTheStorage(t *testing.T) {
	config := testConfig()
	dir := t.TempDir()
	config.StorageRaw, _ = json.Marshal(map[string]any{"module": "embedded", "path": dir + "/t.db", "max_tokens_per_client": 3})
	server := start(t, config, dir)
	var held []string
	for range 3 {
		held = append(held, server.token("app"))
	}
	a := server.post(tokenEndpoint, "app", url.Values{"grant_type": {"client_credentials"}})
	if a.Code != http.StatusTooManyRequests || a.Header().Get("Retry-After") == "" || a.body["access_token"] != nil {
		t.Fatalf("a fourth token: got %d %s, want 429", a.Code, a.text)
	}
	server.token("plain") // others are not concerned
	if a := server.revoke("app", held[0]); a.Code != http.StatusOK {
		t.Fatalf("revocation: %d %s", a.Code, a.text)
	}
	held[0] = server.token("app")
	for _, token := range held {
		if !server.active(token) {
			t.Error("a token that the client holds is not active")
		}
	}
}

func TestStorageFailureIsNeverASuccess(t *testing.T) {
	server := start(t, testConfig(), t.TempDir())
	opaque, jwt := server.token("app"), server.token("jwt-app")
	server.rfc.Store = failingStore(t)
	tests := []struct {
		name     string
		endpoint endpoint
		client   string
		form     url.Values
	}{
		{"an opaque token", tokenEndpoint, "app", url.Values{"grant_type": {"client_credentials"}}},
		{"introspection", introspectEndpoint, "gateway", url.Values{"token": {opaque}}},
		{"introspection of a JWT", introspectEndpoint, "gateway", url.Values{"token": {jwt}}},
		{"revocation", revokeEndpoint, "app", url.Values{"token": {opaque}}},
		{"revocation of a JWT", revokeEndpoint, "jwt-app", url.Values{"token": {jwt}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := server.post(test.endpoint, test.client, test.form)
			if a.Code != http.StatusServiceUnavailable || a.body["error"] != "temporarily_unavailable" || a.Header().Get("Retry-After") == "" {
				t.Errorf("got %d %s, want 503 temporarily_unavailable with Retry-After", a.Code, a.text)
			}
			if strings.Contains(a.text, errGone.Error()) || slices.Contains([]any{true, false}, a.body["active"]) {
				t.Errorf("the answer tells too much: %s", a.text)
			}
		})
	}
}
