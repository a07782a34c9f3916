// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/jose"
)

// S-39: configurations are loaded while keys are fetched and requests are
// under way. Under the race detector this shows that nothing of one is read
// while another writes it; without, that every caller gets the right answer.
func TestSec_S39_ReloadsWhileKeysAreFetched(t *testing.T) {
	key, err := jose.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.PublicKeySet(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	var fetches atomic.Int32
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetches.Add(1)
		_, _ = w.Write(set)
	}))
	defer keys.Close()
	sign := func(kid, subject string) string {
		payload, err := json.Marshal(claims("client-a", "read list", "sub", subject, "iss", keys.URL))
		if err != nil {
			t.Fatal(err)
		}
		token, err := jose.Sign(payload, key, "ES256", kid, "at+jwt")
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	// Each audience is another provider, with keys of its own to fetch.
	app := func(i int) string {
		return simpleApp + fmt.Sprintf("provider {\nissuer %s\njwks_uri %s/jwks\nclient_id gateway\nclient_secret secret\naudience api other-%d\nverify jwt\n}\n", keys.URL, keys.URL, i)
	}
	site := "gluu_oauth_auth\n" + simplePEP
	g := start(t, app(0), site)

	var over atomic.Bool
	var good, bad atomic.Int32
	var callers sync.WaitGroup
	for caller := range 4 {
		callers.Go(func() {
			for i := 0; !over.Load(); i++ {
				token, want := sign(key.Public().ID(), fmt.Sprint(caller, i)), 200
				count := &good
				if i%3 == 2 {
					token, want, count = sign(fmt.Sprint("unknown", caller, i), "x"), 401, &bad
				}
				got, err := g.trySend("GET /todos/1 HTTP/1.1\nHost: " + g.address + "\nAuthorization: Bearer " + token)
				if err != nil {
					continue // the kernel gave the connection to the socket of the configuration before
				}
				if got.status != want {
					t.Errorf("caller %d, request %d: got %d %s, want %d", caller, i, got.status, strings.TrimSpace(got.body), want)
				}
				count.Add(1)
			}
		})
	}
	deadline := time.Now().Add(time.Minute)
	for i := 1; i < 8 || (good.Load() < 50 || bad.Load() < 20 || fetches.Load() < 3) && time.Now().Before(deadline); i++ {
		g.load(app(i/2), site) // every other one keeps the provider
	}
	over.Store(true)
	callers.Wait()
	if good.Load() < 50 || bad.Load() < 20 || fetches.Load() < 3 {
		t.Errorf("%d good and %d bad requests, %d fetches of keys: that shows little", good.Load(), bad.Load(), fetches.Load())
	}
}
