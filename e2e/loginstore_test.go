// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

const storeCaddyfile = `
{
	debug
	gluu {
		provider {
			issuer {$ISSUER}
			client_id web
			client_secret web-secret
			timeout 20s
		}
		session {
			SESSION
		}
	}
}
http://:{$PORT} {
	bind 127.0.0.1
	gluu_openid_connect {
		base_url {$BASE_URL}
		requested_scopes openid
		userinfo off
		max_id_token_age 10s
		logout_path /logout
	}
	reverse_proxy {$UPSTREAM}
}
`

// storeSite is a site to which people come by way of a relay, and any number of
// gateways for it.
type storeSite struct {
	t      *testing.T
	base   string
	front  *harness.Relay
	server *harness.OIDCProvider
	config harness.GatewayConfig
}

func newStoreSite(t *testing.T, session string, env map[string]string) *storeSite {
	t.Helper()
	s := &storeSite{t: t, front: harness.StartRelay(t, "127.0.0.1:9")}
	s.base = "http://" + s.front.Addr
	client := harness.LoginClient("web", "web-secret")
	client["redirect_uris"] = []string{s.base + "/callback"}
	client["grant_types"] = []string{"authorization_code", "refresh_token"}
	s.server = harness.StartOIDCProvider(t, harness.OIDCConfig{Scopes: []string{"openid"}, Clients: []map[string]any{client}, Person: "ann"})
	s.server.Record(harness.TokenPath)
	s.config = harness.GatewayConfig{
		Caddyfile: strings.Replace(storeCaddyfile, "SESSION", session, 1),
		Env:       map[string]string{"ISSUER": s.server.Issuer, "BASE_URL": s.base, "UPSTREAM": harness.StartUpstream(t).Addr},
	}
	maps.Copy(s.config.Env, env)
	return s
}

// logIn logs a person in at a gateway and returns the cookie of the session.
func (s *storeSite) logIn(gateways ...*harness.Gateway) harness.Field {
	s.t.Helper()
	s.front.ForwardTo(gateways[0].Addr)
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodGet, s.base+"/", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html")
	person := &http.Client{Jar: jar, Timeout: time.Minute, CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		for _, g := range gateways {
			g.Forbid(next.URL.Query().Get("code"), next.URL.Query().Get("state"), next.URL.Query().Get("nonce"))
		}
		// As a browser does on an answer with `Referrer-Policy: no-referrer`.
		next.Header.Del("Referer")
		return nil
	}}
	response, err := person.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		s.t.Fatalf("the login: %s %s", response.Status, body)
	}
	home, err := url.Parse(s.base)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, cookie := range jar.Cookies(home) {
		for _, g := range gateways {
			g.Forbid(cookie.Value)
			for _, answer := range s.server.Recorded(harness.TokenPath) {
				g.Forbid(tokensIn(answer)...)
			}
		}
		if cookie.Name == "gluu_session" {
			return harness.Field{Name: "Cookie", Value: cookie.Name + "=" + cookie.Value}
		}
	}
	s.t.Fatalf("the login set no session cookie: %v", jar.Cookies(home))
	return harness.Field{}
}

func askWith(g *harness.Gateway, path string, cookie harness.Field) *harness.Response {
	return g.Get(path, cookie, harness.Field{Name: "Accept", Value: "application/json"})
}

// waitStatus waits until a gateway answers a session with a status.
func (s *storeSite) waitStatus(g *harness.Gateway, cookie harness.Field, within time.Duration, want int) {
	s.t.Helper()
	harness.Eventually(s.t, within, func() string {
		if r := askWith(g, "/api", cookie); r.Status != want {
			return r.String()
		}
		return ""
	})
}

const storeKey = "0123456789abcdef0123456789abcdef-e2e"

func TestTwoGatewaysShareSessionsInARedis(t *testing.T) {
	t.Parallel()
	redis := harness.StartDurableRedis(t)
	s := newStoreSite(t, "store redis {$REDIS} {\nkey {$KEY}\n}\nstore_grace 5s", map[string]string{"REDIS": "redis://" + redis.Addr, "KEY": storeKey})
	a, b := harness.StartGateway(t, s.config), harness.StartGateway(t, s.config)
	a.Forbid(storeKey)
	b.Forbid(storeKey)
	cookie := s.logIn(a, b)
	for _, g := range []*harness.Gateway{a, b} {
		if r := askWith(g, "/api", cookie); r.Status != http.StatusOK {
			t.Fatalf("with the session: %s", r)
		}
	}
	t.Run("fifty requests over both renew it once", func(t *testing.T) { s.renewOnce(t, a, b, cookie) })
	t.Run("a logout at one holds at the other within a second", func(t *testing.T) {
		other := s.logIn(a, b)
		for _, g := range []*harness.Gateway{a, b} {
			if r := askWith(g, "/api", other); r.Status != http.StatusOK {
				t.Fatalf("with the session: %s", r)
			}
		}
		if r := a.Get("/logout", other); r.Status != http.StatusFound {
			t.Fatalf("the logout: %s", r)
		}
		s.waitStatus(b, other, time.Second, http.StatusUnauthorized)
		if r := askWith(a, "/api", other); r.Status != http.StatusUnauthorized {
			t.Errorf("where the person logged out: %s", r)
		}
	})
	t.Run("a Redis that dies logs no one out", func(t *testing.T) { s.redisDies(t, redis, a, b) })
}

// renewOnce has many clients use a session until the first of them renews it,
// which takes too long to do twice.
func (s *storeSite) renewOnce(t *testing.T, a, b *harness.Gateway, cookie harness.Field) {
	before := s.server.Count(harness.TokenPath)
	s.server.Slow(harness.TokenPath, 8*time.Second)
	defer s.server.Slow(harness.TokenPath, 0)
	var clients sync.WaitGroup
	for i := range 50 {
		g := []*harness.Gateway{a, b}[i%2]
		clients.Go(func() {
			for s.server.Count(harness.TokenPath) == before {
				if r := askWith(g, "/api", cookie); r.Status != http.StatusOK {
					t.Errorf("before the renewal: %s", r)
					return
				}
			}
			if r := askWith(g, "/api", cookie); r.Status != http.StatusOK {
				t.Errorf("after the renewal: %s", r)
			}
		})
	}
	clients.Wait()
	if n := s.server.Count(harness.TokenPath) - before; n != 1 {
		t.Errorf("the session was renewed %d times, want once", n)
	}
}

func (s *storeSite) redisDies(t *testing.T, redis *harness.Redis, a, b *harness.Gateway) {
	cookie := s.logIn(a, b)
	for _, g := range []*harness.Gateway{a, b} {
		if r := askWith(g, "/api", cookie); r.Status != http.StatusOK {
			t.Fatalf("with the session: %s", r)
		}
	}
	// A gateway forgets a session whose change is announced, its own changes too,
	// and reads it again at the next request. Announcements take two seconds at most.
	for settled := time.Now().Add(2500 * time.Millisecond); time.Now().Before(settled); time.Sleep(100 * time.Millisecond) {
		for _, g := range []*harness.Gateway{a, b} {
			askWith(g, "/api", cookie)
		}
	}
	if err := redis.Kill(); err != nil {
		t.Fatal(err)
	}
	if r := askWith(a, "/api", cookie); r.Status != http.StatusOK {
		t.Errorf("a session that this gateway has just seen: %s", r)
	}
	for _, g := range []*harness.Gateway{a, b} {
		s.waitStatus(g, cookie, 30*time.Second, http.StatusServiceUnavailable)
		if r := askWith(g, "/api", cookie); len(r.Header.Values("Set-Cookie")) > 0 || r.Header.Get("Retry-After") == "" {
			t.Errorf("without the store: %s", r)
		}
	}
	redis.Start()
	for _, g := range []*harness.Gateway{a, b} {
		s.waitStatus(g, cookie, 30*time.Second, http.StatusOK)
	}
}

// With one gateway the sessions are in a file, which outlives the process.
func TestSessionsSurviveARestart(t *testing.T) {
	t.Parallel()
	s := newStoreSite(t, "store embedded", nil)
	s.config.Home = t.TempDir()
	g := harness.StartGateway(t, s.config)
	cookie := s.logIn(g)
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	g = harness.StartGateway(t, s.config)
	g.Forbid(cookie.Value)
	s.waitStatus(g, cookie, 30*time.Second, http.StatusOK)
}
