// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// A start costs no request: one that comes before the metadata is known waits for
// it, as long as that is the first attempt.
func TestRequestsWaitForTheFirstDiscovery(t *testing.T) {
	server := providertest.NewServer(t)
	issuer := newTokenIssuer(t, server.URL, "k1")
	server.On("/jwks", issuer.serveKeys)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	release := make(chan struct{})
	server.On("/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		<-release
		server.Metadata(nil)(w, r)
	})
	p := providerFor(t, provider.Config{Issuer: server.URL, ClientID: "g", ClientSecret: "s"}, tokencache.Settings{})
	p.start()
	outcomes := make(chan error, 2)
	for _, raw := range []string{"opaque", issuer.sign(t, time.Now().Add(time.Hour), nil)} {
		go func() {
			_, err := p.Verify(t.Context(), raw)
			outcomes <- err
		}()
	}
	select {
	case err := <-outcomes:
		t.Fatalf("got %v before the metadata was known", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	for range 2 {
		if err := <-outcomes; err != nil {
			t.Errorf("got %v", err)
		}
	}
}

// No request waits for later attempts, and none longer than the timeout for the
// first.
func TestRequestsWaitForNothingElse(t *testing.T) {
	t.Run("after the first attempt", func(t *testing.T) {
		server := providertest.NewServer(t)
		var attempts atomic.Int64
		server.On("/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
			if attempts.Add(1) > 1 {
				<-r.Context().Done()
			}
			http.Error(w, "down", http.StatusBadGateway)
		})
		p := providerFor(t, provider.Config{Issuer: server.URL, ClientID: "g", ClientSecret: "s"}, tokencache.Settings{})
		p.start()
		_, _ = p.Verify(t.Context(), "first")
		begun := time.Now()
		if _, err := p.Verify(t.Context(), "second"); reasonOf(t, err) != token.ProviderUnavailable || time.Since(begun) > time.Second {
			t.Errorf("got %v after %s", err, time.Since(begun))
		}
	})
	t.Run("a server that hangs", func(t *testing.T) {
		server := providertest.NewServer(t)
		server.On("/.well-known/openid-configuration", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		config := provider.Config{Issuer: server.URL, ClientID: "g", ClientSecret: "s", Timeout: caddy.Duration(100 * time.Millisecond)}
		p := providerFor(t, config, tokencache.Settings{})
		p.start()
		begun := time.Now()
		if _, err := p.Verify(t.Context(), "token"); reasonOf(t, err) != token.ProviderUnavailable || time.Since(begun) > 2*time.Second {
			t.Errorf("got %v after %s", err, time.Since(begun))
		}
	})
}

// A reload that rotates a secret costs no request, although the server is slow or
// has just gone: the metadata and keys are those of before.
func TestChangedProviderTakesOver(t *testing.T) {
	server := providertest.NewServer(t)
	issuer := newTokenIssuer(t, server.URL, "k1")
	server.On("/jwks", issuer.serveKeys)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	base := provider.Config{Issuer: server.URL, ClientID: "g", ClientSecret: "one"}
	before := providerFor(t, base, tokencache.Settings{})
	before.start()
	before.server.AwaitMetadata(t.Context())
	if _, err := before.Verify(t.Context(), issuer.sign(t, time.Now().Add(time.Hour), nil)); err != nil {
		t.Fatal(err)
	}
	gone := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "gone", http.StatusBadGateway) }
	server.On("/.well-known/openid-configuration", gone)
	server.On("/jwks", gone)

	changed := base
	changed.ClientSecret = "two"
	after := providerFor(t, changed, tokencache.Settings{})
	after.server.TakeOver(before.server)
	after.start()
	for _, raw := range []string{"opaque", issuer.sign(t, time.Now().Add(2*time.Hour), nil)} {
		if _, err := after.Verify(t.Context(), raw); err != nil {
			t.Errorf("got %v after the reload", err)
		}
	}

	// What the new settings do not allow is not taken over.
	other := base
	other.Issuer = server.URL + "/other"
	other.ClientSecret = "two"
	stranger := providerFor(t, other, tokencache.Settings{})
	stranger.server.TakeOver(before.server)
	if stranger.server.KnowsMetadata() {
		t.Error("another issuer has taken over the metadata")
	}
}
