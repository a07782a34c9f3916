// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// rules parses lines of a method and a path.
func rules(lines ...string) []rule {
	var all []rule
	for _, line := range lines {
		method, path, _ := strings.Cut(line, " ")
		all = append(all, rule{method, path})
	}
	return all
}

// found returns the line of rules that the tree finds, or "none".
func found(tree *Tree[int], all []rule, method, path string) string {
	i, p, ok := tree.Match(method, path)
	switch {
	case !ok && p == nil:
		return "none"
	case !ok:
		return "undecided"
	case p.String() != all[i].path:
		return fmt.Sprintf("%s with the value for %s", p, all[i].path)
	}
	return all[i].method + " " + all[i].path
}

func TestChoice(t *testing.T) {
	for _, test := range []struct {
		name  string
		rules []rule
		want  [][2]string // request, rule
	}{
		{
			"exact before regexp before ? before ??",
			rules("GET /??", "GET /?", "GET /{a|b}", "GET /{.}", "GET /a"),
			[][2]string{
				{"GET /a", "GET /a"},
				{"GET /b", "GET /{a|b}"},
				{"GET /c", "GET /{.}"},
				{"GET /cd", "GET /?"},
				{"GET /c/d", "GET /??"},
			},
		}, {
			"the left element decides first",
			rules("GET /?/b", "GET /a/?", "GET /??/b"),
			[][2]string{
				{"GET /a/b", "GET /a/?"},
				{"GET /x/b", "GET /?/b"},
				{"GET /a/x/b", "GET /??/b"},
			},
		}, {
			"a branch that leads nowhere is left",
			rules("GET /a/b/c", "GET /a/{b}/d", "GET /a/?/e", "GET /??/f"),
			[][2]string{
				{"GET /a/b/c", "GET /a/b/c"},
				{"GET /a/b/d", "GET /a/{b}/d"},
				{"GET /a/b/e", "GET /a/?/e"},
				{"GET /a/b/f", "GET /??/f"},
				{"GET /a/b/g", "none"},
			},
		}, {
			"?? takes as few elements as possible",
			rules("GET /??/a/?", "GET /??/?", "GET /??/{a}/x/?"),
			[][2]string{
				{"GET /a/x/y", "GET /??/{a}/x/?"},
				{"GET /a/a/a", "GET /??/a/?"},
				{"GET /a", "GET /??/?"},
			},
		}, {
			"an exact end before an empty ??",
			rules("GET /a/??", "GET /a", "GET /b/??", "GET /b/"),
			[][2]string{
				{"GET /a", "GET /a"},
				{"GET /a/", "GET /a/??"},
				{"GET /b", "GET /b/??"},
				{"GET /b/", "GET /b/"},
			},
		}, {
			"an empty last element",
			rules("GET /a/?", "GET /b/", "GET /c/{x?}", "GET /c/??"),
			[][2]string{
				{"GET /a/", "GET /a/?"},
				{"GET /a", "none"},
				{"GET /b/", "GET /b/"},
				{"GET /b", "none"},
				{"GET /c/", "GET /c/{x?}"},
				{"GET /c", "GET /c/??"},
			},
		}, {
			"the method itself, then GET for HEAD, then any",
			rules("? /a", "GET /a", "HEAD /b", "GET /b", "? /b", "? /c", "POST /c"),
			[][2]string{
				{"GET /a", "GET /a"},
				{"HEAD /a", "GET /a"},
				{"POST /a", "? /a"},
				{"HEAD /b", "HEAD /b"},
				{"HEAD /c", "? /c"},
				{"POST /c", "POST /c"},
			},
		}, {
			"the path is chosen among those that have a rule for the method",
			rules("POST /a/b", "? /a/?", "GET /??", "DELETE /a/{b}"),
			[][2]string{
				{"POST /a/b", "POST /a/b"},
				{"DELETE /a/b", "DELETE /a/{b}"},
				{"GET /a/b", "? /a/?"},
				{"HEAD /x", "GET /??"},
				{"PUT /x", "none"},
			},
		}, {
			"the method decides last",
			rules("? /a/b", "GET /a/?"),
			[][2]string{{"GET /a/b", "? /a/b"}},
		}, {
			"regexps in order of appearance, whatever the rule that they first appear in",
			rules("POST /{.a}/x", "GET /{b.}/?", "GET /{.a}/?"),
			[][2]string{{"GET /ba/y", "GET /{.a}/?"}, {"GET /bb/y", "GET /{b.}/?"}},
		}, {
			"a pattern longer than any bit set",
			rules("GET "+strings.Repeat("/a", 100), "GET /??"+strings.Repeat("/a", 90)+"/b", "GET "+strings.Repeat("/?", 70)),
			[][2]string{
				{"GET " + strings.Repeat("/a", 100), "GET " + strings.Repeat("/a", 100)},
				{"GET " + strings.Repeat("/a", 99), "none"},
				{"GET " + strings.Repeat("/a", 99) + "/b", "GET /??" + strings.Repeat("/a", 90) + "/b"},
				{"GET " + strings.Repeat("/a", 70), "GET " + strings.Repeat("/?", 70)},
			},
		}, {
			"no rule at all", nil,
			[][2]string{{"GET /", "none"}},
		}, {
			"not a path",
			rules("? /??", "? /?"),
			[][2]string{{"GET ", "none"}, {"GET a", "none"}, {"GET *", "none"}, {"GET ?", "none"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for order := range 2 { // literals, ? and ?? may appear in any order
				all := slices.Clone(test.rules)
				if order == 1 && !strings.Contains(fmt.Sprint(all), "{") {
					slices.Reverse(all)
				}
				tree := buildTree(t, all)
				for _, w := range test.want {
					method, path, _ := strings.Cut(w[0], " ")
					if got := found(tree, all, method, path); got != w[1] {
						t.Errorf("%s: got %s, want %s", w[0], got, w[1])
					}
				}
			}
		})
	}
}

func TestAddRefusesDuplicates(t *testing.T) {
	var tree Tree[int]
	p := mustParse(t, "/a/{b}/??")
	for i, method := range []string{"GET", Any, "POST", "get"} {
		if err := tree.Add(p, method, i); err != nil {
			t.Fatal(err)
		}
	}
	for _, method := range []string{"GET", Any, "POST", "get"} {
		err := tree.Add(mustParse(t, p.String()), method, 9)
		conflict, ok := errors.AsType[*ConflictError](err)
		if !ok || conflict.Pattern != p.String() || conflict.Method != method || conflict.Error() == "" {
			t.Errorf("%s: got %v", method, err)
		}
	}
	if v, _, ok := tree.Match("POST", "/a/b"); !ok || v != 2 {
		t.Errorf("a refused rule changed the tree: got %v", v)
	}
}

// Walk shows the rules as an operator should read them: the first that fits a
// request is the one that counts.
func TestWalk(t *testing.T) {
	all := rules("? /??", "GET /??/c", "? /a/?", "GET /a/?", "POST /a/{x}", "GET /a/b", "GET /a", "GET /{.}/?", "GET /a/??", "GET /", "GET /??/b/c")
	want := rules("GET /a", "GET /a/b", "POST /a/{x}", "GET /a/?", "? /a/?", "GET /a/??", "GET /", "GET /{.}/?", "GET /??/b/c", "GET /??/c", "? /??")
	tree := buildTree(t, all)
	var got []rule
	tree.Walk(func(p *Pattern, method string, i int) bool {
		if all[i] != (rule{method, p.String()}) {
			t.Errorf("%s %s comes with the value for %v", method, p, all[i])
		}
		got = append(got, rule{method, p.String()})
		return true
	})
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for limit := range want {
		n := 0
		tree.Walk(func(*Pattern, string, int) bool { n++; return n <= limit })
		if n != limit+1 {
			t.Errorf("got %d rules after %d", n, limit)
		}
	}
}

// Children are found by other means when they are many.
func TestManyChildren(t *testing.T) {
	for _, n := range []int{1, fewLiterals, fewLiterals + 1, fewSiblings, fewSiblings + 1, 64, 65, 200} {
		var all []rule
		for i := range n {
			all = append(all,
				rule{"GET", fmt.Sprintf("/x/literal%d/a", i)},
				rule{"GET", fmt.Sprintf(`/x/{re\d*-%d(\.[a-z]+)?}/a`, i)},
				rule{"GET", fmt.Sprintf(`/x/{re\d*-%d(\.[a-z]+)?}/b`, i)},
				rule{"POST", fmt.Sprintf(`/x/{(?!re5-)re\d*-%d}/c`, i)})
		}
		all = append(all, rule{"GET", `/x/{re.*}/?`}, rule{"GET", "/x/?/?"})
		tree := buildTree(t, all)
		for i := range n {
			for _, test := range []struct{ path, want string }{
				{fmt.Sprintf("/x/literal%d/a", i), fmt.Sprintf("GET /x/literal%d/a", i)},
				{fmt.Sprintf("/x/re4711-%d.json/a", i), fmt.Sprintf(`GET /x/{re\d*-%d(\.[a-z]+)?}/a`, i)},
				{fmt.Sprintf("/x/re-%d/b", i), fmt.Sprintf(`GET /x/{re\d*-%d(\.[a-z]+)?}/b`, i)},
				{fmt.Sprintf("/x/re-%d/c", i), `GET /x/{re.*}/?`},
				{fmt.Sprintf("/x/re-%d.é/b", i), `GET /x/{re.*}/?`},
				{fmt.Sprintf("/x/literal%dx/a", i), "GET /x/?/?"},
			} {
				if got := found(tree, all, "GET", test.path); got != test.want {
					t.Fatalf("%d children, %s: got %s, want %s", n, test.path, got, test.want)
				}
			}
			want := fmt.Sprintf(`POST /x/{(?!re5-)re\d*-%d}/c`, i)
			if got := found(tree, all, "POST", fmt.Sprintf("/x/re6-%d/c", i)); got != want {
				t.Fatalf("%d children: got %s, want %s", n, got, want)
			}
		}
	}
}

// An attacker who knows the hash can write texts that collide.
func TestTextsOfEqualHash(t *testing.T) {
	text := func(first, last uint64) string {
		return string(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, first), last))
	}
	const length, a, b, last = 16, 0x6161616161616161, 0x6262626262626262, 0x6363636363636363
	one, other := text(a, last), text(b, last^mix(length^a)^mix(length^b))
	if one == other || hashText(one) != hashText(other) {
		t.Fatal("the hash is another one by now: adapt this test")
	}
	table := literalTable{slots: make([]slot, 8)}
	first, second := new(node), new(node)
	table.enter(one, first)
	if table.find(one) != first || table.find(other) != nil {
		t.Error("a text is taken for another one with its hash")
	}
	table.enter(other, second)
	if table.find(one) != first || table.find(other) != second {
		t.Error("of two texts with the same hash one is lost")
	}
}

// Of expressions that match the same text the first one counts, also if they
// are many.
func TestManySiblingsKeepTheirOrder(t *testing.T) {
	var all []rule
	for i := range 300 {
		all = append(all, rule{"GET", fmt.Sprintf("/{a{0,%d}}/%d", 300-i, i%7)})
	}
	tree := buildTree(t, all)
	for length := range 310 {
		for end := range 7 {
			path := fmt.Sprintf("/%s/%d", strings.Repeat("a", length), end)
			want := "none"
			if length == 0 {
				continue // no canonical path
			} else if length <= 300-end {
				want = fmt.Sprintf("GET /{a{0,%d}}/%d", 300-end, end)
			}
			if got := found(tree, all, "GET", path); got != want {
				t.Fatalf("%d letters, end %d: got %s, want %s", length, end, got, want)
			}
		}
	}
}

// The right rule is unknown, so none applies: neither the one of the expression
// nor a wider one.
func TestTimeoutIsUndecided(t *testing.T) {
	all := rules("GET /x/a", "GET /x/{"+catastrophe+"}", "GET /x/{a+}", "GET /x/?", "GET /??")
	tree := buildTree(t, all)
	if got := found(tree, all, "GET", "/x/"+hostile); got != "undecided" {
		t.Errorf("got %s", got)
	}
	if got := found(tree, all, "GET", "/x/aaa"); got != "GET /x/{a+}" {
		t.Errorf("got %s", got)
	}
	if got := found(tree, all, "GET", "/y/"+hostile); got != "GET /??" {
		t.Errorf("got %s", got)
	}
	if p := mustParse(t, "/x/{("+catastrophe+")}"); p.Matches("/x/"+hostile) || len(p.Captures("/x/"+hostile, nil)) != 0 {
		t.Error("the pattern has captures although its expression ran out of time")
	}
}

// The rules of the benchmarks are found, and found by the requests for them.
func TestBenchmarkRules(t *testing.T) {
	for _, n := range []int{10, 1000} {
		all := apiRules(n)
		tree := buildTree(t, all)
		missed := 0
		seen := make(map[string]bool)
		for _, r := range apiRequests(n) {
			got := found(tree, all, r.method, r.path)
			seen[got] = true
			if got == "none" {
				missed++
			}
		}
		if missed > n/10+1 || len(seen) != n+1 {
			t.Errorf("%d rules: requests find %d of them, %d find none", n, len(seen)-1, missed)
		}
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	tree := buildTree(t, apiRules(1000))
	requests := apiRequests(1000)
	n := testing.AllocsPerRun(10, func() {
		for _, r := range requests {
			tree.Match(r.method, r.path)
		}
	})
	if n != 0 {
		t.Errorf("got %v allocations for %d requests", n, len(requests))
	}
}
