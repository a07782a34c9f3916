// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// A thousand requests come at once with a new token.
func TestOneIntrospectionForManyRequests(t *testing.T) {
	for name, answer := range map[string]string{"active": providertest.Active(""), "inactive": `{"active":false}`} {
		t.Run(name, func(t *testing.T) {
			const requests = 1000
			server := providertest.NewServer(t)
			release := make(chan struct{})
			server.On("/introspect", func(w http.ResponseWriter, r *http.Request) {
				<-release
				providertest.Respond(answer)(w, r)
			})
			p := providerFor(t, introspecting(server), tokencache.Settings{})
			var outcomes sync.Map
			var waiting sync.WaitGroup
			var begun atomic.Int64
			for i := range requests {
				waiting.Go(func() {
					begun.Add(1)
					token, err := p.Verify(t.Context(), "new-token")
					outcomes.Store(i, fmt.Sprint(token != nil, err))
				})
			}
			for begun.Load() < requests {
				runtime.Gosched()
			}
			close(release)
			waiting.Wait()
			if n := server.Count("/introspect"); n != 1 {
				t.Errorf("%d introspections, want 1", n)
			}
			first, _ := outcomes.Load(0)
			outcomes.Range(func(i, outcome any) bool {
				if outcome != first {
					t.Errorf("request %v got %v, request 0 got %v", i, outcome, first)
				}
				return true
			})
		})
	}
}

// The request that began the introspection is canceled. The others must neither
// fail with it nor begin again.
func TestACancelledLeaderFailsNoOtherRequest(t *testing.T) {
	server := providertest.NewServer(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	server.On("/introspect", func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		providertest.Respond(providertest.Active(""))(w, r)
	})
	p := providerFor(t, introspecting(server), tokencache.Settings{})

	leaderCtx, cancel := context.WithCancel(t.Context())
	leader := make(chan error)
	go func() {
		_, err := p.Verify(leaderCtx, "token")
		leader <- err
	}()
	<-arrived
	follower := make(chan error)
	go func() {
		_, err := p.Verify(t.Context(), "token")
		follower <- err
	}()
	cancel()
	err := <-leader
	if reasonOf(t, err) != token.ProviderUnavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("the leader got %v, want %s because it was cancelled", err, token.ProviderUnavailable)
	}
	close(release)
	if err := <-follower; err != nil {
		t.Errorf("the follower got %v", err)
	}
	if _, err := p.Verify(t.Context(), "token"); err != nil {
		t.Errorf("a later request got %v", err)
	}
	if n := server.Count("/introspect"); n != 1 {
		t.Errorf("%d introspections, want 1", n)
	}
}

// All requests for a token are canceled, but its verification serves the next
// one.
func TestAbandonedVerificationIsRemembered(t *testing.T) {
	server := providertest.NewServer(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	server.On("/introspect", func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		providertest.Respond(providertest.Active(""))(w, r)
	})
	p := providerFor(t, introspecting(server), tokencache.Settings{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := p.Verify(ctx, "token"); err == nil {
		t.Fatal("got a token that was not verified yet")
	}
	close(release)
	if _, err := p.Verify(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	if n := server.Count("/introspect"); n != 1 {
		t.Errorf("%d introspections, want 1", n)
	}
}

// What went wrong with the server says nothing about the token. It is the answer
// for a second, so that one token cannot be asked about again and again, and is
// forgotten then.
func TestSec_S52_FailuresAreForgottenAfterASecond(t *testing.T) {
	for name, failure := range map[string]http.HandlerFunc{
		"500":      providertest.RespondWith(500, "application/json", `{"active":false}`),
		"429":      providertest.RespondWith(429, "application/json", `{"active":false}`),
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"hung up":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		server := providertest.NewServer(t)
		server.On("/introspect", failure)
		clock := newTestClock()
		p := clock.on(providerFor(t, introspecting(server), tokencache.Settings{}))
		for range 100 {
			if _, err := p.Verify(t.Context(), "token"); reasonOf(t, err) != token.ProviderUnavailable {
				t.Errorf("%s: got %v, want %s", name, err, token.ProviderUnavailable)
			}
		}
		if n := server.Count("/introspect"); n > 2 { // an idempotent request is sent again over a new connection
			t.Errorf("%s: %d introspections within a second", name, n)
		}
		if positive, negative := p.cache.Sizes(); positive+negative != 0 {
			t.Errorf("%s: %d and %d entries are remembered", name, positive, negative)
		}
		server.On("/introspect", providertest.Respond(providertest.Active("")))
		clock.advance(time.Second)
		if _, err := p.Verify(t.Context(), "token"); err != nil {
			t.Errorf("%s: got %v once the server was well again", name, err)
		}
	}
}

func TestSec_S52_BadTokenAsksOncePerNegativeAge(t *testing.T) {
	server := providertest.NewServer(t)
	clock := newTestClock()
	p := clock.on(providerFor(t, introspecting(server), tokencache.Settings{}))
	for range 1000 {
		if _, err := p.Verify(t.Context(), "bad"); reasonOf(t, err) != token.Inactive {
			t.Fatalf("got %v", err)
		}
	}
	if n := server.Count("/introspect"); n != 1 {
		t.Fatalf("%d introspections, want 1", n)
	}
	// It becomes active: known when the negative age is over.
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	clock.advance(testNegativeAge - 1)
	if _, err := p.Verify(t.Context(), "bad"); reasonOf(t, err) != token.Inactive {
		t.Errorf("got %v before the end of the negative age", err)
	}
	clock.advance(1)
	if _, err := p.Verify(t.Context(), "bad"); err != nil {
		t.Errorf("got %v after the end of the negative age", err)
	}
}

func TestTokenIsAskedForAgain(t *testing.T) {
	tests := []struct {
		name     string
		lifetime time.Duration // 0: the answer has no exp
		maxAge   time.Duration
		until    time.Duration // from when on the server is asked again
	}{
		{"at its expiry", time.Minute, 10 * time.Minute, time.Minute},
		{"at the maximal age", time.Hour, 10 * time.Minute, 10 * time.Minute},
		{"at the maximal age without expiry", 0, 10 * time.Minute, 10 * time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			clock := newTestClock()
			server := providertest.NewServer(t)
			extra := ""
			if test.lifetime != 0 {
				extra = fmt.Sprintf(`"exp":%d`, clock.now().Add(test.lifetime).Unix())
			}
			server.On("/introspect", providertest.Respond(providertest.Active(extra)))
			p := clock.on(providerFor(t, introspecting(server), tokencache.Settings{MaxAge: test.maxAge}))
			for range 3 {
				if _, err := p.Verify(t.Context(), "token"); err != nil {
					t.Fatal(err)
				}
			}
			clock.advance(test.until - 1)
			if _, err := p.Verify(t.Context(), "token"); err != nil {
				t.Fatal(err)
			}
			if n := server.Count("/introspect"); n != 1 {
				t.Fatalf("%d introspections before the end, want 1", n)
			}
			clock.advance(1)
			_, _ = p.Verify(t.Context(), "token")
			if n := server.Count("/introspect"); n != 2 {
				t.Errorf("%d introspections after the end, want 2", n)
			}
		})
	}
}

// A revoked token is inactive when it is asked for again, and not before.
func TestRevocationHoldsAfterMaxAge(t *testing.T) {
	clock := newTestClock()
	server := providertest.NewServer(t)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	p := clock.on(providerFor(t, introspecting(server), tokencache.Settings{}))
	if _, err := p.Verify(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	server.On("/introspect", providertest.Respond(`{"active":false}`))
	clock.advance(testMaxAge)
	for range 2 {
		if _, err := p.Verify(t.Context(), "token"); reasonOf(t, err) != token.Inactive {
			t.Errorf("got %v, want %s", err, token.Inactive)
		}
	}
}

// Random tokens cost their own segment; what is known of good ones stays.
func TestSec_S52_FloodOfRandomTokens(t *testing.T) {
	const size, flood = 2000, 30_000
	server := providertest.NewServer(t)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.PostForm.Get("token"), "good-") {
			providertest.Respond(providertest.Active(""))(w, r)
			return
		}
		providertest.Respond(`{"active":false}`)(w, r)
	})
	p := connectTo(providerFor(t, introspecting(server), tokencache.Settings{Size: size}), handler)
	for i := range size / 2 {
		if _, err := p.Verify(t.Context(), fmt.Sprint("good-", i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range flood {
		if _, err := p.Verify(t.Context(), fmt.Sprint("random-", i)); reasonOf(t, err) != token.Inactive {
			t.Fatalf("got %v", err)
		}
	}
	p.cache.CleanUp()
	positive, negative := p.cache.Sizes()
	if positive != size/2 {
		t.Errorf("%d good tokens are left of %d", positive, size/2)
	}
	if allowed := int(p.cache.Status().Negative.Size); negative > allowed {
		t.Errorf("%d refused tokens are kept, want %d at most", negative, allowed)
	}
}

func TestSec_S51_RefusalByOneProviderIsNotThatOfAnother(t *testing.T) {
	refusing, granting := providertest.NewServer(t), providertest.NewServer(t)
	granting.On("/introspect", providertest.Respond(providertest.Active("")))
	a := providerFor(t, introspecting(refusing), tokencache.Settings{})
	b := providerFor(t, introspecting(granting), tokencache.Settings{})
	b.cache = a.cache
	for range 2 {
		if _, err := a.Verify(t.Context(), "token"); reasonOf(t, err) != token.Inactive {
			t.Errorf("the server that does not know the token: got %v", err)
		}
		if _, err := b.Verify(t.Context(), "token"); err != nil {
			t.Errorf("the server that knows it: got %v", err)
		}
	}
}

// What a server that is gone has kept is not found by the next one.
func TestCacheKeysOfVerifiersDiffer(t *testing.T) {
	server := providertest.NewServer(t)
	a, b := providerFor(t, introspecting(server), tokencache.Settings{}), providerFor(t, introspecting(server), tokencache.Settings{})
	if a.CacheKey("token") == b.CacheKey("token") {
		t.Error("a server that was gone meanwhile would find what it kept")
	}
}

// While the server is unavailable, a token that it vouched for before keeps
// working for as long as the operator allows, and never beyond its own end.
func TestStaleIfError(t *testing.T) {
	tests := []struct {
		name     string
		stale    time.Duration
		lifetime time.Duration
		after    time.Duration
		want     token.Reason
	}{
		{"off", 0, time.Hour, 10 * time.Minute, token.ProviderUnavailable},
		{"within", 5 * time.Minute, time.Hour, 15*time.Minute - 1, ""},
		{"over", 5 * time.Minute, time.Hour, 15 * time.Minute, token.ProviderUnavailable},
		{"token expires first, within", 5 * time.Minute, 12 * time.Minute, 12*time.Minute - 1, ""},
		{"token expires first, over", 5 * time.Minute, 12 * time.Minute, 12 * time.Minute, token.ProviderUnavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			clock := newTestClock()
			server := providertest.NewServer(t)
			server.On("/introspect", providertest.Respond(providertest.Active(fmt.Sprintf(`"exp":%d`, clock.now().Add(test.lifetime).Unix()))))
			config := introspecting(server)
			config.StaleIfError = caddy.Duration(test.stale)
			p := clock.on(providerFor(t, config, tokencache.Settings{}))
			if _, err := p.Verify(t.Context(), "token"); err != nil {
				t.Fatal(err)
			}
			server.On("/introspect", providertest.RespondWith(503, "text/plain", "down"))
			clock.advance(test.after)
			if _, err := p.Verify(t.Context(), "token"); reasonOf(t, err) != test.want {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	t.Run("not once the server refuses the token", func(t *testing.T) {
		clock := newTestClock()
		server := providertest.NewServer(t)
		server.On("/introspect", providertest.Respond(providertest.Active("")))
		config := introspecting(server)
		config.StaleIfError = seconds(3600)
		p := clock.on(providerFor(t, config, tokencache.Settings{}))
		_, _ = p.Verify(t.Context(), "token")
		clock.advance(testMaxAge)
		server.On("/introspect", providertest.Respond(`{"active":false}`))
		_, _ = p.Verify(t.Context(), "token")
		clock.advance(testNegativeAge)
		server.On("/introspect", providertest.RespondWith(503, "text/plain", "down"))
		if _, err := p.Verify(t.Context(), "token"); reasonOf(t, err) != token.ProviderUnavailable {
			t.Errorf("got %v: a token that was refused has come back to life", err)
		}
	})
}

// A server that never answers, or drips, costs a request the timeout.
func TestSec_S71_SlowServerHitsTheDeadline(t *testing.T) {
	for name, body := range map[string]func(r *http.Request) *dripping{
		"never answers": nil,
		"drips":         func(r *http.Request) *dripping { return &dripping{r.Context()} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := provider.Config{
					Issuer: "https://as.example", ClientID: "g", ClientAuth: provider.ClientAuthNone, Verify: provider.VerifyIntrospection,
					IntrospectionEndpoint: "https://as.example/introspect", Timeout: seconds(3),
				}
				p := providerFor(t, config, tokencache.Settings{})
				p.loaded.HTTP.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					if body == nil {
						<-r.Context().Done()
						return nil, r.Context().Err()
					}
					return &http.Response{
						StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: body(r), Request: r,
					}, nil
				})
				begun := time.Now()
				_, err := p.Verify(t.Context(), "token")
				if reasonOf(t, err) != token.ProviderUnavailable || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want %s because of the deadline", err, token.ProviderUnavailable)
				}
				if took := time.Since(begun); took != 3*time.Second {
					t.Errorf("it took %v, want 3s", took)
				}
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// dripping is a body of which a byte comes each second, without end.
type dripping struct{ ctx context.Context }

func (d *dripping) Read(b []byte) (int, error) {
	select {
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	case <-time.After(time.Second):
		b[0] = ' '
		return 1, nil
	}
}

func (d *dripping) Close() error { return nil }

// Whatever the server does, tokens that are known go on working, at once.
func TestKnownTokensDoNotNoticeThatTheServerIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		p := bubbleProvider(t, func(w http.ResponseWriter, r *http.Request) {
			if down.Load() {
				<-r.Context().Done()
				return
			}
			providertest.Respond(providertest.Active(""))(w, r)
		})
		if _, err := p.Verify(t.Context(), "known"); err != nil {
			t.Fatal(err)
		}
		down.Store(true)
		for i := range 100 {
			go func() { _, _ = p.Verify(t.Context(), fmt.Sprint("unknown-", i)) }()
		}
		begun := time.Now()
		for time.Since(begun) < time.Minute {
			at := time.Now()
			if _, err := p.Verify(t.Context(), "known"); err != nil || time.Since(at) != 0 {
				t.Fatalf("after %s: got %v within %s", time.Since(begun), err, time.Since(at))
			}
			time.Sleep(time.Second)
		}
	})
}

func TestPanicIsNoVerdict(t *testing.T) {
	server := providertest.NewServer(t)
	p := providerFor(t, introspecting(server), tokencache.Settings{})
	p.loaded.HTTP.Transport = roundTrip(func(*http.Request) (*http.Response, error) { panic("a bug") })
	if _, err := p.Verify(t.Context(), "token"); reasonOf(t, err) != token.ProviderUnavailable {
		t.Errorf("got %v, want %s", err, token.ProviderUnavailable)
	}
}
