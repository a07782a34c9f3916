// SPDX-License-Identifier: Apache-2.0

package kong

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/embedded"
)

const (
	steps     = "https://steps.example.com/oauth"
	verifier  = "a-verifier-of-an-app-that-counts-steps-0123456789"
	twoFirst  = "https://two.example.com/first"
	twoSecond = "https://two.example.com/second?from=gateway&code=old"
	provision = "key-of-the-login"
)

var challengeOfVerifier = func() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}()

// clients are those of the tests. The secret of each is its name with "-secret" after it.
var clients = []*authcore.Client{
	{ID: "1", ClientID: "steps", RedirectURIs: []string{steps}},
	{ID: "2", ClientID: "two", RedirectURIs: []string{twoFirst, twoSecond}},
	{ID: "3", ClientID: "mobile", Public: true, RedirectURIs: []string{"com.example.steps:/done"}},
	{ID: "4", ClientID: "machine"}, // no redirect URI
	{ID: "5", ClientID: "colon", RedirectURIs: []string{steps}},
	{ID: "6", ClientID: "limited", RedirectURIs: []string{steps}, Scopes: []string{"step_counts"}, Grants: []string{"authorization_code", "refresh_token"}},
}

type fixture struct {
	testing.TB
	*Server
	offset   atomic.Int64
	refusals []Refusal
	secrets  atomic.Int64 // that were checked
}

func newFixture(t testing.TB, profile Profile) *fixture {
	f := &fixture{TB: t}
	engine, err := embedded.Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return time.Now().Add(time.Duration(f.offset.Load())) }
	records, err := store.New(engine, store.Options{Secrets: []string{strings.Repeat("s", 32)}, Now: now, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { records.Close() })
	f.Server = &Server{
		Profile: profile, Issuer: "https://api.example.com", Service: "steps-api",
		Scopes: []string{"step_counts", "profile", "profile.name"}, MaxTokens: 100,
		Store: authcore.New(records, now),
		FindClient: func(_ context.Context, id string) (*authcore.Client, error) {
			for _, c := range clients {
				if c.ClientID == id {
					return c, nil
				}
			}
			return nil, authcore.ErrNotFound
		},
		CheckSecret: func(_ *http.Request, _, id, secret string) (bool, error) {
			f.secrets.Add(1)
			return id != "" && id != "nobody" && secret == id+"-secret" || id == "colon" && secret == "a:b:c", nil
		},
		CheckProvisionKey: func(_ *http.Request, key string) (bool, error) { return key == provision, nil },
		Refused:           func(_ *http.Request, r Refusal) { f.refusals = append(f.refusals, r) },
	}
	return f
}

// all is a profile that serves every grant.
func all() Profile { return Profile{Grants: grantNames} }

// request is one to an endpoint. Without a body, params are sent as JSON.
type request struct {
	method, path string
	params       map[string]any
	query        string
	contentType  string // of body
	body         string
	header       http.Header
	http         bool // not over TLS
}

func (q request) build(t testing.TB) *http.Request {
	t.Helper()
	if q.contentType == "" && q.params != nil {
		b, err := json.Marshal(q.params)
		if err != nil {
			t.Fatal(err)
		}
		q.contentType, q.body = "application/json", string(b)
	}
	method := q.method
	if method == "" {
		method = http.MethodPost
	}
	target := "https://api.example.com" + q.path
	if q.query != "" {
		target += "?" + q.query
	}
	r := httptest.NewRequest(method, target, strings.NewReader(q.body))
	r.TLS = &tls.ConnectionState{}
	if q.http {
		r.TLS = nil
	}
	if q.contentType != "" {
		r.Header.Set("Content-Type", q.contentType)
	}
	maps.Copy(r.Header, q.header)
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, new(caddyhttp.Server))
}

func (f *fixture) send(q request) *httptest.ResponseRecorder {
	f.Helper()
	r := q.build(f)
	if !f.Answers(r) {
		f.Fatalf("%s is not an endpoint", q.path)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// ask sends a request and returns the members of the answer.
func (f *fixture) ask(q request) (int, map[string]any) {
	f.Helper()
	w := f.send(q)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		f.Fatalf("%s: %v", w.Body, err)
	}
	return w.Code, body
}

// with returns parameters with others, of which nil removes one.
func with(params map[string]any, others ...any) map[string]any {
	merged := make(map[string]any)
	maps.Copy(merged, params)
	for pair := range slices.Chunk(others, 2) {
		if merged[pair[0].(string)] = pair[1]; pair[1] == nil {
			delete(merged, pair[0].(string))
		}
	}
	return merged
}

func authorization(others ...any) map[string]any {
	return with(map[string]any{
		"provision_key": provision, "authenticated_userid": "ann", "client_id": "steps", "scope": "step_counts", "response_type": "code",
	}, others...)
}

func (f *fixture) code(others ...any) string {
	f.Helper()
	status, body := f.ask(request{path: "/oauth2/authorize", params: authorization(others...)})
	uri, _ := body["redirect_uri"].(string)
	u, err := url.Parse(uri)
	if status != http.StatusOK || err != nil || u.Query().Get("code") == "" {
		f.Fatalf("got %d %v, want a code", status, body)
	}
	return u.Query().Get("code")
}

func exchange(code string, others ...any) map[string]any {
	return with(map[string]any{"grant_type": "authorization_code", "code": code, "client_id": "steps", "client_secret": "steps-secret"}, others...)
}

func (f *fixture) tokens(others ...any) map[string]any {
	f.Helper()
	status, body := f.ask(request{path: "/oauth2/token", params: exchange(f.code(), others...)})
	if status != http.StatusOK {
		f.Fatalf("got %d %v, want tokens", status, body)
	}
	return body
}

func (f *fixture) isActive(token any) bool {
	f.Helper()
	_, err := f.Store.FindToken(f.Context(), f.Issuer, token.(string))
	return err == nil
}

const isToken = `[0-9A-Za-z]{32}`

// wantMatch compares members: a text that begins with ^ is an expression.
func wantMatch(t testing.TB, got map[string]any, want map[string]string) {
	t.Helper()
	for name, value := range got {
		text, isText := value.(string)
		if !isText {
			b, _ := json.Marshal(value)
			text = string(b)
		}
		switch pattern, expected := want[name]; {
		case !expected:
			t.Errorf("there is %s %v, which is not wanted", name, value)
		case strings.HasPrefix(pattern, "^") && !regexp.MustCompile(pattern).MatchString(text), !strings.HasPrefix(pattern, "^") && pattern != text:
			t.Errorf("%s is %q, want %q", name, text, pattern)
		}
	}
	for name := range want {
		if _, is := got[name]; !is {
			t.Errorf("there is no %s in %v", name, got)
		}
	}
}

func fault(code, description string) map[string]string {
	return map[string]string{"error": code, "error_description": description}
}

func sentTo(uri string) map[string]string { return map[string]string{"redirect_uri": uri} }

func TestAuthorize(t *testing.T) {
	const noClient = "Invalid client authentication"
	const noMatch = "?error=invalid_request&error_description=Invalid%20redirect_uri%20that%20does%20not%20match%20with%20any%20redirect_uri%20created%20with%20the%20application"
	mandatory := all()
	mandatory.MandatoryScope = true
	strict, lax := all(), all()
	strict.PKCE, lax.PKCE = pkceStrict, pkceNone
	codeOnly := Profile{}
	for _, test := range []struct {
		name    string
		profile Profile
		request request
		status  int
		want    map[string]string
	}{
		{"nothing", all(), request{}, 400, fault("invalid_provision_key", "Invalid provision_key")},
		{"a wrong key", all(), request{params: authorization("provision_key", "wrong")}, 400, fault("invalid_provision_key", "Invalid provision_key")},
		{"a key that is not a text", all(), request{params: authorization("provision_key", []string{provision})}, 400, fault("invalid_provision_key", "Invalid provision_key")},
		{"the key in the URL", all(), request{query: "provision_key=" + provision, params: authorization("provision_key", nil)}, 400, fault("invalid_provision_key", "Invalid provision_key")},
		{"the key alone", all(), request{params: map[string]any{"provision_key": provision}}, 400, fault("invalid_authenticated_userid", "Missing authenticated_userid parameter")},
		{"a blank user", all(), request{params: authorization("authenticated_userid", " \t")}, 400, fault("invalid_authenticated_userid", "Missing authenticated_userid parameter")},
		{"a user that is not a text", all(), request{params: authorization("authenticated_userid", map[string]any{"a": 1})}, 400, fault("invalid_authenticated_userid", "Missing authenticated_userid parameter")},
		{"no client", all(), request{params: authorization("client_id", nil)}, 400, fault("invalid_client", noClient)},
		{"an unknown client", all(), request{params: authorization("client_id", "nobody")}, 400, fault("invalid_client", noClient)},
		{"a client that is a number", all(), request{params: authorization("client_id", 7)}, 400, fault("invalid_client", noClient)},
		{"a client without a redirect URI", all(), request{params: authorization("client_id", "machine")}, 400, fault("invalid_client", noClient)},
		{"an unknown client and a state", all(), request{params: authorization("client_id", "nobody", "state", "s")}, 400, with2(fault("invalid_client", noClient), "state", "s")},
		{"no scope, where one is needed", mandatory, request{params: authorization("scope", nil)}, 400, sentTo(steps + "?error=invalid_scope&error_description=You%20must%20specify%20a%20scope")},
		{"no scope", all(), request{params: authorization("scope", nil)}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"an empty scope", mandatory, request{params: authorization("scope", "")}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"a scope that is not one", all(), request{params: authorization("scope", "step_counts wrong")}, 400, sentTo(steps + "?error=invalid_scope&error_description=%22wrong%22%20is%20an%20invalid%20scope")},
		{"a scope that is a list", all(), request{params: authorization("scope", []string{"step_counts"})}, 400, sentTo(steps + "?error=invalid_scope&error_description=scope%20must%20be%20a%20string")},
		{"a scope that the client cannot have", all(), request{params: authorization("client_id", "limited", "scope", "profile")}, 400, sentTo(steps + "?error=invalid_scope&error_description=%22profile%22%20is%20an%20invalid%20scope")},
		{"no response type", all(), request{params: authorization("response_type", nil)}, 400, sentTo(steps + "?error=unsupported_response_type&error_description=Invalid%20response_type")},
		{"no response type, with a state", all(), request{params: authorization("response_type", nil, "state", "a b")}, 400, sentTo(steps + "?error=unsupported_response_type&error_description=Invalid%20response_type&state=a%20b")},
		{"a response type that is off", codeOnly, request{params: authorization("response_type", "token")}, 400, sentTo(steps + "?error=unsupported_response_type&error_description=Invalid%20response_type")},
		{"a response type that the client cannot use", all(), request{params: authorization("client_id", "limited", "response_type", "token")}, 400, sentTo(steps + "?error=unsupported_response_type&error_description=Invalid%20response_type")},
		{"a foreign redirect URI", all(), request{params: authorization("redirect_uri", "https://evil.example/")}, 400, sentTo(steps + noMatch)},
		{"a longer redirect URI", all(), request{params: authorization("redirect_uri", steps+"/x")}, 400, sentTo(steps + noMatch)},
		{"a redirect URI that is not a text", all(), request{params: authorization("redirect_uri", 1)}, 400, sentTo(steps + noMatch)},
		{"success", all(), request{params: authorization()}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"success with a state", all(), request{params: authorization("state", "hello")}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "&state=hello$")},
		{"an empty state", all(), request{params: authorization("state", "")}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "&state$")},
		{"the first of two redirect URIs", all(), request{params: authorization("client_id", "two")}, 200, sentTo("^" + regexp.QuoteMeta(twoFirst) + `\?code=` + isToken + "$")},
		{"a redirect URI with a query", all(), request{params: authorization("client_id", "two", "redirect_uri", twoSecond)}, 200, sentTo(`^https://two.example.com/second\?code=` + isToken + "&from=gateway$")},
		{"a dotted scope", all(), request{params: authorization("scope", "profile.name")}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"parameters in the URL", all(), request{query: "client_id=steps&scope=step_counts&response_type=code&state=u", params: map[string]any{"provision_key": provision, "authenticated_userid": "ann"}}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "&state=u$")},
		{"the body before the URL", all(), request{query: "state=u", params: authorization("state", "b")}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "&state=b$")},
		{"a form", all(), request{contentType: "application/x-www-form-urlencoded", body: form(authorization())}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"a form with a parameter twice", all(), request{contentType: "application/x-www-form-urlencoded", body: form(authorization()) + "&scope=profile"}, 400, sentTo(steps + "?error=invalid_scope&error_description=scope%20must%20be%20a%20string")},
		{"a path before the endpoint", all(), request{path: "/any/path/oauth2/authorize", params: authorization()}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"a slash behind the endpoint", all(), request{path: "/oauth2/authorize/", params: authorization()}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"JSON with a member twice", all(), request{contentType: "application/json", body: `{"provision_key":"` + provision + `","provision_key":"` + provision + `"}`}, 400, fault("invalid_provision_key", "Invalid provision_key")},
		{"a body that is not JSON", all(), request{contentType: "application/json", body: "["}, 400, fault("invalid_provision_key", "Invalid provision_key")},
		{"a body of another type", all(), request{contentType: "text/plain", body: form(authorization())}, 400, fault("invalid_provision_key", "Invalid provision_key")},

		{"a challenge method without a challenge", all(), request{params: authorization("client_id", "mobile", "code_challenge_method", "S256")}, 400, sentTo("com.example.steps:/done?error=invalid_request&error_description=code_challenge%20is%20required%20when%20code_method%20is%20present")},
		{"a challenge method that is not served", all(), request{params: authorization("code_challenge", challengeOfVerifier, "code_challenge_method", "plain", "state", "x")}, 400, sentTo(steps + "?error=invalid_request&error_description=code_challenge_method%20is%20not%20supported%2c%20must%20be%20S256&state=x")},
		{"a public client without a challenge", all(), request{params: authorization("client_id", "mobile")}, 400, sentTo("com.example.steps:/done?error=invalid_request&error_description=code_challenge%20is%20required%20for%20public%20clients")},
		{"a public client without a challenge where none is needed", lax, request{params: authorization("client_id", "mobile")}, 200, sentTo(`^com.example.steps:/done\?code=` + isToken + "$")},
		{"a confidential client without a challenge where all need one", strict, request{params: authorization()}, 400, sentTo(steps + "?error=invalid_request&error_description=code_challenge%20is%20required%20for%20public%20clients")},
		{"a challenge in lower case and without a method", all(), request{params: authorization("client_id", "mobile", "code_challenge", challengeOfVerifier)}, 200, sentTo(`^com.example.steps:/done\?code=` + isToken + "$")},
		{"the method in lower case", all(), request{params: authorization("client_id", "mobile", "code_challenge", challengeOfVerifier, "code_challenge_method", "s256")}, 200, sentTo(`^com.example.steps:/done\?code=` + isToken + "$")},
		{"a challenge that is not a text", all(), request{params: authorization("code_challenge", []int{1})}, 400, sentTo(steps + "?error=invalid_request&error_description=code_challenge%20is%20not%20a%20string")},

		{"implicit", all(), request{params: authorization("response_type", "token")}, 200, sentTo("^" + regexp.QuoteMeta(steps) + "#access_token=" + isToken + "&expires_in=7200&token_type=bearer$")},
		{"implicit with a state", all(), request{params: authorization("response_type", "token", "state", "wot")}, 200, sentTo("^" + regexp.QuoteMeta(steps) + "#access_token=" + isToken + "&expires_in=7200&state=wot&token_type=bearer$")},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, test.profile)
			if test.request.path == "" {
				test.request.path = "/oauth2/authorize"
			}
			w := f.send(test.request)
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if w.Code != test.status {
				t.Errorf("got status %d, want %d", w.Code, test.status)
			}
			wantMatch(t, got, test.want)
			if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Pragma") != "no-cache" || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
				t.Errorf("got the header %v", w.Header())
			}
			if refused := test.status >= 400; refused != (len(f.refusals) == 1) {
				t.Errorf("got the records %+v", f.refusals)
			}
		})
	}
}

func with2(m map[string]string, name, value string) map[string]string {
	m[name] = value
	return m
}

func form(params map[string]any) string {
	values := make(url.Values)
	for name, value := range params {
		values.Set(name, value.(string))
	}
	return values.Encode()
}

func basic(credentials string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))}}
}

var (
	accessOnly = map[string]string{"access_token": "^" + isToken + "$", "token_type": "bearer", "expires_in": "7200"}
	andRefresh = map[string]string{"access_token": "^" + isToken + "$", "token_type": "bearer", "expires_in": "7200", "refresh_token": "^" + isToken + "$"}
)

func TestToken(t *testing.T) {
	machine := map[string]any{"grant_type": "client_credentials", "client_id": "machine", "client_secret": "machine-secret", "scope": "step_counts"}
	password := map[string]any{"grant_type": "password", "provision_key": provision, "authenticated_userid": "ann", "client_id": "steps", "client_secret": "steps-secret", "scope": "step_counts"}
	noClient := fault("invalid_client", "Invalid client authentication")
	noKey := fault("invalid_provision_key", "Invalid provision_key")
	noGrant := fault("unsupported_grant_type", "Invalid grant_type")
	noMatch := fault("invalid_request", "Invalid redirect_uri that does not match with any redirect_uri created with the application")
	mandatory := all()
	mandatory.MandatoryScope = true
	custom := all()
	custom.AuthHeader = "X-Client"
	never := all()
	never.TokenExpiration = new(caddy.Duration)
	for _, test := range []struct {
		name    string
		profile Profile
		request request
		status  int
		want    map[string]string
		basic   bool // whether there is a challenge
	}{
		{"nothing", all(), request{}, 400, noClient, false},
		{"nothing but a state", all(), request{params: map[string]any{"state": "s"}}, 400, with2(fault("invalid_client", "Invalid client authentication"), "state", "s"), false},
		{"a client without a secret", all(), request{params: with(machine, "client_secret", nil)}, 400, noClient, false},
		{"an empty secret", all(), request{params: with(machine, "client_secret", "")}, 400, noClient, false},
		{"a secret that is not a text", all(), request{params: with(machine, "client_secret", nil, "client_secret", true)}, 400, noClient, false},
		{"an empty client", all(), request{params: with(machine, "client_id", "", "client_secret", "")}, 400, noClient, false},
		{"no grant", all(), request{params: with(password, "grant_type", nil)}, 400, noGrant, false},
		{"an unknown grant", all(), request{params: with(password, "grant_type", "device")}, 400, noGrant, false},
		{"a grant that is off", Profile{}, request{params: password}, 400, noGrant, false},
		{"a grant that is off, of an unknown client", Profile{}, request{params: with(machine, "client_id", "nobody")}, 400, noGrant, false},
		{"a grant that the client cannot use", all(), request{params: with(machine, "client_id", "limited", "client_secret", "limited-secret")}, 400, noGrant, false},
		{"a wrong secret before a wrong grant", all(), request{params: with(password, "grant_type", "device", "client_secret", "x")}, 400, noClient, false},
		{"a wrong secret in the header", all(), request{params: with(machine, "client_id", nil, "client_secret", nil), header: basic("machine:wrong")}, 401, noClient, true},
		{"an unknown client in the header", all(), request{params: with(password, "client_id", nil, "client_secret", nil), header: basic("nobody:wrong")}, 401, noClient, true},
		{"an unknown client in the header, for itself", all(), request{params: with(machine, "client_id", nil, "client_secret", nil), header: basic("nobody:wrong")}, 400, noClient, false},
		{"a header of another scheme", all(), request{params: with(password, "client_id", nil, "client_secret", nil), header: http.Header{"Authorization": {"Bearer x"}}}, 401, noClient, true},
		{"a header that is not base64", all(), request{params: with(password, "client_id", nil, "client_secret", nil), header: http.Header{"Authorization": {"Basic %%%"}}}, 401, noClient, true},

		{"client credentials", all(), request{params: machine}, 200, accessOnly, false},
		{"client credentials in the header", all(), request{params: with(machine, "client_id", nil, "client_secret", nil), header: basic("machine:machine-secret")}, 200, accessOnly, false},
		{"and the client in the body too", all(), request{params: with(machine, "client_secret", nil), header: basic("machine:machine-secret")}, 200, accessOnly, false},
		{"a secret with colons", all(), request{params: with(machine, "client_id", nil, "client_secret", nil), header: basic("colon:a:b:c")}, 200, accessOnly, false},
		{"another header", custom, request{params: with(machine, "client_id", nil, "client_secret", nil), header: http.Header{"X-Client": basic("machine:machine-secret")["Authorization"]}}, 200, accessOnly, false},
		{"another header than the one that is configured", custom, request{params: with(machine, "client_id", nil, "client_secret", nil), header: basic("machine:machine-secret")}, 400, noClient, false},
		{"a form", all(), request{contentType: "application/x-www-form-urlencoded; charset=utf-8", body: form(machine)}, 200, accessOnly, false},
		{"a multipart form", all(), multipartOf(machine), 200, accessOnly, false},
		{"parameters in the URL", all(), request{query: "grant_type=client_credentials&client_id=machine&scope=step_counts", params: map[string]any{"client_secret": "machine-secret"}}, 200, accessOnly, false},
		{"the secret in the URL", all(), request{query: form(machine)}, 400, noClient, false},
		{"a state", all(), request{params: with(machine, "state", "wot")}, 200, with2(map[string]string{"access_token": "^" + isToken + "$", "token_type": "bearer", "expires_in": "7200"}, "state", "wot"), false},
		{"a state that is a number", all(), request{params: with(machine, "state", 7)}, 200, with2(map[string]string{"access_token": "^" + isToken + "$", "token_type": "bearer", "expires_in": "7200"}, "state", "7"), false},
		{"a user without the key", all(), request{params: with(machine, "authenticated_userid", "ann")}, 400, noKey, false},
		{"a user with a wrong key", all(), request{params: with(machine, "authenticated_userid", "ann", "provision_key", "x")}, 400, noKey, false},
		{"a user with the key", all(), request{params: with(machine, "authenticated_userid", "ann", "provision_key", provision)}, 200, accessOnly, false},
		{"a user that is not a text", all(), request{params: with(machine, "authenticated_userid", 1, "provision_key", provision)}, 400, fault("invalid_authenticated_userid", "Missing authenticated_userid parameter"), false},
		{"an unknown client with a user and without the key", all(), request{params: with(machine, "client_id", "nobody", "authenticated_userid", "ann")}, 400, noKey, false},
		{"a wrong scope", all(), request{params: with(machine, "scope", "wrong")}, 400, fault("invalid_scope", `"wrong" is an invalid scope`), false},
		{"a scope that is a number", all(), request{params: with(machine, "scope", 1)}, 400, fault("invalid_scope", "scope must be a string"), false},
		{"a scope that is false", all(), request{params: with(machine, "scope", false)}, 400, fault("invalid_scope", "scope must be a string"), false},
		{"no scope, where one is needed", mandatory, request{params: with(machine, "scope", nil)}, 400, fault("invalid_scope", "You must specify a scope"), false},
		{"a token that never expires", never, request{params: machine}, 200, map[string]string{"access_token": "^" + isToken + "$", "token_type": "bearer"}, false},
		{"a public client for itself", all(), request{params: with(machine, "client_id", "mobile", "client_secret", nil)}, 400, noClient, false},

		{"password without the key", all(), request{params: with(password, "provision_key", nil)}, 400, noKey, false},
		{"password without a user", all(), request{params: with(password, "authenticated_userid", nil)}, 400, fault("invalid_authenticated_userid", "Missing authenticated_userid parameter"), false},
		{"password", all(), request{params: password}, 200, andRefresh, false},
		{"password with the header", all(), request{params: with(password, "client_id", nil, "client_secret", nil), header: basic("steps:steps-secret")}, 200, andRefresh, false},
		{"password with a wrong header", all(), request{params: with(password, "client_id", nil, "client_secret", nil), header: basic("steps:steps-secret2")}, 401, noClient, true},
		{"password with a foreign redirect URI", all(), request{params: with(password, "redirect_uri", "https://evil.example")}, 400, noMatch, false},
		{"password of a client without a redirect URI", all(), request{params: with(password, "client_id", "machine", "client_secret", "machine-secret")}, 400, noClient, false},
		{"password with a wrong scope", all(), request{params: with(password, "scope", "wrong")}, 400, fault("invalid_scope", `"wrong" is an invalid scope`), false},
		{"password, never expires", never, request{params: password}, 200, map[string]string{"access_token": "^" + isToken + "$", "token_type": "bearer"}, false},

		{"no code", all(), request{params: exchange("", "code", nil)}, 400, fault("invalid_request", "Invalid code"), false},
		{"a wrong code", all(), request{params: exchange(strings.Repeat("x", 32))}, 400, fault("invalid_request", "Invalid code"), false},
		{"a code that is not a text", all(), request{params: exchange("", "code", 12)}, 400, fault("invalid_request", "Invalid code"), false},
		{"a code of nobody, with a foreign redirect URI", all(), request{params: exchange("x", "redirect_uri", "https://evil.example")}, 400, noMatch, false},
		{"no refresh token", all(), request{params: map[string]any{"grant_type": "refresh_token", "client_id": "steps", "client_secret": "steps-secret"}}, 400, fault("invalid_request", "Invalid refresh_token"), false},
		{"a wrong refresh token", all(), request{params: map[string]any{"grant_type": "refresh_token", "refresh_token": "hello", "client_id": "steps", "client_secret": "steps-secret", "state": "s"}}, 400, with2(fault("invalid_request", "Invalid refresh_token"), "state", "s"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, test.profile)
			if test.request.path = "/oauth2/token"; test.request.method == "" {
				test.request.method = http.MethodPost
			}
			w := f.send(test.request)
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if w.Code != test.status {
				t.Errorf("got status %d, want %d", w.Code, test.status)
			}
			wantMatch(t, got, test.want)
			challenge := ""
			if test.basic {
				challenge = `Basic realm="OAuth2.0"`
			}
			if w.Header().Get("WWW-Authenticate") != challenge || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Pragma") != "no-cache" {
				t.Errorf("got the header %v", w.Header())
			}
		})
	}
}

func multipartOf(params map[string]any) request {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, value := range params {
		_ = w.WriteField(name, value.(string))
	}
	_ = w.Close()
	return request{contentType: w.FormDataContentType(), body: b.String()}
}

// A code gives its client tokens for what was granted, once.
func TestSec_S201_S207_S232_ACodeIsRedeemedOnceByItsOwner(t *testing.T) {
	f := newFixture(t, all())
	other := *f.Server
	other.Service = "another-api"
	noCode := fault("invalid_request", "Invalid code")
	code := f.code("scope", "step_counts  profile", "client_id", "two", "redirect_uri", twoSecond)
	mine := exchange(code, "client_id", "two", "client_secret", "two-secret")
	for _, wrong := range []struct {
		name   string
		server *Server
		params map[string]any
		want   map[string]string
	}{
		{"another client", f.Server, exchange(code), noCode},
		{"another API", &other, mine, noCode},
		{"another redirect URI of the client", f.Server, with(mine, "redirect_uri", twoFirst), fault("invalid_request", "Invalid redirect_uri that does not match with any redirect_uri created with the application")},
		{"a verifier without a challenge", f.Server, with(mine, "code_verifier", verifier), fault("invalid_request", "there is a code_verifier, and the authorization request had no code_challenge")},
		{"a longer code", f.Server, with(mine, "code", code+"x"), noCode},
	} {
		g := &fixture{TB: t, Server: wrong.server}
		status, body := g.ask(request{path: "/oauth2/token", params: wrong.params})
		if status != http.StatusBadRequest {
			t.Errorf("%s: got %d %v", wrong.name, status, body)
		}
		wantMatch(t, body, wrong.want)
	}
	status, body := f.ask(request{path: "/oauth2/token", params: with(mine, "redirect_uri", twoSecond)})
	if status != http.StatusOK {
		t.Fatalf("its owner: got %d %v", status, body)
	}
	wantMatch(t, body, andRefresh)
	found, err := f.Store.FindToken(t.Context(), f.Issuer, body["access_token"].(string))
	if err != nil || found.Subject != "ann" || found.ClientID != "two" || found.Service != "steps-api" || !slices.Equal(found.Scopes, []string{"step_counts", "profile"}) {
		t.Errorf("got %+v %v", found, err)
	}
	status, again := f.ask(request{path: "/oauth2/token", params: mine})
	if status != http.StatusBadRequest {
		t.Errorf("a second time: got %d", status)
	}
	wantMatch(t, again, noCode)
	if f.isActive(body["access_token"]) {
		t.Error("a code that was used twice leaves its tokens active")
	}
}

func TestACodeExpiresAfterFiveMinutes(t *testing.T) {
	f := newFixture(t, all())
	early, late := f.code(), f.code()
	f.offset.Add(int64(299 * time.Second))
	if status, body := f.ask(request{path: "/oauth2/token", params: exchange(early)}); status != http.StatusOK {
		t.Errorf("after 299 s: got %d %v", status, body)
	}
	f.offset.Add(int64(2 * time.Second))
	if status, body := f.ask(request{path: "/oauth2/token", params: exchange(late)}); status != http.StatusBadRequest {
		t.Errorf("after 301 s: got %d %v", status, body)
	}
}

// A verifier that is required, or has a challenge to belong to, is never ignored.
func TestSec_PKCEIsCheckedWherever(t *testing.T) {
	padded := strings.NewReplacer("-", "+", "_", "/").Replace(challengeOfVerifier) + "="
	for _, test := range []struct {
		name, client, challenge string
		verifier                any
		status                  int
		code, description       string
	}{
		{"right", "mobile", challengeOfVerifier, verifier, 200, "", ""},
		{"padded and in the other alphabet", "mobile", padded, verifier, 200, "", ""},
		{"right, of a confidential client", "steps", challengeOfVerifier, verifier, 200, "", ""},
		{"missing", "mobile", challengeOfVerifier, nil, 400, "invalid_request", "code_verifier is required for PKCE authorization requests"},
		{"missing, of a confidential client", "steps", challengeOfVerifier, nil, 400, "invalid_request", "code_verifier is required for PKCE authorization requests"},
		{"empty", "mobile", challengeOfVerifier, "", 400, "invalid_request", "code_verifier must be between 43 and 128 characters"},
		{"not a text", "mobile", challengeOfVerifier, 12, 400, "invalid_request", "code_verifier is not a string"},
		{"short", "mobile", challengeOfVerifier, "short", 400, "invalid_request", "code_verifier must be between 43 and 128 characters"},
		{"long", "mobile", challengeOfVerifier, strings.Repeat("abc123", 30), 400, "invalid_request", "code_verifier must be between 43 and 128 characters"},
		{"wrong", "mobile", challengeOfVerifier, strings.Repeat("w", 43), 400, "invalid_grant", "Invalid code"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, all())
			code := f.code("client_id", test.client, "code_challenge", test.challenge)
			params := exchange(code, "client_id", test.client, "client_secret", nil)
			if test.client == "steps" {
				params["client_secret"] = "steps-secret"
			}
			status, body := f.ask(request{path: "/oauth2/token", params: with(params, "code_verifier", test.verifier)})
			if status != test.status {
				t.Errorf("got %d %v, want %d", status, body, test.status)
			}
			if test.status == 200 {
				wantMatch(t, body, andRefresh)
				return
			}
			wantMatch(t, body, fault(test.code, test.description))
			// The code stays usable by its owner.
			if status, body := f.ask(request{path: "/oauth2/token", params: with(params, "code_verifier", verifier)}); status != 200 {
				t.Errorf("then the right one: got %d %v", status, body)
			}
		})
	}
	strict := newFixture(t, all())
	code := strict.code() // from before PKCE became mandatory
	strict.Profile.PKCE = pkceStrict
	_, body := strict.ask(request{path: "/oauth2/token", params: exchange(code)})
	wantMatch(t, body, fault("invalid_request", "code_verifier is required for PKCE authorization requests"))
	_, body = strict.ask(request{path: "/oauth2/token", params: exchange(code, "code_verifier", verifier)})
	wantMatch(t, body, fault("invalid_grant", "Invalid code"))
}

func TestAPublicClientHasNoSecret(t *testing.T) {
	f := newFixture(t, all())
	for _, test := range []struct {
		name   string
		header http.Header
		secret any
		status int
	}{
		{"none", nil, nil, 200},
		{"blank", nil, "  ", 200},
		{"in the header, without a colon", basic("mobile"), nil, 200},
		{"in the header, with a colon", basic("mobile:"), nil, 200},
		{"a secret", nil, "mobile-secret", 400},
		{"a secret in the header", basic("mobile:mobile-secret"), nil, 400},
	} {
		code := f.code("client_id", "mobile", "code_challenge", challengeOfVerifier)
		params := exchange(code, "client_id", "mobile", "client_secret", test.secret, "code_verifier", verifier)
		if test.header != nil {
			delete(params, "client_id")
		}
		status, body := f.ask(request{path: "/oauth2/token", params: params, header: test.header})
		if status != test.status {
			t.Errorf("%s: got %d %v, want %d", test.name, status, body, test.status)
		}
		if test.status == 400 {
			wantMatch(t, body, fault("invalid_request", "client_secret is disallowed for public clients"))
		}
	}
}

func refreshOf(tokens map[string]any, others ...any) request {
	return request{path: "/oauth2/token", params: with(map[string]any{
		"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": "steps", "client_secret": "steps-secret",
	}, others...)}
}

func TestSec_S202_S233_ARefreshTokenIsUsedOnceByItsOwner(t *testing.T) {
	f := newFixture(t, all())
	tokens := f.tokens()
	status, body := f.ask(refreshOf(tokens, "client_id", "two", "client_secret", "two-secret"))
	if status != http.StatusBadRequest {
		t.Errorf("another client: got %d", status)
	}
	wantMatch(t, body, fault("invalid_client", "Invalid client authentication"))

	status, renewed := f.ask(refreshOf(tokens))
	if status != http.StatusOK {
		t.Fatalf("got %d %v", status, renewed)
	}
	wantMatch(t, renewed, andRefresh)
	if renewed["refresh_token"] == tokens["refresh_token"] || renewed["access_token"] == tokens["access_token"] {
		t.Errorf("the tokens did not change: %v", renewed)
	}
	if f.isActive(tokens["access_token"]) || !f.isActive(renewed["access_token"]) {
		t.Error("the access token before is active, or the new one is not")
	}
	status, body = f.ask(refreshOf(tokens))
	if status != http.StatusBadRequest {
		t.Errorf("a second time: got %d", status)
	}
	wantMatch(t, body, fault("invalid_request", "Invalid refresh_token"))
	if f.isActive(renewed["access_token"]) {
		t.Error("a refresh token that was used twice leaves its successors active")
	}
	if last := f.refusals[len(f.refusals)-1]; last.Reason != authcore.ReasonRefreshReused || last.Fault.Grant == nil || last.Fault.Grant.Subject != "ann" {
		t.Errorf("got the record %+v", last)
	}
}

func TestARefreshTokenThatIsReused(t *testing.T) {
	profile := all()
	profile.ReuseRefreshToken = true
	f := newFixture(t, profile)
	tokens := f.tokens()
	for range 3 {
		status, renewed := f.ask(refreshOf(tokens))
		if status != http.StatusOK || renewed["refresh_token"] != tokens["refresh_token"] {
			t.Fatalf("got %d %v, want the same refresh token", status, renewed)
		}
		if f.isActive(tokens["access_token"]) || !f.isActive(renewed["access_token"]) {
			t.Error("the access token before is active, or the new one is not")
		}
		tokens = renewed
	}
	f.offset.Add(int64(defaultRefreshTTL + time.Minute))
	if status, body := f.ask(refreshOf(tokens)); status != http.StatusBadRequest {
		t.Errorf("after two weeks: got %d %v", status, body)
	}
}

func TestRefreshTokensLastAsConfigured(t *testing.T) {
	short := all()
	second := caddy.Duration(time.Hour)
	short.RefreshTokenTTL = &second
	f := newFixture(t, short)
	tokens := f.tokens()
	f.offset.Add(int64(61 * time.Minute))
	if status, body := f.ask(refreshOf(tokens)); status != http.StatusBadRequest {
		t.Errorf("after its time: got %d %v", status, body)
	}
	never := all()
	never.RefreshTokenTTL = new(caddy.Duration)
	f = newFixture(t, never)
	tokens = f.tokens()
	f.offset.Add(int64(10 * 365 * 24 * time.Hour))
	if status, body := f.ask(refreshOf(tokens)); status != http.StatusOK {
		t.Errorf("after ten years without an end: got %d %v", status, body)
	}
}

func TestOtherMethodsAreRefused(t *testing.T) {
	f := newFixture(t, Profile{Realm: "steps"})
	for path, name := range map[string]string{"/oauth2/token": "token", "/x/oauth2/authorize/": "authorization"} {
		for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS", "HEAD"} {
			w := f.send(request{method: method, path: path})
			text := "The HTTP method " + method + " is invalid for the " + name + " endpoint"
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" ||
				w.Header().Get("WWW-Authenticate") != `Bearer realm="steps" error="invalid_method" error_description="`+text+`"` {
				t.Errorf("%s %s: got %d %v", method, path, w.Code, w.Header())
			}
			if method != "HEAD" && !strings.Contains(w.Body.String(), text) {
				t.Errorf("%s %s: got %s", method, path, w.Body)
			}
		}
	}
}

func TestWhatIsAnEndpoint(t *testing.T) {
	f := newFixture(t, all())
	for path, want := range map[string]bool{
		"/oauth2/token": true, "/oauth2/token/": true, "/a/b/oauth2/token": true, "/oauth2/authorize": true, "/v1/oauth2/authorize/": true,
		"/oauth2/token//": false, "/oauth2/tokens": false, "/OAuth2/token": false, "/oauth2%2ftoken": false, "/oauth2/introspect": false,
		"/xoauth2/token": false, "/oauth2/token/x": false, "/": false,
	} {
		if got := f.Answers(request{path: path}.build(t)); got != want {
			t.Errorf("%s: got %t, want %t", path, got, want)
		}
	}
}

func TestSec_S228_PlainHTTPIsRefused(t *testing.T) {
	for _, test := range []struct {
		name            string
		accept, trusted bool
		proto           []string
		want            string // "": accepted
	}{
		{"plain", false, false, nil, "You must use HTTPS"},
		{"a trusted proxy that is not asked", false, true, []string{"https"}, "You must use HTTPS"},
		{"an untrusted client that says so", true, false, []string{"https"}, "You must use HTTPS"},
		{"a trusted proxy that says nothing", true, true, nil, "You must use HTTPS"},
		{"a trusted proxy that says http", true, true, []string{"http"}, "You must use HTTPS"},
		{"a trusted proxy that says two things", true, true, []string{"https", "https"}, "Only one X-Forwarded-Proto header allowed"},
		{"a trusted proxy that says https", true, true, []string{"HTTPS"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			profile := all()
			profile.AcceptHTTP = test.accept
			f := newFixture(t, profile)
			for path, params := range map[string]map[string]any{
				"/oauth2/authorize": authorization(),
				"/oauth2/token":     {"grant_type": "client_credentials", "client_id": "machine", "client_secret": "machine-secret"},
			} {
				r := request{path: path, params: params, http: true, header: http.Header{"X-Forwarded-Proto": test.proto}}.build(t)
				if test.proto == nil {
					r.Header.Del("X-Forwarded-Proto")
				}
				caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, test.trusted)
				w := httptest.NewRecorder()
				f.ServeHTTP(w, r)
				if test.want == "" && w.Code == http.StatusOK {
					continue
				}
				var body map[string]any
				if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
					t.Fatal(err)
				}
				wantMatch(t, body, fault("access_denied", test.want))
			}
		})
	}
}

// With the legacy word a client may send its secret in the URL. The provision key is never
// read from there.
func TestSec_S228_SecretsInTheURL(t *testing.T) {
	f := newFixture(t, all())
	f.Legacy.QueryCredentials = true
	query := "grant_type=client_credentials&client_id=machine&client_secret=machine-secret"
	if status, body := f.ask(request{path: "/oauth2/token", query: query}); status != http.StatusOK {
		t.Errorf("got %d %v", status, body)
	}
	for _, more := range []string{"&authenticated_userid=ann&provision_key=" + provision} {
		status, body := f.ask(request{path: "/oauth2/token", query: query + more})
		found, err := f.Store.FindToken(t.Context(), f.Issuer, body["access_token"].(string))
		if status != http.StatusOK || err != nil || found.Subject != "" {
			t.Errorf("got %d, a token of %q: a user in the URL counts", status, found.Subject)
		}
	}
}

// A secret is checked for clients that do not exist too, so that the time does not tell.
func TestSec_UnknownClientsTakeAsLong(t *testing.T) {
	f := newFixture(t, all())
	for _, id := range []string{"machine", "nobody", ""} {
		before := f.secrets.Load()
		f.ask(request{path: "/oauth2/token", params: map[string]any{"grant_type": "client_credentials", "client_id": id, "client_secret": "wrong"}})
		if f.secrets.Load() != before+1 {
			t.Errorf("%q: %d secrets were checked, want 1", id, f.secrets.Load()-before)
		}
	}
}

// With `responses rfc` the same requests have the outcome of the standards.
func TestOutcomesOfTheStandards(t *testing.T) {
	profile := all()
	profile.Responses = rfcResponses
	f := newFixture(t, profile)
	for _, test := range []struct {
		name    string
		path    string
		request request
		status  int
		code    string // of the error
	}{
		{"a wrong code", "token", request{params: exchange("x")}, 400, "invalid_grant"},
		{"a wrong refresh token", "token", request{params: map[string]any{"grant_type": "refresh_token", "refresh_token": "x", "client_id": "steps", "client_secret": "steps-secret"}}, 400, "invalid_grant"},
		{"a wrong secret in the body", "token", request{params: exchange("x", "client_secret", "wrong")}, 401, "invalid_client"},
		{"an unknown client", "token", request{params: exchange("x", "client_id", "nobody")}, 401, "invalid_client"},
		{"password", "token", request{params: exchange("x", "grant_type", "password")}, 400, "unsupported_grant_type"},
		{"implicit", "authorize", request{params: authorization("response_type", "token")}, 400, ""},
		{"a foreign redirect URI", "authorize", request{params: authorization("redirect_uri", "https://evil.example")}, 400, "invalid_request"},
		{"a wrong provision key", "authorize", request{params: authorization("provision_key", "x")}, 401, "invalid_client"},
		{"no user", "authorize", request{params: authorization("authenticated_userid", nil)}, 400, "invalid_request"},
		{"a parameter twice", "token", request{contentType: "application/x-www-form-urlencoded", body: "grant_type=client_credentials&client_id=machine&client_secret=machine-secret&scope=profile&scope=profile"}, 400, "invalid_request"},
	} {
		test.request.path = "/oauth2/" + test.path
		status, body := f.ask(test.request)
		code, _ := body["error"].(string)
		if status != test.status || code != test.code {
			t.Errorf("%s: got %d %v, want %d %s", test.name, status, body, test.status, test.code)
		}
	}
	status, body := f.ask(request{path: "/oauth2/authorize", params: authorization("redirect_uri", steps, "state", "s")})
	uri, _ := body["redirect_uri"].(string)
	sent, err := url.Parse(uri)
	if status != http.StatusOK || err != nil || sent.Query().Get("iss") != f.Issuer || sent.Query().Get("state") != "s" {
		t.Fatalf("got %d %v", status, body)
	}
	code := sent.Query().Get("code")
	if status, body := f.ask(request{path: "/oauth2/token", params: exchange(code)}); status != 400 || body["error"] != "invalid_grant" {
		t.Errorf("without the redirect URI of the request: got %d %v", status, body)
	}
	status, body = f.ask(request{path: "/oauth2/token", params: exchange(code, "redirect_uri", steps, "state", "s")})
	if status != http.StatusOK {
		t.Fatalf("got %d %v", status, body)
	}
	wantMatch(t, body, map[string]string{"access_token": "^.{32}$", "token_type": "Bearer", "expires_in": "7200", "refresh_token": "^.{32}$", "scope": "step_counts"})
}

func TestTokensAreDrawnFairly(t *testing.T) {
	seen, letters := make(map[string]bool), make(map[rune]int)
	for range 2000 {
		text := newText()
		if len(text) != tokenLength || seen[text] {
			t.Fatalf("got %q", text)
		}
		seen[text] = true
		for _, c := range text {
			letters[c]++
		}
	}
	for _, c := range tokenAlphabet {
		if n := letters[c]; n < 800 || n > 1270 { // 1032 are expected, with a deviation of 32
			t.Errorf("%c occurs %d times among 64,000", c, n)
		}
	}
}

func TestProfilesThatCannotBeRight(t *testing.T) {
	duration := func(d time.Duration) *caddy.Duration { c := caddy.Duration(d); return &c }
	for name, test := range map[string]struct {
		profile Profile
		want    string
	}{
		"a grant":                  {Profile{Grants: []string{"device"}}, `grants names "device"`},
		"a grant twice":            {Profile{Grants: []string{"authorization_code", "authorization_code"}}, "twice"},
		"implicit":                 {Profile{Grants: []string{"implicit"}}, "write 'legacy implicit'"},
		"password":                 {Profile{Grants: []string{"password"}}, "write 'legacy password'"},
		"pkce":                     {Profile{PKCE: "always"}, `pkce is none, lax or strict, not "always"`},
		"responses":                {Profile{Responses: "xml"}, `responses is kong or rfc, not "xml"`},
		"rfc without PKCE":         {Profile{PKCE: "none", Responses: "rfc"}, "pkce none and responses rfc exclude each other"},
		"rfc with eternal tokens":  {Profile{Responses: "rfc", TokenExpiration: duration(0)}, "token_expiration 0 and responses rfc"},
		"rfc with eternal refresh": {Profile{Responses: "rfc", RefreshTokenTTL: duration(0)}, "refresh_token_ttl 0 and responses rfc"},
		"nanoseconds":              {Profile{TokenExpiration: duration(7200)}, "token_expiration is a duration of 1s or more"},
		"three keys":               {Profile{ProvisionKey: []string{"a", "b", "c"}}, "two are allowed"},
		"a header":                 {Profile{AuthHeader: "a b"}, "not a valid name of a header"},
		"a realm":                  {Profile{Realm: "a\"b"}, "characters that a challenge cannot"},
	} {
		test.profile.Name = Name
		if err := test.profile.Check(Legacy{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	if err := new(Profile).Check(Legacy{}); err == nil || !strings.Contains(err.Error(), "there is no profile") {
		t.Errorf("without a name: got %v", err)
	}
	fine := all()
	fine.Name = Name
	if err := fine.Check(Legacy{Implicit: true, Password: true}); err != nil {
		t.Error(err)
	}
}

// Whatever a client sends, it gets an answer that is about its request.
func FuzzEndpoints(f *testing.F) {
	for _, seed := range []string{
		`{"grant_type":"client_credentials","client_id":"machine","client_secret":"machine-secret","scope":"profile"}`,
		`{"provision_key":"key-of-the-login","authenticated_userid":"ann","client_id":"two","response_type":"token","state":{"a":[1]}}`,
		"grant_type=refresh_token&refresh_token=x&client_id=steps&client_secret=steps-secret",
		`{"grant_type":null,"code":[],"client_id":{}}`,
	} {
		f.Add("application/json", "", seed)
		f.Add("application/x-www-form-urlencoded", "state=%ff", seed)
		f.Add("multipart/form-data; boundary=x", "client_id=a&client_id=b", seed)
	}
	x := newFixture(f, all())
	f.Fuzz(func(t *testing.T, contentType, query, body string) {
		x.TB = t
		for _, path := range []string{"/oauth2/token", "/oauth2/authorize"} {
			r := request{path: path, contentType: "text/plain", body: body}.build(t)
			r.Header.Set("Content-Type", contentType)
			r.URL.RawQuery = query
			w := httptest.NewRecorder()
			x.ServeHTTP(w, r)
			var answer map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code >= 500 {
				t.Errorf("got %d %s: %v", w.Code, w.Body, err)
			}
			if bytes.Contains(w.Body.Bytes(), []byte(provision)) && !strings.Contains(body+query, provision) {
				t.Errorf("the provision key is in the answer %s", w.Body)
			}
		}
	})
}
