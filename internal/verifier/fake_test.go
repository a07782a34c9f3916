// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"cmp"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
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

// introspecting is a provider that introspects at the fake server and needs no
// discovery.
func introspecting(f *providertest.Server) provider.Config {
	return provider.Config{
		Issuer:                f.URL,
		ClientID:              "gateway",
		ClientSecret:          "client-s3cret",
		Verify:                provider.VerifyIntrospection,
		IntrospectionEndpoint: f.URL + "/introspect",
	}
}

// testProvider is a verifier under a configuration of its own.
type testProvider struct {
	*Lookup
	loaded *provider.Connection
}

// start does what the app does with a provider when it starts.
func (p *testProvider) start() {
	p.server.Attach(p.loaded)
	p.server.Start()
}

// providerFor makes a provider as a configuration would, but without Caddy.
func providerFor(t testing.TB, config provider.Config, cache tokencache.Settings) *testProvider {
	t.Helper()
	if err := config.Check(); err != nil {
		t.Fatalf("settings: %v", err)
	}
	config.SetDefaults()
	loaded := &provider.Connection{HTTP: provider.NewHTTPClient(nil), Storage: &certmagic.FileStorage{Path: t.TempDir()}, Logger: zap.NewNop()}
	v := New(provider.New("test", config, loaded))
	p := &testProvider{v.Under(Terms{Cache: cacheFor(t, cache), MaxToken: provider.DefaultMaxToken}), loaded}
	t.Cleanup(func() {
		_ = v.Destruct()
		p.loaded.HTTP.CloseIdleConnections()
	})
	return p
}

const (
	testMaxAge      = 10 * time.Minute
	testNegativeAge = 10 * time.Second
)

// cacheFor makes a cache of its own, as if it were the only one of its process:
// a pool knows caches by their settings, so no two have the same. What the settings
// leave out is as in a configuration without the option cache.
func cacheFor(t testing.TB, settings tokencache.Settings) *tokencache.Cache {
	t.Helper()
	settings.Size = cmp.Or(settings.Size, tokencache.DefaultSize)
	settings.MaxAge = cmp.Or(settings.MaxAge, testMaxAge)
	settings.NegativeAge = cmp.Or(settings.NegativeAge, testNegativeAge)
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
func (c *testClock) on(p *testProvider) *testProvider {
	p.server.Now = c.now
	return p
}

// connectTo replaces the provider's connections.
func connectTo(p *testProvider, h http.Handler) *testProvider {
	client := provider.NewHTTPClient(nil)
	client.Transport = providertest.Transport{Handler: h}
	p.loaded = &provider.Connection{HTTP: client, Storage: p.loaded.Storage, Logger: p.loaded.Logger, Key: p.loaded.Key}
	p.server.Attach(p.loaded)
	return p
}

// reasonOf returns the reason of an error of Verify, "" for none.
func reasonOf(t testing.TB, err error) token.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	e, ok := err.(*token.Error)
	if !ok {
		t.Fatalf("got an error of type %T, want *Error: %v", err, err)
	}
	return e.Reason
}

func seconds(n int) caddy.Duration { return caddy.Duration(time.Duration(n) * time.Second) }

// bubbleProvider introspects at a server without sockets, for tests in a
// bubble.
func bubbleProvider(t *testing.T, handler http.HandlerFunc) *testProvider {
	return connectTo(providerFor(t, provider.Config{
		Issuer: "https://as.example", ClientID: "gateway", ClientAuth: provider.ClientAuthNone,
		Verify: provider.VerifyIntrospection, IntrospectionEndpoint: "https://as.example/introspect",
	}, tokencache.Settings{}), handler)
}
