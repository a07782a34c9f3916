// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// traffic sends one request over and over, on connections that are kept, the
// way clients do, and checks each answer.
type traffic struct {
	stop    chan struct{}
	done    sync.WaitGroup
	sent    atomic.Int64
	dropped atomic.Int64 // connections that ended without an answer
	wrong   chan string  // the first few answers that should not have been
	accept  atomic.Pointer[func(status int) bool]
}

// startTraffic starts the senders. Until the first call of want every answer
// must be one of the statuses.
func startTraffic(a *api, target, token string, statuses ...int) *traffic {
	f := &traffic{stop: make(chan struct{}), wrong: make(chan string, 10)}
	f.want(statuses...)
	a.Forbid(token)
	for range 4 {
		f.done.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-f.stop:
					return
				default:
				}
				f.one(client, "http://"+a.Addr+target, token)
			}
		})
	}
	return f
}

// want changes which statuses are right from now on.
func (f *traffic) want(statuses ...int) {
	accept := func(status int) bool {
		return slices.Contains(statuses, status)
	}
	f.accept.Store(&accept)
}

func (f *traffic) one(client *http.Client, address, token string) {
	// What is right is what was right before the request was sent or is right
	// after its answer: in between the configuration may change.
	before := f.accept.Load()
	f.sent.Add(1)
	answer, err := f.send(client, address, token)
	if err != nil {
		f.report(err.Error())
		return
	}
	answer.Body.Close()
	if !(*before)(answer.StatusCode) && !(*f.accept.Load())(answer.StatusCode) {
		f.report(fmt.Sprintf("status %d", answer.StatusCode))
	}
}

// send tries again when a connection ends without an answer. That happens
// with plain Caddy at each reload: what waits in the accept queue of the old
// listener is reset by the kernel, and net/http drops the first request of a
// connection that the old server has just accepted. Neither was looked at.
func (f *traffic) send(client *http.Client, address, token string) (answer *http.Response, err error) {
	for range 5 {
		request, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+token)
		answer, err = client.Do(request)
		if !isDropped(err) {
			return answer, err
		}
		f.dropped.Add(1)
	}
	return nil, errors.New("five connections in a row ended without an answer")
}

// isDropped says whether a connection ended without an answer.
func isDropped(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

func (f *traffic) report(what string) {
	select {
	case f.wrong <- what:
	default:
	}
}

// after waits until n more requests were sent.
func (f *traffic) after(t *testing.T, n int64) {
	t.Helper()
	goal := f.sent.Load() + n
	harness.Eventually(t, patience, func() string {
		if sent := f.sent.Load(); sent < goal {
			return fmt.Sprintf("%d requests sent, not %d", sent, goal)
		}
		return ""
	})
}

func (f *traffic) finish(t *testing.T) {
	t.Helper()
	close(f.stop)
	f.done.Wait()
	close(f.wrong)
	for what := range f.wrong {
		t.Errorf("a request that should not have failed: %s", what)
	}
	t.Logf("%d requests were sent meanwhile, %d connections ended without an answer and were tried again", f.sent.Load(), f.dropped.Load())
}

// One member of the handler's configuration is changed through Caddy's admin
// API while requests run.
func TestLiveChangeOfAScopeExpression(t *testing.T) {
	t.Parallel()
	a := site{server: ownServer(t)}.start(t)
	both := a.server.Token(t, todoApp, harness.Opaque, "todos:read email")
	read := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
	a.passed(get("/todos", both))
	a.passed(get("/todos", read))
	introspections := a.server.Count(harness.IntrospectionPath)

	member := a.HandlerPath("gluu_oauth_pep") + "/oauth_scope_expression"
	document := func(data ...string) json.RawMessage {
		rule := `{"and": [`
		for i := range data {
			if i > 0 {
				rule += ", "
			}
			rule += fmt.Sprintf(`{"var": %d}`, i)
		}
		rule += "]}"
		encoded, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		return json.RawMessage(fmt.Sprintf(
			`[{"path": "/todos", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": %s, "data": %s}}]}]`, rule, encoded))
	}

	unchanged := startTraffic(a, "/todos", both, 200)
	changing := startTraffic(a, "/todos", read, 200)
	for range 5 {
		unchanged.after(t, 20)
		changing.want(200, 403)
		a.Config(http.MethodPatch, member, document("todos:read", "email"))
		// From the next request on.
		a.afterChange(get("/todos", read), 403)
		changing.want(403)
		changing.after(t, 20)

		changing.want(200, 403)
		a.Config(http.MethodPatch, member, document("todos:read"))
		a.afterChange(get("/todos", read), 200)
		changing.want(200)
	}
	unchanged.finish(t)
	changing.finish(t)

	// Caches outlive a change of the configuration.
	if got := a.server.Count(harness.IntrospectionPath); got != introspections {
		t.Errorf("%d introspections more, want none", got-introspections)
	}

	// An invalid change is refused, and the old rules stay in force.
	status, answer := a.AdminCall(http.MethodPatch, "/config/"+member, json.RawMessage(
		`[{"path": "/todos", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"xor": [{"var": 0}]}, "data": ["x"]}}]}]`))
	if status < 400 || !strings.Contains(string(answer), "xor") {
		t.Errorf("a rule with an unknown operator: got %d %s, want it refused", status, answer)
	}
	a.afterChange(get("/todos", read), 200)
}

// afterChange sends a request right after a change of the configuration. It
// checks the status, and tries again what traffic tries again.
func (a *api) afterChange(request harness.Request, want int) *harness.Response {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	for {
		response, err := harness.HTTP1(a.Addr).Do(ctx, request)
		if isDropped(err) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			a.t.Fatal(err)
		}
		if response.Status != want {
			a.t.Errorf("got %s, want status %d", response, want)
		}
		return response
	}
}

func TestLiveChangeOfAConsumer(t *testing.T) {
	t.Parallel()
	a := site{}.start(t)
	first := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
	second := a.server.Token(t, secondApp, harness.JWT, "todos:read")
	unknown := invalidToken
	unknown.reason = "unknown_consumer"
	a.refused(get("/todos", second), unknown)

	steady := startTraffic(a, "/todos", first, 200)
	changing := startTraffic(a, "/todos", second, 401)
	for i := range 5 {
		changing.after(t, 20)
		changing.want(200, 401)
		a.Config(http.MethodPost, "apps/gluu/consumers", map[string]any{
			"username": fmt.Sprintf("second-%d", i), "custom_id": secondApp,
		})
		echo := a.afterChange(get("/todos", second), 200).Echo()
		if echo == nil {
			t.Fatal("the answer is not the upstream's")
		}
		if got, want := echo.Value("X-Consumer-Username"), fmt.Sprintf("second-%d", i); got != want {
			t.Errorf("X-Consumer-Username is %q, want %q", got, want)
		}
		changing.want(200)
		changing.after(t, 20)

		changing.want(200, 401)
		a.Config(http.MethodDelete, "apps/gluu/consumers/2", nil)
		a.afterChange(get("/todos", second), 401)
		changing.want(401)
	}
	steady.finish(t)
	changing.finish(t)

	// A renamed consumer has its new name from the next request on.
	a.Config(http.MethodPatch, "apps/gluu/consumers/0/username", "renamed")
	if echo := a.afterChange(get("/todos", first), 200).Echo(); echo == nil || echo.Value("X-Consumer-Username") != "renamed" {
		t.Errorf("the upstream received %+v, want the consumer renamed", echo)
	}
}
