// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// bubbleProvider introspects at a server without sockets, for tests in a
// bubble.
func bubbleProvider(t *testing.T, handler http.HandlerFunc) *Provider {
	return connectTo(providerFor(t, ProviderConfig{
		Issuer: "https://as.example", ClientID: "gateway", ClientAuth: clientAuthNone,
		Verify: verifyIntrospection, IntrospectionEndpoint: "https://as.example/introspect",
	}, CacheConfig{}), handler)
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
			respond(active(""))(w, r)
		})
		ask := func() *Error {
			_, err := p.Verify(t.Context(), "token")
			if reasonOf(t, err) != ProviderUnavailable {
				t.Fatalf("got %v, want %s", err, ProviderUnavailable)
			}
			return err.(*Error)
		}

		for range breakerFailures {
			ask()
		}
		if n := asked.Load(); n != breakerFailures {
			t.Fatalf("%d requests, want %d", n, breakerFailures)
		}
		if got := p.server.breakers.states()["introspection_endpoint"]; got != "open" {
			t.Fatalf("the breaker is %s after %d failures", got, breakerFailures)
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
		if n := asked.Load(); n != breakerFailures {
			t.Errorf("the server got %d requests while the breaker was open", n-breakerFailures)
		}

		// One request is let through and fails: another pause.
		time.Sleep(breakerPause)
		ask()
		ask()
		if n := asked.Load(); n != breakerFailures+1 {
			t.Errorf("%d requests after the pause, want 1", n-breakerFailures)
		}
		// The next one succeeds: all is well.
		time.Sleep(breakerPause + 1)
		healthy.Store(true)
		if _, err := p.Verify(t.Context(), "token"); err != nil {
			t.Errorf("got %v from a server that is well again", err)
		}
		if got := p.server.breakers.states()["introspection_endpoint"]; got != "closed" {
			t.Errorf("the breaker is %s", got)
		}
	})
}

// While one request finds out whether a hanging server has recovered, no other
// waits with it.
func TestBreakerTriesWithOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bubbleProvider(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		for i := range breakerFailures {
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
		if _, err := p.Verify(t.Context(), "second"); reasonOf(t, err) != ProviderUnavailable {
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
			respond(active(""))(w, r)
		})
		for range 2 * breakerFailures {
			req, _ := http.NewRequest(http.MethodPost, "https://as.example/token", nil)
			if _, _, err := p.Call(t.Context(), "token_endpoint", req); reasonOf(t, err) != ProviderUnavailable {
				t.Fatalf("got %v", err)
			}
		}
		if _, err := p.Verify(t.Context(), "token"); err != nil {
			t.Errorf("introspection: got %v because another endpoint fails", err)
		}
	})
}

// A caller of Call that goes away has not found out anything about the server.
func TestCancelledCallsDoNotOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bubbleProvider(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		for range 2 * breakerFailures {
			ctx, cancel := context.WithCancel(t.Context())
			req, _ := http.NewRequest(http.MethodPost, "https://as.example/token", nil)
			go func() { synctest.Wait(); cancel() }()
			if _, _, err := p.Call(ctx, "token_endpoint", req); !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v, want %v", err, context.Canceled)
			}
		}
		if got := p.server.breakers.states()["token_endpoint"]; got != "closed" {
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
			respond(active(""))(w, r)
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
	server := newFakeServer(t)
	p := providerFor(t, server.introspecting(), CacheConfig{})
	call := func(address string) (string, int, error) {
		req, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, status, err := p.Call(t.Context(), "some_endpoint", req)
		return string(body), status, err
	}
	server.on("/denied", respondWith(403, "application/json", `{"error":"no"}`))
	if body, status, err := call(server.URL + "/denied"); status != 403 || body != `{"error":"no"}` || err != nil {
		t.Errorf("got %q, %d, %v", body, status, err)
	}
	server.on("/busy", respondWith(429, "text/plain", ""))
	if _, _, err := call(server.URL + "/busy"); reasonOf(t, err) != ProviderUnavailable {
		t.Errorf("status 429: got %v", err)
	}
	server.on("/endless", endless)
	if _, _, err := call(server.URL + "/endless"); reasonOf(t, err) != ProviderUnavailable {
		t.Errorf("endless answer: got %v", err)
	}
	other := newFakeServer(t)
	if _, _, err := call(other.URL + "/denied"); reasonOf(t, err) != ProviderUnavailable {
		t.Errorf("another origin: got %v", err)
	}
	if n := other.count("/denied"); n != 0 {
		t.Errorf("another origin got %d requests", n)
	}
}
