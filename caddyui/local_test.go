// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/uilink"
)

const localAddress = "http://127.0.0.1:8080/open"

// newLocal returns the pages of a site that opens by a link, and a clock that is
// moved by hand.
func newLocal(t *testing.T) (*UI, *uilink.Register, *time.Time) {
	t.Helper()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	clock := func() time.Time { return now }
	links := uilink.NewRegister(clock)
	t.Cleanup(links.Add(localAddress))
	return &UI{
		config: newTestEditor(t), Local: true, app: runApp(t), doors: newDoors(localAddress, links, clock), guard: newGuard(place{isLocal: true}),
		tails:  newTailLimiter(t.Context()),
		signer: "a key of this test", logger: zap.NewNop(), now: clock,
	}, links, &now
}

func localRequest(method, path string, cookie *http.Cookie, form url.Values) *http.Request {
	r := request(method, path, "", form)
	r.Host, r.TLS = "127.0.0.1:8080", nil
	if cookie != nil {
		r.AddCookie(cookie)
	}
	return r
}

// openWith sends a secret and returns the cookie, nil if it was refused.
func openWith(t *testing.T, u *UI, secret string) (status int, cookie *http.Cookie) {
	t.Helper()
	response := answer(t, u, localRequest(http.MethodPost, "/open", nil, url.Values{"secret": {secret}}))
	for _, c := range response.Cookies() {
		cookie = c
	}
	return response.StatusCode, cookie
}

func secretOf(links *uilink.Register) string {
	_, secret, _ := strings.Cut(links.New()[0].URL, "#")
	return secret
}

// The first visitor has no role, and a link opens the pages once.
func TestSec_S407_S409_OnlyALinkOpens(t *testing.T) {
	u, links, _ := newLocal(t)
	if got := answer(t, u, localRequest(http.MethodGet, "/", nil, nil)); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("the first visitor: got %s", got.Status)
	}
	for _, guess := range []string{"", "admin", "#", "edd1c9f034335f136f87ad84b625c8f1"} {
		if status, cookie := openWith(t, u, guess); status != http.StatusForbidden || cookie != nil {
			t.Errorf("%q: got %d %v", guess, status, cookie)
		}
	}
	secret := secretOf(links)
	status, cookie := openWith(t, u, secret)
	if status != http.StatusSeeOther || cookie == nil {
		t.Fatalf("the link: got %d, no cookie", status)
	}
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Name != "gluu-ui-8080" || cookie.Domain != "" {
		t.Errorf("got the cookie %+v", cookie)
	}
	if got := answer(t, u, localRequest(http.MethodGet, "/", cookie, nil)); got.StatusCode != http.StatusOK {
		t.Errorf("with the cookie: got %s", got.Status)
	}
	if status, _ := openWith(t, u, secret); status != http.StatusForbidden {
		t.Errorf("the link again: got %d", status)
	}
}

func TestTheWholeLinkCanBePasted(t *testing.T) {
	u, links, _ := newLocal(t)
	if status, cookie := openWith(t, u, " "+links.New()[0].URL+"\n"); status != http.StatusSeeOther || cookie == nil {
		t.Errorf("got %d", status)
	}
}

func TestSecretsCannotBeTriedFast(t *testing.T) {
	u, links, now := newLocal(t)
	for range attemptsPerMinute {
		openWith(t, u, "wrong")
	}
	secret := secretOf(links)
	if status, cookie := openWith(t, u, secret); status != http.StatusTooManyRequests || cookie != nil {
		t.Errorf("got %d, want 429", status)
	}
	*now = now.Add(time.Minute)
	if status, _ := openWith(t, u, secretOf(links)); status != http.StatusSeeOther {
		t.Errorf("a minute later: got %d", status)
	}
}

func TestASessionEnds(t *testing.T) {
	for name, c := range map[string]struct {
		wait time.Duration
		live bool
		want int
	}{
		"used now and then":           {idleLimit - time.Second, false, http.StatusOK},
		"only a page that looks live": {idleLimit - time.Second, true, http.StatusUnauthorized},
		"left alone":                  {idleLimit, false, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			u, links, now := newLocal(t)
			_, cookie := openWith(t, u, secretOf(links))
			var last int
			for range 2 {
				*now = now.Add(c.wait)
				r := localRequest(http.MethodGet, "/", cookie, nil)
				if c.live {
					r.Header.Set("X-Live", "1")
				}
				last = answer(t, u, r).StatusCode
			}
			if last != c.want {
				t.Errorf("got %d, want %d", last, c.want)
			}
		})
	}
	t.Run("after a working day", func(t *testing.T) {
		u, links, now := newLocal(t)
		_, cookie := openWith(t, u, secretOf(links))
		for elapsed := time.Duration(0); elapsed < ageLimit-20*time.Minute; elapsed += 20 * time.Minute {
			*now = now.Add(20 * time.Minute)
			if got := answer(t, u, localRequest(http.MethodGet, "/", cookie, nil)); got.StatusCode != http.StatusOK {
				t.Fatalf("after %s: got %s", elapsed, got.Status)
			}
		}
		*now = now.Add(20 * time.Minute)
		if got := answer(t, u, localRequest(http.MethodGet, "/", cookie, nil)); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %s", got.Status)
		}
	})
	t.Run("closed", func(t *testing.T) {
		u, links, _ := newLocal(t)
		_, cookie := openWith(t, u, secretOf(links))
		form := url.Values{"token": {u.signer.of("local " + cookie.Value)}}
		if got := answer(t, u, localRequest(http.MethodPost, "/close", cookie, form)); got.StatusCode != http.StatusSeeOther {
			t.Errorf("closing: got %s", got.Status)
		}
		if got := answer(t, u, localRequest(http.MethodGet, "/", cookie, nil)); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %s", got.Status)
		}
	})
}

func TestThereAreNotTooManySessions(t *testing.T) {
	u, links, now := newLocal(t)
	_, first := openWith(t, u, secretOf(links))
	for range maxLocalSessions {
		*now = now.Add(7 * time.Second) // slower than secrets may be tried
		if status, _ := openWith(t, u, secretOf(links)); status != http.StatusSeeOther {
			t.Fatalf("got %d", status)
		}
	}
	if n := len(u.doors.sessions); n != maxLocalSessions {
		t.Errorf("got %d sessions, want %d", n, maxLocalSessions)
	}
	if got := answer(t, u, localRequest(http.MethodGet, "/", first, nil)); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("the oldest session: got %s", got.Status)
	}
}

// Host names that a local site answers to: those that no other site can have.
func TestLocalNames(t *testing.T) {
	u, _, _ := newLocal(t)
	for name, want := range map[string]bool{
		"127.0.0.1:8080": true, "127.0.0.1": true, "localhost:9": true, "LOCALHOST": true, "[::1]:80": true, "::1": true, "127.9.9.9": true,
		"evil.example": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "0.0.0.0": false, "": false, "10.0.0.1": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/", nil)
		r.Host = name
		if got := u.guard.allowsHost(r.Host); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
}
