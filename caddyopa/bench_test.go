// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/opaengine"
	"github.com/caddy-gluu/gateway/internal/testenv"
	"github.com/caddy-gluu/gateway/internal/token"
)

func mustURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

// rolesPolicy is what most policies are like: roles from data, by path and method.
const rolesPolicy = `package httpapi.authz

default allow := false

allow if {
	some role in input.request_token_data.roles
	some grant in data.grants[role]
	grant.method == input.method
	grant.path == input.path[0]
}
`

// embeddedPEP is a handler with an engine, without Caddy around it.
func embeddedPEP(t testing.TB, files map[string]string) *PEP {
	t.Helper()
	dir := tempDir(t)
	for name, content := range files {
		if err := os.WriteFile(dir+"/"+name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	engine, err := opaengine.New(opaengine.Settings{Files: []string{dir + "/*"}})
	if err != nil {
		t.Fatal(err)
	}
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "seconds"})
	return &PEP{logger: zap.NewNop(), decider: &embedded{engine: engine, decision: defaultDecision, limit: time.Second, metrics: &engineMetrics{seconds}}}
}

// questionFor is a request with twenty headers and a cached token.
func questionFor(p *PEP, target string, t *token.Token) *question {
	h := http.Header{}
	for i := range 20 {
		h.Set(fmt.Sprintf("X-Header-%d", i), strings.Repeat("x", 20))
	}
	u := mustURL(target)
	return &question{pep: p, r: &http.Request{Method: "GET", Host: "api.example.com", URL: u, Header: h, Proto: "HTTP/1.1"}, id: &identity.Identity{Token: t}, path: u.Path}
}

func benchmarkToken() *token.Token {
	return &token.Token{ClientID: "todo-app", Scopes: []string{"todos:read"}, ClaimsJSON: `{"client_id":"todo-app","sub":"ann","roles":["user","editor"],"iss":"https://op.example.com","aud":["api"],"exp":1893456000,"iat":1893452400,"scope":"todos:read"}`}
}

const grantsJSON = `{"grants": {"user": [{"method": "GET", "path": "profile"}], "editor": [{"method": "GET", "path": "todos"}, {"method": "POST", "path": "todos"}]}}`

func benchmarkDecisions(b *testing.B, files map[string]string, want outcome) {
	p := embeddedPEP(b, files)
	t := benchmarkToken()
	q := questionFor(p, "/todos/7?x=1", t)
	b.ReportAllocs()
	for b.Loop() {
		again := *q
		again.input, again.builtFor = nil, nil
		v, refusal := p.decide(&again)
		if refusal != nil || v.outcome != want {
			b.Fatal(v, refusal)
		}
	}
}

// BenchmarkDecision is one decision by roles and path: at most 25 us and 100
// allocations.
func BenchmarkDecision(b *testing.B) {
	benchmarkDecisions(b, map[string]string{"p.rego": rolesPolicy, "data.json": grantsJSON}, granted)
}

// BenchmarkDecisionWholeInput is the same for a policy that takes the input as a
// whole, so that all of it is built.
func BenchmarkDecisionWholeInput(b *testing.B) {
	benchmarkDecisions(b, map[string]string{"p.rego": rolesPolicy + "\nseen := input\n", "data.json": grantsJSON}, granted)
}

// BenchmarkDecisionManyRules has 10 or 10,000 roles in its data: the greater number
// costs at most twice the smaller.
func BenchmarkDecisionManyRules(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		var data strings.Builder
		data.WriteString(`{"grants": {"editor": [{"method": "GET", "path": "todos"}]`)
		for i := range n {
			fmt.Fprintf(&data, `, "role%d": [{"method": "GET", "path": "p%d"}]`, i, i)
		}
		data.WriteString("}}")
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			benchmarkDecisions(b, map[string]string{"p.rego": rolesPolicy, "data.json": data.String()}, granted)
		})
	}
}

// BenchmarkDecisionLog is what an event costs the request that it is about: at most 5
// us.
func BenchmarkDecisionLog(b *testing.B) {
	p := embeddedPEP(b, map[string]string{"p.rego": rolesPolicy, "data.json": grantsJSON})
	rec := &recorder{which: logAll, share: 1, queue: make(chan event, 1), dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "x"})}
	q := questionFor(p, "/todos/7", benchmarkToken())
	if _, refusal := p.decide(q); refusal != nil {
		b.Fatal(refusal)
	}
	b.ReportAllocs()
	for b.Loop() {
		q.uuid = ""
		rec.decided(q, &verdict{outcome: granted})
		<-rec.queue
	}
}

// An allocation is not a matter of the machine: a decision takes at most a hundred. By a
// whole package, OPA evaluates its tree of rules, 27 allocations more.
func TestADecisionIsLean(t *testing.T) {
	for decision, most := range map[string]float64{"httpapi/authz": 100, "httpapi/authz/allow": 80} {
		p := embeddedPEP(t, map[string]string{"p.rego": rolesPolicy, "data.json": grantsJSON})
		p.decider.(*embedded).decision = decision
		q := questionFor(p, "/todos/7?x=1", benchmarkToken())
		decide := func() {
			again := *q
			again.input, again.builtFor = nil, nil
			if v, refusal := p.decide(&again); refusal != nil || v.outcome != granted {
				t.Fatal(v, refusal)
			}
		}
		decide()
		if testenv.RaceDetector {
			most += 10 // its sync.Pool forgets on purpose
		}
		if got := testing.AllocsPerRun(50, decide); got > most {
			t.Errorf("a decision by %s takes %g allocations, want %g at most", decision, got, most)
		}
		if q.input != nil {
			t.Error("the question was changed")
		}
	}
}
