// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/internal/tokencache"
	"github.com/caddy-gluu/gateway/jose"
)

// signer issues JWTs and publishes its keys.
type tokenIssuer struct {
	issuer string
	key    jose.PrivateKey
}

func newTokenIssuer(t testing.TB, issuer, kid string) *tokenIssuer {
	t.Helper()
	key, err := jose.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	return &tokenIssuer{issuer, key.WithID(kid)}
}

func (i *tokenIssuer) sign(t testing.TB, exp time.Time, changes map[string]any) string {
	t.Helper()
	claims := map[string]any{"iss": i.issuer, "sub": "alice", "client_id": "app", "scope": "read write", "exp": exp.Unix()}
	maps.Copy(claims, changes)
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jose.Sign(text, i.key, "ES256", i.key.ID(), "at+jwt")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (i *tokenIssuer) serveKeys(w http.ResponseWriter, r *http.Request) {
	keys, err := jose.PublicKeySet(i.key.Public())
	if err != nil {
		panic(err)
	}
	providertest.Respond(string(keys))(w, r)
}

func TestAutoVerifiesLocallyOrAsks(t *testing.T) {
	server := providertest.NewServer(t)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	issuer := newTokenIssuer(t, server.URL, "k1")
	server.On("/jwks", issuer.serveKeys)
	p := providerFor(t, provider.Config{Issuer: server.URL, ClientID: "g", ClientSecret: "s"}, tokencache.Settings{})
	p.server.AwaitMetadata(t.Context())

	token, err := p.Verify(t.Context(), issuer.sign(t, time.Now().Add(time.Hour), nil))
	if err != nil || !token.JWT || token.Provider != "test" || token.Subject != "alice" {
		t.Errorf("a JWT of the issuer: got %+v, %v", token, err)
	}
	if n := server.Count("/introspect"); n != 0 {
		t.Errorf("a JWT of the issuer was introspected")
	}
	// One of another issuer, which the server may know all the same.
	other := newTokenIssuer(t, "https://other.example", "k1")
	for _, raw := range []string{other.sign(t, time.Now().Add(time.Hour), nil), "opaque"} {
		token, err := p.Verify(t.Context(), raw)
		if err != nil || token.JWT != (raw != "opaque") {
			t.Errorf("something else: got %+v, %v", token, err)
		}
	}
	if n := server.Count("/introspect"); n != 2 {
		t.Errorf("%d introspections, want 2", n)
	}
}

// A token that claims to be the issuer's is never introspected after its
// signature has been found wrong.
func TestForgedJWTIsNotAskedFor(t *testing.T) {
	server := providertest.NewServer(t)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	server.On("/jwks", newTokenIssuer(t, server.URL, "k1").serveKeys)
	p := providerFor(t, provider.Config{Issuer: server.URL, ClientID: "g", ClientSecret: "s"}, tokencache.Settings{})
	p.server.AwaitMetadata(t.Context())
	forged := newTokenIssuer(t, server.URL, "k1").sign(t, time.Now().Add(time.Hour), nil)
	for range 2 {
		if _, err := p.Verify(t.Context(), forged); reasonOf(t, err) != token.Invalid {
			t.Errorf("got %v, want %s", err, token.Invalid)
		}
	}
	if n := server.Count("/introspect"); n != 0 {
		t.Errorf("%d introspections", n)
	}
	if _, negative := p.cache.Sizes(); negative != 1 {
		t.Errorf("%d refusals are remembered, want 1", negative)
	}
}

func TestVerifiedJWTsAreRemembered(t *testing.T) {
	server := providertest.NewServer(t)
	issuer := newTokenIssuer(t, server.URL, "k1")
	server.On("/jwks", issuer.serveKeys)
	clock := newTestClock()
	p := clock.on(providerFor(t, provider.Config{Issuer: server.URL, Verify: provider.VerifyJWT, JWKSURI: server.URL + "/jwks"}, tokencache.Settings{}))
	raw := issuer.sign(t, clock.now().Add(time.Minute), nil)
	first, err := p.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	clock.advance(time.Minute - 1)
	if again, err := p.Verify(t.Context(), raw); again != first {
		t.Errorf("it was verified again: %v", err)
	}
	clock.advance(1)
	if _, err := p.Verify(t.Context(), raw); reasonOf(t, err) != token.Expired {
		t.Errorf("got %v, want %s", err, token.Expired)
	}
}

// S-33: the refusal of a token whose key is not known yet ends with the
// cool-down of the keys, and not later.
func TestSec_S33_RotationIsNotRememberedAsRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const base = "https://as.example"
		var current atomic.Pointer[tokenIssuer]
		current.Store(newTokenIssuer(t, base, "old"))
		var fetches atomic.Int64
		p := connectTo(providerFor(t, provider.Config{Issuer: base, Verify: provider.VerifyJWT, JWKSURI: base + "/jwks"}, tokencache.Settings{}),
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fetches.Add(1)
				current.Load().serveKeys(w, r)
			}))
		valid := func() string { return current.Load().sign(t, time.Now().Add(time.Hour), nil) }
		if _, err := p.Verify(t.Context(), valid()); err != nil {
			t.Fatal(err)
		}
		// The flood uses up the fetch that is allowed within the cool-down.
		time.Sleep(2 * time.Second)
		if _, err := p.Verify(t.Context(), newForged(t, base, "first")); reasonOf(t, err) != token.Invalid {
			t.Fatalf("a forged token: got %v", err)
		}
		fetchedAt := time.Now()
		current.Store(newTokenIssuer(t, base, "new"))
		rotated := valid()
		for time.Since(fetchedAt) < provider.DefaultCoolDown-time.Millisecond {
			if _, err := p.Verify(t.Context(), rotated); reasonOf(t, err) != token.Invalid {
				t.Fatalf("%s after the fetch: got %v", time.Since(fetchedAt), err)
			}
			for i := range 50 { // the flood
				forged := newForged(t, base, fmt.Sprint(time.Since(fetchedAt), i))
				if _, err := p.Verify(t.Context(), forged); reasonOf(t, err) != token.Invalid {
					t.Fatalf("a forged token: got %v", err)
				}
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second)
		if _, err := p.Verify(t.Context(), rotated); err != nil {
			t.Errorf("%s after the fetch: got %v for a token with the new key", time.Since(fetchedAt), err)
		}
		if n := fetches.Load(); n != 3 {
			t.Errorf("%d fetches, want 3", n)
		}
	})
}

// newForged makes a token with a key id that does not exist, without the
// trouble of a signature.
func newForged(t *testing.T, issuer, kid string) string {
	head, _ := json.Marshal(map[string]any{"alg": "ES256", "kid": kid, "typ": "at+jwt"})
	return b64(string(head)) + "." + b64(`{"iss":"`+issuer+`","exp":99999999999}`) + "." + b64(string(make([]byte, 64)))
}

// While it is not known where the keys are, they are not fetched, so that no
// cool-down begins.
func TestKeysAreNotAskedForBeforeDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const base = "https://as.example"
		issuer := newTokenIssuer(t, base, "k1")
		var up atomic.Bool
		p := connectTo(providerFor(t, provider.Config{Issuer: base, Verify: provider.VerifyJWT}, tokencache.Settings{}),
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case !up.Load():
					http.Error(w, "starting", http.StatusServiceUnavailable)
				case r.URL.Path == "/jwks":
					issuer.serveKeys(w, r)
				default:
					providertest.Respond(`{"issuer":"https://as.example","jwks_uri":"https://as.example/jwks"}`)(w, r)
				}
			}))
		p.start()
		raw := issuer.sign(t, time.Now().Add(time.Hour), nil)
		for range 10 {
			if _, err := p.Verify(t.Context(), raw); reasonOf(t, err) != token.ProviderUnavailable {
				t.Fatalf("got %v, want %s", err, token.ProviderUnavailable)
			}
		}
		synctest.Wait()
		up.Store(true)
		time.Sleep(2 * time.Second)
		if _, err := p.Verify(t.Context(), raw); err != nil {
			t.Errorf("got %v as soon as the metadata was known", err)
		}
	})
}

// RFC 9701: signed answers, where the server offers or the operator demands
// them.
func TestSignedAnswersWhereOfferedOrDemanded(t *testing.T) {
	yes, no := true, false
	const signed, plain = "signed", "plain"
	tests := []struct {
		name    string
		offered bool
		demand  *bool
		answer  string
		accept  string
		want    token.Reason
	}{
		{"not offered", false, nil, plain, "application/json", ""},
		{"offered and given", true, nil, signed, "application/token-introspection+jwt, application/json;q=0.5", ""},
		{"offered and not given", true, nil, plain, "application/token-introspection+jwt, application/json;q=0.5", ""},
		{"not wanted", true, &no, plain, "application/json", ""},
		{"demanded and given", false, &yes, signed, "application/token-introspection+jwt", ""},
		{"demanded and not given", true, &yes, plain, "application/token-introspection+jwt", token.Unreadable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := providertest.NewServer(t)
			issuer := newTokenIssuer(t, server.URL, "k1")
			server.On("/jwks", issuer.serveKeys)
			changes := map[string]any{}
			if test.offered {
				changes["introspection_signing_alg_values_supported"] = []string{"ES256"}
			}
			server.On("/.well-known/openid-configuration", server.Metadata(changes))
			server.On("/introspect", func(w http.ResponseWriter, r *http.Request) {
				if test.answer == plain {
					providertest.Respond(providertest.Active(""))(w, r)
					return
				}
				text := fmt.Sprintf(`{"iss":%q,"aud":"g","iat":%d,"token_introspection":%s}`, server.URL, time.Now().Unix(), providertest.Active(""))
				body, err := jose.Sign([]byte(text), issuer.key, "ES256", "k1", "token-introspection+jwt")
				if err != nil {
					t.Error(err)
				}
				providertest.RespondWith(200, signedResponse, body)(w, r)
			})
			config := provider.Config{Issuer: server.URL, ClientID: "g", ClientSecret: "s", IntrospectionSigned: test.demand}
			p := providerFor(t, config, tokencache.Settings{})
			p.server.AwaitMetadata(t.Context())
			verified, err := p.Verify(t.Context(), "opaque")
			if reasonOf(t, err) != test.want {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if got := server.LastHeader().Get("Accept"); got != test.accept {
				t.Errorf("got Accept %q, want %q", got, test.accept)
			}
			if err == nil && (verified.Subject != "alice" || verified.ClaimsJSON != providertest.Active("")) {
				t.Errorf("got %+v", verified)
			}
		})
	}
}

// An access token of the same issuer is not an introspection response, although
// the same key signed it.
func TestSignedIntrospectionMustBeOne(t *testing.T) {
	server := providertest.NewServer(t)
	issuer := newTokenIssuer(t, server.URL, "k1")
	server.On("/jwks", issuer.serveKeys)
	server.On("/introspect", func(w http.ResponseWriter, r *http.Request) {
		body := issuer.sign(t, time.Now().Add(time.Hour), map[string]any{"aud": "g", "iat": time.Now().Unix(), "token_introspection": map[string]any{"active": true}})
		providertest.RespondWith(200, signedResponse, body)(w, r)
	})
	p := providerFor(t, provider.Config{Issuer: server.URL, ClientID: "g", ClientSecret: "s"}, tokencache.Settings{})
	p.server.AwaitMetadata(t.Context())
	if _, err := p.Verify(t.Context(), "opaque"); reasonOf(t, err) != token.Unreadable {
		t.Errorf("got %v, want %s", err, token.Unreadable)
	}
}

// A server that only issues JWTs has no introspection endpoint. A token that is
// not its JWT is then not one of its tokens.
func TestAutoWithoutIntrospectionEndpoint(t *testing.T) {
	server := providertest.NewServer(t)
	server.On("/.well-known/openid-configuration", server.Metadata(map[string]any{"introspection_endpoint": ""}))
	p := providerFor(t, provider.Config{Issuer: server.URL, ClientID: "g", ClientSecret: "s"}, tokencache.Settings{})
	p.server.AwaitMetadata(t.Context())
	if _, err := p.Verify(t.Context(), "opaque"); reasonOf(t, err) != token.Invalid {
		t.Errorf("got %v, want %s", err, token.Invalid)
	}
}
