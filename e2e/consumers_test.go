// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// directory keeps what the admin API has acknowledged about the consumers of
// one worker: the username of each, "" if it was deleted.
type directory struct {
	gateway *harness.Gateway
	known   map[string]string
	pending string // the consumer whose change is not acknowledged
}

// call changes something and says whether that was acknowledged.
func (d *directory) call(method, path, id string, body any, want int) error {
	d.pending = id
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, "http://"+d.gateway.Admin+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != want {
		return &wrongAnswer{fmt.Sprintf("%s %s: got %d %s, want %d", method, path, answer.StatusCode, text, want)}
	}
	d.pending = ""
	return nil
}

// asks sends a request as the client of a consumer: what was acknowledged must
// hold from the next request on. The name is "" if it is to be refused.
func (d *directory) asks(id, name string) error {
	request, err := http.NewRequest(http.MethodGet, "http://"+d.gateway.Addr+"/verified/x", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+tokenOf(id))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var echo harness.Received
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	_ = json.Unmarshal(text, &echo)
	if got := echo.Value("X-Consumer-Username"); got != name {
		return &wrongAnswer{fmt.Sprintf("the client %s is %q (%d), want %q", id, got, answer.StatusCode, name)}
	}
	return nil
}

type wrongAnswer struct{ what string }

func (w *wrongAnswer) Error() string { return w.what }

// one creates a consumer, renames it and, every second time, deletes it.
func (d *directory) one(id string, remove bool) error {
	first, second := "first-"+id, "second-"+id
	if err := d.asks(id, ""); err != nil {
		return err
	}
	if err := d.call("POST", "/gluu/consumers", id, map[string]any{"username": first, "custom_id": id}, http.StatusCreated); err != nil {
		return err
	}
	d.known[id] = first
	if err := d.asks(id, first); err != nil {
		return err
	}
	if err := d.call("PATCH", "/gluu/consumers/"+first, id, map[string]any{"username": second}, http.StatusOK); err != nil {
		return err
	}
	d.known[id] = second
	if err := d.asks(id, second); err != nil {
		return err
	}
	if !remove {
		return nil
	}
	if err := d.call("DELETE", "/gluu/consumers/"+second, id, nil, http.StatusNoContent); err != nil {
		return err
	}
	d.known[id] = ""
	return d.asks(id, "")
}

func tokenOf(id string) string { return "token-of-the-client-" + id }

// clientsServer knows a token for every client there could be.
func clientsServer(w http.ResponseWriter, r *http.Request) {
	token := r.PostFormValue("token")
	id := token[min(len(token), len(tokenOf(""))):]
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"active": id != "", "client_id": id, "scope": "read", "aud": "api"})
}

// work changes consumers in several workers at once until enough is
// acknowledged or the gateway is gone, and adds to known what was acknowledged
// and to pending what was not.
func work(t *testing.T, g *harness.Gateway, round string, enough int64, reached func(), known map[string]string, pending map[string]bool) {
	t.Helper()
	const workers = 4
	var done atomic.Int64
	var once sync.Once
	var group sync.WaitGroup
	var mu sync.Mutex
	for worker := range workers {
		group.Go(func() {
			d := &directory{gateway: g, known: map[string]string{}}
			var err error
			for i := 0; err == nil; i++ {
				err = d.one(fmt.Sprintf("%s-%d-%d", round, worker, i), i%2 == 1)
				if done.Add(1) >= enough {
					once.Do(reached)
					if err == nil && done.Load() >= 2*enough {
						break
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(known, d.known)
			if d.pending != "" {
				pending[d.pending] = true
			}
			if wrong, ok := err.(*wrongAnswer); ok {
				t.Error(wrong.what)
			}
		})
	}
	group.Wait()
}

// Consumers are created, changed and deleted through the admin API while
// requests run. Each change takes effect with the next request, and no
// acknowledged change is lost when the gateway crashes or restarts.
func TestConsumersSurviveCrashAndRestart(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(clientsServer))
	t.Cleanup(server.Close)
	upstream := harness.StartUpstream(t)
	certificate, key := harness.Certificate(t)
	config := harness.GatewayConfig{
		Caddyfile: forgeryCaddyfile,
		Env:       map[string]string{"ISSUER": server.URL, "UPSTREAM": upstream.Addr, "CLIENT_SECRET": gatewaySecret},
		Files:     map[string]string{"tls.crt": certificate, "tls.key": key},
		Home:      t.TempDir(),
	}
	known, pending := map[string]string{}, map[string]bool{}
	check := func(g *harness.Gateway, when string) {
		t.Helper()
		d := &directory{gateway: g}
		for id, name := range known {
			if pending[id] {
				continue // it may have happened or not
			}
			if err := d.asks(id, name); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
		// The listing agrees.
		listed := map[string]bool{}
		for path := "/gluu/consumers?size=7"; path != ""; {
			status, body := g.AdminCall(http.MethodGet, path, nil)
			var page struct {
				Data []struct {
					Username string `json:"username"`
				} `json:"data"`
				Next string `json:"next"`
			}
			if err := json.Unmarshal(body, &page); err != nil || status != http.StatusOK {
				t.Fatalf("%s: %d %s", path, status, body)
			}
			for _, c := range page.Data {
				listed[c.Username] = true
			}
			path = page.Next
		}
		for id, name := range known {
			if name != "" && !pending[id] && !listed[name] {
				t.Errorf("%s: the consumer %q is not listed", when, name)
			}
		}
	}

	first := harness.StartGateway(t, config)
	work(t, first, "killed", 40, func() { first.Kill() }, known, pending)
	if len(known) < 20 {
		t.Fatalf("only %d consumers before the gateway was killed", len(known))
	}

	second := harness.StartGateway(t, config)
	check(second, "after kill -9")
	work(t, second, "stopped", 10, func() {}, known, pending)
	if err := second.Stop(); err != nil {
		t.Fatal(err)
	}

	third := harness.StartGateway(t, config)
	check(third, "after a restart")
	t.Logf("%d consumers, %d changes were under way when the gateway was killed", len(known), len(pending))
}
