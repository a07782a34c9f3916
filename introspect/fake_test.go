// SPDX-License-Identifier: Apache-2.0

package introspect

import (
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

// providerFor makes a provider as a configuration would, but without Caddy.
func providerFor(t testing.TB, config provider.Config, cache CacheConfig) *Provider {
	t.Helper()
	if err := config.Check(); err != nil {
		t.Fatalf("settings: %v", err)
	}
	config.SetDefaults()
	p := &Provider{Config: config, name: "test", maxToken: provider.DefaultMaxToken}
	p.loaded = &provider.Connection{HTTP: provider.NewHTTPClient(nil), Storage: &certmagic.FileStorage{Path: t.TempDir()}, Logger: zap.NewNop()}
	p.poolID = p.settings()
	p.server = provider.New(p.name, config, p.loaded)
	p.verifier = newVerifier(p.server, digest{})
	p.cache = cacheFor(t, cache)
	t.Cleanup(func() {
		_ = p.verifier.Destruct()
		p.loaded.HTTP.CloseIdleConnections()
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
	p.server.Now = c.now
	return p
}

// connectTo replaces the provider's connections.
func connectTo(p *Provider, h http.Handler) *Provider {
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
func bubbleProvider(t *testing.T, handler http.HandlerFunc) *Provider {
	return connectTo(providerFor(t, provider.Config{
		Issuer: "https://as.example", ClientID: "gateway", ClientAuth: provider.ClientAuthNone,
		Verify: provider.VerifyIntrospection, IntrospectionEndpoint: "https://as.example/introspect",
	}, CacheConfig{}), handler)
}
