// SPDX-License-Identifier: Apache-2.0

package verifier

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

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

func TestAnswersOfTheIntrospectionEndpoint(t *testing.T) {
	clock := newTestClock()
	at := func(d time.Duration) string { return fmt.Sprint(clock.now().Add(d).Unix()) }
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   token.Reason // "": the token is verified
	}{
		{"active", providertest.Respond(providertest.Active("")), ""},
		{"active, with parameters in the content type", providertest.RespondWith(200, "application/json;charset=UTF-8", providertest.Active("")), ""},
		{"active and not expired", providertest.Respond(providertest.Active(`"exp":` + at(time.Second))), ""},
		{"active for this audience", providertest.Respond(providertest.Active(`"aud":"api"`)), ""},
		{"active of this issuer", providertest.Respond(providertest.Active(`"iss":"ISSUER"`)), ""},

		{"active, with null for what it does not know", providertest.Respond(`{"active":true,"sub":null,"exp":null,"nbf":null,"iss":null,"scope":null,"client_id":null,"azp":"app","typ":null}`), ""},

		{"inactive", providertest.Respond(`{"active":false}`), token.Inactive},
		{"inactive, whatever else it says", providertest.Respond(`{"active":false,"exp":99999999999,"sub":"alice","scope":"read"}`), token.Inactive},

		{"active, but its time is over", providertest.Respond(providertest.Active(`"exp":` + at(0))), token.Expired},
		{"active, but not yet", providertest.Respond(providertest.Active(`"nbf":` + at(6*time.Second))), token.Invalid},
		{"active since a moment ahead of our clock", providertest.Respond(providertest.Active(`"nbf":` + at(5*time.Second))), ""},
		{"active, of another issuer", providertest.Respond(providertest.Active(`"iss":"https://other.example"`)), token.Invalid},
		{"active, of an issuer with a slash more", providertest.Respond(providertest.Active(`"iss":"ISSUER/"`)), token.Invalid},
		{"active, of an issuer without a name", providertest.Respond(providertest.Active(`"iss":""`)), token.Invalid},
		{"active, a refresh token for Keycloak", providertest.Respond(providertest.Active(`"typ":"Refresh"`)), token.Invalid},
		{"active, a refresh token for Hydra", providertest.Respond(providertest.Active(`"token_use":"refresh_token"`)), token.Invalid},
		{"active, an access token for Hydra", providertest.Respond(providertest.Active(`"token_use":"access_token"`)), ""},
		{"active, a refresh token", providertest.Respond(providertest.Active(`"token_type":"refresh_token"`)), token.Invalid},
		{"active, a bearer token", providertest.Respond(providertest.Active(`"token_type":"Bearer"`)), ""},

		// None of these says anything about the token.
		{"active in quotes", providertest.Respond(`{"active":"true"}`), token.Unreadable},
		{"active as a number", providertest.Respond(`{"active":1}`), token.Unreadable},
		{"Active in capitals", providertest.Respond(`{"Active":true}`), token.Unreadable},
		{"active null", providertest.Respond(`{"active":null}`), token.Unreadable},
		{"active twice", providertest.Respond(`{"active":false,"active":true}`), token.Unreadable},
		{"no active", providertest.Respond(`{}`), token.Unreadable},
		{"a list", providertest.Respond(`[{"active":true}]`), token.Unreadable},
		{"the bare word", providertest.Respond(`true`), token.Unreadable},
		{"nothing", providertest.Respond(``), token.Unreadable},
		{"half an object", providertest.Respond(`{"active":true`), token.Unreadable},
		{"two objects", providertest.Respond(`{"active":true}{"active":true}`), token.Unreadable},
		{"an exp that is text", providertest.Respond(providertest.Active(`"exp":"tomorrow"`)), token.Unreadable},
		{"a scope that is an object", providertest.Respond(`{"active":true,"scope":{}}`), token.Unreadable},
		{"an issuer that is a number", providertest.Respond(providertest.Active(`"iss":1`)), token.Unreadable},
		{"an audience that is a number, where none is configured", providertest.Respond(providertest.Active(`"aud":1`)), ""},
		{"as text", providertest.RespondWith(200, "text/plain", providertest.Active("")), token.ProviderUnavailable},
		{"as a page", providertest.RespondWith(200, "text/html", providertest.Active("")), token.ProviderUnavailable},
		{"without a content type", providertest.RespondWith(200, "", providertest.Active("")), token.ProviderUnavailable},
		{"an nbf that is text", providertest.Respond(providertest.Active(`"nbf":"tomorrow"`)), token.Unreadable},
		{"nested 33 deep", providertest.Respond(providertest.Active(`"x":` + strings.Repeat(`{"x":`, 33) + "1" + strings.Repeat("}", 33))), token.Unreadable},
		{"1001 members", providertest.Respond(providertest.Active(`"x":{` + manyMembers(1001) + `}`)), token.Unreadable},
		{"a member twice", providertest.Respond(providertest.Active(`"x":{"a":1,"a":2}`)), token.Unreadable},
		{"half a surrogate pair", providertest.Respond(`{"active":true,"sub":"\ud800"}`), token.Unreadable},
		{"status 201", providertest.RespondWith(201, "application/json", providertest.Active("")), token.ProviderUnavailable},
		{"status 202", providertest.RespondWith(202, "application/json", providertest.Active("")), token.ProviderUnavailable},
		{"status 204", providertest.RespondWith(204, "application/json", ""), token.ProviderUnavailable},
		{"status 400", providertest.RespondWith(400, "application/json", `{"active":false}`), token.ProviderUnavailable},
		{"status 401", providertest.RespondWith(401, "application/json", `{"active":false}`), token.ProviderUnavailable},
		{"status 403", providertest.RespondWith(403, "application/json", `{"active":false}`), token.ProviderUnavailable},
		{"status 404", providertest.RespondWith(404, "application/json", `{"active":false}`), token.ProviderUnavailable},
		{"status 429", providertest.RespondWith(429, "application/json", `{"active":false}`), token.ProviderUnavailable},
		{"status 500", providertest.RespondWith(500, "application/json", providertest.Active("")), token.ProviderUnavailable},
		{"status 503", providertest.RespondWith(503, "application/json", `{"active":false}`), token.ProviderUnavailable},
		{"more than a mebibyte", providertest.Respond(providertest.Active(`"x":"` + strings.Repeat("x", provider.MaxAnswer) + `"`)), token.Unreadable},
		{"without end", endless, token.Unreadable},
		{"a mebibyte in a kibibyte of gzip", gzipBomb(t), token.Unreadable},
		{"cut off", cutOff, token.ProviderUnavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := providertest.NewServer(t)
			server.On("/introspect", func(w http.ResponseWriter, r *http.Request) {
				recorded := &replacing{ResponseWriter: w, old: "ISSUER", new: server.URL}
				test.answer(recorded, r)
			})
			p := clock.on(providerFor(t, introspecting(server), tokencache.Settings{}))
			verified, err := p.Verify(t.Context(), "opaque-token")
			if got := reasonOf(t, err); got != test.want {
				t.Fatalf("got %q (%v), want %q", got, err, test.want)
			}
			if (verified != nil) != (test.want == "") {
				t.Errorf("got token %v with reason %q", verified, test.want)
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

func manyMembers(n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf(`"m%d":1`, i)
	}
	return strings.Join(members, ",")
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
	fmt.Fprint(z, providertest.Active(`"x":"`+strings.Repeat("x", 64<<20)+`"`))
	z.Close()
	if packed.Len() > provider.MaxAnswer {
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
	fmt.Fprint(w, providertest.Active(""))
}

func TestVerifiedTokenOfIntrospection(t *testing.T) {
	server := providertest.NewServer(t)
	server.On("/introspect", providertest.Respond(`{"active":true,"sub":"alice","azp":"app","scope":"read  write","exp":4102444800,"cnf":{"x5t#S256":"abc"},"extra":{"n":1}}`))
	p := providerFor(t, introspecting(server), tokencache.Settings{})
	verified, err := p.Verify(t.Context(), "opaque")
	if err != nil {
		t.Fatal(err)
	}
	if verified.Provider != "test" || verified.Issuer != server.URL || verified.Subject != "alice" || verified.ClientID != "app" || verified.JWT {
		t.Errorf("got %+v", verified)
	}
	if want := []string{"read", "write"}; !slices.Equal(verified.Scopes, want) {
		t.Errorf("got scopes %q, want %q", verified.Scopes, want)
	}
	if verified.ExpiresAt.Unix() != 4102444800 {
		t.Errorf("got expiry %v", verified.ExpiresAt)
	}
	if verified.Confirmation == nil || verified.Confirmation.X5T != "abc" {
		t.Errorf("got confirmation %v", verified.Confirmation)
	}
	claims, err := verified.Claims()
	if err != nil || claims["active"] != true {
		t.Errorf("got claims %v, %v", claims, err)
	}
}

func TestAudienceMustBeInTheAnswer(t *testing.T) {
	for answer, want := range map[string]token.Reason{
		providertest.Active(``):                   token.Invalid,
		providertest.Active(`"aud":""`):           token.Invalid,
		providertest.Active(`"aud":[]`):           token.Invalid,
		providertest.Active(`"aud":null`):         token.Invalid,
		providertest.Active(`"aud":"ap"`):         token.Invalid,
		providertest.Active(`"aud":"API"`):        token.Invalid,
		providertest.Active(`"aud":["x","api2"]`): token.Invalid,
		providertest.Active(`"aud":{"api":1}`):    token.Unreadable,
		providertest.Active(`"aud":["api",1]`):    token.Unreadable,
		providertest.Active(`"aud":"api"`):        "",
		providertest.Active(`"aud":["x","api"]`):  "",
	} {
		server := providertest.NewServer(t)
		server.On("/introspect", providertest.Respond(answer))
		config := introspecting(server)
		config.Audience = []string{"other", "api"}
		_, err := providerFor(t, config, tokencache.Settings{}).Verify(t.Context(), "opaque")
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
		providertest.Respond(providertest.Active(""))(w, nil)
	}))
	defer thief.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := providertest.NewServer(t)
		redirect := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL, status) }
		server.On("/introspect", redirect)
		server.On("/jwks", redirect)
		server.On("/.well-known/openid-configuration", redirect)

		p := providerFor(t, introspecting(server), tokencache.Settings{})
		if _, err := p.Verify(t.Context(), "opaque"); reasonOf(t, err) != token.ProviderUnavailable {
			t.Errorf("%d: got %v, want %s", status, err, token.ProviderUnavailable)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests followed a redirect", n)
	}
}

func TestTokenIsOneFormValue(t *testing.T) {
	for _, raw := range []string{"a+b/c==", "a&active=true", "a%26b", "a b", "ü", strings.Repeat("x", provider.DefaultMaxToken)} {
		server := providertest.NewServer(t)
		server.On("/introspect", providertest.Respond(providertest.Active("")))
		p := providerFor(t, introspecting(server), tokencache.Settings{})
		if _, err := p.Verify(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
		form := server.LastForm()
		if got := form["token"]; len(got) != 1 || got[0] != raw {
			t.Errorf("the server got token %q, want %q", got, raw)
		}
		if len(form) != 1 {
			t.Errorf("the server got the form %v, want only the token", form)
		}
		if got := server.LastHeader().Get("Accept"); got != "application/json" {
			t.Errorf("got Accept %q", got)
		}
	}
}

func TestTokensOfImpossibleLengthAreNotAskedAbout(t *testing.T) {
	server := providertest.NewServer(t)
	p := providerFor(t, introspecting(server), tokencache.Settings{})
	for _, raw := range []string{"", strings.Repeat("x", provider.DefaultMaxToken+1)} {
		if _, err := p.Verify(t.Context(), raw); reasonOf(t, err) != token.Invalid {
			t.Errorf("%d bytes: got %v, want %s", len(raw), err, token.Invalid)
		}
	}
	if n := server.Count("/introspect"); n != 0 {
		t.Errorf("%d introspections", n)
	}
}
