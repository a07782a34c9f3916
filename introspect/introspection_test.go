// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestAnswersOfTheIntrospectionEndpoint(t *testing.T) {
	clock := newTestClock()
	at := func(d time.Duration) string { return fmt.Sprint(clock.now().Add(d).Unix()) }
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   Reason // "": the token is verified
	}{
		{"active", respond(active("")), ""},
		{"active, with parameters in the content type", respondWith(200, "application/json;charset=UTF-8", active("")), ""},
		{"active and not expired", respond(active(`"exp":` + at(time.Second))), ""},
		{"active for this audience", respond(active(`"aud":"api"`)), ""},
		{"active of this issuer", respond(active(`"iss":"ISSUER"`)), ""},

		{"active, with null for what it does not know", respond(`{"active":true,"sub":null,"exp":null,"nbf":null,"iss":null,"scope":null,"client_id":null,"azp":"app","typ":null}`), ""},

		{"inactive", respond(`{"active":false}`), TokenInactive},
		{"inactive, whatever else it says", respond(`{"active":false,"exp":99999999999,"sub":"alice","scope":"read"}`), TokenInactive},

		{"active, but its time is over", respond(active(`"exp":` + at(0))), TokenExpired},
		{"active, but not yet", respond(active(`"nbf":` + at(6*time.Second))), TokenInvalid},
		{"active since a moment ahead of our clock", respond(active(`"nbf":` + at(5*time.Second))), ""},
		{"active, of another issuer", respond(active(`"iss":"https://other.example"`)), TokenInvalid},
		{"active, of an issuer with a slash more", respond(active(`"iss":"ISSUER/"`)), TokenInvalid},
		{"active, of an issuer without a name", respond(active(`"iss":""`)), TokenInvalid},
		{"active, a refresh token for Keycloak", respond(active(`"typ":"Refresh"`)), TokenInvalid},
		{"active, a refresh token for Hydra", respond(active(`"token_use":"refresh_token"`)), TokenInvalid},
		{"active, an access token for Hydra", respond(active(`"token_use":"access_token"`)), ""},
		{"active, a refresh token", respond(active(`"token_type":"refresh_token"`)), TokenInvalid},
		{"active, a bearer token", respond(active(`"token_type":"Bearer"`)), ""},

		// None of these says anything about the token.
		{"active in quotes", respond(`{"active":"true"}`), ProviderUnavailable},
		{"active as a number", respond(`{"active":1}`), ProviderUnavailable},
		{"Active in capitals", respond(`{"Active":true}`), ProviderUnavailable},
		{"active null", respond(`{"active":null}`), ProviderUnavailable},
		{"active twice", respond(`{"active":false,"active":true}`), ProviderUnavailable},
		{"no active", respond(`{}`), ProviderUnavailable},
		{"a list", respond(`[{"active":true}]`), ProviderUnavailable},
		{"the bare word", respond(`true`), ProviderUnavailable},
		{"nothing", respond(``), ProviderUnavailable},
		{"half an object", respond(`{"active":true`), ProviderUnavailable},
		{"two objects", respond(`{"active":true}{"active":true}`), ProviderUnavailable},
		{"an exp that is text", respond(active(`"exp":"tomorrow"`)), ProviderUnavailable},
		{"a scope that is an object", respond(`{"active":true,"scope":{}}`), ProviderUnavailable},
		{"as text", respondWith(200, "text/plain", active("")), ProviderUnavailable},
		{"as a page", respondWith(200, "text/html", active("")), ProviderUnavailable},
		{"without a content type", respondWith(200, "", active("")), ProviderUnavailable},
		{"status 201", respondWith(201, "application/json", active("")), ProviderUnavailable},
		{"status 202", respondWith(202, "application/json", active("")), ProviderUnavailable},
		{"status 204", respondWith(204, "application/json", ""), ProviderUnavailable},
		{"status 400", respondWith(400, "application/json", `{"active":false}`), ProviderUnavailable},
		{"status 401", respondWith(401, "application/json", `{"active":false}`), ProviderUnavailable},
		{"status 403", respondWith(403, "application/json", `{"active":false}`), ProviderUnavailable},
		{"status 404", respondWith(404, "application/json", `{"active":false}`), ProviderUnavailable},
		{"status 429", respondWith(429, "application/json", `{"active":false}`), ProviderUnavailable},
		{"status 500", respondWith(500, "application/json", active("")), ProviderUnavailable},
		{"status 503", respondWith(503, "application/json", `{"active":false}`), ProviderUnavailable},
		{"more than a mebibyte", respond(active(`"x":"` + strings.Repeat("x", maxAnswer) + `"`)), ProviderUnavailable},
		{"without end", endless, ProviderUnavailable},
		{"a mebibyte in a kibibyte of gzip", gzipBomb(t), ProviderUnavailable},
		{"cut off", cutOff, ProviderUnavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := newFakeServer(t)
			server.on("/introspect", func(w http.ResponseWriter, r *http.Request) {
				recorded := &replacing{ResponseWriter: w, old: "ISSUER", new: server.URL}
				test.answer(recorded, r)
			})
			p := clock.on(providerFor(t, server.introspecting(), CacheConfig{}))
			token, err := p.Verify(t.Context(), "opaque-token")
			if got := reasonOf(t, err); got != test.want {
				t.Fatalf("got %q (%v), want %q", got, err, test.want)
			}
			if (token != nil) != (test.want == "") {
				t.Errorf("got token %v with reason %q", token, test.want)
			}
		})
	}
}

type replacing struct {
	http.ResponseWriter
	old, new string
}

func (r *replacing) Write(b []byte) (int, error) {
	_, err := r.ResponseWriter.Write(bytes.ReplaceAll(b, []byte(r.old), []byte(r.new)))
	return len(b), err
}

func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for r.Context().Err() == nil {
		if _, err := w.Write(bytes.Repeat([]byte(" "), 64<<10)); err != nil {
			return
		}
	}
}

// gzipBomb answers with a valid answer that is much larger than it looks.
func gzipBomb(t *testing.T) http.HandlerFunc {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprint(z, active(`"x":"`+strings.Repeat("x", 64<<20)+`"`))
	z.Close()
	if packed.Len() > maxAnswer {
		t.Fatalf("the bomb has %d bytes, so it tests nothing", packed.Len())
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("gzip was not asked for, so the test tests nothing")
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(packed.Bytes())
	}
}

func cutOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", "1000")
	fmt.Fprint(w, active(""))
}

func TestVerifiedTokenOfIntrospection(t *testing.T) {
	server := newFakeServer(t)
	server.on("/introspect", respond(`{"active":true,"sub":"alice","azp":"app","scope":"read  write","exp":4102444800,"cnf":{"x5t#S256":"abc"},"extra":{"n":1}}`))
	p := providerFor(t, server.introspecting(), CacheConfig{})
	token, err := p.Verify(t.Context(), "opaque")
	if err != nil {
		t.Fatal(err)
	}
	if token.Provider != "test" || token.Issuer != server.URL || token.Subject != "alice" || token.ClientID != "app" || token.JWT {
		t.Errorf("got %+v", token)
	}
	if want := []string{"read", "write"}; !slices.Equal(token.Scopes, want) {
		t.Errorf("got scopes %q, want %q", token.Scopes, want)
	}
	if token.ExpiresAt.Unix() != 4102444800 {
		t.Errorf("got expiry %v", token.ExpiresAt)
	}
	if token.Confirmation == nil || token.Confirmation.X5T != "abc" {
		t.Errorf("got confirmation %v", token.Confirmation)
	}
	claims, err := token.Claims()
	if err != nil || claims["active"] != true {
		t.Errorf("got claims %v, %v", claims, err)
	}
}

func TestAudienceMustBeInTheAnswer(t *testing.T) {
	for answer, want := range map[string]Reason{
		active(``):                   TokenInvalid,
		active(`"aud":""`):           TokenInvalid,
		active(`"aud":[]`):           TokenInvalid,
		active(`"aud":null`):         TokenInvalid,
		active(`"aud":"ap"`):         TokenInvalid,
		active(`"aud":"API"`):        TokenInvalid,
		active(`"aud":["x","api2"]`): TokenInvalid,
		active(`"aud":{"api":1}`):    TokenInvalid,
		active(`"aud":"api"`):        "",
		active(`"aud":["x","api"]`):  "",
	} {
		server := newFakeServer(t)
		server.on("/introspect", respond(answer))
		config := server.introspecting()
		config.Audience = []string{"other", "api"}
		_, err := providerFor(t, config, CacheConfig{}).Verify(t.Context(), "opaque")
		if got := reasonOf(t, err); got != want {
			t.Errorf("%s: got %q, want %q", answer, got, want)
		}
	}
}

// A redirect could lead the token, and the client secret with it, anywhere.
func TestSec_S71_RedirectsAreNotFollowed(t *testing.T) {
	var reached atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		respond(active(""))(w, nil)
	}))
	defer thief.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := newFakeServer(t)
		redirect := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL, status) }
		server.on("/introspect", redirect)
		server.on("/jwks", redirect)
		server.on("/.well-known/openid-configuration", redirect)

		p := providerFor(t, server.introspecting(), CacheConfig{})
		if _, err := p.Verify(t.Context(), "opaque"); reasonOf(t, err) != ProviderUnavailable {
			t.Errorf("%d: got %v, want %s", status, err, ProviderUnavailable)
		}
		if _, err := p.server.fetchMetadata(t.Context()); err == nil {
			t.Errorf("%d: metadata was taken from elsewhere", status)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests followed a redirect", n)
	}
}

func TestTokenIsOneFormValue(t *testing.T) {
	for _, raw := range []string{"a+b/c==", "a&active=true", "a%26b", "a b", "ü", strings.Repeat("x", maxToken)} {
		server := newFakeServer(t)
		server.on("/introspect", respond(active("")))
		p := providerFor(t, server.introspecting(), CacheConfig{})
		if _, err := p.Verify(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
		form := server.lastForm()
		if got := form["token"]; len(got) != 1 || got[0] != raw {
			t.Errorf("the server got token %q, want %q", got, raw)
		}
		if len(form) != 1 {
			t.Errorf("the server got the form %v besides the token", form)
		}
		if got := server.lastHeader().Get("Accept"); got != "application/json" {
			t.Errorf("got Accept %q", got)
		}
	}
}

func TestTokensOfImpossibleLengthAskNobody(t *testing.T) {
	server := newFakeServer(t)
	p := providerFor(t, server.introspecting(), CacheConfig{})
	for _, raw := range []string{"", strings.Repeat("x", maxToken+1)} {
		if _, err := p.Verify(t.Context(), raw); reasonOf(t, err) != TokenInvalid {
			t.Errorf("%d bytes: got %v, want %s", len(raw), err, TokenInvalid)
		}
	}
	if n := server.count("/introspect"); n != 0 {
		t.Errorf("%d introspections", n)
	}
}
