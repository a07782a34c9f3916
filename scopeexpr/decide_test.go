// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/diegoholiveira/jsonlogic/v3"
)

// compile makes a policy of lines "METHODS PATH SHORT-EXPRESSION".
func compile(t testing.TB, lines ...string) *Policy {
	t.Helper()
	p, err := documentOf(t, lines...).Compile(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func documentOf(t testing.TB, lines ...string) Document {
	t.Helper()
	var d Document
	for _, line := range lines {
		part := strings.SplitN(line, " ", 3)
		e, err := ParseShort(part[2])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		c := Condition{HTTPMethods: strings.Split(part[0], ","), ScopeExpression: e}
		if i := slices.IndexFunc(d, func(r PathRule) bool { return r.Path == part[1] }); i >= 0 {
			d[i].Conditions = append(d[i].Conditions, c)
			continue
		}
		d = append(d, PathRule{Path: part[1], Conditions: []Condition{c}})
	}
	return d
}

// decide finds the rule for a request and decides it.
func decide(t testing.TB, p *Policy, method, path string, s *Scopes) bool {
	t.Helper()
	r := p.Find(method, path)
	if r == nil {
		t.Fatalf("no rule for %s %s", method, path)
	}
	return r.Decide(path, s)
}

func TestGroupsMustEqualCaptures(t *testing.T) {
	p := compile(t,
		"GET /todos/? ^todos:(?<PC1>.+)$",
		`GET /command/{^(\d\d\d)-([a-d]{4})$} ^c:(?<PC1>\d+):(?<PC2>.+)$`,
		"GET /optional/{a|(b)} ^x:(?<PC1>.*)$",
		"GET /group/? ^g:(?<PC1>b)?$",
		"GET /last/??/?/? ^l:(?<PC2>.*)$",
		"GET /mixed/? admin or (user and ^m:(?<PC1>.+)$) and not banned",
		"GET /twice/? ^t:(?<PC1>.+)$ and ^u:(?<PC1>.+)$",
		`GET /perl/? ^(?=p:)p:(?<PC1>\w+)(?!x)$`,
	)
	for _, test := range []struct {
		path, scopes string
		want         bool
	}{
		{"/todos/hh", "todos:hh", true},
		{"/todos/hh", "todos:xx todos:hh", true},
		{"/todos/hh", "todos:h", false},
		{"/todos/hh", "todos:hhh", false},
		{"/todos/hh", "xtodos:hh", false},
		{"/todos/", "todos:", false}, // .+ matches nothing less than one character
		{"/todos/HH", "todos:hh", false},
		{"/command/123-abcd", "c:123:abcd", true},
		{"/command/123-abcd", "c:123:xxxx c:999:abcd", false}, // all groups on one scope
		{"/optional/b", "x:b", true},
		{"/optional/a", "x:", false}, // an absent capture is not an empty one
		{"/optional/a", "x:a", false},
		{"/group/", "g:", false}, // nor is an absent group
		{"/group/b", "g:b", true},
		{"/last/1/2/3", "l:3", true},
		{"/last/2/3", "l:3", true},
		{"/last/1/2/3", "l:2", false},
		{"/last/2/", "l:", true},
		{"/mixed/1", "admin banned", true},
		{"/mixed/1", "user m:1", true},
		{"/mixed/1", "user m:1 banned", false},
		{"/mixed/1", "user m:2", false},
		{"/mixed/1", "m:1", false},
		{"/twice/1", "t:1 u:1", true},
		{"/twice/1", "t:1 u:2", false},
		{"/perl/7", "p:7", true},
		{"/perl/7", "p:8", false},
	} {
		s := NewScopes(p, strings.Fields(test.scopes))
		for range 2 {
			if got := decide(t, p, "GET", test.path, s); got != test.want {
				t.Errorf("%s with %q: got %v, want %v", test.path, test.scopes, got, test.want)
			}
		}
		x := p.Find("GET", test.path).Explain(test.path, strings.Fields(test.scopes))
		if x.Granted != test.want || x.Tree.Value != test.want {
			t.Errorf("%s with %q: explained as %+v, want %v", test.path, test.scopes, x, test.want)
		}
	}
}

// TestSec_S46: who knows a token does not know what it may do. One token, two
// routes, both orders.
func TestSec_S46(t *testing.T) {
	p := compile(t, "GET /foo foo", "GET /bar bar")
	for _, order := range [][]string{{"/foo", "/bar", "/foo"}, {"/bar", "/foo", "/bar"}} {
		s := NewScopes(p, []string{"foo"})
		for _, path := range order {
			if got, want := decide(t, p, "GET", path, s), path == "/foo"; got != want {
				t.Errorf("%s in %v: got %v, want %v", path, order, got, want)
			}
		}
	}
}

// TestSec_S48: a decision is true of one path, one rule and one set of scopes.
func TestSec_S48(t *testing.T) {
	t.Run("captures", func(t *testing.T) {
		p := compile(t, "GET /user/? ^user:(?<PC1>.+)$")
		for _, order := range [][]string{{"/user/1", "/user/2"}, {"/user/2", "/user/1"}} {
			s := NewScopes(p, []string{"user:1"})
			for _, path := range order {
				if got, want := decide(t, p, "GET", path, s), path == "/user/1"; got != want {
					t.Errorf("%s in %v: got %v, want %v", path, order, got, want)
				}
			}
		}
	})
	t.Run("same pattern, other expression", func(t *testing.T) {
		p := compile(t, "GET /a/? ^x:(?<PC1>.+)$ and a", "GET /b/? ^x:(?<PC1>.+)$ and b", "POST /a/? a or b")
		s := NewScopes(p, []string{"x:1", "a"})
		for request, want := range map[string]bool{"GET /a/1": true, "GET /b/1": false, "POST /a/1": true, "GET /a/2": false} {
			method, path, _ := strings.Cut(request, " ")
			for range 2 {
				if got := decide(t, p, method, path, s); got != want {
					t.Errorf("%s: got %v, want %v", request, got, want)
				}
			}
		}
	})
	t.Run("scopes made for another policy", func(t *testing.T) {
		before, after := compile(t, "GET /a a", "GET /b b"), compile(t, "GET /b b", "GET /a a")
		s := NewScopes(before, []string{"a"})
		if !decide(t, before, "GET", "/a", s) {
			t.Error("/a was refused")
		}
		if decide(t, after, "GET", "/b", s) {
			t.Error("what was decided for /a before a reload was taken for /b after it")
		}
	})
	t.Run("delimiters in scopes", func(t *testing.T) {
		p := compile(t, "GET /a/? ^(?<PC1>.+):b$", `GET /s "a:b"`, "GET /t a and b", "GET /two/?/? ^(?<PC1>[^:]+):(?<PC2>.+)$")
		for _, test := range []struct {
			path   string
			scopes []string
			want   bool
		}{
			{"/s", []string{"a:b"}, true},
			{"/s", []string{"a", "b"}, false},
			{"/t", []string{"a:b"}, false},
			{"/t", []string{"a b"}, false},
			{"/t", []string{"a,b"}, false},
			{"/t", []string{"a", "b"}, true},
			{"/a/x:b", []string{"x:b"}, false},
			{"/a/x:b", []string{"x:b:b"}, true},
			{"/two/a:b/c", []string{"a:b:c"}, false},
			{"/two/a/b:c", []string{"a:b:c"}, true},
		} {
			if got := decide(t, p, "GET", test.path, NewScopes(p, test.scopes)); got != test.want {
				t.Errorf("%s with %q: got %v, want %v", test.path, test.scopes, got, test.want)
			}
		}
	})
}

// TestSec_S11: a pattern matches a whole scope and nothing less, whatever its
// own anchors, flags and alternatives say.
func TestSec_S11(t *testing.T) {
	for pattern, scopes := range map[string][]string{
		"^admin":        {"administrator", "admin:x", "xadmin", "admin\n", "admin "},
		"^admin|root":   {"xroot", "rootx", "admins"},
		"^a|b$":         {"ab", "xb", "ax"},
		"^(?m)admin$":   {"admin\nx", "x\nadmin", "admin\n"},
		"^(?i)admin":    {"ADMINISTRATOR"},
		`^\Aadmin`:      {"admins"},
		"^admin(?=x)":   {"admin", "adminx"},
		"^(?:a|ab)$":    {"abc", "xa"},
		`^(a)(?:\1)`:    {"aaa", "a"},
		"^posts:(.+)$":  {"posts:", "xposts:1"},
		`^\d{3}`:        {"1234", "12"},
		"^.*":           {"a\nb"},
		"^(?<PCx>a)":    {"aa"},
		"^a(?#comment)": {"ab"},
	} {
		p, err := load([]byte(ruleDocument("/a", `{"var": 0}`, `[`+quote(pattern)+`]`)))
		if err != nil {
			if pattern == "^a(?#comment)" {
				continue // not every dialect has comments
			}
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		for _, scope := range scopes {
			if decide(t, p, "GET", "/a", NewScopes(p, []string{scope})) {
				t.Errorf("%s: the scope %q passed", pattern, scope)
			}
		}
	}
}

func quote(s string) string { return fmt.Sprintf("%q", s) }

// TestSec_S16: a wildcard path keeps its methods apart.
func TestSec_S16(t *testing.T) {
	p := compile(t, "GET /api/?? read", "POST /api/?? write", "? /api/?? admin", "GET /api/?/x read-x")
	reader := NewScopes(p, []string{"read"})
	for request, want := range map[string]bool{
		"GET /api/a/b": true, "HEAD /api/a": true, "POST /api/a/b": false, "POST /api": false, "PUT /api/a": false,
		"DELETE /api/": false, "PROPFIND /api/a": false, "get /api/a": false, "GET /api/1/x": false, "POST /api/1/x": false,
	} {
		method, path, _ := strings.Cut(request, " ")
		if got := decide(t, p, method, path, reader); got != want {
			t.Errorf("%s: got %v, want %v", request, got, want)
		}
	}
}

// TestSec_S77: what an expression costs is bounded when it is loaded, and
// linear in the scope when it is matched.
func TestSec_S77(t *testing.T) {
	t.Run("scopes of 64 KiB", func(t *testing.T) {
		p := compile(t, "GET /a/? ^(a|aa|a?)*:(?<PC1>.+)$ or ^(x+x+)+y$ or ^.*.*.*=z$")
		long := strings.Repeat("a", 64<<10)
		scopes := []string{long, strings.Repeat("x", 64<<10), long + ":1"}
		if !decide(t, p, "GET", "/a/1", NewScopes(p, scopes)) {
			t.Error("the third scope was not found")
		}
		if decide(t, p, "GET", "/a/2", NewScopes(p, scopes)) {
			t.Error("passed")
		}
	})
	t.Run("a pattern that runs out of time does not match", func(t *testing.T) {
		// Only a backtracking engine knows (?=), and this drives it to despair.
		slow := `^(?=a)(a+)+b$`
		p := compile(t, "GET /is "+slow, "GET /not not "+slow, "GET /or "+slow+" or admin",
			"GET /bound/? not ^(?=a)(a+)+b(?<PC1>c)$")
		s := NewScopes(p, []string{strings.Repeat("a", 64), "admin"})
		for _, path := range []string{"/is", "/not", "/or", "/bound/c"} {
			if decide(t, p, "GET", path, s) {
				t.Errorf("%s: passed although a pattern ran out of time", path)
			}
			if x := p.Find("GET", path).Explain(path, s.scopes); x.Granted || path != "/is" && x.Failed == "" {
				t.Errorf("%s: explained as %+v", path, x)
			}
		}
		s = NewScopes(p, []string{"aab"})
		for path, want := range map[string]bool{"/is": true, "/not": false} {
			if got := decide(t, p, "GET", path, s); got != want {
				t.Errorf("%s: got %v, want %v", path, got, want)
			}
		}
	})
	t.Run("documents", func(t *testing.T) {
		deep := strings.Repeat("[", 1<<20)
		for _, text := range []string{deep, deep + strings.Repeat("]", 1<<20), `[{"path":` + deep,
			ruleDocument("/a", strings.Repeat(`{"and":[`, 9000)+`{"var":0}`+strings.Repeat("]}", 9000), `["a"]`),
			string(make([]byte, maxDocumentBytes+1))} {
			if _, err := load([]byte(text)); err == nil {
				t.Errorf("a document of %d bytes was taken", len(text))
			}
		}
	})
}

func TestOnlyTrueGrants(t *testing.T) {
	for rule, want := range map[string]bool{
		`{"and": [{"var": 0}, true]}`:                                  true,
		`{"and": [{"var": 0}, {"if": [true, "yes"]}]}`:                 false,
		`{"and": [{"var": 0}, {"if": [true, 1]}]}`:                     false,
		`{"and": [{"if": 1}, {"if": "yes"}, {"var": 0}]}`:              true,
		`{"and": [{"var": 0}, {"if": null}]}`:                          false,
		`{"and": [{"var": 0}, {"if": 0}]}`:                             false,
		`{"and": [{"var": 0}, {"if": [{"var": 1}, true]}]}`:            false, // null: no condition held
		`{"and": [{"if": [{"var": 1}, true]}, {"var": 0}]}`:            false,
		`{"and": [{"and": [{"if": [{"var": 1}, true]}]}, {"var": 0}]}`: false,
		`{"or": [{"if": "yes"}, {"var": 0}]}`:                          false, // "yes" is what or returns
		`{"or": [{"if": 1}]}`:                                          false,
		`{"or": [{"if": []}, {"var": 0}]}`:                             true,
		`{"or": [{"if": ""}, {"if": 0}, false]}`:                       false,
		`{"==": [{"or": [{"var": 1}, {"if": []}]}, null]}`:             true,
		`{"if": [{"var": 0}, "true", true]}`:                           false,
		`{"if": [{"var": 0}, 1, true]}`:                                false,
		`{"if": ["a", true]}`:                                          true,
		`{"if": []}`:                                                   false,
		`{"?:": [{"var": 1}, false, {"var": 0}]}`:                      true,
		`{"!!": [{"if": [{"var": 0}, "a"]}]}`:                          true,
		`{"!": [{"if": [{"var": 1}, "a"]}]}`:                           true,
		`{"==": [{"var": 0}, 1]}`:                                      true,
		`{"===": [{"var": 0}, 1]}`:                                     false,
		`{"!==": [{"var": 0}, 1]}`:                                     true,
		`{"!=": [{"var": 0}, "1"]}`:                                    false,
		`{"==": ["a", {"var": 0}]}`:                                    false,
	} {
		text := []byte(ruleDocument("/a", rule, `["a", "b"]`))
		p, err := load(text)
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		if got := decide(t, p, "GET", "/a", NewScopes(p, []string{"a"})); got != want {
			t.Errorf("%s: got %v, want %v", rule, got, want)
		}
		if x := p.Find("GET", "/a").Explain("/a", []string{"a"}); x.Granted != want || (x.Tree.Value == true) != want {
			t.Errorf("%s: explained as %+v, want %v", rule, x.Tree, want)
		}
	}
}

// TestWhyAndIsOurs fails when package jsonlogic has fixed its "and"; then our
// own operators in shape.go can go.
func TestWhyAndIsOurs(t *testing.T) {
	got, err := jsonlogic.ApplyInterface(map[string]any{"and": []any{true, nil}}, []any{})
	if err != nil || got != true {
		t.Errorf("package jsonlogic now says that true and null is %v, %v", got, err)
	}
}

// TestManyFactsAreKeptApart asks a policy of many rules everything about
// random scopes, and everything again.
func TestManyFactsAreKeptApart(t *testing.T) {
	const n = 700
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf("GET /static/%d s%d", i, i), fmt.Sprintf("GET /bound/%d/? ^b%d:(?<PC1>.+)$ and s%d", i, i, i))
	}
	p := compile(t, lines...)
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 0))
		has := make(map[int]bool)
		var scopes []string
		for i := range n {
			if random.IntN(2) == 0 {
				has[i] = true
				scopes = append(scopes, fmt.Sprintf("s%d", i), fmt.Sprintf("b%d:x", i))
			}
		}
		s := NewScopes(p, scopes)
		for range 2 {
			for _, i := range random.Perm(n) {
				for path, want := range map[string]bool{
					fmt.Sprintf("/static/%d", i):  has[i],
					fmt.Sprintf("/bound/%d/x", i): has[i],
					fmt.Sprintf("/bound/%d/y", i): false,
				} {
					if got := decide(t, p, "GET", path, s); got != want {
						t.Fatalf("seed %d, %s: got %v, want %v", seed, path, got, want)
					}
				}
			}
		}
	}
}

func TestWideExpressions(t *testing.T) {
	for _, n := range []int{6, 7, 63, 64, 65, 200, maxDataEntries} {
		var scopes []string
		for i := range n {
			scopes = append(scopes, fmt.Sprintf("s%d", i))
		}
		p := compile(t, "GET /all "+strings.Join(scopes, " and "), "GET /any "+strings.Join(scopes, " or "))
		for i := range n {
			without := slices.Delete(slices.Clone(scopes), i, i+1)
			if decide(t, p, "GET", "/all", NewScopes(p, without)) {
				t.Errorf("%d scopes: passed without scope %d", n, i)
			}
			if !decide(t, p, "GET", "/any", NewScopes(p, scopes[i:i+1])) {
				t.Errorf("%d scopes: did not pass with scope %d", n, i)
			}
		}
		if !decide(t, p, "GET", "/all", NewScopes(p, scopes)) || decide(t, p, "GET", "/any", NewScopes(p, nil)) {
			t.Errorf("%d scopes: all or none of them", n)
		}
	}
}

func TestConcurrentDecisions(t *testing.T) {
	var lines []string
	for i := range 100 {
		lines = append(lines, fmt.Sprintf("GET /%d/? s%d or ^b%d:(?<PC1>.+)$ or (a and b and c and d and e and f and g and s%d)", i, i, i, i))
	}
	p := compile(t, lines...)
	s := NewScopes(p, []string{"s1", "b2:x", "s50", "b99:y"})
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for i := range 100 {
				i := (i*7 + w*13) % 100
				for _, capture := range []string{"x", "y"} {
					want := i == 1 || i == 50 || i == 2 && capture == "x" || i == 99 && capture == "y"
					path := fmt.Sprintf("/%d/%s", i, capture)
					if got := p.Find("GET", path).Decide(path, s); got != want {
						t.Errorf("%s: got %v, want %v", path, got, want)
					}
				}
			}
		})
	}
	workers.Wait()
}
