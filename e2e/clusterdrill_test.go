// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// spread is how long a change may take to hold at all gateways.
const spread = 5 * time.Second

// The drill of examples/cluster: three gateways on one PostgreSQL, one Redis and
// one folder behave as one, lose one, lose the database, and are replaced one by
// one under load. It prints what it measured.
func TestClusterDrill(t *testing.T) {
	c := startCluster(t)
	app := map[string]any{"username": "todo-app", "custom_id": "todo-app-client"}
	if status, body := c.gateways[0].AdminCall(http.MethodPost, "/gluu/consumers", app); status != http.StatusCreated {
		t.Fatalf("creating the consumer: %d %s", status, body)
	}
	first := c.token(c.gateways[0])
	t.Logf("a consumer made at one gateway is known to all after %s", c.everywhere("/todos", bearer(first), http.StatusOK, spread))

	t.Run("a login at one gateway goes on at another", c.login)
	t.Run("a code of one gateway is redeemed at another", c.code)
	t.Run("a revocation holds everywhere", c.revocation)
	t.Run("a gateway is killed", c.kill)
	t.Run("the database is killed and comes back", c.database)
	t.Run("a rolling restart under load", c.rolling)
	t.Run("a deleted consumer is refused everywhere", c.deletion)
}

func (c *cluster) login(t *testing.T) {
	ada := c.person()
	c.only(c.gateways[0], func() {
		response, body := ada.visit(c.front + "/portal")
		if response.StatusCode != http.StatusOK || !strings.Contains(body, "ada") {
			t.Fatalf("the login: %s %s", response.Status, body)
		}
	})
	session := ada.cookies()
	for _, g := range c.gateways {
		if got := c.status("http://"+g.Addr, "/portal", session); got != http.StatusOK {
			t.Errorf("%s answers the session of another gateway with %d", g.Addr, got)
		}
	}
	// The logout goes to one gateway, whichever the load balancer chooses.
	ada.send(http.MethodGet, c.front+"/portal/logout", nil)
	t.Logf("a logout at one gateway holds at all after %s", c.everywhere("/portal", session, http.StatusUnauthorized, spread))
}

const (
	drillVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
	drillChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func (c *cluster) code(t *testing.T) {
	request := url.Values{
		"client_id": {"todo-app-client"}, "response_type": {"code"}, "redirect_uri": {"http://127.0.0.1/callback"},
		"scope": {"todos:read"}, "state": {"s"}, "code_challenge": {drillChallenge}, "code_challenge_method": {"S256"},
	}
	var response *http.Response
	var body string
	c.only(c.gateways[0], func() {
		response, body = c.person().visit(c.front + "/oauth2/authorize?" + request.Encode())
	})
	back, err := url.Parse(response.Header.Get("Location"))
	if err != nil || back.Query().Get("code") == "" {
		t.Fatalf("no code: %s %v %s", response.Status, back, body)
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")},
		"redirect_uri": {"http://127.0.0.1/callback"}, "code_verifier": {drillVerifier},
	}
	status, answer := c.post(c.gateways[1], "/oauth2/token", "todo-app-client", "todo-app-secret", form)
	token, _ := answer["access_token"].(string)
	if status != http.StatusOK || token == "" {
		t.Fatalf("redeeming it at another gateway: %d %v", status, answer)
	}
	if got := c.status("http://"+c.gateways[2].Addr, "/todos", bearer(token)); got != http.StatusOK {
		t.Errorf("a third gateway answers the token with %d", got)
	}
	// RFC 6749, 4.1.2: a code that is used twice revokes what it gave.
	if status, answer := c.post(c.gateways[2], "/oauth2/token", "todo-app-client", "todo-app-secret", form); status != http.StatusBadRequest || answer["error"] != "invalid_grant" {
		t.Errorf("redeeming it again at a third: %d %v", status, answer)
	}
	t.Logf("the token of a replayed code is refused by all after %s", c.everywhere("/todos", bearer(token), http.StatusUnauthorized, spread))
}

func (c *cluster) revocation(t *testing.T) {
	token := c.token(c.gateways[0])
	c.everywhere("/todos", bearer(token), http.StatusOK, spread) // all have it in their caches now
	if status, answer := c.post(c.gateways[1], "/oauth2/revoke", "todo-app-client", "todo-app-secret", url.Values{"token": {token}}); status != http.StatusOK {
		t.Fatalf("the revocation: %d %v", status, answer)
	}
	t.Logf("a revocation at one gateway holds at all after %s", c.everywhere("/todos", bearer(token), http.StatusUnauthorized, spread))
}

func (c *cluster) kill(t *testing.T) {
	token, ada := c.token(c.gateways[0]), c.person()
	if response, body := ada.visit(c.front + "/portal"); response.StatusCode != http.StatusOK {
		t.Fatalf("the login: %s %s", response.Status, body)
	}
	if err := c.gateways[0].Kill(); err != nil {
		t.Logf("killed: %v", err)
	}
	c.waitReady(2)
	for range 4 {
		if got := c.status(c.front, "/todos", bearer(token)); got != http.StatusOK {
			t.Errorf("the token of the killed gateway: got %d", got)
		}
		if got := c.status(c.front, "/portal", ada.cookies()); got != http.StatusOK {
			t.Errorf("the session of the killed gateway: got %d", got)
		}
	}
	c.replace(0)
}

func (c *cluster) database(t *testing.T) {
	token := c.token(c.gateways[0])
	c.everywhere("/todos", bearer(token), http.StatusOK, spread)
	if err := c.postgres.Kill(); err != nil {
		t.Logf("killed: %v", err)
	}
	// Neither a 401 nor a forgotten token.
	status, answer := c.post(c.gateways[1], "/oauth2/token", "todo-app-client", "todo-app-secret", url.Values{"grant_type": {"client_credentials"}})
	if status != http.StatusServiceUnavailable {
		t.Errorf("a token without the database: got %d %v, want 503", status, answer)
	}
	c.postgres.Start()
	began := time.Now()
	harness.Eventually(t, 20*time.Second, func() string {
		status, _ := c.post(c.gateways[1], "/oauth2/token", "todo-app-client", "todo-app-secret", url.Values{"grant_type": {"client_credentials"}})
		if status != http.StatusOK {
			return http.StatusText(status)
		}
		return ""
	})
	t.Logf("tokens again %s after the database is back", time.Since(began))
	c.everywhere("/todos", bearer(token), http.StatusOK, 20*time.Second)
	c.waitReady(3)
}

// rolling replaces each gateway while four applications and a person go on.
func (c *cluster) rolling(t *testing.T) {
	token, ada := c.token(c.gateways[0]), c.person()
	if response, body := ada.visit(c.front + "/portal"); response.StatusCode != http.StatusOK {
		t.Fatalf("the login: %s %s", response.Status, body)
	}
	c.underLoad(t, token, ada, func() {
		for i := range c.gateways {
			if err := c.gateways[i].Stop(); err != nil {
				t.Errorf("stopping gateway %d: %v", i, err)
			}
			c.replace(i)
		}
	})
}

// underLoad does something while four applications, one that gets tokens and a person go
// on, none of whom may notice.
func (c *cluster) underLoad(t *testing.T, token string, ada *person, do func()) {
	t.Helper()
	var sent, failed atomic.Int64
	var senders sync.WaitGroup
	stop := make(chan struct{})
	load := func(what string, ask func() int) {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond): // a bounded load
			}
			sent.Add(1)
			if got := ask(); got != http.StatusOK {
				failed.Add(1)
				t.Errorf("%s: got %d", what, got)
			}
		}
	}
	for range 4 {
		senders.Go(func() { load("/todos", func() int { return c.status(c.front, "/todos", bearer(token)) }) })
	}
	senders.Go(func() { load("/portal", func() int { return c.status(c.front, "/portal", ada.cookies()) }) })
	senders.Go(func() { load("/oauth2/token", c.anotherToken) })
	began := time.Now()
	defer func() {
		close(stop)
		senders.Wait()
		t.Logf("three gateways replaced in %s: %d requests, %d failed", time.Since(began).Round(time.Millisecond), sent.Load(), failed.Load())
		if sent.Load() < 100 {
			t.Errorf("only %d requests were sent meanwhile", sent.Load())
		}
	}()
	do()
}

func (c *cluster) deletion(t *testing.T) {
	token := c.token(c.gateways[0])
	c.everywhere("/todos", bearer(token), http.StatusOK, spread)
	if status, body := c.gateways[2].AdminCall(http.MethodDelete, "/gluu/consumers/todo-app", nil); status != http.StatusNoContent {
		t.Fatalf("deleting the consumer: %d %s", status, body)
	}
	var refused int
	began := time.Now()
	for _, g := range c.gateways {
		harness.Eventually(t, spread-time.Since(began), func() string {
			if refused = c.status("http://"+g.Addr, "/todos", bearer(token)); refused != http.StatusUnauthorized && refused != http.StatusForbidden {
				return g.Addr + " still answers " + http.StatusText(refused)
			}
			return ""
		})
	}
	t.Logf("a consumer deleted at one gateway is refused by all after %s (%d)", time.Since(began), refused)
}
