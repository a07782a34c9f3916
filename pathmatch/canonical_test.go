// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode/utf8"
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
		{"/a%2cb", "/a,b", "/a,b"},
		{"/a%21", "/a!", "/a!"},
		{"/%c3%a9", "/é", "/%C3%A9"},
		{"/é", "/é", "/%C3%A9"},
		{"/a[1]", "/a[1]", "/a%5B1%5D"},
		{`/a"<>^{|}`, `/a"<>^{|}`, "/a%22%3C%3E%5E%7B%7C%7D"},

		// Decoded once, and never a delimiter.
		{"/a%252fb", "/a%2fb", "/a%252fb"},
		{"/a%25%32%66b", "/a%2fb", "/a%252fb"},
		{"/a%23b", "/a#b", "/a%23b"},
		{"/a%3Fb?c", "/a?b", "/a%3Fb"},
		{"/a%2Bb+c", "/a+b+c", "/a+b+c"},
	} {
		u := new(url.URL)
		if test.target != "" {
			u = mustURL(t, test.target)
		}
		p, err := Canonicalize(u, false)
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
		{"/a%2F", EncodedSlash, 2, "/a/"},
		{"/a%2f%2Fb", EncodedSlash, 2, "/a/b"},
		{`/a\b`, Backslash, 2, "/a/b"},
		{"/a%5cb", Backslash, 2, "/a/b"},
		{`/a/..\b`, Backslash, 5, "/b"},
		{"/a%00", ControlCharacter, 2, "/a%00"},
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
		{"/a;b", PathParameter, 2, "/a;b"},
		{"/a%3bb=1/c", PathParameter, 2, "/a;b=1/c"},
		{"/a/..;/b", PathParameter, 5, "/b"},
		{"/a/.%2e%3bx=1/b", PathParameter, 7, "/b"},
		{"/%ff", InvalidUTF8, 1, "/%FF"},
		{"/a%c0%afb", InvalidUTF8, 2, "/a%C0%AFb"},   // an overlong slash
		{"/%ed%a0%80", InvalidUTF8, 1, "/%ED%A0%80"}, // half of a surrogate pair
		{"/x%e2%82/y", InvalidUTF8, 2, "/x%E2%82/y"}, // ends too early
		{"/%f5%80%80%80", InvalidUTF8, 1, "/%F5%80%80%80"},
	} {
		u := mustURL(t, test.target)
		_, err := Canonicalize(u, false)
		ambiguous, ok := errors.AsType[*AmbiguousError](err)
		if !ok || ambiguous.Kind != test.kind || ambiguous.Offset != test.offset {
			t.Errorf("%q: got %v, want %v at %d", test.target, err, test.kind, test.offset)
		}
		p, err := Canonicalize(u, true)
		if err != nil {
			t.Errorf("%q, allowed: %v", test.target, err)
			continue
		}
		if p.Apply(u); u.EscapedPath() != test.allowed {
			t.Errorf("%q, allowed: sent as %q, want %q", test.target, u.EscapedPath(), test.allowed)
		}
	}
}

// What is no path cannot be made one.
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
			_, err := Canonicalize(u, allow)
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
			if _, err := Canonicalize(&url.URL{Path: test.path}, allow); err != test.want {
				t.Errorf("%s, allow %v: got %v, want %v", test.name, allow, err, test.want)
			}
		}
	}
}

func TestCanonicalizeDoesNotAllocate(t *testing.T) {
	u := mustURL(t, "/api/v1/users/12345/items.json?x=1")
	if n := testing.AllocsPerRun(100, func() { _, _ = Canonicalize(u, false) }); n != 0 {
		t.Errorf("got %v allocations", n)
	}
}

// FuzzCanonicalize starts from any URL that a handler may leave behind: the
// raw path need not belong to the path.
func FuzzCanonicalize(f *testing.F) {
	for _, s := range []string{"/", "/a/../b", "/a%2fb", "/a%252f/..;/b", "//a", "/%ff%c2%85", `/a\b`, "/a!b", "*", "", "/é%20.", "/%2e%2E/"} {
		f.Add(s, "", false)
		f.Add(s, s, true)
		if decoded, err := url.PathUnescape(s); err == nil {
			f.Add(decoded, s, false)
		}
	}
	f.Fuzz(func(t *testing.T, path, raw string, allow bool) {
		checkCanonical(t, &url.URL{Path: path, RawPath: raw}, allow)
		if u, err := url.ParseRequestURI(raw); err == nil {
			checkCanonical(t, u, allow)
		}
	})
}

// checkCanonical checks what must hold for any URL.
func checkCanonical(t *testing.T, u *url.URL, allow bool) {
	t.Helper()
	before := *u
	p, err := Canonicalize(u, allow)
	if slow, slowErr := canonicalize(u, allow); slow != p || (slowErr == nil) != (err == nil) {
		t.Fatalf("%+v: got %+v %v, without the short cut %+v %v", before, p, err, slow, slowErr)
	}
	if err != nil {
		return
	}
	if p.Escaped == "" && u.EscapedPath() != escape(p.Decoded) {
		t.Fatalf("%+v: left as %q, want %q", before, u.EscapedPath(), escape(p.Decoded))
	}
	p.Apply(u)
	sent := u.EscapedPath()
	if u.Path != p.Decoded || u.RawPath != "" && u.RawPath != sent {
		t.Fatalf("%+v: applied %+v, path %q, raw path %q", before, p, u.Path, u.RawPath)
	}
	if got, err := url.PathUnescape(sent); err != nil || got != p.Decoded {
		t.Fatalf("%+v: decided on %q, sent %q", before, p.Decoded, sent)
	}
	if sent != escape(p.Decoded) || strings.ContainsAny(sent, "?# \\") {
		t.Fatalf("%+v: sent as %q, which is not canonical", before, sent)
	}
	elements := strings.Split(p.Decoded, "/")
	if elements[0] != "" || len(elements) < 2 || len(elements)-1 > MaxElements {
		t.Fatalf("%+v: decided on %q", before, p.Decoded)
	}
	for i, e := range elements[1:] {
		if e == "." || e == ".." || e == "" && i+2 < len(elements) {
			t.Fatalf("%+v: decided on %q", before, p.Decoded)
		}
	}

	// The next gateway sees the same path, and nothing to change.
	next, err := url.ParseRequestURI(u.RequestURI())
	if err != nil {
		t.Fatalf("%+v: sent %q: %v", before, u.RequestURI(), err)
	}
	for _, u := range []*url.URL{u, next} {
		if again, err := Canonicalize(u, allow); err != nil || again != (Path{Decoded: p.Decoded}) {
			t.Fatalf("%+v: got %+v, then %+v %v", before, p, again, err)
		}
	}
	if !allow {
		checkUnambiguous(t, sent, elements)
	}
}

// checkUnambiguous reads a path as several kinds of servers do.
func checkUnambiguous(t *testing.T, sent string, want []string) {
	t.Helper()
	decode := func(s string) string {
		decoded, err := url.PathUnescape(s)
		if err != nil {
			t.Fatal(err)
		}
		return decoded
	}
	for name, read := range map[string]func() string{
		"decoded first":     func() string { return decode(sent) },
		"cleaned":           func() string { return clean(decode(sent)) },
		"cleaned, decoded":  func() string { return decode(clean(sent)) },
		"Windows":           func() string { return strings.ReplaceAll(decode(sent), `\`, "/") },
		"servlet container": func() string { return clean(withoutParameters(decode(sent))) },
		"C strings":         func() string { s, _, _ := strings.Cut(decode(sent), "\x00"); return s },
		"UTF-8 repaired":    func() string { return strings.ToValidUTF8(decode(sent), "") },
		"lines": func() string {
			return strings.Map(func(r rune) rune {
				if r < ' ' || r >= 0x7f && r < 0xa0 {
					return -1
				}
				return r
			}, decode(sent))
		},
	} {
		if got := read(); got != strings.Join(want, "/") {
			t.Fatalf("%s reads %q as %q, want %q", name, sent, got, want)
		}
	}
	for i, e := range strings.Split(sent, "/") {
		if decode(e) != want[i] {
			t.Fatalf("split before it is decoded, %q is %q at %d, want %q", sent, decode(e), i, want[i])
		}
	}
	if !utf8.ValidString(decode(sent)) {
		t.Fatalf("%q is no UTF-8", sent)
	}
}

// clean is path.Clean but for the trailing slash.
func clean(s string) string {
	if c := path.Clean(s); strings.HasSuffix(s, "/") && c != "/" {
		return c + "/"
	} else {
		return c
	}
}

func withoutParameters(s string) string {
	elements := strings.Split(s, "/")
	for i, e := range elements {
		elements[i], _, _ = strings.Cut(e, ";")
	}
	return strings.Join(elements, "/")
}
