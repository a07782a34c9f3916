// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// The UMA example with the harness's own server, which needs no other program
// and follows the standards to the letter: from a start without the
// authorization server to a flood of requests.
func TestUMAWithTestServer(t *testing.T) {
	t.Parallel()
	testUMA(t, startTestUMAServer(t))
}

// umaGateway is the running example.
type umaGateway struct {
	*harness.Gateway
	t        *testing.T
	server   umaServer
	upstream *harness.Upstream
}

// startUMA starts the example with what it has stored before.
func startUMA(t *testing.T, server umaServer, upstream *harness.Upstream, home string) *umaGateway {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root(), "examples", "uma-keycloak", "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	g := &umaGateway{t: t, server: server, upstream: upstream}
	g.Gateway = harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: asTest(string(content), "{$SITE}"),
		Env:       map[string]string{"ISSUER": server.issuer(), "CLIENT_SECRET": harness.UMASecret, "UPSTREAM": upstream.Addr},
		Home:      home,
	})
	g.Forbid(harness.UMASecret)
	return g
}

var umaChallenge = regexp.MustCompile(`^UMA realm="api", as_uri="([^"]+)", ticket="([^"]+)"$`)

// ticket sends a request that must be refused with a ticket.
func (g *umaGateway) ticket(method, target, token string) string {
	g.t.Helper()
	response := g.unlimited(method, target, token)
	challenge := umaChallenge.FindStringSubmatch(response.Header.Get("WWW-Authenticate"))
	if response.Status != http.StatusUnauthorized || challenge == nil {
		g.t.Fatalf("%s %s: got %s, want 401 with a ticket", method, target, response)
	}
	if challenge[1] != g.server.issuer() {
		g.t.Errorf("as_uri is %q, want %q", challenge[1], g.server.issuer())
	}
	g.Forbid(challenge[2])
	return challenge[2]
}

// unlimited sends a request until the client may have another ticket.
func (g *umaGateway) unlimited(method, target, token string) (response *harness.Response) {
	g.t.Helper()
	harness.Eventually(g.t, patience, func() string {
		if response = g.request(method, target, token); response.Status == http.StatusTooManyRequests {
			return response.String()
		}
		return ""
	})
	return response
}

func (g *umaGateway) request(method, target, token string) *harness.Response {
	g.t.Helper()
	request := harness.Request{Method: method, Target: target}
	if token != "" {
		request.Fields = []harness.Field{harness.Bearer(token)}
	}
	return g.Send(request)
}

func (g *umaGateway) passes(method, target, token string) *harness.Received {
	g.t.Helper()
	response := g.request(method, target, token)
	if response.Echo() == nil {
		g.t.Fatalf("%s %s: got %s, want the upstream's answer", method, target, response)
	}
	return response.Echo()
}

// rpt gets a token for what a request asks for.
func (g *umaGateway) rpt(person, method, target, earlier string) string {
	g.t.Helper()
	rpt, code := g.server.exchange(g.t, person, g.ticket(method, target, earlier), earlier)
	if code != "" {
		g.t.Fatalf("%s was refused for %s %s: %s", person, method, target, code)
	}
	return rpt
}

// noTicket sends a request that must not get a ticket.
func (g *umaGateway) noTicket(method, target string) {
	g.t.Helper()
	response := g.unlimited(method, target, "")
	if got := response.Header.Get("Warning"); response.Status != http.StatusForbidden || got != `199 - "UMA Authorization Server Unreachable"` {
		g.t.Errorf("%s %s: got %s with the warning %q, want 403 with one", method, target, response, got)
	}
	if response.Header.Get("WWW-Authenticate") != "" {
		g.t.Errorf("%s %s: got %s, want no challenge", method, target, response)
	}
}

// untilTicket waits until a request is refused with a ticket.
func (g *umaGateway) untilTicket(method, target string) {
	g.t.Helper()
	harness.Eventually(g.t, 2*patience, func() string {
		if response := g.request(method, target, ""); response.Status != http.StatusUnauthorized {
			return response.String()
		}
		return ""
	})
}

func testUMA(t *testing.T, server umaServer) {
	upstream, home := harness.StartUpstream(t), t.TempDir()

	server.stop(t)
	g := startUMA(t, server, upstream, home)
	g.noTicket("GET", "/todos")
	server.start(t)
	g.untilTicket("GET", "/todos")
	t.Log("the gateway started before its authorization server and found it")
	g.untilTicket("POST", "/todos") // its resource may come a moment later
	g.untilTicket("GET", "/todos/7")
	g.untilTicket("PUT", "/todos/7")
	g.WaitReady("/todos", harness.Bearer("made-up-token-0123456789"))
	names := server.resources(t)
	for _, name := range []string{"GET /todos", "POST /todos", "GET /todos/?", "PUT,DELETE /todos/?"} {
		if names[name] == "" {
			t.Errorf("resource %q is not registered; there are %q", name, names)
		}
	}

	g.testTicketToAccess()
	g.testStrangers()
	g.testOneResourceDoesNotOpenAnother()
	g.testCallsPerRefusal()

	before := server.calls()
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	g = startUMA(t, server, upstream, home)
	g.untilTicket("GET", "/todos") // the storage is read in the background
	g.untilTicket("PUT", "/todos/7")
	g.WaitReady("/other", harness.Bearer("made-up-token-0123456789"))
	calls := server.calls().since(before)
	if calls.registration != 0 || calls.tickets != 2 || calls.tokens > 2 {
		t.Errorf("after a restart two refused requests cost %+v, want two tickets, one protection token (two requests at most), no registration", calls)
	}
	t.Logf("a restart and two refused requests: %+v", calls)

	g.testPolicyChange()
	g.testServerDown()
	g.testDeletedResource()
	g.testFlood()
}

// A client without a token gets a ticket, exchanges it and passes. After that
// the gateway needs no call.
func (g *umaGateway) testTicketToAccess() {
	g.t.Helper()
	rpt := g.rpt("alice", "GET", "/todos", "")
	echo := g.passes("GET", "/todos", rpt)
	if echo.Value("X-RPT-Expiration") == "" || echo.Value("X-Consumer-Username") != "todo-app" || echo.Value("X-OAuth-Client-ID") != "todo-app" {
		g.t.Errorf("the upstream received %+v", echo.Fields)
	}
	before := g.server.calls()
	const requests = 200
	for range requests {
		g.passes("GET", "/todos", rpt)
	}
	if calls := g.server.calls().since(before); calls != (umaCalls{}) {
		g.t.Errorf("%d requests with a known RPT cost %+v, want none", requests, calls)
	}
	g.t.Logf("%d requests with a known RPT: 0 calls", requests)

	// A second scope needs a second ticket, which adds to what there is.
	both := g.rpt("alice", "POST", "/todos", rpt)
	g.passes("POST", "/todos", both)
	g.passes("GET", "/todos", both)
}

// A person without permission gets no RPT and stays out.
func (g *umaGateway) testStrangers() {
	g.t.Helper()
	if _, code := g.server.exchange(g.t, "bob", g.ticket("GET", "/todos", ""), ""); code != "access_denied" {
		g.t.Errorf("the server told bob %q, want access_denied", code)
	}
	g.ticket("GET", "/todos", g.server.plainToken(g.t, "bob"))
	g.ticket("GET", "/todos", g.server.plainToken(g.t, "alice")) // her access token is not an RPT
	g.ticket("GET", "/todos", "made-up-token-0123456789")
}

func (g *umaGateway) testOneResourceDoesNotOpenAnother() {
	g.t.Helper()
	rpt := g.rpt("alice", "GET", "/todos", "")
	g.passes("GET", "/todos", rpt)
	g.ticket("GET", "/todos/7", rpt) // the same scope, another resource
	g.ticket("POST", "/todos", rpt)
	one := g.rpt("alice", "GET", "/todos/7", "")
	g.passes("GET", "/todos/7", one)
	g.ticket("GET", "/todos", one)
}

// One ticket a refused request, no protection token for each.
func (g *umaGateway) testCallsPerRefusal() {
	g.t.Helper()
	before := g.server.calls()
	const requests = 20
	tickets := map[string]bool{}
	for range requests {
		tickets[g.ticket("GET", "/todos", "")] = true
	}
	calls := g.server.calls().since(before)
	// A protection token may end just now.
	if calls.tickets != requests || len(tickets) != requests || calls.tokens > 1 || calls.registration != 0 {
		g.t.Errorf("%d refused requests cost %+v and gave %d tickets, want as many tickets", requests, calls, len(tickets))
	}
	g.t.Logf("%d refused requests: %+v", requests, calls)
}

// A changed policy takes effect when the RPT expires.
func (g *umaGateway) testPolicyChange() {
	g.t.Helper()
	const life = 5 * time.Second
	g.server.setRPTLife(g.t, life)
	rpt := g.rpt("alice", "GET", "/todos", "")
	g.server.mayView(g.t, false)
	given := time.Now()
	harness.Eventually(g.t, patience, func() string {
		if response := g.request("GET", "/todos", rpt); response.Status == http.StatusOK {
			return response.String()
		}
		return ""
	})
	g.t.Logf("an RPT of %s ended %s after the policy was changed", life, time.Since(given).Round(100*time.Millisecond))
	if _, code := g.server.exchange(g.t, "alice", g.ticket("GET", "/todos", rpt), ""); code != "access_denied" {
		g.t.Errorf("the server told alice %q, want access_denied", code)
	}
	g.server.setRPTLife(g.t, 5*time.Minute)
	g.server.mayView(g.t, true)
	g.passes("GET", "/todos", g.rpt("alice", "GET", "/todos", ""))
}

// While the server is down, known RPTs keep working and no other request passes.
func (g *umaGateway) testServerDown() {
	g.t.Helper()
	rpt := g.rpt("alice", "GET", "/todos", "")
	g.passes("GET", "/todos", rpt)
	g.server.stop(g.t)
	g.passes("GET", "/todos", rpt)
	for range 10 {
		g.noTicket("GET", "/todos")
	}
	g.server.start(g.t)
	before := g.server.calls()
	g.untilTicket("GET", "/todos")
	g.passes("GET", "/todos", rpt)
	g.passes("GET", "/todos", g.rpt("alice", "GET", "/todos", ""))
	if calls := g.server.calls().since(before); calls.registration != 0 {
		g.t.Errorf("after the outage: got %+v, want no registration", calls)
	}
}

// A resource that was deleted at the server is registered again.
func (g *umaGateway) testDeletedResource() {
	g.t.Helper()
	old := g.server.resources(g.t)["GET /todos"]
	g.server.deleteResource(g.t, old)
	g.noTicket("GET", "/todos")
	g.untilTicket("GET", "/todos")
	if id := g.server.resources(g.t)["GET /todos"]; id == "" || id == old {
		g.t.Errorf("the resource has the id %q, it had %q", id, old)
	}
	g.passes("GET", "/todos", g.rpt("alice", "GET", "/todos", ""))
}

// A flood of refused requests does not become a flood of tickets.
func (g *umaGateway) testFlood() {
	g.t.Helper()
	const requests, connections = 3000, 16
	before, begun := g.server.calls(), time.Now()
	var statuses [600]atomic.Int64
	var senders sync.WaitGroup
	for range connections {
		senders.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for range requests / connections {
				answer, err := client.Get("http://" + g.Addr + "/todos")
				if err != nil {
					statuses[0].Add(1)
					continue
				}
				answer.Body.Close()
				if answer.StatusCode == http.StatusTooManyRequests {
					if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err != nil || seconds < 1 {
						statuses[0].Add(1)
					}
				}
				statuses[answer.StatusCode].Add(1)
			}
		})
	}
	senders.Wait()
	took := time.Since(begun)
	calls := g.server.calls().since(before)
	given, limited := statuses[http.StatusUnauthorized].Load(), statuses[http.StatusTooManyRequests].Load()
	if given+limited != requests/connections*connections || statuses[0].Load() != 0 {
		g.t.Errorf("of %d requests %d got a ticket and %d were told to wait, %d were something else",
			requests, given, limited, statuses[0].Load())
	}
	// 100 at once, then 10 a second, for one client and rule.
	most := 100 + int(took.Seconds()*10) + 10
	if calls.tickets > most || limited == 0 {
		g.t.Errorf("%d tickets were asked for within %s, want %d at most", calls.tickets, took, most)
	}
	g.t.Logf("a flood of %d refused requests in %s: %d tickets, %d answers 429", requests, took.Round(time.Millisecond), calls.tickets, limited)
}
