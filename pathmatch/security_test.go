// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"
)

// These tests are about attacks that other gateways fell to. Their names give
// the row of the project's list of such attacks.

// decide does what a gateway does: it returns the rule that a request falls
// under and the path that the upstream receives, or "400".
func decide(t *testing.T, tree *Tree[int], all []rule, method string, u *url.URL, allow bool) (rule, sent string) {
	t.Helper()
	p, err := Canonicalize(u, Options{AllowAmbiguous: allow})
	if err != nil {
		return "400", ""
	}
	p.Apply(u)
	return found(tree, all, method, p.Decoded), u.RequestURI()
}

// The rule matched the raw path, and the upstream resolved dot segments.
func TestSec_S01_DotSegments(t *testing.T) {
	all := rules("? /public/??", "? /admin/??")
	tree := buildTree(t, all)
	for _, target := range []string{
		"/public/../admin", "/public/%2e%2e/admin", "/public/.%2E/admin", "/public/%2E./admin", "/public/..;/admin",
		"/public/..;x=1/admin", "/public/x/../../admin", "/public//../admin", "/./admin", "/%2e/admin", "/public/..%3b/admin",
		"http://host/public/../admin",
	} {
		if rule, _ := decide(t, tree, all, "GET", mustURL(t, target), false); rule != "400" {
			t.Errorf("%s: got %s, want 400", target, rule)
		}
		if rule, sent := decide(t, tree, all, "GET", mustURL(t, target), true); rule != "? /admin/??" || sent != "/admin" {
			t.Errorf("%s, allowed: got %s, sent %s, want that of /admin", target, rule, sent)
		}
	}
}

// An encoded slash was opaque for the rule and a separator for the upstream.
func TestSec_S02_EncodedSeparators(t *testing.T) {
	all := rules("? /public/??", "? /admin/??")
	tree := buildTree(t, all)
	for _, target := range []string{
		"/public/..%2fadmin/secret", "/public/..%2Fadmin/secret", "/public%2f..%2fadmin/secret", "/public/..%5cadmin/secret",
		"/public/..%5Cadmin/secret", `/public/..\admin/secret`, "/public/%2e%2e%2f%61dmin/secret",
	} {
		if rule, _ := decide(t, tree, all, "GET", mustURL(t, target), false); rule != "400" {
			t.Errorf("%s: got %s, want 400", target, rule)
		}
		if rule, sent := decide(t, tree, all, "GET", mustURL(t, target), true); rule != "? /admin/??" || sent != "/admin/secret" {
			t.Errorf("%s, allowed: got %s, sent %s, want that of /admin/secret", target, rule, sent)
		}
	}
	// Encoded twice, it is text, and the upstream receives it encoded twice.
	if rule, sent := decide(t, tree, all, "GET", mustURL(t, "/public/..%252fadmin"), false); rule != "? /public/??" || sent != "/public/..%252fadmin" {
		t.Errorf("encoded twice: got %s, sent %s", rule, sent)
	}
}

// Case sensitivity differed from the documented one.
func TestSec_S04_CaseSensitive(t *testing.T) {
	all := rules("? /admin", "? /{admin2}", "? /??")
	tree := buildTree(t, all)
	for target, want := range map[string]string{
		"/admin": "? /admin", "/ADMIN": "? /??", "/Admin": "? /??", "/%41dmin": "? /??", "/%61dmin": "? /admin",
		"/admin2": "? /{admin2}", "/ADMIN2": "? /??",
	} {
		if rule, _ := decide(t, tree, all, "GET", mustURL(t, target), false); rule != want {
			t.Errorf("%s: got %s, want %s", target, rule, want)
		}
	}
}

// Path and RawPath disagreed after a handler had changed one of them.
func TestSec_S06_StaleRawPath(t *testing.T) {
	all := rules("? /public/??", "? /admin/??", "? /??")
	tree := buildTree(t, all)
	for _, test := range []struct {
		name string
		url  url.URL
		rule string
		sent string
	}{
		{"prefix stripped from Path alone", url.URL{Path: "/admin/x", RawPath: "/public/%61dmin/x"}, "? /admin/??", "/admin/x"},
		{"path replaced, RawPath left", url.URL{Path: "/public/x", RawPath: "/admin/x"}, "? /public/??", "/public/x"},
		{"RawPath is a spelling of Path", url.URL{Path: "/public/../admin", RawPath: "/public/..%2fadmin"}, "400", ""},
		{"RawPath hides a slash", url.URL{Path: "/public/x/y", RawPath: "/public/x%2fy"}, "400", ""},
		{"RawPath cleared, so the slash is one", url.URL{Path: "/admin/x/y"}, "? /admin/??", "/admin/x/y"},
		{"invalid RawPath", url.URL{Path: "/admin", RawPath: "/public/%zz"}, "? /admin/??", "/admin"},
		{"rewritten to what cannot be decoded", url.URL{Path: "/%zz"}, "? /??", "/%25zz"},
		{"everything stripped", url.URL{Path: ""}, "? /??", "/"},
		{"slash stripped", url.URL{Path: "admin"}, "400", ""},
		{"stripped to a double slash", url.URL{Path: "//admin"}, "? /admin/??", "/admin"},
		{"opaque", url.URL{Opaque: "/admin", Path: "/public/x"}, "400", ""},
	} {
		rule, sent := decide(t, tree, all, "GET", &test.url, false)
		if rule != test.rule || sent != test.sent {
			t.Errorf("%s: got %s, sent %q, want %s, sent %q", test.name, rule, sent, test.rule, test.sent)
		}
		if rule != "400" && test.url.RawPath != "" && test.url.RawPath != test.url.EscapedPath() {
			t.Errorf("%s: RawPath is still %q", test.name, test.url.RawPath)
		}
	}
}

// An expression for public paths saw the query, or what follows a #.
func TestSec_S07_QueryAndFragment(t *testing.T) {
	all := rules("? /{.*public}/??", "? /foo/{[a-z]+}/bar", "? /??/public")
	tree := buildTree(t, all)
	for _, test := range []struct{ target, rule, sent string }{
		{"/private?x=/public/", "none", "/private?x=/public/"},
		{"/private?/public", "none", "/private?/public"},
		{"/private?public", "none", "/private?public"},
		{"/private%3F/x", "none", "/private%3F/x"},
		{"/foo/secret?x=/bar", "none", "/foo/secret?x=/bar"},
		{"/foo/secret%3fx=1/bar", "none", "/foo/secret%3Fx=1/bar"},
		{"/foo/secret%23/bar", "none", "/foo/secret%23/bar"},
		{"/foo/secret/bar?x", "? /foo/{[a-z]+}/bar", "/foo/secret/bar?x"},
		{"/private%2f/public", "400", ""},
		// In a request line a # is not a delimiter for net/http. It belongs to
		// an element, and the upstream receives it encoded.
		{"/private#/x", "none", "/private%23/x"},
		{"/private#/public", "? /??/public", "/private%23/public"},
	} {
		if rule, sent := decide(t, tree, all, "GET", mustURL(t, test.target), false); rule != test.rule || sent != test.sent {
			t.Errorf("%s: got %s, sent %s, want %s, sent %s", test.target, rule, sent, test.rule, test.sent)
		}
	}
}

// A backslash is a separator for upstreams on Windows only.
func TestSec_S08_Backslash(t *testing.T) {
	for _, target := range []string{`/public\admin`, "/public%5cadmin", "/public%5C..%5Cadmin", `/public/\admin`, `/\admin`} {
		_, err := Canonicalize(mustURL(t, target), Options{})
		ambiguous, ok := errors.AsType[*AmbiguousError](err)
		if !ok || ambiguous.Kind != Backslash {
			t.Errorf("%s: got %v, want %v", target, err, Backslash)
		}
	}
	if _, err := Canonicalize(&url.URL{Path: `/public\admin`}, Options{}); !IsAmbiguous(err) {
		t.Errorf("rewritten: got %v", err)
	}
}

// The exact match was taken even if it led nowhere. FuzzMatch goes further.
func TestSec_S10_Backtracking(t *testing.T) {
	all := rules("? /a/b/c", "? /a/?/d", "? /??/e")
	tree := buildTree(t, all)
	for path, want := range map[string]string{"/a/b/c": all[0].path, "/a/b/d": all[1].path, "/a/b/e": all[2].path, "/a/b/c/e": all[2].path} {
		if got := found(tree, all, "GET", path); got != "? "+want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

// Expressions had no anchors.
func TestSec_S11_Anchors(t *testing.T) {
	for _, source := range []string{`\d+`, `^\d+`, `\d+$`, `(?m)^\d+$`, `1|\d+`, `(?:\d+)`, `(?!x)\d+`, `(?m)(?!x)^\d+$`, `\d*`} {
		all := rules("? /u/{" + source + "}")
		tree := buildTree(t, all)
		if got := found(tree, all, "GET", "/u/12"); got == "none" {
			t.Errorf("%s does not match 12", source)
		}
		for _, element := range []string{"abc12xyz", "12x", "x12", "12\n", "\n12", "12\nx", "x\n12\nx", "12 ", "１２"} {
			if got := found(tree, all, "GET", "/u/"+element); got != "none" {
				t.Errorf("%s matches %q", source, element)
			}
		}
	}
}

// HEAD and unknown methods matched no rule and passed.
func TestSec_S13_Methods(t *testing.T) {
	all := rules("GET /a", "POST /a", "? /b", "GET /b")
	tree := buildTree(t, all)
	for request, want := range map[string]string{
		"HEAD /a": "GET /a", "GET /a": "GET /a", "get /a": "none", "GET\t /a": "none", " GET /a": "none", "PROPFIND /a": "none",
		"? /a": "none", "HEAD /b": "GET /b", "head /b": "? /b", "get /b": "? /b", "PROPFIND /b": "? /b", "? /b": "? /b",
	} {
		i := strings.LastIndexByte(request, ' ')
		if got := found(tree, all, request[:i], request[i+1:]); got != want {
			t.Errorf("%q: got %s, want %s", request, got, want)
		}
	}
	if got := found(tree, all, "", "/a"); got != "none" {
		t.Errorf("no method: got %s", got)
	}
}

// An upstream that ignores the case of a method took "delete" for DELETE.
func TestSec_S13_MethodsThatFold(t *testing.T) {
	tree := buildTree(t, rules("? /a", "DELETE /a", "FROB /b"))
	for method, want := range map[string]string{
		"delete": "DELETE", "Delete": "DELETE", "gET": "GET", "head": "HEAD", "frob": "FROB", "propfind": "PROPFIND", "Version-Control": "VERSION-CONTROL",
		"DELETE": "", "GET": "", "FROB": "", "": "", "unknown": "", "UNKNOWN": "", "?": "", "deletee": "", "get-x": "",
	} {
		if got := tree.Folded(method); got != want {
			t.Errorf("%q: got %q, want %q", method, got, want)
		}
	}
}

// A wildcard rule lost the methods that it was for.
func TestSec_S16_MethodsOfWildcards(t *testing.T) {
	all := rules("GET /api/??", "POST /api/??", "? /api/?/{x}", "DELETE /??", "GET /api/?/y")
	tree := buildTree(t, all)
	for request, want := range map[string]string{
		"GET /api/a/b": "GET /api/??", "POST /api/a/b": "POST /api/??", "PUT /api/a/b": "none", "PUT /api/a/x": "? /api/?/{x}",
		"DELETE /api/a/b": "DELETE /??", "POST /api/a/y": "POST /api/??", "PATCH /api/a/y": "none", "HEAD /api": "GET /api/??",
	} {
		method, path, _ := strings.Cut(request, " ")
		if got := found(tree, all, method, path); got != want {
			t.Errorf("%s: got %s, want %s", request, got, want)
		}
	}
}

// Expressions that explode when they are compiled or matched.
func TestSec_S77_Expressions(t *testing.T) {
	for _, source := range []string{
		strings.Repeat("(", 2000) + strings.Repeat(")", 2000),
		strings.Repeat("a", MaxRegexpLength+1),
		"((((a{100}){100}){100}){100}){100}",
		"a{100000}",
		"(?=" + strings.Repeat("a", MaxRegexpLength) + ")",
	} {
		if _, err := Parse("/{" + source + "}"); err == nil {
			t.Errorf("%.30s: accepted", source)
		}
	}
	start := time.Now()
	for _, source := range []string{`(a+)+`, `(a|a)*`, `(a|aa)+b`, `(.*)*x`, `(?:a*)*(?:a*)*b`, `.*.*.*.*.*x`, `([a-z]+)*!`, `(x+x+)+y`, `[ab]*a[ab]{200}`} {
		re := mustRegexp(t, source)
		re.MatchWhole(strings.Repeat("a", 64<<10))
		re.MatchWhole(strings.Repeat("x", 64<<10) + "!")
	}
	if _, err := mustRegexp(t, catastrophe).Match(strings.Repeat("a", 64<<10)); !errors.Is(err, ErrRegexpTimeout) {
		t.Errorf("got %v, want %v", err, ErrRegexpTimeout)
	}
	// Exponential time would be longer than the age of the universe.
	if elapsed := time.Since(start); elapsed > time.Minute {
		t.Errorf("it took %v", elapsed)
	}
}
