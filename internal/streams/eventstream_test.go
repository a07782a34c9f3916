// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
)

// eventSource sends an event, and the first half of another.
func eventSource(rest <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		fmt.Fprint(w, "data: 1\n\ndata: ha")
		w.(http.Flusher).Flush()
		select {
		case <-rest:
		case <-r.Context().Done():
			return
		}
		fmt.Fprint(w, "lf\n\ndata: after the end\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
}

func (p *proxy) events(t *testing.T) *http.Response {
	t.Helper()
	r := newRequest(t, p.URL+"/events")
	r.Header.Set("Accept", "text/event-stream")
	answer, err := p.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func TestAnEventStreamEndsAfterAnEvent(t *testing.T) {
	for name, tc := range map[string]struct {
		event, want string
	}{
		"without a last event": {"", "data: 1\n\ndata: half\n\n"},
		"with one":             {"goodbye", "data: 1\n\ndata: half\n\nevent: goodbye\ndata: token_revoked\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			rest := make(chan struct{})
			p := newProxy(t, Config{SSEEvent: tc.event}, expiring(time.Hour), eventSource(rest))
			answer := p.events(t)
			begun := make([]byte, len("data: 1\n\ndata: ha"))
			if _, err := io.ReadFull(answer.Body, begun); err != nil {
				t.Fatal(err)
			}
			Open.EndTokens(func(_ *token.Token, raw string) bool { return raw == "raw" })
			close(rest)
			body, err := io.ReadAll(answer.Body)
			if got := string(begun) + string(body); err != nil || got != tc.want {
				t.Errorf("got %q (%v), want %q and a clean end", got, err, tc.want)
			}
		})
	}
}

func TestAnEventStreamEndsWithItsToken(t *testing.T) {
	p := newProxy(t, Config{}, expiring(300*time.Millisecond), eventSource(nil))
	body, err := io.ReadAll(p.events(t).Body)
	if got := string(body); err != nil || !strings.HasPrefix(got, "data: 1\n\n") {
		t.Errorf("got %q (%v), want the event and a clean end", got, err)
	}
}

// An answer of a known length is an answer, whatever the request accepts; one
// without is cut, so that it cannot be taken for whole.
func TestOtherAnswersOfAnEventStreamRequest(t *testing.T) {
	slow := make(chan struct{})
	backend := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sized" {
			w.Header().Set("Content-Length", "4")
		}
		fmt.Fprint(w, "12")
		w.(http.Flusher).Flush()
		select {
		case <-slow:
		case <-r.Context().Done():
		}
		fmt.Fprint(w, "34")
	})
	p := newProxy(t, Config{}, expiring(time.Hour), backend)
	for _, path := range []string{"/endless", "/sized"} {
		isCut := path == "/endless"
		r := newRequest(t, p.URL+path)
		r.Header.Set("Accept", "application/json, text/event-stream")
		answer, err := p.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if open := len(Open.List(isOf("client"))); (open == 1) != isCut {
			t.Errorf("%s: %d streams are open", path, open)
		}
		Open.EndTokens(func(_ *token.Token, raw string) bool { return raw == "raw" })
		if !isCut {
			close(slow)
		}
		if body, err := io.ReadAll(answer.Body); (err != nil) != isCut {
			t.Errorf("%s: got %q (%v)", path, body, err)
		}
		answer.Body.Close()
	}
}

// A last event could not be added to what is compressed, so nothing is that may get
// one; without a last event it may be.
func TestAnEventStreamWithALastEventIsNotCompressed(t *testing.T) {
	for event, want := range map[string]string{"": "gzip", "goodbye": "identity"} {
		asked := make(chan string, 1)
		p := newProxy(t, Config{SSEEvent: event}, expiring(time.Hour), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked <- r.Header.Get("Accept-Encoding")
		}))
		r := newRequest(t, p.URL+"/events")
		r.Header.Set("Accept", "text/event-stream")
		r.Header.Set("Accept-Encoding", "gzip")
		answer, err := p.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if got := <-asked; got != want {
			t.Errorf("with the last event %q: the upstream was asked for %q, want %q", event, got, want)
		}
	}
}
