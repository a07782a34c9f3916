// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/opaengine"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/introspect"
)

// An engine stays the same across reloads, as long as its policies do.
func TestEnginesOutliveReloads(t *testing.T) {
	w := newWorld(t)
	policy := w.file("p.rego", allowAll)
	config := func(options string) string {
		return w.config("opa {\n policy "+policy+"\n}", authenticate+"gluu_opa_pep {\n"+options+"\n}")
	}
	w.run(config(""))
	keys := func() (keys []string) {
		engines.Range(func(key, _ any) bool { keys = append(keys, key.(string)); return true })
		return keys
	}
	first := keys()
	w.run(config("log_grants"))
	if again := keys(); len(first) != 1 || len(again) != 1 || first[0] != again[0] {
		t.Errorf("the engines were %v, and are %v", first, again)
	}
	w.file("p.rego", peerPolicy)
	w.run(config(""))
	if got := w.get("/", "good"); got.StatusCode != 403 {
		t.Errorf("after a reload with changed policies: got %d, want 403", got.StatusCode)
	}
	if again := keys(); len(again) != 1 || again[0] == first[0] {
		t.Errorf("the engines are %v", again)
	}
	w.file("p.rego", "package a\n\nallow if x\n")
	if got := w.refused(config("log_grants")); !strings.Contains(got, "p.rego:3: var x is unsafe") {
		t.Errorf("got %s", got)
	}
	if got := w.get("/folder/command", "good"); got.StatusCode != 200 {
		t.Errorf("after a refused reload: got %d, want 200", got.StatusCode)
	}
}

func TestWatchedPolicies(t *testing.T) {
	w := newWorld(t)
	policy := w.file("p.rego", allowAll)
	w.run(w.config("opa {\n policy "+policy+" watch\n}", authenticate+"gluu_opa_pep"))
	if got := w.get("/", "good"); got.StatusCode != 200 {
		t.Fatalf("got %d", got.StatusCode)
	}
	w.file("p.rego", peerPolicy)
	first := introspect.Running().OPAStatus()
	await(t, "the new policy", func() bool { return w.get("/", "good").StatusCode == 403 })
	second := introspect.Running().OPAStatus()
	if d := second.Deciders[0]; d.Kind != "engine" || d.By != "default" || d.Decision != "httpapi/authz" {
		t.Errorf("the handler says %+v", d)
	}
	if e := second.Engines[0]; e.Name != "default" || !e.Ready || e.Revision == first.Engines[0].Revision || e.Since.Before(first.Engines[0].Since) {
		t.Errorf("the engine says %+v", e)
	}
}

// An engine without a policy refuses, and does not answer for its policy.
func TestAnEngineThatIsNotReady(t *testing.T) {
	w := newWorld(t)
	key := w.file("key.pem", "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n")
	w.run(w.config("opa {\n bundle a http://127.0.0.1:1/b {\n key "+key+"\n}\n}", authenticate+"gluu_opa_pep"))
	got := w.get("/", "good")
	w.wantReason(503, "not_ready", got)
	if got.Header.Get("Retry-After") == "" || w.count() != 0 {
		t.Errorf("Retry-After %q, the upstream received %d", got.Header.Get("Retry-After"), w.count())
	}
}

// What takes too long is answered 503, and is not the client's fault.
func TestAPolicyThatTakesTooLong(t *testing.T) {
	w := newWorld(t).start("package httpapi.authz\n\ndefault allow := false\n\nallow if count([x | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); x := a * b]) > 0\n", "timeout 20ms")
	w.wantReason(503, "policy_timeout", w.get("/", "good"))
}

func TestAPolicyThatContradictsItself(t *testing.T) {
	w := newWorld(t).start("package httpapi.authz\n\nallow := true if input.method\n\nallow := false if input.path\n", "")
	w.wantReason(500, "policy_error", w.get("/", "good"))
}

// looked are the metrics of a cache.
func looked() *metrics {
	return &metrics{lookups: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lookups"}, []string{"result"})}
}

// counting is a decider that counts.
type counting struct {
	mu    sync.Mutex
	asked int
	value ast.Value
}

func (c *counting) decide(context.Context, *question) (answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	return answer{value: c.value}, nil
}

// A decision is remembered for the same input, and no longer than it may.
func TestTheCache(t *testing.T) {
	w := newWorld(t).start(`package httpapi.authz

default allow := false

allow if {
	input.path[0] != "closed"
	input.method == "GET"
}
`, "cache 60s 100")
	for range 3 {
		if got := w.get("/a", "good"); got.StatusCode != 200 {
			t.Fatalf("got %d", got.StatusCode)
		}
	}
	if got := w.send("POST", "/a", "good", "", nil); got.StatusCode != 403 {
		t.Errorf("another method: got %d, want 403", got.StatusCode)
	}
	if got := w.get("/closed", "good"); got.StatusCode != 403 {
		t.Errorf("another path: got %d, want 403", got.StatusCode)
	}
	if got := w.get("/closed/a", "good"); got.StatusCode != 403 {
		t.Errorf("a path that continues: got %d, want 403", got.StatusCode)
	}
}

// An old grant does not outlive its policy, its token or its time.
func TestSec_S328_OldDecisionsEnd(t *testing.T) {
	now := time.Unix(1000, 0)
	asker := &counting{value: ast.Boolean(true)}
	p := &PEP{Config: Config{Cache: 60e9}, decider: asker, metrics: looked()}
	d, err := p.newCache()
	if err != nil {
		t.Fatal(err)
	}
	d.now = func() time.Time { return now }
	ask := func(change func(*question)) {
		t.Helper()
		q := asked(p, true)
		q.id.Token = &token.Token{ClientID: "c", ClaimsJSON: `{"sub": "a"}`}
		q.r.Method, q.path = "GET", "/a"
		q.r.URL = mustURL("/a")
		if change != nil {
			change(q)
		}
		if _, err := d.decide(q); err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct {
		name   string
		change func(*question)
		wait   time.Duration
		asked  int
	}{
		{"the first", nil, 0, 1},
		{"the same", nil, 0, 1},
		{"another path", func(q *question) { q.path = "/b" }, 0, 2},
		{"another argument", func(q *question) { q.r.URL = mustURL("/a?x") }, 0, 3},
		{"another header", func(q *question) { q.r.Header.Set("X-A", "1") }, 0, 4},
		{"another claim", func(q *question) { q.id.Token.ClaimsJSON = `{"sub": "b"}` }, 0, 5},
		{"another rule", func(q *question) { q.id.Rule = "/?" }, 0, 6},
		{"no token", func(q *question) { q.id.Token = nil }, 0, 7},
		{"almost too late", nil, 59 * time.Second, 7},
		{"too late", nil, 2 * time.Second, 8},
		{"a short token", func(q *question) { q.path = "/short"; q.id.Token.ExpiresAt = now.Add(5 * time.Second) }, 0, 9},
		{"a short token again", func(q *question) { q.path = "/short"; q.id.Token.ExpiresAt = now }, 5 * time.Second, 10},
	}
	for _, step := range steps {
		now = now.Add(step.wait)
		if ask(step.change); asker.asked != step.asked {
			t.Errorf("%s: asked %d times, want %d", step.name, asker.asked, step.asked)
		}
	}
	asker.value = ast.Boolean(false)
	ask(func(q *question) { q.path = "/denied" })
	before := asker.asked
	ask(func(q *question) { q.path = "/denied" })
	if now = now.Add(1001 * time.Millisecond); asker.asked != before {
		t.Errorf("a refusal was not remembered")
	}
	if ask(func(q *question) { q.path = "/denied" }); asker.asked != before+1 {
		t.Errorf("a refusal was remembered for more than a second")
	}
}

// Replaced policies start with an empty cache.
func TestSec_S328_NewPoliciesDecideAnew(t *testing.T) {
	w := newWorld(t)
	policy := w.file("p.rego", "package httpapi.authz\n\ndefault allow := false\n\nallow if input.method == \"GET\"\n")
	w.run(w.config("opa {\n policy "+policy+" watch\n}", authenticate+"gluu_opa_pep {\n cache 60s\n}"))
	for range 2 {
		if got := w.get("/", "good"); got.StatusCode != 200 {
			t.Fatalf("got %d", got.StatusCode)
		}
	}
	w.file("p.rego", "package httpapi.authz\n\ndefault allow := false\n\nallow if input.method == \"POST\"\n")
	await(t, "the new policy", func() bool { return w.get("/", "good").StatusCode == 403 })
	w.file("p.rego", "package httpapi.authz\n\ndefault allow := false\n\nallow if time.now_ns() > 0\n")
	await(t, "one that cannot be remembered", func() bool { return w.get("/", "good").StatusCode == 200 })
	w.get("/", "good")
	if len(caddytest.Records(t, w.dir, "decisions are not remembered")) != 1 {
		t.Error("nothing is said about it")
	}
}

// Decisions are logged in OPA's format, without what a client could use elsewhere.
func TestSec_S320_NoCredentialIsLogged(t *testing.T) {
	const policy = "package httpapi.authz\n\ndefault allow := false\n\nallow if input.path != [\"closed\"]\n\nseen := input\n"
	for _, form := range []string{"json", "form", "raw"} {
		for _, input := range []string{"gluu", "kong", "envoy"} {
			t.Run(form+" "+input, func(t *testing.T) {
				w := newWorld(t).start(strings.ReplaceAll(policy, `input.path != ["closed"]`, "true"), "headers all\ndecision_log all\ninput "+input+"\nbody "+form)
				kind, body := "application/json", `{"access_token": "s3cret-1", "list": [{"password": "s3cret-2"}], "fine": "visible"}`
				if form == "form" {
					kind, body = "application/x-www-form-urlencoded", "client_secret=s3cret-1&fine=visible&code=s3cret-2"
				}
				w.issue("s3cret-0", map[string]any{"client_id": "0123456789", "aud": "api", "sub": "visible"})
				got := w.send("POST", "/x?access_token=s3cret-3&fine=visible&token=s3cret-4&token=s3cret-5", "s3cret-0", body, func(r *http.Request) {
					r.Header.Set("Content-Type", kind)
					r.Header.Set("Cookie", "session=s3cret-6")
					r.Header.Set("X-API-Key", "s3cret-7")
					r.Header.Set("Referer", "https://a.example/?code=s3cret-8")
				})
				if got.StatusCode != 200 {
					t.Fatalf("got %d %s", got.StatusCode, got.text)
				}
				await(t, "the event", func() bool { return len(caddytest.Records(t, w.dir, "Decision Log")) == 1 })
				event := caddytest.Records(t, w.dir, "Decision Log")[0]
				text := text2(event)
				if event["logger"] != "gluu.opa.decisions" || event["path"] != "httpapi/authz" || event["type"] != "openpolicyagent.org/decision_logs" || event["decision_id"] == "" || !strings.Contains(text, "visible") {
					t.Errorf("the event is %s", text)
				}
				if input := text2(event["input"]); strings.Contains(input, "s3cret") {
					t.Errorf("the input in the log has a secret: %s", input)
				}
			})
		}
	}
}

func TestWhichDecisionsAreLogged(t *testing.T) {
	for options, want := range map[string]int{"": 0, "decision_log off": 0, "decision_log refusals": 1, "decision_log all": 2} {
		t.Run(options, func(t *testing.T) {
			w := newWorld(t).start(peerPolicy, options)
			w.get("/folder/command", "good")
			w.get("/elsewhere", "good")
			w.run(w.config("", "respond gone")) // writes what waits
			if got := len(caddytest.Records(t, w.dir, "Decision Log")); got != want {
				t.Errorf("%d events, want %d", got, want)
			}
		})
	}
}

// Too many events are dropped and counted, and delay no request.
func TestSec_S321_TheDecisionLogIsBounded(t *testing.T) {
	dropped := prometheus.NewCounter(prometheus.CounterOpts{Name: "dropped"})
	rec := &recorder{which: logAll, share: 1, dropped: dropped, queue: make(chan event, 2)}
	p := &PEP{}
	for range 5 {
		q := asked(p, true)
		q.input = ast.NewObject()
		rec.decided(q, &verdict{outcome: granted})
	}
	var written dto.Metric
	if err := dropped.Write(&written); err != nil {
		t.Fatal(err)
	}
	if got := written.GetCounter().GetValue(); got != 3 || len(rec.queue) != 2 {
		t.Errorf("%d wait and %g were dropped, want 2 and 3", len(rec.queue), got)
	}
	if maxQueued != 10_000 {
		t.Errorf("%d events can wait, want 10000", maxQueued)
	}
}

// Policies are compiled when the configuration loads, and decisions once.
func TestSec_S322_NothingIsCompiledForARequest(t *testing.T) {
	dir := tempDir(t)
	if err := os.WriteFile(dir+"/p.rego", []byte(allowAll), 0o600); err != nil {
		t.Fatal(err)
	}
	engine, err := opaengine.New(opaengine.Settings{Files: []string{dir + "/p.rego"}})
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := engine.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	decide := func() {
		if out, err := snapshot.Decide(context.Background(), "httpapi/authz", ast.NewObject(), time.Second); err != nil || out.Value == nil {
			t.Fatal(out, err)
		}
	}
	decide()
	// A compilation takes thousands of allocations.
	if got := testing.AllocsPerRun(20, decide); got > 100 {
		t.Errorf("an evaluation takes %g allocations, want 100 at most", got)
	}
}

func TestMasksLeaveTheRest(t *testing.T) {
	value := ast.MustParseTerm(`{"headers": {"a": "b", "cookie": "c"}, "uri_args": {"q": ["1"]}, "path": ["a"], "request_token_data": {"code": 1}, "list": [{"token": "x", "n": 1}]}`).Value
	want := `{"headers": {"a": "b", "cookie": "**REDACTED**"}, "list": [{"n": 1, "token": "**REDACTED**"}], "path": ["a"], "request_token_data": {"code": 1}, "uri_args": {"q": ["1"]}}`
	if got := fmt.Sprint(mask(value)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	plain := ast.MustParseTerm(`{"method": "GET", "path": ["a"]}`).Value
	if got := mask(plain); got != plain {
		t.Error("an input without secrets was copied")
	}
}
