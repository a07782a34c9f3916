// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/policylint"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

func TestRules(t *testing.T) {
	check(t, newRulesCommand, []string{"-p", "testdata/todos.json"}, exitYes, `
testdata/todos.json, 5 rules
  GET   /todos/?/command/{^(\d\d\d)-([a-d]{4})$}  ^todos:(?<PC1>.+)$ and (^command:(?<PC2>\d+)$ or not guest)
  ?     /todos/?/command/{^(\d\d\d)-([a-d]{4})$}  admin
  GET   /todos/??                                 {"if": [{"var": 0}, true]} over ["admin"]
  POST  /todos/??                                 {"if": [{"var": 0}, true]} over ["admin"]
  GET   /files/{a|(b)}                            files, acr gold or silver, max_age 300 s
! GET /todos/?/command/{^(\d\d\d)-([a-d]{4})$} the rule does not use the entry "unused"
`)
	check(t, newRulesCommand, []string{"-p", "testdata/uma.json", "--uma"}, exitYes, `
testdata/uma.json, 3 rules
  GET     /photos/?  read and view (resource GET,HEAD /photos/?, ticket for read view)
  HEAD    /photos/?  read and view (resource GET,HEAD /photos/?, ticket for read view)
  DELETE  /photos/?  delete (resource id 4711, ticket for delete)
`)
	check(t, newRulesCommand, []string{"-p", "testdata/two.Caddyfile"}, exitYes, `
gluu_oauth_pep of example.com, 1 rule
  GET  /a  read

gluu_oauth_pep of http://a.much.longer.name.example.com, https://a.much.longer.name.example.com, 1 rule
  GET  /open/{(?:path)}  "a(b)" or c
! requests that no rule matches are not protected (deny_by_default false)
`)
	check(t, newRulesCommand, []string{"-p", "testdata/two.Caddyfile", "--handler", "2", "--json"}, exitYes,
		`{"handler":"gluu_oauth_pep of http://a.much.longer.name.example.com, https://a.much.longer.name.example.com",`+
			`"rules":[{"method":"GET","path":"/open/{(?:path)}","expression":{"or":[{"var":0},{"var":1}]},"data":["a(b)","c"]}],"warnings":[]}`+"\n")
}

func TestRulesOfCaddyJSON(t *testing.T) {
	const pep = `{"handler": "gluu_oauth_pep", "oauth_scope_expression": %s}`
	rules := func(path string) string {
		return fmt.Sprintf(pep, `[{"path": "`+path+`", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}, "data": ["a"]}}]}]`)
	}
	asText := fmt.Sprintf(pep, `"[{\"path\": \"/3\", \"conditions\": [{\"httpMethods\": [\"GET\"], \"scope_expression\": {\"rule\": {\"var\": 0}, \"data\": [\"a\"]}}]}]"`)
	file := write(t, "caddy.json", `{"apps": {"http": {"servers": {
		"z": {"routes": [
			{"match": [{"host": ["z.example.com"]}], "handle": [{"handler": "subroute", "routes": [{"handle": [`+rules("/1")+`]}]}]},
			{"handle": [{"handler": 7}, `+rules("/2")+`]}]},
		"a": {"routes": [{"match": "x", "handle": [`+asText+`]}]}}}}}`)
	check(t, newRulesCommand, []string{"-p", file}, exitYes, `
gluu_oauth_pep of z.example.com, 1 rule
  GET  /1  a

gluu_oauth_pep, 1 rule
  GET  /2  a

gluu_oauth_pep, 1 rule
  GET  /3  a
`)
}

// policyOf makes a policy of lines "METHODS PATH EXPRESSION".
func policyOf(t testing.TB, lines ...string) *scopeexpr.Policy {
	t.Helper()
	p, err := documentOf(t, lines...).Compile(scopeexpr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func documentOf(t testing.TB, lines ...string) scopeexpr.Document {
	t.Helper()
	var d scopeexpr.Document
	for _, line := range lines {
		part := strings.SplitN(line, " ", 3)
		e, err := scopeexpr.ParseShort(part[2])
		if err != nil {
			t.Fatal(err)
		}
		c := scopeexpr.Condition{HTTPMethods: strings.Split(part[0], ","), ScopeExpression: e}
		if i := slices.IndexFunc(d, func(r scopeexpr.PathRule) bool { return r.Path == part[1] }); i >= 0 {
			d[i].Conditions = append(d[i].Conditions, c)
			continue
		}
		d = append(d, scopeexpr.PathRule{Path: part[1], Conditions: []scopeexpr.Condition{c}})
	}
	return d
}

func TestWarnings(t *testing.T) {
	for name, test := range map[string]struct {
		rules []string
		want  []string
	}{
		"an expression that takes everything": {
			[]string{"GET /a/{.*} x", "GET /a/? y"},
			[]string{"never_matches GET /a/? never matches: shadowed by GET /a/{.*}"},
		},
		"one that takes everything but the empty element": {[]string{"GET /a/{.+} x", "GET /a/? y"}, nil},
		"an expression that comes too late": {
			[]string{"GET /{a|b|c} x", "GET /{a|b} y", "GET /{(?:a|[bc])} y", "GET /{a|d} y"},
			[]string{
				"never_matches GET /{a|b} never matches: shadowed by GET /{a|b|c}",
				"never_matches GET /{(?:a|[bc])} never matches: shadowed by GET /{a|b|c}",
			},
		},
		"an expression that is an exact match": {
			[]string{"GET /{^ab?$} x", "GET /a z", "GET /ab z"},
			nil, // exact matches are tried first; whether they are all is not proved
		},
		"a wider rule that decides the same": {
			[]string{"GET /a/b x", "GET /a/? x", "GET /c/?? x", "GET /c/d/{e|f} x", "GET /c x"},
			[]string{
				"pointless GET /a/b is redundant: without it, GET /a/? would decide the same",
				"pointless GET /c is redundant: without it, GET /c/?? would decide the same",
				"pointless GET /c/d/{e|f} is redundant: without it, GET /c/?? would decide the same",
			},
		},
		"a wider rule with another one between": {[]string{"GET /a/b x", "GET /a/{b|c} y", "GET /a/? x"}, nil},
		"a wider rule with another one beside": {
			[]string{"GET /a/b x", "GET /a/{c|d} y", "GET /a/? x"},
			[]string{"pointless GET /a/b is redundant: without it, GET /a/? would decide the same"},
		},
		"a wider rule for other scopes":  {[]string{"GET /a/b x or y", "GET /a/? y or x"}, nil},
		"a wider rule for other methods": {[]string{"GET /a/b x", "POST /a/? x"}, nil},
		"a wider rule for any method": {
			[]string{"GET /a/b x", "? /a/? x"},
			[]string{"pointless GET /a/b is redundant: without it, ? /a/? would decide the same"},
		},
		"a wider rule, but not for HEAD":                         {[]string{"GET /a/b x", "GET /a/? x", "HEAD /a/? y"}, nil},
		"a wider rule that does not cover the other methods":     {[]string{"? /a/b x", "GET,POST /a/? x"}, nil},
		"a wider rule for GET and another one for the rest":      {[]string{"? /a/b x", "GET /a/? y", "? /a/? x"}, nil},
		"rules tied to captures, which differ from path to path": {[]string{"GET /{[ab]} ^(?<PC1>.)", "GET /? ^(?<PC1>.)"}, nil},
		"an expression whose place in the order others share": {
			[]string{"GET /{a|c}/b x", "GET /{.*}/? y", "GET /{a|c}/?? x"},
			nil, // without the first one, {.*} would come before {a|c}
		},
		"?? with something behind": {
			[]string{"GET /??/a x", "GET /b/c/a x", "GET /b/?/?? y"},
			nil, // /b/c/a would be decided by /b/?/??
		},
		"?? and ??": {
			[]string{"GET /a/??/z x", "GET /a/b/??/y/z x"},
			[]string{"pointless GET /a/b/??/y/z is redundant: without it, GET /a/??/z would decide the same"},
		},
		"a method that the rest covers": {
			[]string{"GET,POST /a x", "? /a x"},
			[]string{
				"pointless GET /a is redundant: without it, ? /a would decide the same",
				"pointless POST /a is redundant: without it, ? /a would decide the same",
			},
		},
		"methods of one condition": {[]string{"GET,HEAD /a x"}, nil},
		"expressions that always or never grant": {
			[]string{"GET /a x or not x", "GET /b x and not x"},
			[]string{"always_grants GET /a allows every token, whatever its scopes", "never_grants GET /b refuses every token, whatever its scopes"},
		},
		"paths with literal text": {
			[]string{`GET /files/* x`, `GET /a%20b y`},
			[]string{
				`literal_path GET /files/* "*": an asterisk is literal; write ? for one element, ?? for any number, or {.*} for part of one`,
				`literal_path GET /a%20b "a%20b": patterns match the decoded path; write "a b"`,
			},
		},
		"entries that no scope satisfies": {
			[]string{`GET /a/? x or "y z" or "todos:(?<PC1>.+)$" or "^y z"`},
			[]string{
				`dead_entry GET /a/? "y z" can never match, because no scope contains white space`,
				`dead_entry GET /a/? "todos:(?<PC1>.+)$" is not a pattern, because it does not start with ^`,
			},
		},
	} {
		var got []string
		for _, w := range policylint.Check(policyOf(t, test.rules...)) {
			got = append(got, fmt.Sprintf("%s %s %s %s", w.Kind, w.Rule.Method(), w.Rule.Pattern(), w.Text))
		}
		slices.Sort(got)
		slices.Sort(test.want)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s:\ngot\n\t%s\nwant\n\t%s", name, strings.Join(got, "\n\t"), strings.Join(test.want, "\n\t"))
		}
	}
}

// TestWarningsAreTrue makes random policies, and takes what is warned of at its
// word: with random requests, a rule that never matches is not found, and a
// policy without the rule that makes no difference decides the same.
func TestWarningsAreTrue(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 0))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	join := func(n int, element func() string) string {
		path := ""
		for range n {
			path += "/" + element()
		}
		return path
	}
	patternElement := func() string { return pick("a", "b", "a", "?", "{.*}", "{a|b}", "{[ab]}", "{a+}", "{^(b)$}", "{a|c}") }
	warned := 0
	for range 1500 {
		var lines []string
		for range 2 + random.IntN(5) {
			pattern := join(1+random.IntN(3), patternElement)
			if random.IntN(3) == 0 {
				pattern += "/??" + join(random.IntN(2), patternElement)
			}
			line := pick("GET", "GET", "POST", "?", "HEAD") + " " + pattern
			if !slices.ContainsFunc(lines, func(other string) bool { return strings.HasPrefix(other, line+" ") }) {
				lines = append(lines, line+" "+pick("x", "x", "y"))
			}
		}
		p := policyOf(t, lines...)
		for _, w := range policylint.Check(p) {
			if w.Kind != policylint.NeverMatches && w.Kind != policylint.Pointless {
				continue
			}
			warned++
			without := withoutRule(t, lines, w.Rule)
			for range 300 {
				method := pick("GET", "HEAD", "POST", "PUT")
				path := join(random.IntN(5)+1, func() string { return pick("a", "b", "c", "aa", "") })
				if strings.Contains(strings.TrimSuffix(path, "/"), "//") || path == "//" {
					continue // no canonical path
				}
				found := p.Find(method, path)
				if w.Kind == policylint.NeverMatches && found == w.Rule {
					t.Fatalf("%q: %s, but it is found for %s %s", lines, w.Text, method, path)
				}
				if without == nil || w.Kind == policylint.NeverMatches {
					continue
				}
				instead := without.Find(method, path)
				for _, scopes := range [][]string{{"x"}, {"y"}} {
					before := found != nil && found.DecideSet(scopes)
					after := instead != nil && instead.DecideSet(scopes)
					if before != after || (found == nil) != (instead == nil) {
						t.Fatalf("%q: %s %s %s, but %s %s is decided otherwise", lines, w.Rule.Method(), w.Rule.Pattern(), w.Text, method, path)
					}
				}
			}
		}
	}
	if warned < 300 {
		t.Errorf("only %d warnings: the policies are too tame", warned)
	}
}

// withoutRule makes a policy that lacks one rule, nil if that leaves none. A
// path that has other rules stays in place.
func withoutRule(t *testing.T, lines []string, gone *scopeexpr.Rule) *scopeexpr.Policy {
	t.Helper()
	d := documentOf(t, lines...)
	i := slices.IndexFunc(d, func(r scopeexpr.PathRule) bool { return r.Path == gone.Pattern() })
	d[i].Conditions = slices.DeleteFunc(d[i].Conditions, func(c scopeexpr.Condition) bool { return c.HTTPMethods[0] == gone.Method() })
	if len(d[i].Conditions) == 0 {
		d = slices.Delete(d, i, i+1)
	}
	if len(d) == 0 {
		return nil
	}
	p, err := d.Compile(scopeexpr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// BenchmarkLint compares all rules of a large policy with each other.
func BenchmarkLint(b *testing.B) {
	var lines []string
	for i := range 1000 {
		lines = append(lines, fmt.Sprintf("GET /api/r%d/items x%d", i, i), fmt.Sprintf("GET,POST /api/r%d/items/? y%d", i, i),
			fmt.Sprintf("? /api/r%d/files/?? z", i), fmt.Sprintf(`GET /api/r%d/orders/{\d+} z`, i))
	}
	p := policyOf(b, lines...)
	for b.Loop() {
		if got := policylint.Check(p); len(got) != 0 {
			b.Fatalf("%v", got[0])
		}
	}
}
