// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

// mustURL parses the target of a request line as net/http does.
func mustURL(t testing.TB, target string) *url.URL {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestCanonicalize(t *testing.T) {
	for _, test := range []struct {
		target  string
		decoded string // what decisions are made on
		sent    string // what the upstream receives
	}{
		// Canonical already.
		{"/", "/", "/"},
		{"/a/b", "/a/b", "/a/b"},
		{"/a/", "/a/", "/a/"},
		{"/a%20b", "/a b", "/a%20b"},
		{"/%C3%A9", "/é", "/%C3%A9"},
		{"/.well-known/x", "/.well-known/x", "/.well-known/x"},
		{"/a.b/...", "/a.b/...", "/a.b/..."},
		{"/a!$&'()*+,=:@~-._", "/a!$&'()*+,=:@~-._", "/a!$&'()*+,=:@~-._"},

		// Another spelling of the same.
		{"", "/", "/"},
		{"http://host", "/", "/"},
		{"http://host/a", "/a", "/a"},
		{"//a//b///", "/a/b/", "/a/b/"},
		{"/%61dmin", "/admin", "/admin"},
		{"/%7euser", "/~user", "/~user"},
		{"/a%2cb", "/a,b", "/a%2Cb"}, // reserved, so it stays escaped
		{"/a%21", "/a!", "/a%21"},
		{"/a!", "/a!", "/a!"},
		{"/%c3%a9", "/é", "/%C3%A9"},
		{"/é", "/é", "/%C3%A9"},
		{"/a[1]", "/a[1]", "/a%5B1%5D"},
		{`/a"<>^{|}`, `/a"<>^{|}`, "/a%22%3C%3E%5E%7B%7C%7D"},

		// Decoded once, and never a delimiter.
		{"/a%252fb", "/a%2fb", "/a%252fb"},
		{"/a%25%32%66b", "/a%2fb", "/a%252fb"},
		{"/a%23b", "/a#b", "/a%23b"},
		{"/a%3Fb?c", "/a?b", "/a%3Fb"},
		{"/a%2Bb+c", "/a+b+c", "/a%2Bb+c"},
		{"/%3a%40%24%26%27%28%29%2a%2b%2c%3d%5b%5d", "/:@$&'()*+,=[]", "/%3A%40%24%26%27%28%29%2A%2B%2C%3D%5B%5D"},
		{"//%2B/%7e", "/+/~", "/%2B/~"},
		{"/%2B^", "/+^", "/%2B%5E"}, // although EscapedPath has lost the escape
	} {
		u := new(url.URL)
		if test.target != "" {
			u = mustURL(t, test.target)
		}
		p, err := Canonicalize(u, Options{})
		if err != nil {
			t.Errorf("%q: %v", test.target, err)
			continue
		}
		p.Apply(u)
		if p.Decoded != test.decoded || u.EscapedPath() != test.sent {
			t.Errorf("%q: got %q, sent as %q, want %q, sent as %q", test.target, p.Decoded, u.EscapedPath(), test.decoded, test.sent)
		}
	}
}

// A path that can be read in two ways is refused, or is given one reading if
// ambiguous paths are allowed.
func TestCanonicalizeAmbiguous(t *testing.T) {
	for _, test := range []struct {
		target  string
		kind    Ambiguity
		offset  int
		allowed string // what it becomes, spelled canonically
	}{
		{"/a%2fb", EncodedSlash, 2, "/a/b"},
		{"/a%2fb^", EncodedSlash, 2, "/a/b%5E"}, // EscapedPath has lost the slash
		{"/a%2f<>{|}", EncodedSlash, 2, "/a/%3C%3E%7B%7C%7D"},
		{`/a%2fb"#`, EncodedSlash, 2, "/a/b%22%23"},
		{"/a%2F", EncodedSlash, 2, "/a/"},
		{"/a%2f%2Fb", EncodedSlash, 2, "/a/b"},
		{`/a\b`, Backslash, 2, "/a/b"},
		{"/a%5cb", Backslash, 2, "/a/b"},
		{`/a/..\b`, Backslash, 5, "/b"},
		{"/a%00", ControlCharacter, 2, "/a"},
		{"/.%00./%ff../b", ControlCharacter, 2, "/b"},
		{"/a%0d%0ab", ControlCharacter, 2, "/a%0D%0Ab"},
		{"/%7f", ControlCharacter, 1, "/%7F"},
		{"/b%c2%85", ControlCharacter, 2, "/b%C2%85"},
		{"/.", DotSegment, 1, "/"},
		{"/..", DotSegment, 1, "/"},
		{"/a/.", DotSegment, 3, "/a/"},
		{"/a/..", DotSegment, 3, "/"},
		{"/a/b/../", DotSegment, 5, "/a/"},
		{"/a/./b", DotSegment, 3, "/a/b"},
		{"/a/../b", DotSegment, 3, "/b"},
		{"/../../b", DotSegment, 1, "/b"},
		{"/a//../b", DotSegment, 4, "/b"},
		{"/a/%2e%2E/b", DotSegment, 3, "/b"},
		{"/a/.%2e/b", DotSegment, 3, "/b"},
		{"/a/%2e/b", DotSegment, 3, "/a/b"},
		{"/a;b", PathParameter, 2, "/a"},
		{"/a;b/;c/d;", PathParameter, 2, "/a/d"},
		{"/a;b%2fc", PathParameter, 2, "/a/c"},
		{"/a%2Bb;c=%2B", PathParameter, 6, "/a%2Bb"},
		{"/a%3bb=1/c", PathParameter, 2, "/a%3Bb=1/c"},
		{"/a%3Bb;c", PathParameter, 2, "/a%3Bb"},
		{"/a/..;/b", PathParameter, 5, "/b"},
		{"/a/.%2e%3bx=1/b", PathParameter, 7, "/b"},
		{"/%ff", InvalidUTF8, 1, "/"},
		{"/%ef%bf%bd%ff", InvalidUTF8, 10, "/%EF%BF%BD"},
		{"/a%c0%afb", InvalidUTF8, 2, "/ab"},   // an overlong slash
		{"/%ed%a0%80", InvalidUTF8, 1, "/"},    // half of a surrogate pair
		{"/x%e2%82/y", InvalidUTF8, 2, "/x/y"}, // ends too early
		{"/%f5%80%80%80", InvalidUTF8, 1, "/"},
	} {
		u := mustURL(t, test.target)
		_, err := Canonicalize(u, Options{})
		ambiguous, ok := errors.AsType[*AmbiguousError](err)
		if !ok || ambiguous.Kind != test.kind || ambiguous.Offset != test.offset {
			t.Errorf("%q: got %v, want %v at %d", test.target, err, test.kind, test.offset)
		}
		p, err := Canonicalize(u, Options{AllowAmbiguous: true})
		if err != nil {
			t.Errorf("%q, allowed: %v", test.target, err)
			continue
		}
		if p.Apply(u); u.EscapedPath() != test.allowed {
			t.Errorf("%q, allowed: sent as %q, want %q", test.target, u.EscapedPath(), test.allowed)
		}
	}
}

// A target without a path stays without one.
func TestCanonicalizeNotAbsolute(t *testing.T) {
	for name, u := range map[string]*url.URL{
		"asterisk":          {Path: "*"},
		"CONNECT":           {Host: "host:443"},
		"rootless":          mustURL(t, "http:admin"),
		"rootless, encoded": mustURL(t, "http:%2Fadmin"),
		"relative":          {Path: "admin"},
		"opaque and a path": {Opaque: "//host/admin", Path: "/public"},
	} {
		for _, allow := range []bool{false, true} {
			_, err := Canonicalize(u, Options{AllowAmbiguous: allow})
			ambiguous, ok := errors.AsType[*AmbiguousError](err)
			if !ok || ambiguous.Kind != NotAbsolute {
				t.Errorf("%s, allow %v: got %v, want %v", name, allow, err, NotAbsolute)
			}
		}
	}
}

func TestCanonicalizeLimits(t *testing.T) {
	for _, test := range []struct {
		name string
		path string
		want error
	}{
		{"longest", "/" + strings.Repeat("a", MaxPathLength-1), nil},
		{"too long", "/" + strings.Repeat("a", MaxPathLength), ErrTooLong},
		{"too long as it is sent", "/" + strings.Repeat("é", MaxPathLength/6+1), ErrTooLong},
		{"most elements", strings.Repeat("/a", MaxElements), nil},
		{"too many elements", strings.Repeat("/a", MaxElements+1), ErrTooManyElements},
		{"an empty one too many", strings.Repeat("/a", MaxElements) + "/", ErrTooManyElements},
		{"merged slashes", strings.Repeat("/", MaxElements+1), nil},
	} {
		for _, allow := range []bool{false, true} {
			if _, err := Canonicalize(&url.URL{Path: test.path}, Options{AllowAmbiguous: allow}); err != test.want {
				t.Errorf("%s, allow %v: got %v, want %v", test.name, allow, err, test.want)
			}
		}
	}
}

func TestCanonicalizeDoesNotAllocate(t *testing.T) {
	u := mustURL(t, "/api/v1/users/12345/items.json?x=1")
	if n := testing.AllocsPerRun(100, func() { _, _ = Canonicalize(u, Options{}) }); n != 0 {
		t.Errorf("got %v allocations", n)
	}
}

// With KeepEncodedSlashes an encoded slash is a character of its element, unless
// an upstream that decodes it too early would see another path.
func TestCanonicalizeKeepsEncodedSlashes(t *testing.T) {
	for _, test := range []struct {
		target  string
		decoded string // "" if it is refused; a kept slash is written as |
		sent    string
	}{
		{"/projects/group%2Fproject", "/projects/group|project", "/projects/group%2Fproject"},
		{"/projects/group%2fsub%2Fproject/x", "/projects/group|sub|project/x", "/projects/group%2Fsub%2Fproject/x"},
		{"/@scope%2Fpackage", "/@scope|package", "/@scope%2Fpackage"},
		{"/%40scope%2fpackage", "/@scope|package", "/%40scope%2Fpackage"},
		{"//a%2fb//%63", "/a|b/c", "/a%2Fb/c"},
		{"/a%2fb^", "/a|b^", "/a%2Fb%5E"}, // EscapedPath has lost the slash
		{"/a%2fb+%2B", "/a|b++", "/a%2Fb+%2B"},
		{"/a%2f...", "/a|...", "/a%2F..."},
		{"/a%252fb", "/a%2fb", "/a%252fb"},

		{"/a%2f..", "", ""},
		{"/..%2fa", "", ""},
		{"/%2e%2E%2fa", "", ""},
		{"/a%2f.%2fb", "", ""},
		{"/a%2f%2fb", "", ""},
		{"/%2fa", "", ""},
		{"/a%2f", "", ""},
		{"/a%2f/b", "", ""},
		{"/%2f", "", ""},
		{"/a%2fb/..", "", ""},
		{"/a%2fb%5cc", "", ""},
		{"/a%2fb;c", "", ""},
		{"/a%2fb%00", "", ""},
	} {
		t.Run(test.target, func(t *testing.T) {
			u := mustURL(t, test.target)
			p, err := Canonicalize(u, Options{KeepEncodedSlashes: true})
			if test.decoded == "" {
				if !IsAmbiguous(err) {
					t.Fatalf("got %+v, %v, want it refused", p, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p.Apply(u)
			if want := strings.ReplaceAll(test.decoded, "|", "\x00"); p.Decoded != want || u.EscapedPath() != test.sent || u.RequestURI() != test.sent {
				t.Errorf("got %q, sent as %q, want %q, sent as %q", p.Decoded, u.EscapedPath(), want, test.sent)
			}
		})
	}
}

// Both options: what is ambiguous by itself gets the cautious reading, and a slash
// that cannot be kept is refused all the same.
func TestCanonicalizeKeepsEncodedSlashesOfAmbiguousPaths(t *testing.T) {
	for target, want := range map[string]string{
		"/x/../a%2fb": "/a%2Fb", "/a%2fb;c%2fd/e": "/a%2Fb/e", `/a%2fb\c`: "/a%2Fb/c", "/a%2fb%00": "/a%2Fb", "/a%2fb/..": "/", "/a%2f%3Bb": "",
		"/a%2f..": "", "/a%2f.%00.": "", "/a%2f;x": "", "/a%2f%00": "", "/..%3Bx%2fa": "", "/%2fa": "",
	} {
		u := mustURL(t, target)
		p, err := Canonicalize(u, Options{AllowAmbiguous: true, KeepEncodedSlashes: true})
		if p.Apply(u); err == nil && u.EscapedPath() != want || (err != nil) != (want == "") {
			t.Errorf("%q: got %v, sent as %q, want %q", target, err, u.EscapedPath(), want)
		}
	}
}

// A kept slash is a slash for expressions and captures, and none for elements.
func TestKeptSlashesMatch(t *testing.T) {
	path := "/projects/group\x00project/x"
	for pattern, want := range map[string][]string{
		"/projects/?/x":                      {"group/project"},
		"/projects/{(.+).project}/x":         {"group"},
		"/projects/{group\\x2fproject}/x":    {"group/project"},
		"/projects/{[a-z]+}/x":               nil,
		"/projects/??":                       {},
		"/projects/?/?/x":                    nil,
		"/projects/group/project/x":          nil,
		`/projects/{(?=g)([^\x2f]+).(.+)}/x`: {"group", "project"},
	} {
		p := mustParse(t, pattern)
		var tree Tree[bool]
		if err := tree.Add(p, "GET", true); err != nil {
			t.Fatal(err)
		}
		_, _, found := tree.Match("GET", path)
		if found != (want != nil) || p.Matches(path) != found {
			t.Errorf("%s: found %t, matches %t, want %t", pattern, found, p.Matches(path), want != nil)
			continue
		}
		for i, capture := range p.Captures(path, nil) {
			if found && (i >= len(want) || capture.Value != want[i]) {
				t.Errorf("%s: capture %d is %q, want %q", pattern, i+1, capture.Value, want)
			}
		}
	}
	if _, err := Parse("/a\x00b"); err == nil {
		t.Error("a pattern with the character of kept slashes was accepted")
	}
}
