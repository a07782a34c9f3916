// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/token"
)

func newRequest(t *testing.T, target string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// limit is what a test waits for at most.
const limit = 10 * time.Second

// proxy is a guard in front of a reverse proxy to a backend.
type proxy struct {
	*httptest.Server
	guard   *Guard
	next    caddyhttp.Handler
	backend string // its address
}

func newProxy(t *testing.T, config Config, caller Caller, backend http.Handler) *proxy {
	t.Helper()
	upstream := httptest.NewServer(backend)
	t.Cleanup(upstream.Close)
	target, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	reverse := httputil.NewSingleHostReverseProxy(target)
	reverse.FlushInterval = -1
	p := &proxy{backend: target.Host, guard: &Guard{limits: config.limits(time.Hour), logger: zap.NewNop(), metrics: metrics}}
	p.next = caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		reverse.ServeHTTP(w, r)
		return nil
	})
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := p.guard.ServeHTTP(w, r, caller, p.next); err != nil {
			t.Errorf("the guard: %v", err)
		}
	}))
	t.Cleanup(p.Server.Close)
	return p
}

func expiring(in time.Duration) Caller {
	return Caller{Token: &token.Token{ClientID: "client", ExpiresAt: time.Now().Add(in)}, Raw: "raw"}
}

// Streams leave no goroutine and no entry behind, whichever side ends them.
func TestSec_S504_NothingIsLeftOver(t *testing.T) {
	got := make(chan []byte, 20)
	p := newProxy(t, Config{}, expiring(time.Hour), echo(got))
	before := runtime.NumGoroutine()
	for i := range 20 {
		conn, r := p.dial(t)
		if i%2 == 0 {
			conn.Close()
			<-got
			continue
		}
		waitFor(t, "the stream to be open", func() bool { return len(Open.List(isOf("client"))) == 1 })
		Open.End(Admin, isOf("client"))
		wantClose(t, r, 3000, "admin")
		<-got
		conn.Close()
	}
	waitFor(t, "all streams to be over", func() bool { return Open.Len() == 0 })
	// Connections that the test's servers keep open for the next request are few.
	waitFor(t, "their goroutines to end", func() bool { return runtime.NumGoroutine() <= before+2 })
}

func isOf(client string) func(Info) bool {
	return func(s Info) bool { return s.ClientID == client }
}

func waitFor(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !isSo(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
