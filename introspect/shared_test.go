// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/redistest"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// sharing makes a gateway that uses Redis. Gateways of different sizes share
// nothing else.
func sharing(t *testing.T, redis *redistest.Server, server *fakeServer, size int) *Provider {
	t.Helper()
	p := providerFor(t, server.introspecting(), CacheConfig{Size: size, Redis: redis.URL(), RedisKey: strings.Repeat("k", minRedisKey)})
	redistest.Eventually(t, "Redis is used", func() bool { return p.cache.Status().Shared.State == tokencache.SharedOK })
	return p
}

// What a gateway finds out about an opaque token, another one does not ask for
// again. A JWT that is verified by its signature is not shared.
func TestProvidersShareWhatTheyVerified(t *testing.T) {
	redis := redistest.Start(t)
	server := newFakeServer(t)
	server.on("/introspect", respond(active(`"cnf":{"x5t#S256":"k"},"x":{"y":[1,2.50]}`)))
	a, b := sharing(t, redis, server, 1000), sharing(t, redis, server, 2000)
	want, err := a.Verify(t.Context(), "token")
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Verify(t.Context(), "token")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got.Provider != "test" || got.Issuer != server.URL || got.SharedName == [16]byte{} {
		t.Errorf("got provider %q, issuer %q and name %x", got.Provider, got.Issuer, got.SharedName)
	}
	if n := server.count("/introspect"); n != 1 {
		t.Errorf("%d introspections, want 1", n)
	}

	local := server.introspecting()
	local.Verify = verifyJWT
	p := providerFor(t, local, CacheConfig{})
	p.cache = a.cache
	if p.isShared(&presented{raw: "token"}) {
		t.Error("a token that is verified by its signature is shared")
	}
}

func TestOnlyEqualSettingsShare(t *testing.T) {
	base := ProviderConfig{Issuer: "https://as.example", ClientID: "g", Audience: []string{"a"}, Verify: verifyAuto}
	want := answerDigest("p", &base, "g")
	same := base
	same.Timeout, same.ClientSecret, same.ClientKey = seconds(9), "other", "/elsewhere"
	if answerDigest("p", &same, "g") != want {
		t.Error("settings that shape no answer make a difference")
	}
	for name, change := range map[string]func(*ProviderConfig){
		"issuer":   func(c *ProviderConfig) { c.Issuer = "https://as.example/" },
		"audience": func(c *ProviderConfig) { c.Audience = []string{"a", ""} },
		"verify":   func(c *ProviderConfig) { c.Verify = verifyJWT },
		"endpoint": func(c *ProviderConfig) { c.IntrospectionEndpoint = "https://as.example/i" },
	} {
		other := base
		change(&other)
		if answerDigest("p", &other, "g") == want {
			t.Errorf("%s makes no difference", name)
		}
	}
	if answerDigest("q", &base, "g") == want || answerDigest("p", &base, "h") == want {
		t.Error("provider or client make no difference")
	}
}
