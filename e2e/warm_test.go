// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// A hundred reloads while requests run: no request fails, and the caches
// survive.
func TestReloadsUnderLoadKeepTheCacheWarm(t *testing.T) {
	t.Parallel()
	a := site{server: ownServer(t)}.start(t)
	opaque := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
	jwt := a.server.Token(t, todoApp, harness.JWT, "todos:read")
	a.passed(get("/todos", opaque))
	a.passed(get("/todos", jwt))
	before := a.server.Counts()

	first, second := startTraffic(a, "/todos", opaque, 200), startTraffic(a, "/todos", jwt, 200)
	const reloads = 100
	began := time.Now()
	for i := range reloads {
		a.Config(http.MethodPatch, "apps/gluu/consumers/0/tags", []string{fmt.Sprint("reload-", i)})
	}
	t.Logf("%d reloads took %s", reloads, time.Since(began).Round(time.Millisecond))
	first.finish(t)
	second.finish(t)
	a.passed(get("/todos", opaque))
	for _, path := range []string{harness.IntrospectionPath, harness.JWKSPath, harness.DiscoveryPath} {
		if got := a.server.Count(path); got != before[path] {
			t.Errorf("%s was called %d times more, want none", path, got-before[path])
		}
	}
}

// A thousand concurrent requests with one new token: one introspection.
func TestOneIntrospectionForAThousandRequests(t *testing.T) {
	t.Parallel()
	stub := newStubServer(t)
	g := stub.gateway(t, "5s")
	before := stub.count()
	stub.fault(slowly(500 * time.Millisecond))

	const requests = 1000
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: requests}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	statuses := make(chan int, requests)
	for range requests {
		all.Go(func() {
			status, err := ask(client, g.Addr, "token-of-a-thousand")
			if err != nil {
				t.Error(err)
			}
			statuses <- status
		})
	}
	all.Wait()
	close(statuses)
	for status := range statuses {
		if status != 200 {
			t.Errorf("got %d, want 200", status)
		}
	}
	asked := stub.count() - before
	t.Logf("%d requests with one new token: %d introspections", requests, asked)
	if asked != 1 {
		t.Errorf("%d introspections, want 1", asked)
	}
}
