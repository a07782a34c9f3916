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

// apiRules returns n rules as APIs have them: services with resources, each
// with exact paths, wildcards, expressions and ??.
func apiRules(n int) []rule {
	templates := []rule{
		{"GET", "/%[1]s/v1/%[2]s"},
		{"GET", "/%[1]s/v1/%[2]s/?"},
		{"POST", "/%[1]s/v1/%[2]s/search"},
		{"GET", "/%[1]s/v1/%[2]s/?/items"},
		{"PUT", `/%[1]s/v1/%[2]s/?/items/{\d+}`},
		{"GET", `/%[1]s/v1/%[2]s/{[a-z]{2}-(\d+)}/history`},
		{"GET", "/%[1]s/v1/%[2]s/?/{todos|photos}"},
		{"GET", "/%[1]s/v1/%[2]s/files/??"},
		{"?", "/%[1]s/v1/%[2]s/export/??/report.csv"},
		{"DELETE", "/%[1]s/v1/%[2]s/?/items/?/comments/?"},
	}
	services := []string{"shop", "billing", "crm", "identity", "media", "search", "stock", "mail", "audit", "reports"}
	rules := make([]rule, 0, n)
	for i := 0; len(rules) < n; i++ {
		service := services[i%len(services)]
		resource := fmt.Sprintf("%s-%d", []string{"orders", "users", "invoices", "images"}[i%4], i/len(services))
		for _, template := range templates[:min(len(templates), n-len(rules))] {
			rules = append(rules, rule{template.method, fmt.Sprintf(template.path, service, resource)})
		}
	}
	return rules
}

// apiRequests returns requests for apiRules(n), one in nine of which no rule fits.
func apiRequests(n int) []rule {
	var requests []rule
	rules := apiRules(n)
	for i := 0; i < len(rules); i += 10 {
		base := rules[i].path
		requests = append(requests,
			rule{"GET", base},
			rule{"GET", base + "/12345"},
			rule{"POST", base + "/search"},
			rule{"GET", base + "/12345/items"},
			rule{"PUT", base + "/12345/items/17"},
			rule{"GET", base + "/de-4711/history"},
			rule{"GET", base + "/12345/photos"},
			rule{"GET", base + "/files/2024/05/summary.pdf"},
			rule{"GET", base + "/12345/nothing"},
		)
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

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			tree := buildTree(b, apiRules(n))
			// The same number of paths for all sizes, so that the cost of
			// fetching them from memory is the same.
			var requests []rule
			for len(requests) < 9000 {
				for _, r := range apiRequests(n) {
					requests = append(requests, rule{r.method, strings.Clone(r.path)})
				}
			}
			rand.New(rand.NewPCG(1, 2)).Shuffle(len(requests), func(i, j int) {
				requests[i], requests[j] = requests[j], requests[i]
			})
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
				if _, err := Canonicalize(u, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
