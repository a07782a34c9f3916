// SPDX-License-Identifier: Apache-2.0

package caddykong

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-gluu/gateway/internal/kongpath"
)

// An oracle for the order: for each request it looks at every path of every route
// by itself, and compares what Kong's documentation says is compared, one after
// the other. It shares no code with the index but the conditions on headers.

type oracleRule struct {
	route, kinds, plain, headers, regex, priority, length int
}

func oracle(routes []*MatchRoute, r *http.Request) int {
	best := oracleRule{route: -1}
	for i, route := range routes {
		if !oracleHost(route.Hosts, r.Host) || !oracleMethod(route.Methods, r.Method) || !oracleHeaders(route.Headers, r.Header) {
			continue
		}
		base := oracleRule{route: i, headers: len(route.Headers)}
		for _, n := range []int{len(route.Hosts), len(route.Methods), len(route.Headers), len(route.Paths), len(route.SNIs)} {
			if n > 0 {
				base.kinds++
			}
		}
		if len(route.Hosts) > 0 && !strings.Contains(strings.Join(route.Hosts, ""), "*") {
			base.plain = 1
		}
		if len(route.Paths) == 0 {
			best = oracleBetter(best, base)
		}
		for _, path := range route.Paths {
			rule := base
			if source, ok := strings.CutPrefix(path, "~"); ok {
				if matches, _ := oracleRegex(source).Matches(r.URL.Path); !matches {
					continue
				}
				rule.regex, rule.priority = 1, route.RegexPriority
			} else if len(r.URL.Path) < len(path) || r.URL.Path[:len(path)] != path {
				continue
			} else {
				rule.length = len(path)
			}
			best = oracleBetter(best, rule)
		}
	}
	return best.route
}

// oracleRegexes are the few expressions of the routes, compiled once: the oracle
// looks at each of them for every request.
var oracleRegexes sync.Map

func oracleRegex(source string) *kongpath.Regex {
	if known, ok := oracleRegexes.Load(source); ok {
		return known.(*kongpath.Regex)
	}
	regex, err := kongpath.Compile(source)
	if err != nil {
		panic(err)
	}
	oracleRegexes.Store(source, regex)
	return regex
}

func oracleBetter(a, b oracleRule) oracleRule {
	if a.route < 0 {
		return b
	}
	for _, pair := range [][2]int{{a.kinds, b.kinds}, {a.plain, b.plain}, {a.headers, b.headers}, {a.regex, b.regex}, {a.priority, b.priority}, {a.length, b.length}} {
		if pair[0] != pair[1] {
			if pair[0] > pair[1] {
				return a
			}
			return b
		}
	}
	return a // the earlier one in the configuration
}

func oracleHost(hosts []string, host string) bool {
	if len(hosts) == 0 {
		return true
	}
	for _, h := range hosts {
		if h == host || strings.HasPrefix(h, "*.") && strings.HasSuffix(host, h[1:]) || strings.HasSuffix(h, ".*") && strings.HasPrefix(host, h[:len(h)-1]) {
			return true
		}
	}
	return false
}

func oracleMethod(methods []string, method string) bool {
	return len(methods) == 0 || strings.Contains(" "+strings.Join(methods, " ")+" ", " "+method+" ")
}

func oracleHeaders(headers map[string][]string, h http.Header) bool {
	for name, values := range headers {
		if !strings.Contains(strings.Join(values, " "), h.Get(name)) || h.Get(name) == "" {
			return false
		}
	}
	return true
}

func TestOrderByTheOracle(t *testing.T) {
	for seed := range uint64(300) {
		checkOrder(t, seed)
	}
}

func FuzzOrder(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { checkOrder(t, seed) })
}

// checkOrder makes routes of few words, so that many match the same request.
func checkOrder(t *testing.T, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	some := func(words ...string) []string {
		var picked []string
		for _, word := range words {
			if random.IntN(3*len(words)) < 4 && random.IntN(2) == 0 {
				picked = append(picked, word)
			}
		}
		return picked
	}
	var routes []*MatchRoute
	for range 1 + random.IntN(12) {
		m := &MatchRoute{
			Hosts:         some("a.x", "b.x", "*.x", "a.*"),
			Paths:         some("/", "/a", "/a/", "/a/b", "/ab", `~/a`, `~/a/\w$`, `~/[ab]+`, `~/(a|b)/b`, "~.*"),
			Methods:       some("GET", "POST"),
			RegexPriority: random.IntN(3),
		}
		if random.IntN(3) == 0 {
			m.Headers = map[string][]string{"X-A": {"1"}}
			if random.IntN(2) == 0 {
				m.Headers["X-B"] = []string{"1"}
			}
		}
		routes = append(routes, m)
	}
	x, err := newIndex(routes)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"a.x", "b.x", "c.x", "a.y", "z"} {
		for _, path := range []string{"/", "/a", "/a/", "/a/b", "/a/bc", "/ab", "/b/b", "/c"} {
			for _, method := range []string{"GET", "POST", "PUT"} {
				for headers := range 3 {
					r := newRequest(method, "http://"+host+path)
					for i := range headers {
						r.Header.Set([]string{"X-A", "X-B"}[i], "1")
					}
					found, err := x.lookup(r)
					if err != nil {
						t.Fatal(err)
					}
					got := -1
					if found.rule != nil {
						got = found.rule.route
					}
					if want := oracle(routes, r); got != want {
						t.Fatalf("seed %d: %s %s%s with %d headers: got route %d, want %d of\n%s", seed, method, host, path, headers, got, want, show(routes))
					}
				}
			}
		}
	}
}

func show(routes []*MatchRoute) string {
	var b strings.Builder
	for i, r := range routes {
		fmt.Fprintf(&b, "%d: hosts %q paths %q methods %q headers %v priority %d\n", i, r.Hosts, r.Paths, r.Methods, r.Headers, r.RegexPriority)
	}
	return b.String()
}

// Cases that people have asked Kong about.
func TestOrder(t *testing.T) {
	for _, test := range []struct {
		name    string
		routes  []*MatchRoute
		request string
		want    string
	}{
		{"a host and a path go before a long path", []*MatchRoute{
			{Name: "A", Hosts: []string{"h"}, Paths: []string{"/"}}, {Name: "B", Paths: []string{"/very/long"}},
		}, "http://h/very/long", "A"},
		{"a regex of a route does not lend its rank to a prefix", []*MatchRoute{
			{Name: "A", Paths: []string{"/foo", "~/any$"}}, {Name: "B", Paths: []string{"~/foo/bar$"}},
		}, "http://h/foo/bar", "B"},
		{"a long prefix does not lend its rank to a short one", []*MatchRoute{
			{Name: "A", Paths: []string{"/a", "/very/long"}}, {Name: "B", Paths: []string{"/a/b"}},
		}, "http://h/a/b", "B"},
		{"a wildcard host goes after the same path without hosts only by kinds", []*MatchRoute{
			{Name: "A", Hosts: []string{"*.x"}}, {Name: "B", Paths: []string{"/"}},
		}, "http://a.x/", "B"},
		{"a regex of another host changes nothing", []*MatchRoute{
			{Name: "A", Hosts: []string{"other"}, Paths: []string{"~/a.*"}, RegexPriority: 100},
			{Name: "B", Hosts: []string{"h"}, Paths: []string{"/a"}}, {Name: "C", Paths: []string{"~/a"}},
		}, "http://h/a", "B"},
		{"a tie goes to the first", []*MatchRoute{
			{Name: "A", Paths: []string{"/aa"}}, {Name: "B", Paths: []string{"/aa"}},
		}, "http://h/aa", "A"},
	} {
		t.Run(test.name, func(t *testing.T) {
			x, err := newIndex(test.routes)
			if err != nil {
				t.Fatal(err)
			}
			found, err := x.lookup(newRequest("GET", test.request))
			if err != nil || found.rule == nil || found.rule.of.Name != test.want {
				t.Errorf("got %+v, %v, want %s", found.rule, err, test.want)
			}
		})
	}
}

// benchmarkRoutes are as people have them: a host or none, a prefix or an
// expression, sometimes methods.
func benchmarkRoutes(n int) []*MatchRoute {
	routes := make([]*MatchRoute, n)
	for i := range routes {
		m := &MatchRoute{Paths: []string{fmt.Sprintf("/api/v1/service-%d/items", i)}}
		switch i % 5 {
		case 1:
			m.Hosts = []string{fmt.Sprintf("tenant-%d.example.com", i%500)}
		case 2:
			m.Paths = []string{fmt.Sprintf(`~/api/v1/service-%d/(?<id>\d+)$`, i)}
		case 3:
			m.Hosts = []string{fmt.Sprintf("*.region-%d.example.com", i%50)}
		case 4:
			m.Methods = []string{"GET", "PUT"}
		}
		routes[i] = m
	}
	return routes
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x, err := newIndex(benchmarkRoutes(n))
			if err != nil {
				b.Fatal(err)
			}
			var requests []*http.Request
			for i := range min(n, 100) {
				route := i * (n / min(n, 100))
				host, path := "api.example.com", fmt.Sprintf("/api/v1/service-%d/items/7", route)
				switch route % 5 {
				case 1:
					host = fmt.Sprintf("tenant-%d.example.com", route%500)
				case 2:
					path = fmt.Sprintf("/api/v1/service-%d/12345", route)
				case 3:
					host = fmt.Sprintf("a.region-%d.example.com", route%50)
				}
				requests = append(requests, newRequest("GET", "http://"+host+path))
			}
			for _, r := range requests {
				if found, err := x.lookup(r); err != nil || found.rule == nil {
					b.Fatal(r.Host, r.URL, found, err)
				}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_, _ = x.lookup(requests[i%len(requests)])
			}
		})
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	x, err := newIndex(benchmarkRoutes(1000))
	if err != nil {
		t.Fatal(err)
	}
	r := newRequest("GET", "http://api.example.com/api/v1/service-500/items")
	if n := testing.AllocsPerRun(100, func() { _, _ = x.lookup(r) }); n != 0 {
		t.Errorf("got %v allocations", n)
	}
}
