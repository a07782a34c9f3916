// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// parallel sends one form fifty times, to two gateways in turn, and returns the
// answers that were a success.
func (s *serverSite) parallel(a, b *harness.Gateway, form url.Values) (won []formAnswer) {
	s.t.Helper()
	var clients sync.WaitGroup
	answers := make(chan formAnswer, 50)
	begin := make(chan struct{})
	for i := range cap(answers) {
		g := []*harness.Gateway{a, b}[i%2]
		clients.Go(func() {
			<-begin
			answer, err := s.post(g, "/oauth2/token", form)
			if err != nil {
				s.t.Error(err)
			}
			answers <- answer
		})
	}
	close(begin)
	clients.Wait()
	close(answers)
	for answer := range answers {
		switch {
		case answer.status == http.StatusOK:
			won = append(won, answer)
		case answer.status != http.StatusBadRequest || answer.body["error"] != "invalid_grant":
			s.t.Errorf("got %v, want a token or invalid_grant", answer)
		}
	}
	return won
}

// forEachServerStore runs a test with each engine that gateways can share. It is
// told where the server keeps its files, and how to kill it and start it again.
func forEachServerStore(t *testing.T, test func(t *testing.T, engine, address, files string, kill func() error, again func())) {
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		p := harness.StartPostgres(t)
		test(t, "postgres", p.URL(), p.Dir(), func() error { return p.Kill() }, func() { p.Start() })
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		r := harness.StartDurableRedis(t)
		test(t, "redis", "redis://"+r.Addr, r.Dir(), func() error { return r.Kill() }, func() { r.Start() })
	})
}

// S-201 to S-203, S-206: of fifty that bring one code, or one refresh token, to two
// gateways at the same moment, one wins. Without a grace period the others show
// that the token was stolen, so what was granted ends; with one they get
// what the winner got.
func TestSec_S201_S202_S203_S206_TwoGatewaysOnOneStore(t *testing.T) {
	t.Parallel()
	forEachServerStore(t, func(t *testing.T, engine, address, _ string, _ func() error, _ func()) {
		s := newServerSite(t, engine, address, "0s")
		a, b := s.start(), s.start()
		won := s.parallel(a, b, codeForm(s.code(a)))
		if len(won) != 1 {
			t.Fatalf("a code was redeemed %d times", len(won))
		}
		if token := won[0].text("access_token"); s.isActive(a, token) || s.isActive(b, token) {
			t.Error("a code was used fifty times, and its token is active")
		}
		first, err := s.post(a, "/oauth2/token", codeForm(s.code(b)))
		if err != nil || first.status != http.StatusOK {
			t.Fatalf("%v %v", first, err)
		}
		won = s.parallel(a, b, refreshForm(first.text("refresh_token")))
		if len(won) != 1 {
			t.Errorf("without grace a refresh token was used %d times", len(won))
		}
		for _, answer := range append(won, first) {
			if s.isActive(a, answer.text("access_token")) || s.isActive(b, answer.text("access_token")) {
				t.Error("a refresh token was used fifty times, and a token of its grant is active")
			}
			if again, err := s.post(b, "/oauth2/token", refreshForm(answer.text("refresh_token"))); err != nil || again.body["error"] != "invalid_grant" {
				t.Errorf("a refresh token of the grant: %v %v", again, err)
			}
		}

		s.config.Env["GRACE"] = "60s"
		c, d := s.start(), s.start()
		if first, err = s.post(c, "/oauth2/token", codeForm(s.code(d))); err != nil || first.status != http.StatusOK {
			t.Fatalf("%v %v", first, err)
		}
		won = s.parallel(c, d, refreshForm(first.text("refresh_token")))
		if len(won) != 50 {
			t.Errorf("with grace %d of 50 got tokens", len(won))
		}
		successors := map[string]bool{}
		for _, answer := range won {
			successors[answer.text("refresh_token")+" "+answer.text("access_token")] = true
		}
		if len(successors) != 1 {
			t.Errorf("one refresh token has %d successors", len(successors))
		}
	})
}

// What was answered holds after kill -9, of a gateway and of the store, and none of
// it can be read in the files of the store.
func TestKilledGatewaysAndStoresLoseNothing(t *testing.T) {
	t.Parallel()
	forEachServerStore(t, func(t *testing.T, engine, address, files string, kill func() error, again func()) {
		s := newServerSite(t, engine, address, "0s")
		a, b := s.start(), s.start()
		s.register(a)
		answered := s.issueUntil(t, a, a.Kill)
		if n := s.checkAnswered(t, b, answered); n == 0 {
			t.Error("nothing was answered before the gateway was killed")
		}
		answered = s.issueUntil(t, b, kill)
		again()
		harness.Eventually(t, time.Minute, func() string {
			answer, err := s.post(b, "/oauth2/introspect", url.Values{"token": {"unknown"}})
			if err != nil || answer.status != http.StatusOK {
				return fmt.Sprint(answer, err)
			}
			return ""
		})
		if n := s.checkAnswered(t, b, answered); n == 0 {
			t.Error("nothing was answered before the store was killed")
		}
		if err := kill(); err != nil {
			t.Fatal(err)
		}
		if found := harness.InFiles(t, files, s.secrets); len(found) > 0 {
			t.Errorf("in the files of the store: %v", found)
		}
		const kind = "oauth_grant"
		if harness.InFiles(t, files, map[string]string{kind: kind})[kind] == "" {
			t.Error("the kinds of records are not in the files; what was searched?")
		}
		if len(s.secrets) < 50 {
			t.Errorf("only %d secrets were looked for", len(s.secrets))
		}
		again()
	})
}

// register has a client register itself, for its secrets.
func (s *serverSite) register(g *harness.Gateway) {
	s.t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+g.Addr+"/oauth2/register",
		strings.NewReader(`{"redirect_uris": ["https://registered.example.com/callback"], "client_name": "A client of this test"}`))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := s.send(request)
	if err != nil || answer.status != http.StatusCreated || answer.text("client_secret") == "" || answer.text("registration_access_token") == "" {
		s.t.Fatalf("registration: %v %v", answer, err)
	}
	s.note("a redirect URI that was registered", "https://registered.example.com/callback")
}

// answeredGrant is what a client knows of a grant.
type answeredGrant struct {
	code      string
	redeemed  bool
	tokens    []string // that are active
	refreshes []string // the last one is the one that is not used
	asked     bool     // another use of the last one was sent, and not answered
}

// issueUntil has clients log in and refresh at a gateway until something dies.
func (s *serverSite) issueUntil(t *testing.T, g *harness.Gateway, kill func() error) (answered []*answeredGrant) {
	t.Helper()
	for range 8 {
		answered = append(answered, &answeredGrant{code: s.code(g)})
	}
	var clients sync.WaitGroup
	var enough sync.Once
	died := make(chan struct{})
	for _, grant := range answered {
		clients.Go(func() {
			for n := 0; ; n++ {
				if !s.next(g, grant) {
					return
				}
				if n == 5 {
					enough.Do(func() { close(died) })
				}
			}
		})
	}
	<-died
	if err := kill(); err != nil {
		t.Fatal(err)
	}
	clients.Wait()
	return answered
}

// next redeems the code of a grant, or its refresh token.
func (s *serverSite) next(g *harness.Gateway, grant *answeredGrant) bool {
	form := codeForm(grant.code)
	if grant.redeemed {
		form = refreshForm(grant.refreshes[len(grant.refreshes)-1])
	}
	answer, err := s.post(g, "/oauth2/token", form)
	if err != nil || answer.status != http.StatusOK {
		grant.asked = true
		return false
	}
	grant.redeemed = true
	grant.tokens = append(grant.tokens, answer.text("access_token"))
	grant.refreshes = append(grant.refreshes, answer.text("refresh_token"))
	return true
}

// checkAnswered checks what clients were answered, and returns of how many.
func (s *serverSite) checkAnswered(t *testing.T, g *harness.Gateway, answered []*answeredGrant) (n int) {
	t.Helper()
	for _, grant := range answered {
		if !grant.redeemed {
			continue
		}
		n++
		for i, token := range grant.tokens {
			if !s.isActive(g, token) {
				t.Errorf("token %d of %d is not active", i+1, len(grant.tokens))
			}
		}
		last := grant.refreshes[len(grant.refreshes)-1]
		renewed, err := s.post(g, "/oauth2/token", refreshForm(last))
		// What was asked and not answered may have been done.
		if err != nil || renewed.status != http.StatusOK && !(grant.asked && renewed.body["error"] == "invalid_grant") {
			t.Errorf("the last refresh token: %v %v", renewed, err)
		}
		for name, form := range map[string]url.Values{"the code": codeForm(grant.code), "the first refresh token": refreshForm(grant.refreshes[0])} {
			if used, err := s.post(g, "/oauth2/token", form); err != nil || used.body["error"] != "invalid_grant" {
				t.Errorf("%s was used before the end and is good again: %v %v", name, used, err)
			}
		}
		if s.isActive(g, grant.tokens[0]) {
			t.Error("a code was used twice, and a token of its grant is active")
		}
	}
	return n
}
