// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"runtime"
	"strings"
	"testing"
)

// rule is one line of a policy.
type rule struct{ method, path string }

// apiTemplates are kinds of rules as APIs have them, and a request for each.
// %s is a resource.
var apiTemplates = []struct{ method, path, request string }{
	{"GET", "%s", "%s"},
	{"GET", "%s/?", "%s/12345"},
	{"POST", "%s/search", "%s/search"},
	{"GET", "%s/?/items", "%s/12345/items"},
	{"PUT", `%s/?/items/{\d+}`, "%s/12345/items/17"},
	{"GET", `%s/{[a-z]{2}-(\d+)}/history`, "%s/de-4711/history"},
	{"GET", "%s/?/{todos|photos}", "%s/12345/photos"},
	{"GET", "%s/files/??", "%s/files/2024/05/summary.pdf"},
	{Any, "%s/export/??/report.csv", "%s/export/2024/05/report.csv"},
	{"DELETE", "%s/?/items/?/comments/?", "%s/12345/items/17/comments/3"},
}

// apiResource returns the resource of rule i of n: there are ten rules for
// each, in one of ten services, but no API has a single resource.
func apiResource(i, n int) string {
	number := i / len(apiTemplates)
	if n <= 3*len(apiTemplates) {
		number = i % 3
	}
	service := []string{"shop", "billing", "crm", "identity", "media", "search", "stock", "mail", "audit", "reports"}[number%10]
	kind := []string{"orders", "users", "invoices", "images"}[number%4]
	return fmt.Sprintf("/%s/v1/%s-%d", service, kind, number/10)
}

func apiRules(n int) []rule {
	rules := make([]rule, n)
	for i := range rules {
		t := apiTemplates[i%len(apiTemplates)]
		rules[i] = rule{t.method, fmt.Sprintf(t.path, apiResource(i, n))}
	}
	return rules
}

// apiRequests returns a request for each of apiRules(n), and some that no rule
// fits.
func apiRequests(n int) []rule {
	var requests []rule
	for i := range n {
		t := apiTemplates[i%len(apiTemplates)]
		method := t.method
		if method == Any {
			method = "PATCH"
		}
		requests = append(requests, rule{method, fmt.Sprintf(t.request, apiResource(i, n))})
		if i%len(apiTemplates) == 0 {
			requests = append(requests, rule{"GET", apiResource(i, n) + "/12345/nothing"})
		}
	}
	return requests
}

func buildTree(tb testing.TB, rules []rule) *Tree[int] {
	tree := new(Tree[int])
	var parser Parser
	for i, r := range rules {
		p, err := parser.Parse(r.path)
		if err != nil {
			tb.Fatal(err)
		}
		if err := tree.Add(p, r.method, i); err != nil {
			tb.Fatal(err)
		}
	}
	return tree
}

// traffic returns 10,000 requests for apiRules(n). Their paths lie in memory in
// the order in which they are used: a server has just read the path, and need
// not fetch it.
func traffic(n int, pick func(r *rand.Rand, requests int) int) []rule {
	r := rand.New(rand.NewPCG(1, 2))
	all := apiRequests(n)
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	requests := make([]rule, 10000)
	for i := range requests {
		requests[i] = all[pick(r, len(all))]
		requests[i].path = strings.Clone(requests[i].path)
	}
	return requests
}

// In real traffic some requests are much more frequent than others, as Zipf's
// law has it.
func BenchmarkMatch(b *testing.B) {
	benchmarkMatch(b, func(r *rand.Rand, requests int) int {
		return int(rand.NewZipf(r, 1.01, 1, uint64(requests-1)).Uint64())
	})
}

// If all requests are equally frequent, hardly anything that a search needs in
// a large tree is in the processor's cache.
func BenchmarkMatchUniform(b *testing.B) {
	benchmarkMatch(b, (*rand.Rand).IntN)
}

func benchmarkMatch(b *testing.B, pick func(r *rand.Rand, requests int) int) {
	for _, n := range []int{10, 100, 1000, 10000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			tree := buildTree(b, apiRules(n))
			requests := traffic(n, pick)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				r := &requests[i%len(requests)]
				tree.Match(r.method, r.path)
			}
		})
	}
}

// One service may have many resources that only expressions tell apart. Those
// with nothing literal at the front are the hard ones.
func BenchmarkMatchSiblingRegexps(b *testing.B) {
	for _, test := range []struct{ name, pattern, path string }{
		{"prefix", `/x/{kind%03d-\d+}/?`, "/x/kind%03d-42/a"},
		{"suffix", `/x/{[a-z]+-\d+-kind%03d}/?`, "/x/report-42-kind%03d/a"},
		{"middle", `/x/{[a-z]+-%03d-[a-z]+}/?`, "/x/report-%03d-annual/a"},
		{"anywhere", `/x/{.*k%03d.*}/?`, "/x/some-report-k%03d-of-this-year/a"},
		{"alternatives", `/x/{(?:todo|photo)s?%03d(?:-[a-z]+)?}/?`, "/x/photos%03d-new/a"},
	} {
		b.Run(test.name, func(b *testing.B) {
			var rules []rule
			var paths []string
			for i := range 1000 {
				rules = append(rules, rule{"GET", fmt.Sprintf(test.pattern, i)})
				paths = append(paths, fmt.Sprintf(test.path, i))
			}
			tree := buildTree(b, rules)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if _, _, ok := tree.Match("GET", paths[i*617%len(paths)]); !ok {
					b.Fatal("no rule for", paths[i*617%len(paths)])
				}
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	rules := apiRules(10000)
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	tree := buildTree(b, rules)
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ResetTimer()
	for range b.N {
		tree = buildTree(b, rules)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(rules)), "B/rule")
	runtime.KeepAlive(tree)
}

func BenchmarkParse(b *testing.B) {
	for _, pattern := range []string{"/api/v1/users/?/items", `/api/v1/users/{\d+}`, `/c/{^(\d\d\d)-([a-d]{4})$}`, `/{(?!x)\w+}`} {
		b.Run(strings.ReplaceAll(pattern, "/", "."), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				mustParse(b, pattern)
			}
		})
	}
}

func BenchmarkCanonicalize(b *testing.B) {
	for _, path := range []string{
		"/api/v1/users/12345/items",
		"/api/v1/users/john%20doe/items",
		"/api/v1/%61dmin",
		"/" + strings.Repeat("a/", MaxElements-1),
		"/" + strings.Repeat("%61", MaxPathLength/3-1),
	} {
		b.Run(fmt.Sprintf("bytes=%d", len(path)), func(b *testing.B) {
			u, err := url.Parse(path)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for range b.N {
				if _, err := Canonicalize(u, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
