// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// headerOnly is an answer that is not read.
type headerOnly struct{ header http.Header }

func (w *headerOnly) Header() http.Header         { return w.header }
func (w *headerOnly) Write(p []byte) (int, error) { return len(p), nil }
func (w *headerOnly) WriteHeader(int)             {}

// warmVisit returns what serves a request of a person whose session is in memory,
// up to the point where it is let pass.
func warmVisit(t *testing.T, others string) func() {
	t.Helper()
	w := newWorld(t, 1, nil)
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/"), 200, "alice")
	lines := []string{others + defaultSessionCookie + "=" + sessionCookie(p, g)}
	passed := 0
	g.visitor.admitted = func(v *visit) error {
		if v.session == nil || v.session.Subject != "alice" {
			t.Fatalf("got %+v", v.session)
		}
		passed++
		return nil
	}
	r := httptest.NewRequest(http.MethodGet, g.URL+"/a/b?c=d", nil)
	answer := &headerOnly{http.Header{}}
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	t.Cleanup(func() {
		if passed == 0 {
			t.Error("no request passed")
		}
	})
	return func() {
		r.Header["Cookie"] = lines
		delete(answer.header, "Vary")
		if err := g.visitor.serve(answer, r, next); err != nil {
			t.Fatal(err)
		}
	}
}

// A session that is in memory costs a lookup and no decryption.
func TestAWarmSessionAllocatesLittle(t *testing.T) {
	for name, test := range map[string]struct {
		others string
		most   float64
	}{
		"the session cookie alone":       {"", 3},
		"cookies of the application too": {"theme=dark; lang=en; ", 5},
	} {
		t.Run(name, func(t *testing.T) {
			if got := testing.AllocsPerRun(200, warmVisit(t, test.others)); got > test.most {
				t.Errorf("%v allocations, want %v at the most", got, test.most)
			}
		})
	}
}
