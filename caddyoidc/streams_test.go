// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/streams"
)

// newStreamWorld has gateways whose application answers with an endless stream of
// events, at /events.
func newStreamWorld(t *testing.T, gateways int) *world {
	return newStreamWorldOf(t, gateways, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // as reverse_proxy does
	}))
}

// newStreamWorldOf has gateways in front of an application that streams.
func newStreamWorldOf(t *testing.T, gateways int, application caddyhttp.Handler) *world {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	guard, err := streams.NewGuard(ctx, &streams.Config{SSEEvent: "over"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	p := &people{provider: "default", streams: guard}
	return newWorld(t, gateways, func(v *visitor) {
		v.sessions.OnChange(streams.Open.SessionChanged)
		others := v.admitted
		v.admitted = func(v *visit) error {
			if v.session == nil || !streams.IsStream(v.r) {
				return others(v)
			}
			return p.streams.ServeHTTP(v.w, v.r, p.streamOf(v, new(view)), application)
		}
	})
}

func TestSec_S502_AStreamEndsWithItsSession(t *testing.T) {
	w := newStreamWorld(t, 2)
	at, p := w.gateways[0], w.newPerson()
	p.want(p.open(at.URL+"/"), 200, "alice")
	open := func() *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at.URL+"/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/event-stream")
		answer, err := p.client.Do(r)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("got %v (%v)", answer, err)
		}
		return answer
	}
	renewed, over := open(), open()
	defer renewed.Body.Close()
	defer over.Body.Close()

	// Another request changes the session, which goes on.
	w.clock.advance(2 * time.Minute)
	p.want(p.once("GET", at.URL+"/", nil, ""), 200, "alice")
	if n := len(streams.Open.List(func(s streams.Info) bool { return s.Session != "" })); n != 2 {
		t.Fatalf("%d streams are open after the session was marked as seen, want 2", n)
	}

	// A logout at the other gateway.
	elsewhere := w.newPerson()
	elsewhere.client.Jar.SetCookies(mustParse(t, w.gateways[1].URL), []*http.Cookie{{Name: defaultSessionCookie, Value: sessionCookie(p, at)}})
	elsewhere.once("GET", w.gateways[1].URL+"/logout", http.Header{"Sec-Fetch-Site": {"same-origin"}}, "")
	for _, answer := range []*http.Response{renewed, over} {
		body, err := io.ReadAll(answer.Body)
		if want := "data: 1\n\nevent: over\ndata: session_ended\n\n"; err != nil || string(body) != want {
			t.Errorf("got %q (%v), want %q", body, err, want)
		}
	}
}
