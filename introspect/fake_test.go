// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/tokencache"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Caddy and certmagic run these for as long as the process lives.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*Cache).maintainAssets"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/caddy/v2/modules/caddytls.(*TLS).keepStorageClean.func1"),
		goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
	)
}

// fakeServer is an authorization server that answers as a test wants it to.
type fakeServer struct {
	*httptest.Server

	mu       sync.Mutex
	handlers map[string]http.HandlerFunc // by path
	requests map[string]int
	last     *http.Request // the last introspection, with its form parsed
}

func newFakeServer(t testing.TB) *fakeServer {
	f := &fakeServer{handlers: map[string]http.HandlerFunc{}, requests: map[string]int{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	f.on("/introspect", respond(`{"active":false}`))
	f.on("/.well-known/openid-configuration", f.metadata(nil))
	return f
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		_ = r.ParseForm()
	}
	f.mu.Lock()
	f.requests[r.URL.Path]++
	handler := f.handlers[r.URL.Path]
	if r.URL.Path == "/introspect" {
		f.last = r
	}
	f.mu.Unlock()
	if handler == nil {
		http.NotFound(w, r)
		return
	}
	handler(w, r)
}

func (f *fakeServer) on(path string, handler http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handlers[path] = handler
}

func (f *fakeServer) count(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests[path]
}

func (f *fakeServer) lastForm() url.Values {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last.PostForm
}

func (f *fakeServer) lastHeader() http.Header {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last.Header
}

// metadata answers with the server's metadata, with some members changed.
func (f *fakeServer) metadata(changes map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		base := "http://" + r.Host
		document := map[string]any{
			"issuer":                 base,
			"introspection_endpoint": base + "/introspect",
			"jwks_uri":               base + "/jwks",
			"token_endpoint":         base + "/token",
			"registration_endpoint":  base + "/register",
		}
		maps.Copy(document, changes)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(document)
	}
}

func respond(body string) http.HandlerFunc {
	return respondWith(http.StatusOK, "application/json", body)
}

func respondWith(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// introspecting is a provider that introspects at the fake server and needs no
// discovery.
func (f *fakeServer) introspecting() ProviderConfig {
	return ProviderConfig{
		Issuer:                f.URL,
		ClientID:              "gateway",
		ClientSecret:          "client-s3cret",
		Verify:                verifyIntrospection,
		IntrospectionEndpoint: f.URL + "/introspect",
	}
}

// providerFor makes a provider as a configuration would, but without Caddy.
func providerFor(t testing.TB, config ProviderConfig, cache CacheConfig) *Provider {
	t.Helper()
	if err := config.Check(); err != nil {
		t.Fatalf("settings: %v", err)
	}
	config.setDefaults()
	p := &Provider{ProviderConfig: config, name: "test"}
	p.loaded = &attachment{http: newHTTPClient(nil), storage: &certmagic.FileStorage{Path: t.TempDir()}, logger: zap.NewNop()}
	p.poolID = p.settings()
	p.server = newServer(p.name, config, p.loaded)
	p.verifier = newVerifier(p.server)
	p.cache = cacheFor(t, cache)
	t.Cleanup(func() {
		_ = p.verifier.Destruct()
		p.loaded.http.CloseIdleConnections()
	})
	return p
}

// cacheFor makes a cache of its own, as if it were the only one of its process:
// a pool knows caches by their settings, so no two have the same.
func cacheFor(t testing.TB, config CacheConfig) *tokencache.Cache {
	t.Helper()
	settings, err := config.settings()
	if err != nil {
		t.Fatal(err)
	}
	if settings.Redis == "" {
		settings.RedisKey = strconv.FormatUint(lastCache.Add(1), 10)
	}
	c, err := tokencache.Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Release(); err != nil {
			t.Error(err)
		}
	})
	return c
}

var lastCache atomic.Uint64

// testClock is a clock that a test turns.
type testClock struct{ nano atomic.Int64 }

func newTestClock() *testClock {
	c := new(testClock)
	c.nano.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano())
	return c
}

func (c *testClock) now() time.Time          { return time.Unix(0, c.nano.Load()) }
func (c *testClock) advance(d time.Duration) { c.nano.Add(int64(d)) }

// on gives a provider this clock.
func (c *testClock) on(p *Provider) *Provider {
	p.server.now = c.now
	return p
}

// handlerTransport sends requests straight to a handler: no sockets, so that
// tests can run in a bubble where time is what they make it.
type handlerTransport struct{ http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		_ = r.ParseForm()
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if err := context.Cause(r.Context()); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// connectTo replaces the provider's connections.
func connectTo(p *Provider, h http.Handler) *Provider {
	client := newHTTPClient(nil)
	client.Transport = handlerTransport{h}
	p.loaded = &attachment{http: client, storage: p.loaded.storage, logger: p.loaded.logger, key: p.loaded.key}
	p.server.attach(p.loaded)
	return p
}

func active(extra string) string {
	if extra != "" {
		extra = "," + extra
	}
	return `{"active":true,"client_id":"app","sub":"alice","scope":"read write"` + extra + `}`
}

// reasonOf returns the reason of an error of Verify, "" for none.
func reasonOf(t testing.TB, err error) Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	e, ok := err.(*Error)
	if !ok {
		t.Fatalf("got an error of type %T, want *Error: %v", err, err)
	}
	return e.Reason
}

func seconds(n int) caddy.Duration { return caddy.Duration(time.Duration(n) * time.Second) }
