// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// sharing is a gateway that shares its cache with others.
func sharing(t *testing.T, redis *harness.Redis, server *harness.OIDCProvider) *api {
	t.Helper()
	a := sharingBy(t, "redis://"+redis.Addr, server, nil)
	a.waitShared("ok")
	return a
}

func sharingBy(t *testing.T, url string, server *harness.OIDCProvider, env map[string]string) *api {
	t.Helper()
	a := site{
		server: server,
		app:    "cache {\n redis " + url + "\n redis_key a-secret-of-thirty-two-bytes-or-more\n}",
		env:    env,
	}.start(t)
	a.Forbid("a-secret-of-thirty-two-bytes-or-more")
	return a
}

// waitShared waits until the gateway says that its shared cache is in a state.
func (a *api) waitShared(state string) {
	a.t.Helper()
	harness.Eventually(a.t, patience, func() string {
		_, answer := a.AdminCall(http.MethodGet, "/gluu/cache", nil)
		var figures struct{ Shared struct{ State string } }
		if err := json.Unmarshal(answer, &figures); err != nil || figures.Shared.State != state {
			return "the shared cache is not " + state + ": " + string(answer)
		}
		return ""
	})
}

func (a *api) revoke(path string) {
	a.t.Helper()
	if status, answer := a.AdminCall(http.MethodDelete, "/gluu/tokens"+path, nil); status != http.StatusOK {
		a.t.Fatalf("DELETE /gluu/tokens%s: %d %s", path, status, answer)
	}
}

func TestGatewaysShareTokensThroughRedis(t *testing.T) {
	t.Parallel()
	redis, server := harness.StartRedis(t), ownServer(t)
	a, b := sharing(t, redis, server), sharing(t, redis, server)

	const tokens = 20
	before := server.Count(harness.IntrospectionPath)
	for range tokens {
		token := server.Token(t, todoApp, harness.Opaque, "todos:read")
		a.passed(get("/todos", token))
		b.passed(get("/todos", token))
		b.refused(harness.Request{Method: "POST", Target: "/todos", Fields: []harness.Field{harness.Bearer(token)}}, missingScope("todos:write"))
	}
	asked := server.Count(harness.IntrospectionPath) - before
	t.Logf("%d tokens at two gateways: %d introspections", tokens, asked)
	// On a busy machine Redis may miss its deadline now and then; the token is
	// then introspected.
	if asked > tokens+2 {
		t.Errorf("got %d introspections, want about %d: the tokens are not shared", asked, tokens)
	}
}

// With TLS and a user who has exactly the rights that docs/app.md asks for.
func TestRedisWithTLSAndRights(t *testing.T) {
	t.Parallel()
	rights := regexp.MustCompile("With ACLs: `([^`]+)`, on keys `([^`]+)`").FindStringSubmatch(readFile(t, "docs/app.md"))
	if rights == nil {
		t.Fatal("docs/app.md does not say which rights are needed")
	}
	const password = "redis-password-of-the-gateway"
	redis, server := harness.StartSecuredRedis(t, "gateway", password, rights[1]+" "+rights[2]), ownServer(t)
	trusted := filepath.Join(t.TempDir(), "trusted.pem")
	if err := os.WriteFile(trusted, []byte(redis.Certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SSL_CERT_FILE": trusted, "REDIS_PASSWORD": password}
	url := "rediss://gateway:{env.REDIS_PASSWORD}@" + redis.Addr + "/1"
	a, b := sharingBy(t, url, server, env), sharingBy(t, url, server, env)
	for _, gateway := range []*api{a, b} {
		gateway.Forbid(password)
		gateway.waitShared("ok")
	}

	before := server.Count(harness.IntrospectionPath)
	token := server.Token(t, todoApp, harness.Opaque, "todos:read")
	a.passed(get("/todos", token))
	b.passed(get("/todos", token))
	if n := server.Count(harness.IntrospectionPath) - before; n != 1 {
		t.Errorf("%d introspections of one token, want 1", n)
	}
	server.Revoke(t, todoApp, token)
	a.revoke("/client/" + todoApp)
	b.waitRefused(token)

	// If the gateway and Redis do not trust each other, nothing is shared and
	// no request is delayed.
	for name, other := range map[string]*api{
		"another certificate": sharingBy(t, url, server, map[string]string{"REDIS_PASSWORD": password}),
		"another password":    sharingBy(t, url, server, map[string]string{"SSL_CERT_FILE": trusted, "REDIS_PASSWORD": "another-password"}),
		"no TLS":              sharingBy(t, strings.Replace(url, "rediss", "redis", 1), server, env),
	} {
		other.Forbid(password, "another-password")
		other.waitShared("away")
		other.passed(get("/todos", server.Token(t, todoApp, harness.Opaque, "todos:read")))
		if t.Failed() {
			t.Fatalf("with %s", name)
		}
	}
}

func TestRevocationReachesAllGatewaysWithinASecond(t *testing.T) {
	t.Parallel()
	redis, server := harness.StartRedis(t), ownServer(t)
	a, b := sharing(t, redis, server), sharing(t, redis, server)
	for _, path := range []string{"/client/" + todoApp, ""} {
		token := server.Token(t, todoApp, harness.Opaque, "todos:read")
		other := server.Token(t, secondApp, harness.Opaque, "todos:read")
		a.passed(get("/todos", token))
		b.passed(get("/todos", token))
		server.Revoke(t, todoApp, token)
		b.passed(get("/todos", token)) // remembered

		began := time.Now()
		a.revoke(path)
		a.status(get("/todos", token), 401)
		var took time.Duration
		harness.Eventually(t, 10*time.Second, func() string {
			if response := b.Get("/todos", harness.Bearer(token)); response.Status != 401 {
				return response.String()
			}
			took = time.Since(began)
			return ""
		})
		t.Logf("a revocation of tokens%s held at the other gateway after %s", path, took)
		if took > time.Second {
			t.Errorf("the revocation took %s, want a second at most", took)
		}
		b.status(get("/todos", token), 401)
		b.status(get("/todos", other), 401) // no consumer, whatever happens
	}
}

// Redis is killed and comes back empty while requests run: no valid token is
// refused and no revoked one passes.
func TestRedisDownUnderLoad(t *testing.T) {
	t.Parallel()
	redis, server := harness.StartRedis(t), ownServer(t)
	a, b := sharing(t, redis, server), sharing(t, redis, server)
	good := server.Token(t, todoApp, harness.Opaque, "todos:read")
	revoked := server.Token(t, todoApp, harness.Opaque, "todos:read")
	for _, gateway := range []*api{a, b} {
		gateway.passed(get("/todos", good))
		gateway.passed(get("/todos", revoked))
	}
	server.Revoke(t, todoApp, revoked)
	a.revoke("/client/" + todoApp)
	b.waitRefused(revoked)

	var all []*traffic
	for _, gateway := range []*api{a, b} {
		all = append(all, startTraffic(gateway, "/todos", good, 200), startTraffic(gateway, "/todos", revoked, 401))
	}
	after := func() {
		for _, f := range all {
			f.after(t, 40)
		}
	}
	for range 2 {
		after()
		redis.Kill()
		a.waitShared("away")
		b.waitShared("away")
		// New tokens while Redis is down: each gateway asks the server itself.
		token := server.Token(t, todoApp, harness.Opaque, "todos:read")
		a.status(get("/todos", token), 200)
		b.status(get("/todos", token), 200)
		// A revocation that reaches only one gateway says so.
		if status, answer := a.AdminCall(http.MethodDelete, "/gluu/tokens/client/unknown", nil); status != http.StatusBadGateway {
			t.Errorf("a revocation while Redis is down: got %d %s, want 502", status, answer)
		}
		server.Revoke(t, todoApp, token)
		if status, _ := a.AdminCall(http.MethodDelete, "/gluu/tokens/client/"+todoApp, nil); status != http.StatusBadGateway {
			t.Errorf("a revocation while Redis is down: got %d, want 502", status)
		}
		a.status(get("/todos", token), 401)
		after()
		redis.Start()
		a.waitShared("ok")
		b.waitShared("ok")
		// What was revoked meanwhile is now revoked at every gateway.
		b.waitRefused(token)
	}
	after()
	for _, f := range all {
		f.finish(t)
	}
}

func (a *api) waitRefused(token string) {
	a.t.Helper()
	harness.Eventually(a.t, 10*time.Second, func() string {
		if response := a.Get("/todos", harness.Bearer(token)); response.Status != 401 {
			return response.String()
		}
		return ""
	})
}
