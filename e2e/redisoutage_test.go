// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// redisOutage is how long Redis is unavailable: E2E_REDIS_OUTAGE=30s, or 12 s.
func redisOutage(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("E2E_REDIS_OUTAGE")
	if text == "" {
		return 12 * time.Second
	}
	length, err := time.ParseDuration(text)
	if err != nil || length < 12*time.Second {
		t.Fatalf("E2E_REDIS_OUTAGE is %q, not a duration of 12s or more (%v)", text, err)
	}
	return length
}

const (
	// sessionFresh is how old what a gateway has read of a session may be at any time
	// (internal/session): an outage begins that much later, or earlier.
	sessionFresh = 5 * time.Second

	// slack is what a busy machine may need to notice something.
	slack = 3 * time.Second
)

// Two gateways lose the Redis that holds their sessions. For store_grace people go on,
// then they are told to come back later, and no one has to log in again.
func TestAnOutageOfRedisLogsNoOneOut(t *testing.T) {
	t.Parallel()
	outage := redisOutage(t)
	grace := outage * 2 / 3
	redis := harness.StartDurableRedis(t)
	s := newStoreSite(t, "store redis {$REDIS} {\nkey {$KEY}\n}\nstore_grace "+grace.String(), map[string]string{"REDIS": "redis://" + redis.Addr, "KEY": storeKey})
	gateways := []*harness.Gateway{harness.StartGateway(t, s.config), harness.StartGateway(t, s.config)}
	for _, g := range gateways {
		g.Forbid(storeKey)
	}
	cookie := s.logIn(gateways...)
	for _, g := range gateways {
		if r := askWith(g, "/api", cookie); r.Status != http.StatusOK {
			t.Fatalf("with the session: %s", r)
		}
	}
	logins := s.server.Count("/auth")
	s.settle(cookie, gateways...)

	if err := redis.Kill(); err != nil {
		t.Logf("killed: %v", err)
	}
	killed := time.Now()
	stop := make(chan struct{})
	seen := make([]outageSeen, len(gateways))
	var askers sync.WaitGroup
	for i, g := range gateways {
		askers.Go(func() { seen[i] = watchOutage(g, cookie, killed, stop) })
	}
	time.Sleep(time.Until(killed.Add(outage))) // the outage itself is what is tested
	for i, g := range gateways {
		if r := askWith(g, "/api", cookie); r.Status != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
			t.Errorf("gateway %d at the end of the outage: %s", i, r)
		}
	}
	redis.Start()
	back := time.Now()
	for _, g := range gateways {
		s.waitStatus(g, cookie, 30*time.Second, http.StatusOK)
	}
	t.Logf("sessions again %s after Redis is back", time.Since(back).Round(time.Millisecond))
	close(stop)
	askers.Wait()
	for i := range seen {
		seen[i].check(t, i, grace, back.Sub(killed))
	}
	if n := s.server.Count("/auth") - logins; n != 0 {
		t.Errorf("%d logins began, want none", n)
	}
}

// settle waits, with requests, until announcements of the login are over: a gateway
// forgets a session whose change is announced and reads it again. They take two seconds
// at most.
func (s *storeSite) settle(cookie harness.Field, gateways ...*harness.Gateway) {
	s.t.Helper()
	for settled := time.Now().Add(2500 * time.Millisecond); time.Now().Before(settled); time.Sleep(100 * time.Millisecond) {
		for _, g := range gateways {
			askWith(g, "/api", cookie)
		}
	}
}

// outageSeen is what clients of one gateway have seen of an outage.
type outageSeen struct {
	answers     map[int]int   // by status
	first503    time.Duration // after the beginning
	last200     time.Duration // before the first 503
	loggedOut   []string      // answers that send a person away, or forget the session
	withoutHint int           // 503 without Retry-After
}

// watchOutage sends requests of a program and of a browser until it is stopped.
func watchOutage(g *harness.Gateway, cookie harness.Field, began time.Time, stop <-chan struct{}) outageSeen {
	seen := outageSeen{answers: map[int]int{}}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; ; i++ {
		accept := []string{"application/json", "text/html"}[i%2]
		sent := time.Since(began)
		r := g.Get("/api", cookie, harness.Field{Name: "Accept", Value: accept})
		seen.answers[r.Status]++
		switch {
		case r.Status == http.StatusServiceUnavailable:
			if seen.first503 == 0 {
				seen.first503 = sent
			}
			if r.Header.Get("Retry-After") == "" {
				seen.withoutHint++
			}
		case r.Status == http.StatusOK && seen.first503 == 0:
			seen.last200 = sent
		}
		if r.Status != http.StatusOK && r.Status != http.StatusServiceUnavailable || len(r.Header.Values("Set-Cookie")) > 0 {
			seen.loggedOut = append(seen.loggedOut, r.String())
		}
		select {
		case <-stop:
			return seen
		case <-ticker.C:
		}
	}
}

func (o outageSeen) check(t *testing.T, i int, grace, outage time.Duration) {
	t.Helper()
	t.Logf("gateway %d: answers %v; the last 200 %s and the first 503 %s after Redis was killed; store_grace %s, outage %s",
		i, o.answers, o.last200.Round(time.Millisecond), o.first503.Round(time.Millisecond), grace, outage.Round(time.Millisecond))
	if len(o.loggedOut) > 0 {
		t.Errorf("gateway %d: %d answers log a person out, the first: %s", i, len(o.loggedOut), o.loggedOut[0])
	}
	if o.withoutHint > 0 {
		t.Errorf("gateway %d: %d answers 503 do not say when to come back", i, o.withoutHint)
	}
	if o.last200 < grace-sessionFresh-time.Second || o.first503 > grace+slack || o.first503 == 0 {
		t.Errorf("gateway %d: people went on for %s, want %s (up to %s less)", i, o.first503, grace, sessionFresh)
	}
}
