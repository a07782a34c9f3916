// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/testenv"
)

// apiDocument is a document as a large API has it: resources with five paths
// of different kinds and eight rules (a path and a method) each, expressions of
// few shapes over many scopes, one pattern of its own for each resource.
func apiDocument(tb testing.TB, rules int) []byte {
	var d Document
	for i := range rules / 8 {
		r := fmt.Sprintf("r%d", i)
		for _, line := range []string{
			"GET /api/R/items R:read or admin",
			"GET,POST,PUT /api/R/items/? R:write and R:read or admin",
			"GET /api/R/users/?/{todos|photos} (^R:user:(?<PC1>.+)$ and R:read) or admin",
			`GET,DELETE /api/R/orders/{\d+} R:orders and not R:suspended`,
			"? /api/R/files/?? ^files:.+$",
		} {
			d = append(d, documentOf(tb, strings.ReplaceAll(line, "R", r))...)
		}
	}
	text, err := json.Marshal(d)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// BenchmarkLoad reads, checks and compiles a document.
func BenchmarkLoad(b *testing.B) {
	for _, rules := range []int{8, 1000, 10000} {
		b.Run(fmt.Sprintf("rules=%d", rules), func(b *testing.B) {
			text := apiDocument(b, rules)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := load(text); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			before := testenv.HeapInUse()
			p, err := load(text)
			if err != nil {
				b.Fatal(err)
			}
			after := testenv.HeapInUse()
			b.ReportMetric(float64(after-before)/float64(p.NumRules()), "B/rule")
		})
	}
}

// BenchmarkDecideStatic decides rules without captures for one token.
func BenchmarkDecideStatic(b *testing.B) {
	p, err := load(apiDocument(b, 1000))
	if err != nil {
		b.Fatal(err)
	}
	for name, path := range map[string]string{"first": "/api/r0/items", "last": "/api/r124/items"} {
		b.Run(name, func(b *testing.B) {
			r := p.Find("GET", path)
			s := NewScopes(p, []string{"openid", "email", "r0:read", "r124:read"})
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
	for _, rules := range []int{24, 10000} {
		b.Run(fmt.Sprintf("rules=%d", rules), func(b *testing.B) {
			p, err := load(apiDocument(b, rules))
			if err != nil {
				b.Fatal(err)
			}
			last := fmt.Sprintf("/api/r%d/items", rules/8-1)
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
