// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/testenv"
	"github.com/caddy-gluu/gateway/introspect"
)

// bench is both handlers with a token that is in the cache and 20 rules.
type bench struct {
	testing.TB
	auth, pep caddyhttp.MiddlewareHandler
	server    *caddyhttp.Server
	as        *authServer
	token     string
}

func newBench(b testing.TB, authConfig string) *bench {
	return newBenchWith(b, authConfig, `{"oauth_scope_expression":`+serviceRules(20)+`}`)
}

// serviceRules is a scope expression document with rules for the paths of services, of
// which the benchmarks ask for the eighth.
func serviceRules(n int) string {
	rules := make([]string, n)
	for i := range rules {
		rules[i] = fmt.Sprintf(`{"path":"/service-%d/todos/?","conditions":[{"httpMethods":["GET","POST"],"scope_expression":{"rule":{"and":[{"var":0},{"var":1}]},"data":["read","list"]}}]}`, i)
	}
	return "[" + strings.Join(rules, ",") + "]"
}

func newBenchWith(b testing.TB, authConfig, pepConfig string) *bench {
	as := newAuthServer(b)
	token := strings.Repeat("t", 800) // as long as a JWT
	as.issue(token, claims("client-a", "read list write openid profile", "email", "ann@example.com", "level", 3,
		"profile", map[string]any{"city": "Köln", "team": "a"}))
	config := fmt.Sprintf(`{
		"storage": {"module": "file_system", "root": %q},
		"logging": {"logs": {"default": {"level": "FATAL"}}},
		"apps": {"gluu": {
			"providers": {"default": {"issuer": %[2]q, "introspection_endpoint": "%[2]s/introspect", "client_id": "gateway", "client_secret": "secret", "audience": ["api"], "verify": "introspection"}},
			"consumers": [{"username": "ann", "custom_id": "client-a"}]
		}}}`, b.TempDir(), as.URL)
	var cfg caddy.Config
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		b.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(&cfg)
	if err != nil {
		b.Fatal(err)
	}
	app, err := introspect.FromContext(ctx)
	if err == nil {
		err = app.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := app.Stop(); err != nil {
			b.Error(err)
		}
		if err := caddy.Stop(); err != nil {
			b.Error(err)
		}
	})
	load := func(id, config string) caddyhttp.MiddlewareHandler {
		module, err := ctx.LoadModuleByID(id, json.RawMessage(config))
		if err != nil {
			b.Fatal(err)
		}
		return module.(caddyhttp.MiddlewareHandler)
	}
	bn := &bench{TB: b, server: new(caddyhttp.Server), as: as, token: token}
	bn.auth = load("http.handlers.gluu_oauth_auth", authConfig)
	bn.pep = load("http.handlers.gluu_oauth_pep", pepConfig)
	return bn
}

// request is a request as Caddy gives it to the first handler.
func (bn *bench) request() *http.Request {
	r := httptest.NewRequest("GET", "/service-7/todos/12345", nil)
	r.Header = http.Header{
		"Authorization":   {"Bearer " + bn.token},
		"User-Agent":      {"curl/8.0"},
		"Accept":          {"*/*"},
		"Accept-Encoding": {"gzip"},
		"X-Request-Id":    {"b31e6d8b-8f9b-5e7f"},
	}
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, bn.server)
}

type ending struct{ reached int }

func (e *ending) ServeHTTP(http.ResponseWriter, *http.Request) error { e.reached++; return nil }

// chained runs a middleware before another without allocating for it.
type chained struct {
	middleware caddyhttp.MiddlewareHandler
	next       caddyhttp.Handler
}

func (c *chained) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	return c.middleware.ServeHTTP(w, r, c.next)
}

// run measures a handler. Every request has to be a new one, which costs more than
// the handlers do, so that both are measured beside each other. The figures are those of
// the median batch, to which it does not matter that other programs interrupt some.
func (bn *bench) run(b *testing.B, prepare func() *http.Request, handler caddyhttp.Handler, end *ending) {
	w := httptest.NewRecorder()
	var prepared, handled []time.Duration
	const batch = 64 // few enough to stay in the processor's cache
	requests := make([]*http.Request, batch)
	var before, after runtime.MemStats
	n, allocations := 0, uint64(0)
	for b.Loop() {
		start := time.Now()
		for i := range requests {
			requests[i] = prepare()
		}
		ready := time.Now()
		if n == 0 {
			runtime.ReadMemStats(&before)
		}
		for _, r := range requests {
			if err := handler.ServeHTTP(w, r); err != nil {
				b.Fatal(err)
			}
		}
		if n == 0 {
			runtime.ReadMemStats(&after)
			allocations = (after.Mallocs - before.Mallocs) / batch
			ready = time.Now() // not this round
		}
		handled = append(handled, time.Since(ready))
		prepared = append(prepared, ready.Sub(start))
		n += batch
	}
	b.ReportMetric(0, "ns/op") // it would be that of a batch
	b.ReportMetric(float64(median(handled))/batch, "ns/request")
	b.ReportMetric(float64(median(prepared))/batch, "ns/preparation")
	b.ReportMetric(float64(allocations), "allocs/request")
	if end.reached < n {
		b.Fatalf("%d of %d requests passed: %d %s", end.reached, n, w.Code, w.Body)
	}
}

func median(of []time.Duration) time.Duration {
	slices.Sort(of)
	return of[len(of)/2]
}

func tenHeaders() string {
	custom := []string{}
	for i := range 10 {
		custom = append(custom, fmt.Sprintf(`{"header_name":"X-Custom-%d","value":"introspect_data.email"}`, i))
	}
	return strings.Join(custom, ",")
}

// Both handlers on a cached token: without headers, with the standard ones, and
// with ten custom ones in addition.
func BenchmarkAuthPEP(b *testing.B) {
	for name, config := range map[string]string{
		"no-headers":       `{"upstream_headers": false}`,
		"standard-headers": `{}`,
		"ten-custom":       `{"custom_headers":[` + tenHeaders() + `]}`,
	} {
		b.Run(name, func(b *testing.B) {
			bn, end := newBench(b, config), new(ending)
			handler := &chained{bn.auth, &chained{bn.pep, end}}
			if err := handler.ServeHTTP(httptest.NewRecorder(), bn.request()); err != nil || end.reached != 1 {
				b.Fatalf("the first request did not pass: %v", err)
			}
			bn.run(b, bn.request, handler, end)
		})
	}
}

// lineWriter writes header lines and does nothing else: what a handler could
// not do without that tells an upstream as much.
type lineWriter struct {
	names, values []string
	next          caddyhttp.Handler
}

func (l *lineWriter) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	values := slices.Clone(l.values) // Caddy's header operations edit values in place
	for i, name := range l.names {
		r.Header[name] = values[i : i+1 : i+1]
	}
	return l.next.ServeHTTP(w, r)
}

// The seventeen lines of BenchmarkAuthPEP/ten-custom written by a handler that
// has nothing else to do, beside which that figure is to be read.
func BenchmarkHeaderLines(b *testing.B) {
	bn, end := newBench(b, `{"custom_headers":[`+tenHeaders()+`]}`), new(ending)
	sent, plain := bn.request(), bn.request().Header
	if err := bn.auth.ServeHTTP(httptest.NewRecorder(), sent, end); err != nil || end.reached != 1 {
		b.Fatalf("the first request did not pass: %v", err)
	}
	lines := &lineWriter{next: end}
	for name, values := range sent.Header {
		if _, before := plain[name]; !before {
			lines.names, lines.values = append(lines.names, name), append(lines.values, values[0])
		}
	}
	if len(lines.names) < 16 {
		b.Fatalf("the gateway has set only %q", lines.names)
	}
	bn.run(b, bn.request, lines, end)
}

// The decision alone.
func BenchmarkPEP(b *testing.B) { newBench(b, `{}`).runDecisions(b) }

// runDecisions measures the decision alone.
func (bn *bench) runDecisions(b *testing.B) {
	end := new(ending)
	first := bn.request()
	if err := bn.auth.ServeHTTP(httptest.NewRecorder(), first, end); err != nil || end.reached != 1 {
		b.Fatalf("the first request did not pass: %v", err)
	}
	id := identity.Of(first)
	prepare := func() *http.Request {
		r := bn.request()
		identity.Attach(r, &identity.Identity{Token: id.Token, Consumer: id.Consumer, Provider: id.Provider})
		return r
	}
	bn.run(b, prepare, &chained{bn.pep, end}, end)
}

// BenchmarkTokens lets many tokens pass both handlers and reports what one
// takes in memory: what is known about it, its headers and its decisions. Each
// belongs to another user, and they have the claims of Keycloak's tokens.
func BenchmarkTokens(b *testing.B) {
	const tokens = 20_000
	bn, end := newBench(b, `{}`), new(ending)
	handler := &chained{bn.auth, &chained{bn.pep, end}}
	name := func(i int) string { return fmt.Sprintf("%08d-0123456789abcdef0123456789abcdef012", i) }
	for i := range tokens {
		user := fmt.Sprintf("3f1c8a52-9c1e-4d58-8a6b-%012d", i)
		bn.as.issue(name(i), claims("client-a", "read list openid profile email", "sub", user,
			"iat", 1700000000, "jti", "6f2f1c9a-6d6b-4f7e-9a53-"+user[24:], "typ", "Bearer", "azp", "client-a", "acr", "1",
			"session_state", "9d2f1c9a-6d6b-4f7e-9a53-"+user[24:], "token_type", "Bearer", "username", "user-"+user[24:],
			"realm_access", map[string]any{"roles": []string{"offline_access", "uma_authorization", "employee"}}))
	}
	w := httptest.NewRecorder()
	pass := func(i int) {
		r := bn.request()
		r.Header["Authorization"] = []string{"Bearer " + name(i)}
		if err := handler.ServeHTTP(w, r); err != nil {
			b.Fatal(err)
		}
	}
	before := testenv.HeapInUse()
	for i := range tokens {
		pass(i)
	}
	if end.reached != tokens {
		b.Fatalf("%d of %d tokens passed: %d %s", end.reached, tokens, w.Code, w.Body)
	}
	perToken := float64(testenv.HeapInUse()-before) / tokens
	for i := 0; b.Loop(); i++ {
		pass(i * 7919 % tokens)
	}
	b.ReportMetric(perToken, "B/token")
	b.ReportMetric(perToken*1e6/(1<<20), "MiB/million")
}

// The bound of the design on allocations, which no machine's speed changes.
func TestHandlersAllocateLittle(t *testing.T) {
	for name, config := range map[string]string{
		"rules":    `{"oauth_scope_expression":` + serviceRules(20) + `}`,
		"document": serviceDocument(t, 20),
	} {
		t.Run(name, func(t *testing.T) { testAllocations(t, newBenchWith(t, `{}`, config)) })
	}
}

func testAllocations(t *testing.T, bn *bench) {
	end := new(ending)
	both := &chained{bn.auth, &chained{bn.pep, end}}
	w := httptest.NewRecorder()
	pass := func(handler caddyhttp.Handler, requests chan *http.Request) func() {
		return func() {
			if err := handler.ServeHTTP(w, <-requests); err != nil {
				t.Fatal(err)
			}
		}
	}
	const runs = 200
	all, decisions := make(chan *http.Request, runs+1), make(chan *http.Request, runs+1)
	warm := bn.request()
	if err := both.ServeHTTP(w, warm); err != nil {
		t.Fatal(err)
	}
	id := identity.Of(warm)
	for range runs + 1 {
		all <- bn.request()
		r := bn.request()
		identity.Attach(r, &identity.Identity{Token: id.Token, Consumer: id.Consumer, Provider: id.Provider})
		decisions <- r
	}
	if got := testing.AllocsPerRun(runs, pass(both, all)); got > 6 {
		t.Errorf("both handlers allocate %v times, want 6 at most", got)
	}
	if got := testing.AllocsPerRun(runs, pass(&chained{bn.pep, end}, decisions)); got != 0 {
		t.Errorf("the decision allocates %v times, want 0", got)
	}
	if end.reached != 2*runs+3 {
		t.Errorf("%d requests passed: %d %s", end.reached, w.Code, w.Body)
	}
}

// What a reload costs with 10,000 rules and 100,000 consumers. There is
// nothing to wait for: the configuration that runs goes on meanwhile.
func BenchmarkReload(b *testing.B) {
	var rules, consumers strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&rules, `{"path":"/service-%d/{[a-z]+}/%d/?","conditions":[{"httpMethods":["GET","POST"],"scope_expression":{"rule":{"and":[{"var":0},{"var":1}]},"data":["read-%[1]d","list"]}}]},`, i%100, i)
	}
	for i := range 100_000 {
		fmt.Fprintf(&consumers, `{"username":"consumer-%d","custom_id":"client-%d"},`, i, i)
	}
	config := fmt.Appendf(nil, `{
		"admin": {"disabled": true}, "storage": {"module": "file_system", "root": %q},
		"logging": {"logs": {"default": {"level": "FATAL"}}},
		"apps": {
			"gluu": {
				"providers": {"default": {"issuer": "https://as.invalid", "introspection_endpoint": "https://as.invalid/x", "client_id": "a", "client_secret": "b", "audience": ["c"], "verify": "introspection"}},
				"consumers": [%s]
			},
			"http": {"servers": {"s": {"listen": [%q], "automatic_https": {"disable": true}, "routes": [{"handle": [
				{"handler": "gluu_oauth_auth"},
				{"handler": "gluu_oauth_pep", "oauth_scope_expression": [%s]}
			]}]}}}
		}}`, b.TempDir(), strings.TrimSuffix(consumers.String(), ","), caddytest.FreeAddress(b), strings.TrimSuffix(rules.String(), ","))
	if err := caddy.Load(config, true); err != nil {
		b.Fatal(err)
	}
	caddytest.StopAfter(b)
	for b.Loop() {
		if err := caddy.Load(config, true); err != nil {
			b.Fatal(err)
		}
	}
}
