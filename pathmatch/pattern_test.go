// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// captured writes captures so that an absent one differs from an empty one.
func captured(captures []Capture) string {
	var all []string
	for _, c := range captures {
		if c.Present {
			all = append(all, c.Value)
		} else {
			all = append(all, "~")
		}
	}
	return strings.Join(all, " ")
}

func TestPattern(t *testing.T) {
	const none = "no match"
	for _, test := range []struct{ pattern, path, want string }{
		{"/", "/", ""},
		{"/", "/a", none},
		{"/a", "/a", ""},
		{"/a", "/a/", none},
		{"/a/", "/a/", ""},
		{"/a", "/A", none},

		// ? is one element, which may be empty at the end.
		{"/?", "/", ""},
		{"/?", "/a", "a"},
		{"/?", "/a/b", none},
		{"/a/?", "/a", none},
		{"/a/?", "/a/", ""},
		{"/users/?/todos/?", "/users/1/todos/", "1 "},

		// ?? is any number of elements and captures nothing.
		{"/??", "/", ""},
		{"/??", "/a/b/", ""},
		{"/a/??", "/a", ""},
		{"/a/??", "/ab", none},
		{"/??/z", "/z", ""},
		{"/??/z", "/z/z/z", ""},
		{"/?/??/?", "/a", none},
		{"/?/??/?", "/a/b", "a b"},
		{"/?/??/?", "/a/b/c/d", "a d"},
		{"/??/{(a)(b)?}/?", "/x/y/a/z", "a ~ z"},

		// {regexp} is one element as a whole.
		{`/{\d+}`, "/12", "12"},
		{`/{\d+}`, "/a12", none},
		{`/{\d+}`, "/12\n", none},
		{`/{^\d+$}`, "/12", "12"},
		{`/{a|b}/c`, "/b/c", "b"},
		{`/{a|ab}`, "/ab", "ab"},
		{`/{^$}`, "/", ""},
		{`/{.*}`, "/é日", "é日"},
		{`/c/{^(\d\d\d)-([a-d]{4})$}`, "/c/123-abcd", "123 abcd"},
		{`/{x{2}}/{y{1,2}}`, "/xx/y", "xx y"},
		{`/{[}]}`, "/}", "}"},
		{`/{[]}]}`, "/}", "}"},
		{`/{[^]}]}`, "/x", "x"},
		{`/{\{a\}}`, "/{a}", "{a}"},
		{`/{[[:alpha:]}]+}`, "/a}", "a}"},
		{`/{(?i)abc}`, "/aBC", "aBC"},
		{`/{(?<year>\d{4})-(?P<month>\d\d)}`, "/2024-05", "2024 05"},
		{`/{(?:path)}`, "/path", "path"},
		{`/{(?!admin$)\w+}/?`, "/users/1", "users 1"},
		{`/{(?!admin$)\w+}/?`, "/admin/1", none},
		{`/{(\w)\1}`, "/aa", "a"},

		// Everything else is literal.
		{"/a b", "/a b", ""},
		{"/a%20b", "/a b", none},
		{"/a%20b", "/a%20b", ""},
		{"/100%", "/100%", ""},
		{"/*", "/a", none},
		{"/*", "/*", ""},
		{"/a.b", "/axb", none},
		{"/é", "/é", ""},
		{"/a?", "/a?", ""},
	} {
		p, err := Parse(test.pattern)
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
			continue
		}
		got := none
		if p.Matches(test.path) {
			captures := p.Captures(test.path, nil)
			if got = captured(captures); len(captures) != p.NumCaptures() {
				t.Errorf("%s: got %d captures, announced %d", test.pattern, len(captures), p.NumCaptures())
			}
		}
		if got != test.want {
			t.Errorf("%s, %q: got %q, want %q", test.pattern, test.path, got, test.want)
		}
		if p.String() != test.pattern {
			t.Errorf("%s: prints as %s", test.pattern, p)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct {
		pattern string
		offset  int
		reason  string
	}{
		{"", 0, "start with a slash"},
		{"a/b", 0, "start with a slash"},
		{"?", 0, "start with a slash"},
		{"//", 1, "empty element"},
		{"/a//b", 3, "empty element"},
		{"/??/a/??", 6, "second ??"},
		{"/???", 3, "more than two question marks"},
		{"/a\xff", 0, "invalid UTF-8"},
		{"/{}", 1, "empty expression"},
		{"/{a", 1, "unclosed brace"},
		{"/{a{2}", 1, "unclosed brace"},
		{"/{(?:a}b}", 7, "text after the closing brace"},
		{"/x{a}", 2, "brace inside literal text"},
		{"/{a}x", 4, "text after the closing brace"},
		{"/x}", 2, "brace inside literal text"},
		{"/{a/b}", 3, "slash inside {}"},
		{"/{[^/]+}", 4, "slash inside {}"},
		{`/{a\/b}`, 4, "slash inside {}"},
		{"/{[[:/:]]}", 5, "slash inside {}"},
		{"/x/{(}", 4, "missing closing )"},
		{"/{a**}", 2, "invalid nested repetition operator"},
		{"/{a)|(?:b}", 2, "unexpected )"},
		{`/{\Qa}`, 2, `close \Q`},
		{"/{a{1001}}", 2, "invalid repeat count"},
		{"/{(?=a)(?<n>a)(?<n>b)}", 2, "duplicate"},
		{"/{" + strings.Repeat("a", MaxRegexpLength+1) + "}", 2, "longer than"},
		{"/" + strings.Repeat("a", MaxPatternLength), MaxPatternLength, "too long"},

		{"/files/{http.request.uri.path}", 7, "write {(?:path)}"},
		{"/{http.request.uri.path.file}/?", 1, "write {(?:file)}"},
		{"/{http.request.uri.path.3}", 1, "write {(?:path.3)}"},
		{"/{http.request.header.X-A}", 1, "write {(?:header.X-A)}"},
		{"/{http.regexp.name.1}", 1, "write {(?:re.name.1)}"},
		{"/{http.request.uri.prefixed_query}", 1, `write {(?:\?query)}`},
		{"/{http.vars.client_ip}", 1, "write {(?:client_ip)}"},
	} {
		_, err := Parse(test.pattern)
		patternError, ok := errors.AsType[*PatternError](err)
		switch {
		case !ok:
			t.Errorf("%s: got %v, want an error", test.pattern, err)
		case patternError.Offset != test.offset, !strings.Contains(err.Error(), test.reason):
			t.Errorf("%s: got %v, want %q at offset %d", test.pattern, err, test.reason, test.offset)
		case patternError.Hint == "":
			t.Errorf("%s: no hint", test.pattern)
		}
	}
}

// What the hint for a pattern without a slash says to write is a pattern.
func TestPatternHintIsNotRefusedInTurn(t *testing.T) {
	for pattern, want := range map[string]string{
		"todos/?":                  "write /todos/?",
		"":                         "write /",
		"https://api.example/x/??": "write /x/??",
		"https://api.example":      "write /",
		"x//y":                     "write the path of the request",
		"{http.request.uri.path}":  "write the path of the request",
		"x/{a/b}":                  "write the path of the request",
	} {
		_, err := Parse(pattern)
		patternError, ok := errors.AsType[*PatternError](err)
		if !ok || !strings.HasPrefix(patternError.Hint, want) {
			t.Errorf("%q: got %v, want %q", pattern, err, want)
		}
	}
}

func TestPatternWarning(t *testing.T) {
	for pattern, want := range map[string]string{
		"/a/?/??/{.*}": "",
		"/a b/é/100%":  "",
		"/a%20b":       `write "a b"`,
		"/x/a%2Fb":     "encoded slashes are refused",
		"/a/..":        "dot segment",
		"/a;b":         "path parameter",
		`/a\b`:         "backslash",
		"/api/*":       "an asterisk is literal",
		"/a?b=c":       "the query is not part of the path",
		"/a/:id":       "a colon is literal; write ? for any element",
		"/a/x:id":      "",
		"/a/{id}":      `matches only the element "id"; write ? for any element`,
		"/a/{user-id}": "write ? for any element",
		"/a/{id:int}":  `matches only the element "id:int"; write ? for any element`,
		"/a/<id>":      "angle brackets are literal; write ? for any element",
		`/a/{\d+}`:     "",
	} {
		if got := mustParse(t, pattern).Warning(); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: got %q, want %q", pattern, got, want)
		}
	}
}

func TestCapturesAppend(t *testing.T) {
	p := mustParse(t, "/?/?")
	buffer := [4]Capture{{Value: "x", Present: true}}
	got := p.Captures("/a/b", buffer[:1])
	if captured(got) != "x a b" {
		t.Errorf("got %v", got)
	}
	if n := testing.AllocsPerRun(100, func() { p.Captures("/a/b", buffer[:0]) }); n != 0 {
		t.Errorf("got %v allocations", n)
	}
}

// FuzzParse looks for patterns that crash the parsers or the engines, and for
// texts that a pattern without special meaning does not match.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"/", "/??/a", "/?/{a}", `/{(\w)\1}`, "/{(?<=a)b}", "/{(?'n'a)(b)}", "/{(?x)a #}", `/{\Q}\E}`,
		"/{[[:alpha:]]{2,}}", "/{(?#}", "/{(?(1)a|b)}", `/{(?!a)\pL}`, "/{http.vars.x}", "/{(?i)ſ}", "/{(?>a|é)}",
	} {
		f.Add(s, "/a/b")
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		p, err := Parse(pattern)
		if err != nil {
			patternError, ok := errors.AsType[*PatternError](err)
			if !ok || patternError.Hint == "" || err.Error() == "" ||
				patternError.Offset < 0 || patternError.Offset > len(pattern) {
				t.Fatalf("%q: %#v", pattern, err)
			}
			return
		}
		if p.String() != pattern || !utf8.ValidString(p.Warning()) {
			t.Fatalf("%q: prints as %q, warning %q", pattern, p, p.Warning())
		}
		if !strings.ContainsAny(pattern, "{?") && !p.Matches(pattern) {
			t.Fatalf("%q does not match itself", pattern)
		}
		var tree Tree[int]
		if err := tree.Add(p, Any, 1); err != nil {
			t.Fatal(err)
		}
		_, found, ok := tree.Match("GET", path)
		if found != nil && !ok {
			return // out of time
		}
		if ok != p.Matches(path) {
			t.Fatalf("%q, %q: the tree says %v", pattern, path, ok)
		}
		if captures := p.Captures(path, nil); ok && len(captures) != p.NumCaptures() {
			t.Fatalf("%q, %q: got %v, want %d captures", pattern, path, captures, p.NumCaptures())
		}
	})
}

func ExamplePattern_Captures() {
	p, err := Parse(`/todos/?/command/{^(\d\d\d)-([a-d]{4})$}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range p.Captures("/todos/hh/command/123-abcd", nil) {
		fmt.Println(c.Value)
	}
	// Output:
	// hh
	// 123
	// abcd
}

// Advice must not be refused in turn.
func TestTheAdviceIsValid(t *testing.T) {
	for _, element := range []string{"}", "{a}b", "a{b}", `\{`, `\}`, "a{", "x}y", "a{2}", `a\{b`, "}{", "a}}b{", "[}", "a(}"} {
		_, err := Parse("/e/" + element)
		e, ok := errors.AsType[*PatternError](err)
		if !ok {
			t.Errorf("%s: got %v, want it refused", element, err)
			continue
		}
		_, advice, ok := strings.Cut(e.Hint, "as in ")
		if !ok {
			continue // the hint gives no example
		}
		if _, err := Parse("/e/" + advice); err != nil {
			t.Errorf("%s: the advice %s is refused: %v", element, advice, err)
		}
	}
}
