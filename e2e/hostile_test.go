// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// The other drill: the authorization server is well, and one hostile client has it
// give odd answers about tokens of his own, or keeps it busy with made-up ones.
// Meanwhile 200 requests a second of good clients come in, whose tokens have to be
// introspected once a second. None of them is refused, none waits longer than the
// timeout; and the hostile client's revoked token is not good for longer because
// of anything that he does, although stale_if_error is on.

const (
	hostileTimeout = 2 * time.Second
	hostileMaxAge  = time.Second
	hostileRate    = 5 * time.Millisecond // between two of his requests
	hostileFlood   = 1200                 // made-up tokens that he sends at once

	// The hostile client's own token comes from another network than his made-up
	// ones: 429 for these would hide what happens to a revoked token.
	hostileNetwork = "203.0.113.66"
	ownNetwork     = "203.0.114.66"
)

// hostileLength is how long each trick goes on: E2E_HOSTILE=30s, or 5 s.
func hostileLength(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("E2E_HOSTILE")
	if text == "" {
		return 5 * time.Second
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("E2E_HOSTILE: %v", err)
	}
	return length
}

const hostileCaddyfile = `
{
	servers {
		trusted_proxies static 127.0.0.0/8
	}
	gluu {
		provider {
			issuer http://{$SERVER}
			introspection_endpoint http://{$SERVER}/introspect
			client_id gateway
			client_secret stub-secret-5f2b
			verify introspection
			timeout {$TIMEOUT}
			stale_if_error 1h
		}
		consumer todo-app {
			custom_id todo-app
		}
		cache {
			max_age {$MAX_AGE}
		}
	}
}
{$SITE} {
	gluu_oauth_auth
	gluu_oauth_pep {
		path /todos {
			GET scope todos:read
		}
	}
	respond ok
}
`

// trick is what the server answers about the tokens of the hostile client, and how
// many of them there are.
type trick struct {
	name   string
	answer http.HandlerFunc
	tokens int // 0: a new one each time
	flood  int // so many at once at the beginning
}

func hostileTricks() []trick {
	text := func(status int, body string) http.HandlerFunc {
		return harness.Answer(status, "application/json", body)
	}
	members := make([]string, 1001)
	for i := range members {
		members[i] = fmt.Sprintf(`"m%d":1`, i)
	}
	return []trick{
		{"nested 33 deep", text(200, `{"active":true,"x":`+strings.Repeat(`{"x":`, 33)+"1"+strings.Repeat("}", 34)), 0, 0},
		{"1001 members", text(200, `{"active":true,"x":{`+strings.Join(members, ",")+`}}`), 5, 0},
		{"a member twice", text(200, `{"active":true,"active":true}`), 0, 0},
		{"over a mebibyte", harness.Endless, 5, 0},
		{"active as text", text(200, `{"active":"true"}`), 0, 0},
		{"401 for tokens that it does not know", text(401, `{"error":"access_denied"}`), 0, 0},
		{"404 for tokens that it does not know", text(404, ``), 0, 0},
		{"500 about one token", text(500, ``), 1, 0},
		{"302 about one token", text(302, ``), 1, 0},
		{"no answer about one token", harness.Hang, 1, 0},
		{"a flood of made-up tokens", func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(400 * time.Millisecond)
			text(200, `{"active":false}`)(w, r)
		}, 0, hostileFlood},
	}
}

func TestHostileClientDrill(t *testing.T) {
	t.Parallel()
	stub := newStubServer(t)
	d := &hostileDrill{t: t, stub: stub, length: hostileLength(t), client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 400},
	}}
	defer d.client.CloseIdleConnections()
	d.gateway = harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: hostileCaddyfile,
		Env:       map[string]string{"SERVER": stub.addr, "TIMEOUT": hostileTimeout.String(), "MAX_AGE": hostileMaxAge.String()},
	}).WaitReady("/todos", harness.Bearer("is-the-authorization-server-there"))
	for _, each := range hostileTricks() {
		d.run(each)
	}
}

// hostileDrill is one gateway with its server, good clients and a hostile one.
type hostileDrill struct {
	t       *testing.T
	stub    *stubServer
	gateway *harness.Gateway
	client  *http.Client
	length  time.Duration
	made    int // hostile tokens so far
}

func (d *hostileDrill) run(each trick) {
	d.t.Helper()
	own := fmt.Sprintf("own-token-%d", d.made) // works until it is revoked
	if status, err := d.send(own, ownNetwork); status != 200 {
		d.t.Fatalf("%s: the hostile client's own token: got %d (%v)", each.name, status, err)
	}
	d.stub.fault(func(w http.ResponseWriter, r *http.Request) {
		switch raw := r.PostForm.Get("token"); {
		case strings.HasPrefix(raw, "hostile-"):
			each.answer(w, r)
		case raw == own:
			harness.Answer(200, "application/json", `{"active":false}`)(w, r)
		default:
			tokenIsGood(w, r)
		}
	})
	defer d.stub.fault(nil)
	revoked := time.Now()
	stop := make(chan struct{})
	var hostile sync.WaitGroup
	hostile.Go(func() { d.attack(each, stop) })
	hostile.Go(func() { d.useRevoked(each.name, own, revoked, stop) })
	d.check(each.name, d.good())
	close(stop)
	hostile.Wait()
}

// attack sends the tokens of a trick until it is stopped.
func (d *hostileDrill) attack(each trick, stop <-chan struct{}) {
	next := func() string {
		d.made++
		if each.tokens > 0 {
			return fmt.Sprintf("hostile-%s-%d", strings.ReplaceAll(each.name, " ", "-"), d.made%each.tokens)
		}
		return fmt.Sprintf("hostile-%d", d.made)
	}
	var all sync.WaitGroup
	defer all.Wait()
	send := func() {
		token := next()
		all.Go(func() {
			if status, _ := d.send(token, hostileNetwork); status == http.StatusOK {
				d.t.Errorf("%s: a hostile token passed", each.name)
			}
		})
	}
	for range each.flood {
		send()
	}
	ticker := time.NewTicker(hostileRate)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			send()
		case <-stop:
			return
		}
	}
}

// useRevoked uses a token that was revoked: once the cache has to ask about it,
// it must not pass.
func (d *hostileDrill) useRevoked(name, own string, revoked time.Time, stop <-chan struct{}) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			sent := time.Now()
			status, _ := d.send(own, ownNetwork)
			if status == http.StatusOK && sent.Sub(revoked) > hostileMaxAge {
				d.t.Errorf("%s: a revoked token passed %s after its revocation", name, sent.Sub(revoked))
			}
		case <-stop:
			return
		}
	}
}

// good sends the requests of good clients at a steady rate.
func (d *hostileDrill) good() []sample {
	var mu sync.Mutex
	var samples []sample
	var all sync.WaitGroup
	ticker := time.NewTicker(drillInterval)
	defer ticker.Stop()
	end := time.After(d.length)
	for i := 0; ; i++ {
		select {
		case <-end:
			all.Wait()
			return samples
		case <-ticker.C:
		}
		all.Go(func() {
			began := time.Now()
			status, err := d.send(known(i), fmt.Sprintf("198.51.100.%d", i%knownTokens))
			mu.Lock()
			defer mu.Unlock()
			samples = append(samples, sample{true, status, time.Since(began), time.Now(), err})
		})
	}
}

// send is a request by a client at this address.
func (d *hostileDrill) send(token, address string) (status int, err error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+d.gateway.Addr+"/todos", nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("X-Forwarded-For", address)
	answer, err := d.client.Do(request)
	if err != nil {
		return 0, err
	}
	answer.Body.Close()
	return answer.StatusCode, nil
}

func (d *hostileDrill) check(name string, samples []sample) {
	d.t.Helper()
	wrong := map[string]int{}
	for _, s := range samples {
		switch {
		case s.err != nil:
			wrong[s.err.Error()]++
		case s.status != http.StatusOK:
			wrong[fmt.Sprintf("status %d, want 200", s.status)]++
		case s.took > hostileTimeout:
			wrong[fmt.Sprintf("an answer after more than %s", hostileTimeout)]++
		}
	}
	for _, what := range slices.Sorted(maps.Keys(wrong)) {
		d.t.Errorf("%s: %d of %d requests of good clients: %s", name, wrong[what], len(samples), what)
	}
	d.t.Logf("%-40s %d good requests, p99 %s, slowest %s", name, len(samples), p99(samples, true), slowest(samples, true))
}
