// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/optest"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/seal"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/embedded"
	"github.com/caddy-gluu/gateway/jose"
)

// testProvider is the provider of the app as the relying party sees it, without
// breakers and background work.
type testProvider struct {
	op       *optest.OP
	metadata map[string]any
	away     atomic.Bool
	instead  atomic.Pointer[oddAnswer] // of what the OP would answer
}

type oddAnswer struct {
	endpoint string
	status   int
	body     string
}

func newTestProvider(t *testing.T, op *optest.OP) *testProvider {
	t.Helper()
	p := &testProvider{op: op}
	body, _, err := p.get(op.Issuer() + "/.well-known/openid-configuration")
	if err == nil {
		err = json.Unmarshal(body, &p.metadata)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *testProvider) get(address string) ([]byte, int, error) {
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, err
	}
	return p.Call(context.Background(), "", req)
}

func (p *testProvider) Name() string     { return "default" }
func (p *testProvider) Issuer() string   { return p.op.Issuer() }
func (p *testProvider) ClientID() string { return p.op.Client.ID }

func (p *testProvider) Endpoint(name string) (string, error) {
	address, _ := p.metadata[name].(string)
	if address == "" {
		return "", errors.New("no " + name)
	}
	return address, nil
}

func (p *testProvider) Metadata(flag string) bool { return p.metadata[flag] == true }

func (p *testProvider) Call(ctx context.Context, endpoint string, req *http.Request) ([]byte, int, error) {
	if p.away.Load() {
		return nil, 0, errors.New("unavailable on purpose")
	}
	if odd := p.instead.Load(); odd != nil && odd.endpoint == endpoint {
		return []byte(odd.body), odd.status, nil
	}
	res, err := http.DefaultClient.Do(req.WithContext(ctx))
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 500 {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return body, res.StatusCode, err
}

func (p *testProvider) AuthenticateClient(req *http.Request, _ url.Values) error {
	pair := url.QueryEscape(p.op.Client.ID) + ":" + url.QueryEscape(p.op.Client.Secret)
	req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	return nil
}

// Key implements jwtcheck.KeySet.
func (p *testProvider) Key(_ context.Context, name jose.KeyName, alg string) (jose.Key, error) {
	address, err := p.Endpoint("jwks_uri")
	if err != nil {
		return jose.Key{}, err
	}
	body, _, err := p.get(address)
	if err != nil {
		return jose.Key{}, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	set, err := jose.ParseKeySet(body)
	if err != nil {
		return jose.Key{}, err
	}
	var found []jose.Key
	for _, key := range set.Keys {
		if (name.KeyID == "" || name.KeyID == key.ID()) && key.Fits(alg) {
			found = append(found, key)
		}
	}
	if len(found) != 1 {
		return jose.Key{}, errors.New("no key fits")
	}
	return found[0], nil
}

// testClock is a clock that a test moves.
type testClock struct{ nanos atomic.Int64 }

func (c *testClock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *testClock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// world is a gateway with one site, its OpenID Provider, and an application that
// says what reaches it.
type world struct {
	*testing.T
	op       *optest.OP
	provider *testProvider
	clock    *testClock
	store    *store.Store
	gateways []*gateway
}

// gateway is one of several with the same store.
type gateway struct {
	*httptest.Server
	visitor *visitor
	// seen are the requests that reached the application.
	seen chan received
}

type received struct{ method, target, subject, acr, body, contentType, cookie string }

// newWorld starts gateways with a configuration.
func newWorld(t *testing.T, gateways int, configure func(*visitor)) *world {
	t.Helper()
	w := &world{T: t, op: optest.New(t), clock: new(testClock)}
	w.clock.nanos.Store(time.Now().Truncate(time.Second).UnixNano())
	w.op.Now = w.clock.now
	w.provider = newTestProvider(t, w.op)
	engine, err := embedded.Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	if w.store, err = store.New(engine, store.Options{Secrets: []string{strings.Repeat("s", 32)}, Now: w.clock.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	for range gateways {
		w.start(configure)
	}
	return w
}

func (w *world) start(configure func(*visitor)) {
	w.Helper()
	g := &gateway{seen: make(chan received, 1000)}
	sealer, err := seal.New(session.Label, strings.Repeat("k", 32))
	if err != nil {
		w.Fatal(err)
	}
	sessions, err := session.NewManager(session.Config{Store: w.store, Sealer: sealer, Size: 1000, Grace: time.Minute, Shared: true, Now: w.clock.now})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(sessions.Close)
	metrics, err := newMetrics(prometheus.NewRegistry(), "default")
	if err != nil {
		w.Fatal(err)
	}
	verifier := &idTokenVerifier{
		issuers: provider.IssuersOf([]string{w.op.Issuer()}, nil), clientID: w.provider.ClientID, algorithms: jose.Algorithms(), keys: w.provider,
		leeway: 30 * time.Second, maxAge: time.Hour, maxLength: 16 << 10, now: w.clock.now,
	}
	v := &visitor{
		rp:       &relyingParty{op: w.provider, verifier: verifier, scopes: []string{"openid", "email"}, pushed: pushedAuto, acrEssential: true, now: w.clock.now},
		sessions: sessions, sealer: sealer, jar: &cookieJar{
			names:    cookieNames{session: defaultSessionCookie, login: loginCookie, restore: restoreCookie},
			sameSite: http.SameSiteLaxMode,
		},
		site: &site{hosts: []string{"127.0.0.1"}}, lifetimes: &lifetimes{idle: time.Hour, whole: 12 * time.Hour, auth: 24 * time.Hour, idToken: time.Hour},
		mode: unauthenticatedAuto, refresh: true, askUserinfo: true, authTime: true, id: "h",
		paths: paths{callback: "/callback", logout: "/logout", postLogout: "/", landing: "/landing"}, metrics: metrics, logger: zap.NewNop(), now: w.clock.now,
		background: func(f func()) { f() },
	}
	caddyContext, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	w.Cleanup(cancel)
	identityMetrics, err := identity.NewMetrics(caddyContext, identity.OAuth)
	if err != nil {
		w.Fatal(err)
	}
	v.answerer = &answerer{Answerer: identity.Answerer{JSON: true, Realm: "api", Logger: zap.NewNop(), Metrics: identityMetrics}, name: func(*session.Session) *identity.Identity { return nil }}
	v.endpoints = map[string]endpoint{"/callback": v.callback, "/logout": v.logout, "/backchannel": v.backchannelLogout, "/frontchannel": v.frontchannelLogout}
	v.admitted = g.application
	g.visitor = v
	if configure != nil {
		configure(v)
	}
	g.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if err := v.serve(rw, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })); err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
		}
	}))
	w.Cleanup(g.Close)
	w.gateways = append(w.gateways, g)
	w.op.Client.RedirectURIs = append(w.op.Client.RedirectURIs, g.URL+"/callback")
	w.op.Client.PostLogout = append(w.op.Client.PostLogout, g.URL+"/")
}

// application answers what passes.
func (g *gateway) application(v *visit) error {
	seen := received{method: v.r.Method, target: v.r.URL.RequestURI(), contentType: v.r.Header.Get("Content-Type"), cookie: strings.Join(v.r.Header["Cookie"], "; ")}
	if v.r.Body != nil {
		body, _ := io.ReadAll(v.r.Body)
		seen.body = string(body)
	}
	if v.session != nil {
		seen.subject, seen.acr = v.session.Subject, v.session.Newest().ACR
	}
	g.seen <- seen
	fmt.Fprintf(v.w, "%s as %q", seen.target, seen.subject)
	return nil
}

// person is a browser.
type person struct {
	*world
	client *http.Client
}

func (w *world) newPerson() *person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.Fatal(err)
	}
	return &person{w, &http.Client{Jar: jar}}
}

// answer is what a request comes to.
type answer struct {
	*http.Response
	body string
}

var navigation = http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Accept": {"text/html"}}

// do sends a request and follows redirects, as many as a browser does.
func (p *person) do(method, address string, headers http.Header, body string) answer {
	p.Helper()
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	maps.Copy(req.Header, headers)
	res, err := p.client.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.Fatal(err)
	}
	return answer{res, string(text)}
}

func (p *person) open(address string) answer { return p.do(http.MethodGet, address, navigation, "") }

// once sends a request without following redirects.
func (p *person) once(method, address string, headers http.Header, body string) answer {
	p.Helper()
	follow := p.client.CheckRedirect
	defer func() { p.client.CheckRedirect = follow }()
	p.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return p.do(method, address, headers, body)
}

func (p *person) want(a answer, status int, text string) {
	p.Helper()
	if a.StatusCode != status || !strings.Contains(a.body, text) {
		p.Errorf("%s: got %d %s, want %d with %q", a.Request.URL, a.StatusCode, a.body, status, text)
	}
}

func TestLoginWithADeepLink(t *testing.T) {
	w := newWorld(t, 1, nil)
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/a/b?q=%2B+&e=&x=ü"), 200, `/a/b?q=%2B+&e=&x=ü as "alice"`)
	if seen := <-g.seen; seen.subject != "alice" || seen.acr != "silver" || strings.Contains(seen.cookie, "gluu") {
		t.Errorf("the application received %+v", seen)
	}
	p.want(p.open(g.URL+"/c"), 200, `/c as "alice"`)
	if n := w.op.Calls("/token"); n != 1 {
		t.Errorf("the token endpoint was called %d times, want once", n)
	}
}

func TestEachPersonHasTheirOwnSession(t *testing.T) {
	w := newWorld(t, 2, nil)
	alice, bob := w.newPerson(), w.newPerson()
	alice.want(alice.open(w.gateways[0].URL+"/"), 200, `as "alice"`)
	w.op.Lock()
	w.op.User.Subject = "bob"
	w.op.Unlock()
	bob.want(bob.open(w.gateways[0].URL+"/"), 200, `as "bob"`)
	alice.want(alice.open(w.gateways[1].URL+"/"), 200, `as "alice"`) // cookies do not mind ports
	bob.want(bob.open(w.gateways[1].URL+"/"), 200, `as "bob"`)
}

func TestSec_S110_S186_FiveTabsLogInInAnyOrder(t *testing.T) {
	w := newWorld(t, 1, nil)
	g, p := w.gateways[0], w.newPerson()
	var callbacks []string
	for i := range 5 {
		toOP := p.once("GET", fmt.Sprintf("%s/tab/%d", g.URL, i), navigation, "")
		if toOP.StatusCode != 302 || toOP.Header.Get("Cache-Control") != "no-store" || toOP.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Fatalf("got %d %v", toOP.StatusCode, toOP.Header)
		}
		back := p.once("GET", toOP.Header.Get("Location"), navigation, "")
		callbacks = append(callbacks, back.Header.Get("Location"))
	}
	for _, i := range []int{3, 0, 4, 1, 2} {
		p.want(p.open(callbacks[i]), 200, fmt.Sprintf(`/tab/%d as "alice"`, i))
	}
}

func TestSec_S105_S182_ACodeOfAnotherBrowserIsRefused(t *testing.T) {
	w := newWorld(t, 1, nil)
	g, attacker, victim := w.gateways[0], w.newPerson(), w.newPerson()
	callbackOf := func(p *person) string {
		toOP := p.once("GET", g.URL+"/", navigation, "")
		return p.once("GET", toOP.Header.Get("Location"), navigation, "").Header.Get("Location")
	}
	stolen := callbackOf(attacker)
	victim.want(victim.once("GET", stolen, navigation, ""), 400, "was not started in this browser")
	victim.want(victim.once("GET", g.URL+"/", http.Header{"Accept": {"application/json"}}, ""), 401, "login_required")
	// With another login open, and with a live session.
	own := callbackOf(victim)
	victim.want(victim.once("GET", stolen, navigation, ""), 400, "was not started in this browser")
	victim.want(victim.open(own), 200, `as "alice"`)
	if got := victim.once("GET", stolen, navigation, ""); got.StatusCode != 302 || got.Header.Get("Location") != g.URL+"/landing" {
		t.Errorf("with a live session: got %d to %q, want the landing page", got.StatusCode, got.Header.Get("Location"))
	}
	if w.op.Calls("/token") != 1 {
		t.Errorf("the stolen code was sent to the token endpoint")
	}
}

func TestSec_S109_S163_S191_TheCallbackIsStrict(t *testing.T) {
	w := newWorld(t, 1, nil)
	g := w.gateways[0]
	for _, test := range []struct {
		name    string
		edit    func(url.Values)
		method  string
		headers http.Header
		status  int
	}{
		{"fapi2 ensure-authorization-response-with-invalid-missing-state-fails", func(q url.Values) { q.Del("state") }, "GET", navigation, 400},
		{"fapi2 ensure-authorization-response-with-invalid-state-fails", func(q url.Values) { q.Set("state", "x"+q.Get("state")) }, "GET", navigation, 400},
		{"state twice", func(q url.Values) { q.Add("state", q.Get("state")) }, "GET", navigation, 400},
		{"code twice", func(q url.Values) { q.Add("code", "x") }, "GET", navigation, 400},
		{"code missing", func(q url.Values) { q.Del("code") }, "GET", navigation, 400},
		{"fapi2 remove-authorization-response-iss", func(q url.Values) { q.Del("iss") }, "GET", navigation, 400},
		{"fapi2 invalid-authorization-response-iss", func(q url.Values) { q.Set("iss", "https://evil.example") }, "GET", navigation, 400},
		{"another code", func(q url.Values) { q.Set("code", "x") }, "GET", navigation, 502},
		{"access denied", func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }, "GET", navigation, 403},
		{"error of a mixed-up provider", func(q url.Values) {
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("iss", "https://evil.example")
		}, "GET", navigation, 400},
		{"login_required without prompt=none", func(q url.Values) { q.Del("code"); q.Set("error", "login_required") }, "GET", navigation, 502},
		{"any other error", func(q url.Values) { q.Del("code"); q.Set("error", "server_error") }, "GET", navigation, 502},
		{"POST", func(url.Values) {}, "POST", navigation, 405},
		{"HEAD", func(url.Values) {}, "HEAD", navigation, 405},
		{"prefetch", func(url.Values) {}, "GET", http.Header{"Sec-Purpose": {"prefetch"}}, 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := w.newPerson()
			toOP := p.once("GET", g.URL+"/", navigation, "")
			callback, err := url.Parse(p.once("GET", toOP.Header.Get("Location"), navigation, "").Header.Get("Location"))
			if err != nil {
				t.Fatal(err)
			}
			query := callback.Query()
			test.edit(query)
			callback.RawQuery = query.Encode()
			got := p.once(test.method, callback.String(), test.headers, "")
			if got.StatusCode != test.status {
				t.Errorf("got %d %s, want %d", got.StatusCode, got.body, test.status)
			}
			if got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("the answer may be cached: %v", got.Header)
			}
			if after := p.once("GET", g.URL+"/", http.Header{"Accept": {"application/json"}}, ""); after.StatusCode != 401 {
				t.Errorf("there is a session afterwards: %d %s", after.StatusCode, after.body)
			}
		})
	}
}
