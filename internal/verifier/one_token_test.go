// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// oddAnswers answers about tokens that begin with "odd" in one way, and that all
// others are active, but those that begin with "unknown".
func oddAnswers(odd http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch raw := r.PostFormValue("token"); {
		case strings.HasPrefix(raw, "odd"):
			odd(w, r)
		case strings.HasPrefix(raw, "unknown"):
			providertest.Respond(`{"active":false}`)(w, r)
		default:
			providertest.Respond(providertest.Active(""))(w, r)
		}
	}
}

// The holder of one token, whose user put odd things into the claims, or who makes
// tokens up, must not lock out other clients.
func TestAnswerAboutOneTokenIsNoneAboutTheServer(t *testing.T) {
	const many = 50
	for _, test := range []struct {
		name string
		odd  http.HandlerFunc
		want token.Reason // for the odd token
		made int          // different odd tokens; the rest of the requests repeat them
	}{
		{"nested 33 deep", providertest.Respond(`{"active":true,"x":` + strings.Repeat(`{"x":`, 33) + "1" + strings.Repeat("}", 34)), token.Unreadable, many},
		{"1001 members", providertest.Respond(`{"active":true,"x":{` + manyMembers(1001) + `}}`), token.Unreadable, many},
		{"a duplicate member", providertest.Respond(`{"active":true,"x":1,"x":2}`), token.Unreadable, many},
		{"over a mebibyte", providertest.Respond(providertest.Active(`"x":"` + strings.Repeat("x", provider.MaxAnswer) + `"`)), token.Unreadable, many},
		{"half a surrogate pair", providertest.Respond(`{"active":true,"sub":"\ud800"}`), token.Unreadable, many},
		{"no active", providertest.Respond(`{}`), token.Unreadable, many},
		{"active as text", providertest.Respond(`{"active":"true"}`), token.Unreadable, many},
		{"a claim of the wrong type", providertest.Respond(providertest.Active(`"exp":"tomorrow"`)), token.Unreadable, many},
		{"400", providertest.RespondWith(400, "application/json", `{"error":"invalid_request"}`), token.Inactive, many},
		{"401", providertest.RespondWith(401, "application/json", `{"error":"access_denied"}`), token.Inactive, many},
		{"401 without a body", providertest.RespondWith(401, "", ""), token.Inactive, many},
		{"403", providertest.RespondWith(403, "text/html", "no"), token.Inactive, many},
		{"404", providertest.RespondWith(404, "text/html", "no"), token.Inactive, many},
		{"302 about one token", providertest.RespondWith(302, "", ""), token.ProviderUnavailable, 1},
		{"500 about one token", providertest.RespondWith(500, "", ""), token.ProviderUnavailable, 1},
		{"500 about four tokens", providertest.RespondWith(500, "", ""), token.ProviderUnavailable, 4},
		{"a connection that is closed, about one token", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, token.ProviderUnavailable, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := providertest.NewServer(t)
			server.On("/introspect", oddAnswers(test.odd))
			clock := newTestClock()
			p := clock.on(providerFor(t, introspecting(server), tokencache.Settings{}))
			if _, err := p.Verify(t.Context(), "good"); err != nil {
				t.Fatal(err)
			}
			for i := range many {
				_, err := p.Verify(t.Context(), fmt.Sprint("odd-", i%test.made))
				if got := reasonOf(t, err); got != test.want {
					t.Fatalf("the odd token: got %v, want %s", err, test.want)
				}
				clock.advance(time.Second)
			}
			if got := p.server.Status().Breakers["introspection_endpoint"]; got != "closed" {
				t.Errorf("the breaker is %s", got)
			}
			for i := range many {
				if _, err := p.Verify(t.Context(), fmt.Sprint("other-", i)); err != nil {
					t.Fatalf("another client's token: got %v", err)
				}
			}
		})
	}
}

// A verdict is remembered for the token that it is about, as "inactive" is.
func TestOddVerdictIsRemembered(t *testing.T) {
	for name, odd := range map[string]http.HandlerFunc{
		"unreadable": providertest.Respond(`{"active":"true"}`),
		"401":        providertest.RespondWith(401, "", ""),
		"404":        providertest.RespondWith(404, "", ""),
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.NewServer(t)
			server.On("/introspect", oddAnswers(odd))
			clock := newTestClock()
			p := clock.on(providerFor(t, introspecting(server), tokencache.Settings{}))
			_, _ = p.Verify(t.Context(), "good")
			_, first := p.Verify(t.Context(), "odd")
			for range 100 {
				if _, err := p.Verify(t.Context(), "odd"); reasonOf(t, err) != reasonOf(t, first) {
					t.Fatalf("got %v, first %v", err, first)
				}
			}
			if n := server.Count("/introspect"); n != 2 {
				t.Errorf("%d introspections, want one for each token", n)
			}
			server.On("/introspect", providertest.Respond(providertest.Active("")))
			clock.advance(testNegativeAge)
			if _, err := p.Verify(t.Context(), "odd"); err != nil {
				t.Errorf("got %v after the negative age", err)
			}
		})
	}
}

// The refusal of the gateway's own credentials is not a verdict on any token, before
// or after the server has accepted them.
func TestRefusedCredentialsAreNoVerdict(t *testing.T) {
	invalidClient := providertest.RespondWith(401, "application/json", `{"error":"invalid_client"}`)
	server := providertest.NewServer(t)
	p := providerFor(t, introspecting(server), tokencache.Settings{})
	server.On("/introspect", invalidClient)
	if _, err := p.Verify(t.Context(), "before"); reasonOf(t, err) != token.ProviderUnavailable {
		t.Errorf("before they were accepted: got %v", err)
	}
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	if _, err := p.Verify(t.Context(), "good"); err != nil {
		t.Fatal(err)
	}
	server.On("/introspect", invalidClient)
	for i := range provider.BreakerFailures {
		_, err := p.Verify(t.Context(), fmt.Sprint("after-", i))
		if reasonOf(t, err) != token.ProviderUnavailable || !strings.Contains(err.Error(), "client_id or secret") {
			t.Errorf("after they were accepted: got %v", err)
		}
	}
	if got := p.server.Status().Breakers["introspection_endpoint"]; got != "open" {
		t.Errorf("the breaker is %s", got)
	}
}

// A stale token is used for its own failed question only. Whatever else a client
// can cause would let him choose how long a revoked token works.
func TestStaleNeedsItsOwnFailedQuestion(t *testing.T) {
	fails := providertest.RespondWith(503, "", "")
	for _, test := range []struct {
		name   string
		others http.HandlerFunc // about other tokens, which come first
		own    http.HandlerFunc
		want   token.Reason
	}{
		{"it fails", nil, fails, ""},
		{"it fails while the breaker is open", fails, fails, ""},
		{"revoked while the breaker is open", fails, providertest.Respond(`{"active":false}`), token.Inactive},
		{"its answer cannot be read", nil, providertest.Respond(`{"active":"true"}`), token.Unreadable},
		{"400", nil, providertest.RespondWith(400, "", ""), token.Inactive},
		{"401", nil, providertest.RespondWith(401, "", ""), token.Inactive},
		{"404", nil, providertest.RespondWith(404, "", ""), token.Inactive},
		{"429", nil, providertest.RespondWith(429, "", ""), token.ProviderUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := providertest.NewServer(t)
			server.On("/introspect", providertest.Respond(providertest.Active("")))
			clock := newTestClock()
			config := introspecting(server)
			config.StaleIfError = seconds(3600)
			p := clock.on(providerFor(t, config, tokencache.Settings{}))
			if _, err := p.Verify(t.Context(), "token"); err != nil {
				t.Fatal(err)
			}
			clock.advance(testMaxAge)
			if test.others != nil {
				server.On("/introspect", test.others)
				for i := range provider.BreakerFailures {
					_, _ = p.Verify(t.Context(), fmt.Sprint("other-", i))
				}
				if got := p.server.Status().Breakers["introspection_endpoint"]; got != "open" {
					t.Fatalf("the breaker is %s, so the test tests nothing", got)
				}
			}
			server.On("/introspect", test.own)
			for range 3 {
				if _, err := p.Verify(t.Context(), "token"); reasonOf(t, err) != test.want {
					t.Errorf("got %v, want %q", err, test.want)
				}
			}
		})
	}
	t.Run("a full queue", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var slow atomic.Bool
			config := provider.Config{
				Issuer: "https://as.example", ClientID: "g", ClientAuth: provider.ClientAuthNone, Verify: provider.VerifyIntrospection,
				IntrospectionEndpoint: "https://as.example/introspect", Timeout: seconds(3), StaleIfError: seconds(3600),
			}
			p := connectTo(providerFor(t, config, tokencache.Settings{MaxAge: time.Minute}), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if slow.Load() {
					time.Sleep(2 * time.Second)
				}
				providertest.Respond(providertest.Active(""))(w, r)
			}))
			if _, err := p.Verify(t.Context(), "token"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			slow.Store(true)
			var flood sync.WaitGroup
			for i := range 1000 {
				flood.Go(func() { _, _ = p.Verify(t.Context(), fmt.Sprint("flood-", i)) })
			}
			synctest.Wait()
			if _, err := p.Verify(t.Context(), "token"); reasonOf(t, err) != token.ProviderUnavailable {
				t.Errorf("got %v, want %s", err, token.ProviderUnavailable)
			}
			flood.Wait()
		})
	})
}

// A refusal ends when its reason does, and costs no flood of calls until then.
func TestRefusalEndsWithItsReason(t *testing.T) {
	for _, claim := range []string{"nbf", "iat"} {
		t.Run(claim+", by introspection", func(t *testing.T) {
			server := providertest.NewServer(t)
			clock := newTestClock()
			p := clock.on(providerFor(t, introspecting(server), tokencache.Settings{}))
			server.On("/introspect", providertest.Respond(providertest.Active(fmt.Sprintf(`%q:%d`, claim, clock.now().Add(7*time.Second).Unix()))))
			checkEndsAfter(t, p, clock, "token", token.Invalid, 2*time.Second)
			if n := server.Count("/introspect"); n != 2 {
				t.Errorf("%d introspections, want 2", n)
			}
		})
		t.Run(claim+", by signature", func(t *testing.T) {
			server := providertest.NewServer(t)
			issuer := newTokenIssuer(t, server.URL, "k1")
			server.On("/jwks", issuer.serveKeys)
			clock := newTestClock()
			p := clock.on(providerFor(t, provider.Config{Issuer: server.URL, Verify: provider.VerifyJWT, JWKSURI: server.URL + "/jwks"}, tokencache.Settings{}))
			raw := issuer.sign(t, clock.now().Add(time.Hour), map[string]any{claim: clock.now().Add(7 * time.Second).Unix()})
			checkEndsAfter(t, p, clock, raw, token.Invalid, 2*time.Second)
		})
		t.Run(claim+", called inactive by the server", func(t *testing.T) {
			server := providertest.NewServer(t)
			issuer := newTokenIssuer(t, server.URL, "k1")
			clock := newTestClock()
			p := clock.on(providerFor(t, introspecting(server), tokencache.Settings{}))
			begins := clock.now().Add(7 * time.Second)
			server.On("/introspect", func(w http.ResponseWriter, r *http.Request) {
				if clock.now().Before(begins) {
					providertest.Respond(`{"active":false}`)(w, r)
					return
				}
				providertest.Respond(providertest.Active(""))(w, r)
			})
			raw := issuer.sign(t, clock.now().Add(time.Hour), map[string]any{claim: begins.Unix()})
			checkEndsAfter(t, p, clock, raw, token.Inactive, 7*time.Second)
			if n := server.Count("/introspect"); n != 3 {
				t.Errorf("%d introspections, want 3: at once, when this gateway and when the server takes it for begun", n)
			}
		})
	}
}

func checkEndsAfter(t *testing.T, p *testProvider, clock *testClock, raw string, want token.Reason, after time.Duration) {
	t.Helper()
	for range int(after / time.Second) {
		for range 10 {
			if _, err := p.Verify(t.Context(), raw); reasonOf(t, err) != want {
				t.Fatalf("got %v before the token's time, want %s", err, want)
			}
		}
		clock.advance(time.Second)
	}
	if _, err := p.Verify(t.Context(), raw); err != nil {
		t.Errorf("got %v, although the reason has ended", err)
	}
}

// A JWT of another provider is that provider's to verify: its server is not told.
func TestJWTOfAnotherProviderIsNotSentHere(t *testing.T) {
	for _, mode := range []string{provider.VerifyAuto, provider.VerifyIntrospection} {
		server := providertest.NewServer(t)
		server.On("/introspect", providertest.Respond(providertest.Active("")))
		config := introspecting(server)
		config.Verify = mode
		p := providerFor(t, config, tokencache.Settings{})
		p.isForeign = func(issuer string) bool { return issuer == "https://other.example" }
		other := newTokenIssuer(t, "https://other.example", "k1")
		raw := other.sign(t, time.Now().Add(time.Hour), nil)
		if _, err := p.Verify(t.Context(), raw); reasonOf(t, err) != token.Invalid {
			t.Errorf("verify %s: got %v", mode, err)
		}
		if n := server.Count("/introspect"); n != 0 {
			t.Errorf("verify %s: the server was asked %d times", mode, n)
		}
		unknown := newTokenIssuer(t, "https://unknown.example", "k1")
		if _, err := p.Verify(t.Context(), unknown.sign(t, time.Now().Add(time.Hour), nil)); err != nil {
			t.Errorf("verify %s: a JWT of an unknown issuer: got %v", mode, err)
		}
	}
}

// fromAddress is the context of a request to Caddy from this address.
func fromAddress(ctx context.Context, address string) context.Context {
	return context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: address})
}

// One network that sends unknown tokens is told to wait, and others are not.
func TestUnknownTokensAreLimitedPerNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most, asked atomic.Int64
		p := bubbleProvider(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(400 * time.Millisecond)
			now.Add(-1)
			oddAnswers(nil)(w, r)
		})
		hostile := fromAddress(t.Context(), "2001:db8::1")
		var limited, unknown atomic.Int64
		var flood sync.WaitGroup
		for i := range 3600 {
			flood.Go(func() {
				_, err := p.Verify(hostile, fmt.Sprint("unknown-", i))
				switch e := token.AsError(err); e.Reason {
				case token.Limited:
					limited.Add(1)
					if e.RetryAfter < time.Second {
						t.Error("no time to come back")
					}
				case token.Inactive:
					unknown.Add(1)
				default:
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		begun := time.Now()
		if _, err := p.Verify(fromAddress(t.Context(), "192.0.2.1"), "good"); err != nil || time.Since(begun) != 400*time.Millisecond {
			t.Errorf("another network: got %v after %s", err, time.Since(begun))
		}
		flood.Wait()
		if unknown.Load()+limited.Load() != 3600 || limited.Load() < 2000 {
			t.Errorf("%d of 3600 tokens were asked about, %d refused without", unknown.Load(), limited.Load())
		}
		if most.Load() > 65 {
			t.Errorf("%d calls at one time", most.Load())
		}
		if got := p.server.Status().Breakers["introspection_endpoint"]; got != "closed" {
			t.Errorf("the breaker is %s", got)
		}
	})
}

// Verified tokens cost a network nothing, however many there are.
func TestGoodTokensAreNotLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bubbleProvider(t, oddAnswers(nil))
		ctx := fromAddress(t.Context(), "192.0.2.1")
		for i := range 5000 {
			if _, err := p.Verify(ctx, fmt.Sprint("good-", i)); err != nil {
				t.Fatalf("token %d: got %v", i, err)
			}
		}
	})
}
