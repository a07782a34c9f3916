// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
)

// bubbleProvider introspects at a server without sockets, for tests in a
// bubble.
func bubbleProvider(t *testing.T, handler http.HandlerFunc) *testProvider {
	return connectTo(providerFor(t, Config{
		Issuer: "https://as.example", ClientID: "gateway", ClientAuth: ClientAuthNone,
		Verify: VerifyIntrospection, IntrospectionEndpoint: "https://as.example/introspect",
	}), handler)
}

func TestBreakerOpensAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		var healthy atomic.Bool
		p := bubbleProvider(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			if !healthy.Load() {
				http.Error(w, "down", http.StatusBadGateway)
				return
			}
			providertest.Respond(providertest.Active(""))(w, r)
		})
		tokens := 0
		ask := func() *token.Error {
			tokens++
			_, err := p.Verify(t.Context(), fmt.Sprint("token-", tokens))
			if reasonOf(t, err) != token.ProviderUnavailable {
				t.Fatalf("got %v, want %s", err, token.ProviderUnavailable)
			}
			return err.(*token.Error)
		}

		for range BreakerFailures {
			ask()
		}
		if n := asked.Load(); n != BreakerFailures {
			t.Fatalf("%d requests, want %d", n, BreakerFailures)
		}
		if got := p.endpoints.breakers()["introspection_endpoint"]; got != "open" {
			t.Fatalf("the breaker is %s after %d failures", got, BreakerFailures)
		}
		time.Sleep(3 * time.Second)
		begun := time.Now()
		for range 100 {
			if err := ask(); err.RetryAfter != breakerPause-3*time.Second {
				t.Fatalf("the client shall come back in %s, want %s", err.RetryAfter, breakerPause-3*time.Second)
			}
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("requests waited %s for an open breaker", took)
		}
		if n := asked.Load(); n != BreakerFailures {
			t.Errorf("the server got %d requests while the breaker was open", n-BreakerFailures)
		}

		// One request is let through and fails: another pause.
		time.Sleep(breakerPause)
		ask()
		ask()
		if n := asked.Load(); n != BreakerFailures+1 {
			t.Errorf("%d requests after the pause, want 1", n-BreakerFailures)
		}
		// The next one succeeds: all is well.
		time.Sleep(breakerPause + 1)
		healthy.Store(true)
		if _, err := p.Verify(t.Context(), "token"); err != nil {
			t.Errorf("got %v from a server that is well again", err)
		}
		if got := p.endpoints.breakers()["introspection_endpoint"]; got != "closed" {
			t.Errorf("the breaker is %s", got)
		}
	})
}

// While one request finds out whether a hanging server has recovered, no other
// waits with it.
func TestBreakerTriesWithOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bubbleProvider(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		for i := range BreakerFailures {
			_, _ = p.Verify(t.Context(), string(rune('a'+i)))
		}
		time.Sleep(breakerPause + 1)
		tried := make(chan struct{})
		go func() {
			defer close(tried)
			_, _ = p.Verify(t.Context(), "first")
		}()
		synctest.Wait()
		begun := time.Now()
		if _, err := p.Verify(t.Context(), "second"); reasonOf(t, err) != token.ProviderUnavailable {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("the second request waited %s", took)
		}
		<-tried
	})
}

func TestBreakersOfEndpointsAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bubbleProvider(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				http.Error(w, "down", http.StatusInternalServerError)
				return
			}
			providertest.Respond(providertest.Active(""))(w, r)
		})
		for range 2 * BreakerFailures {
			req, _ := http.NewRequest(http.MethodPost, "https://as.example/token", nil)
			if _, _, err := p.Call(t.Context(), "token_endpoint", req); reasonOf(t, err) != token.ProviderUnavailable {
				t.Fatalf("got %v", err)
			}
		}
		if _, err := p.Verify(t.Context(), "token"); err != nil {
			t.Errorf("introspection: got %v because another endpoint fails", err)
		}
	})
}

// A caller of Call that hangs up has learned nothing about the server.
func TestCancelledCallsDoNotOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bubbleProvider(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		for range 2 * BreakerFailures {
			ctx, cancel := context.WithCancel(t.Context())
			req, _ := http.NewRequest(http.MethodPost, "https://as.example/token", nil)
			go func() { synctest.Wait(); cancel() }()
			if _, _, err := p.Call(ctx, "token_endpoint", req); !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v, want %v", err, context.Canceled)
			}
		}
		if got := p.endpoints.breakers()["token_endpoint"]; got != "closed" {
			t.Errorf("the breaker is %s", got)
		}
	})
}

// A flood of tokens must not become a flood of connections.
func TestRequestsUnderWayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		p := bubbleProvider(t, func(w http.ResponseWriter, r *http.Request) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(100 * time.Millisecond)
			now.Add(-1)
			providertest.Respond(providertest.Active(""))(w, r)
		})
		failed := make(chan error, 4*maxInFlight)
		for i := range 4 * maxInFlight {
			go func() {
				_, err := p.Verify(t.Context(), string(rune(i+1)))
				failed <- err
			}()
		}
		for range 4 * maxInFlight {
			if err := <-failed; err != nil {
				t.Errorf("got %v", err)
			}
		}
		if got := most.Load(); got != maxInFlight {
			t.Errorf("%d requests at a time, want %d", got, maxInFlight)
		}
	})
}

func TestCallGuards(t *testing.T) {
	server := providertest.NewServer(t)
	p := providerFor(t, introspecting(server))
	call := func(address string) (string, int, error) {
		req, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, status, err := p.Call(t.Context(), "some_endpoint", req)
		return string(body), status, err
	}
	server.On("/denied", providertest.RespondWith(403, "application/json", `{"error":"no"}`))
	if body, status, err := call(server.URL + "/denied"); status != 403 || body != `{"error":"no"}` || err != nil {
		t.Errorf("got %q, %d, %v", body, status, err)
	}
	server.On("/busy", providertest.RespondWith(429, "text/plain", ""))
	if _, _, err := call(server.URL + "/busy"); reasonOf(t, err) != token.ProviderUnavailable {
		t.Errorf("status 429: got %v", err)
	}
	server.On("/endless", endless)
	if _, _, err := call(server.URL + "/endless"); reasonOf(t, err) != token.Unreadable {
		t.Errorf("endless answer: got %v", err)
	}
	other := providertest.NewServer(t)
	if _, _, err := call(other.URL + "/denied"); reasonOf(t, err) != token.ProviderUnavailable {
		t.Errorf("another origin: got %v", err)
	}
	if n := other.Count("/denied"); n != 0 {
		t.Errorf("another origin got %d requests", n)
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for r.Context().Err() == nil {
		if _, err := w.Write(bytes.Repeat([]byte(" "), 64<<10)); err != nil {
			return
		}
	}
}
