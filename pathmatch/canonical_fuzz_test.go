// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzCanonicalize starts from any URL that a handler may leave behind: the
// raw path need not belong to the path.
func FuzzCanonicalize(f *testing.F) {
	for _, s := range []string{
		"/", "/a/../b", "/a%2fb", "/a%252f/..;/b", "//a", "/%ff%c2%85", `/a\b`, "/a!b", "*", "", "/é%20.", "/%2e%2E/",
		"/a%2Bb+c%21!", "/a%2fb^", "/a%2f..%2fb", "/%2fa", "/a%2f", "/.%00./b;c/d%3be", "/a%2fb%2Fc/%5B]",
	} {
		f.Add(s, "", false, false)
		f.Add(s, s, true, false)
		f.Add(s, s, false, true)
		if decoded, err := url.PathUnescape(s); err == nil {
			f.Add(decoded, s, false, false)
			f.Add(decoded, s, true, true)
		}
	}
	f.Fuzz(func(t *testing.T, path, raw string, allow, keep bool) {
		opts := Options{AllowAmbiguous: allow, KeepEncodedSlashes: keep}
		checkCanonical(t, &url.URL{Path: path, RawPath: raw}, opts)
		if u, err := url.ParseRequestURI(raw); err == nil {
			checkCanonical(t, u, opts)
		}
	})
}

// checkCanonical checks what must hold for any URL.
func checkCanonical(t *testing.T, u *url.URL, opts Options) {
	t.Helper()
	before := *u
	p, err := Canonicalize(u, opts)
	if slow, slowErr := canonicalize(u, opts); slow != p || (slowErr == nil) != (err == nil) {
		t.Fatalf("%+v: got %+v %v, without the short cut %+v %v", before, p, err, slow, slowErr)
	}
	if err != nil {
		return
	}
	p.Apply(u)
	sent := u.EscapedPath()
	if u.RawPath != "" && u.RawPath != sent {
		t.Fatalf("%+v: applied %+v, path %q, raw path %q", before, p, u.Path, u.RawPath)
	}
	if got, err := url.PathUnescape(sent); err != nil || got != u.Path || got != strings.ReplaceAll(p.Decoded, "\x00", "/") {
		t.Fatalf("%+v: decided on %q, sent %q", before, p.Decoded, sent)
	}
	if want := respelled(&before); !opts.AllowAmbiguous && sent != want {
		t.Fatalf("%+v: sent as %q, want %q", before, sent, want)
	}
	if respelled(&url.URL{Path: u.Path, RawPath: sent}) != sent || strings.ContainsAny(sent, "?# \\;") {
		t.Fatalf("%+v: sent as %q, which is not canonical", before, sent)
	}
	elements := strings.Split(p.Decoded, "/")
	if elements[0] != "" || len(elements) < 2 || len(elements)-1 > MaxElements {
		t.Fatalf("%+v: decided on %q", before, p.Decoded)
	}
	for i, e := range elements[1:] {
		if e == "" && i+2 < len(elements) {
			t.Fatalf("%+v: decided on %q", before, p.Decoded)
		}
		parts := strings.Split(e, "\x00")
		for _, part := range parts {
			if part == "." || part == ".." || part == "" && len(parts) > 1 || len(parts) > 1 && !opts.KeepEncodedSlashes {
				t.Fatalf("%+v: decided on %q", before, p.Decoded)
			}
		}
		elements[i+1] = strings.Join(parts, "/")
	}
	checkAgain(t, before, u, p, opts)
	if !opts.AllowAmbiguous {
		checkUnambiguous(t, sent, elements)
	}
}

// checkAgain checks that the next gateway sees the same path, and nothing to
// change.
func checkAgain(t *testing.T, before url.URL, u *url.URL, p Path, opts Options) {
	t.Helper()
	next, err := url.ParseRequestURI(u.RequestURI())
	if err != nil {
		t.Fatalf("%+v: sent %q: %v", before, u.RequestURI(), err)
	}
	for _, u := range []*url.URL{u, next} {
		if again, err := Canonicalize(u, opts); err != nil || again != (Path{Decoded: p.Decoded}) {
			t.Fatalf("%+v: got %+v, then %+v %v", before, p, again, err)
		}
	}
}

// What respelled replaces, and what it leaves alone.
var (
	escapes     = regexp.MustCompile(`%[0-9A-Fa-f]{2}|(?s:.)`)
	slashes     = regexp.MustCompile(`/+`)
	unescaped   = regexp.MustCompile(`^[A-Za-z0-9._~-]$`)
	pathLiteral = regexp.MustCompile(`^[A-Za-z0-9._~!$&'()*+,;=:@/-]$`)
)

// respelled writes the path of a URL as the design words it, with nothing of the
// code under test: repeated slashes merged, unreserved characters decoded, and
// hexadecimal digits in upper case.
func respelled(u *url.URL) string {
	spelling := (&url.URL{Path: u.Path}).EscapedPath()
	if decoded, err := url.PathUnescape(u.RawPath); err == nil && u.RawPath != "" && decoded == u.Path {
		spelling = u.RawPath
	}
	if spelling == "" {
		return "/"
	}
	spelling = escapes.ReplaceAllStringFunc(spelling, func(s string) string {
		if len(s) == 3 && s[0] == '%' {
			if decoded, err := url.PathUnescape(s); err == nil && unescaped.MatchString(decoded) {
				return decoded
			}
			return strings.ToUpper(s)
		}
		if pathLiteral.MatchString(s) {
			return s
		}
		var b strings.Builder
		for i := range len(s) {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
		return b.String()
	})
	return slashes.ReplaceAllString(spelling, "/")
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
		t.Fatalf("%q is not UTF-8", sent)
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
