// SPDX-License-Identifier: Apache-2.0

package kong

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"maps"
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
		CheckSecret: func(_ *http.Request, _, id string, readings ...string) (bool, error) {
			f.secrets.Add(1)
			isRight := func(secret string) bool {
				return id != "" && id != "nobody" && secret == id+"-secret" || id == "colon" && secret == "a:b:c"
			}
			return slices.ContainsFunc(readings, isRight), nil
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
