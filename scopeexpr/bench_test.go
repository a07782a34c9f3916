// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
)

// apiDocument is a document as a large API has it: many paths of few kinds,
// several methods each, expressions of few shapes over many scopes.
func apiDocument(tb testing.TB, rules int) []byte {
	var lines []string
	for i := 0; len(lines) < rules; i++ {
		r := fmt.Sprintf("r%d", i/5)
		switch i % 5 {
		case 0:
			lines = append(lines, fmt.Sprintf("GET /api/%s/items %s:read or admin", r, r))
		case 1:
			lines = append(lines, fmt.Sprintf("POST,PUT /api/%s/items/? %s:write and %s:read or admin", r, r, r))
		case 2:
			lines = append(lines, fmt.Sprintf("GET /api/%s/users/?/{todos|photos} (^%s:user:(?<PC1>.+)$ and %s:read) or admin", r, r, r))
		case 3:
			lines = append(lines, fmt.Sprintf(`GET,DELETE /api/%s/orders/{\d+} %s:orders and not %s:suspended`, r, r, r))
		case 4:
			lines = append(lines, fmt.Sprintf("? /api/%s/files/?? ^%s:files:.+$", r, r))
		}
	}
	var d Document
	for _, line := range lines[:rules] {
		d = append(d, documentOf(tb, line)...)
	}
	text, err := json.Marshal(d)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// BenchmarkLoad reads, checks and compiles a document.
func BenchmarkLoad(b *testing.B) {
	for _, rules := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprintf("rules=%d", rules), func(b *testing.B) {
			text := apiDocument(b, rules)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := load(text); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			before := heap()
			p, err := load(text)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(heap()-before)/float64(rules), "B/rule")
			runtime.KeepAlive(p)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkDecideStatic decides rules without captures for one token.
func BenchmarkDecideStatic(b *testing.B) {
	p, err := load(apiDocument(b, 1000))
	if err != nil {
		b.Fatal(err)
	}
	for name, path := range map[string]string{"first": "/api/r0/items", "last": "/api/r199/items"} {
		b.Run(name, func(b *testing.B) {
			r := p.Find("GET", path)
			s := NewScopes(p, []string{"openid", "email", "r0:read", "r199:read"})
			b.ReportAllocs()
			for b.Loop() {
				if !r.Decide(path, s) {
					b.Fatal("denied")
				}
			}
		})
	}
}

// BenchmarkDecideFirst decides a static rule for a token never seen before.
func BenchmarkDecideFirst(b *testing.B) {
	p, err := load(apiDocument(b, 1000))
	if err != nil {
		b.Fatal(err)
	}
	r := p.Find("GET", "/api/r0/items")
	b.ReportAllocs()
	for b.Loop() {
		if !r.Decide("/api/r0/items", NewScopes(p, []string{"openid", "email", "r0:read"})) {
			b.Fatal("denied")
		}
	}
}

// BenchmarkDecideCaptures decides rules whose scopes are tied to the path.
func BenchmarkDecideCaptures(b *testing.B) {
	p, err := load([]byte(`[
		{"path": "/todos/?", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}, "data": ["^todos:(?<PC1>.+)$"]}}]},
		{"path": "/todos/?/command/{^(\\d\\d\\d)-([a-d]{4})$}", "conditions": [{"httpMethods": ["GET"], "scope_expression": {
			"rule": {"and": [{"var": 0}, {"var": 1}, {"var": 2}, {"or": [{"var": 3}, {"var": 4}]}]},
			"data": ["^todos:(?<PC1>.+)$", "^command:(?<PC2>\\d\\d\\d)$", "^subcommand:(?<PC3>[a-d]{4})$", "^profile:.+$", "email"]}}]}]`))
	if err != nil {
		b.Fatal(err)
	}
	for name, path := range map[string]string{"element": "/todos/hh", "groups": "/todos/hh/command/123-abcd"} {
		b.Run(name, func(b *testing.B) {
			r := p.Find("GET", path)
			s := NewScopes(p, []string{"openid", "todos:hh", "command:123", "subcommand:abcd", "email"})
			b.ReportAllocs()
			for b.Loop() {
				if !r.Decide(path, s) {
					b.Fatal("denied")
				}
			}
		})
	}
}

// BenchmarkScopes is what a token costs beside the policy: made, and asked for
// three rules.
func BenchmarkScopes(b *testing.B) {
	for _, rules := range []int{20, 10000} {
		b.Run(fmt.Sprintf("rules=%d", rules), func(b *testing.B) {
			p, err := load(apiDocument(b, rules))
			if err != nil {
				b.Fatal(err)
			}
			last := fmt.Sprintf("/api/r%d/items", rules/5-1)
			asked := []*Rule{p.Find("GET", "/api/r0/items"), p.Find("POST", "/api/r1/items/7"), p.Find("GET", last)}
			b.ReportAllocs()
			for b.Loop() {
				s := NewScopes(p, []string{"openid", "email", "r0:read"})
				for _, r := range asked {
					r.Decide("/", s)
				}
			}
		})
	}
}
