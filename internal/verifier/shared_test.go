// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/redistest"
	"github.com/caddy-gluu/gateway/internal/seal"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// sharing makes a gateway that uses Redis. Gateways of different sizes share
// nothing else.
func sharing(t *testing.T, redis *redistest.Server, server *providertest.Server, size int) *testProvider {
	t.Helper()
	p := providerFor(t, introspecting(server), tokencache.Settings{Size: size, Redis: redis.URL(), RedisKey: strings.Repeat("k", seal.MinSecret)})
	redistest.Eventually(t, "Redis is used", func() bool { return p.cache.Status().Shared.State == tokencache.SharedOK })
	return p
}

// What a gateway finds out about an opaque token, another one does not ask for
// again. A JWT that is verified by its signature is not shared.
func TestProvidersShareWhatTheyVerified(t *testing.T) {
	redis := redistest.Start(t)
	server := providertest.NewServer(t)
	server.On("/introspect", providertest.Respond(providertest.Active(`"cnf":{"x5t#S256":"k"},"x":{"y":[1,2.50]}`)))
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
	if n := server.Count("/introspect"); n != 1 {
		t.Errorf("%d introspections, want 1", n)
	}

	local := introspecting(server)
	local.Verify = provider.VerifyJWT
	p := providerFor(t, local, tokencache.Settings{})
	p.cache = a.cache
	if p.isShared(&presented{raw: "token"}) {
		t.Error("a token that is verified by its signature is shared")
	}
}

func TestOnlyEqualSettingsShare(t *testing.T) {
	base := provider.Config{Issuer: "https://as.example", ClientID: "g", Audience: []string{"a"}, Verify: provider.VerifyAuto}
	want := answerDigest("p", &base, "g")
	same := base
	same.Timeout, same.ClientSecret, same.ClientKey = seconds(9), "other", "/elsewhere"
	if answerDigest("p", &same, "g") != want {
		t.Error("settings that shape no answer make a difference")
	}
	for name, change := range map[string]func(*provider.Config){
		"issuer":   func(c *provider.Config) { c.Issuer = "https://as.example/" },
		"audience": func(c *provider.Config) { c.Audience = []string{"a", ""} },
		"verify":   func(c *provider.Config) { c.Verify = provider.VerifyJWT },
		"endpoint": func(c *provider.Config) { c.IntrospectionEndpoint = "https://as.example/i" },
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
