// SPDX-License-Identifier: Apache-2.0

package caddykong

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Every combination of strip_path, path_handling and a service path with and
// without a slash at its end, for what can remain of a request's path. The
// expected paths are written down from the tables of Kong's documentation of
// path handling and from the rules below them.
func TestUpstreamPath(t *testing.T) {
	for _, test := range []struct {
		base, path, prefix               string
		stripV0, stripV1, keepV0, keepV1 string
	}{
		{"", "/", "/", "/", "/", "/", "/"},
		{"", "/a", "/a", "/", "/", "/a", "/a"},
		{"", "/a/", "/a", "/", "/", "/a/", "/a/"},
		{"", "/ab", "/a", "/b", "/b", "/ab", "/ab"},
		{"", "/a/b", "/a", "/b", "/b", "/a/b", "/a/b"},
		{"", "/a/b/", "/a/", "/b/", "/b/", "/a/b/", "/a/b/"},
		{"/base", "/", "/", "/base", "/base", "/base", "/base"},
		{"/base", "/a", "/", "/base/a", "/basea", "/base/a", "/basea"},
		{"/base", "/a", "/a", "/base", "/base", "/base/a", "/basea"},
		{"/base", "/a/", "/a", "/base/", "/base/", "/base/a/", "/basea/"},
		{"/base", "/ax", "/a", "/base/x", "/basex", "/base/ax", "/baseax"},
		{"/base", "/a/x", "/a", "/base/x", "/base/x", "/base/a/x", "/basea/x"},
		{"/base", "/a/x", "/a/", "/base/x", "/basex", "/base/a/x", "/basea/x"},
		{"/base/", "/", "/", "/base/", "/base/", "/base/", "/base/"},
		{"/base/", "/a", "/a", "/base", "/base/", "/base/a", "/base/a"},
		{"/base/", "/a/", "/a", "/base/", "/base/", "/base/a/", "/base/a/"},
		{"/base/", "/ax", "/a", "/base/x", "/base/x", "/base/ax", "/base/ax"},
		{"/base/", "/a/x", "/a", "/base/x", "/base/x", "/base/a/x", "/base/a/x"},
		{"/base", "/x", "", "/base/x", "/basex", "/base/x", "/basex"}, // a route without paths
	} {
		for _, variant := range []struct {
			strip          bool
			handling, want string
		}{{true, "v0", test.stripV0}, {true, "v1", test.stripV1}, {false, "", test.keepV0}, {false, "v1", test.keepV1}} {
			name := strings.Join([]string{test.base, test.path, test.prefix, variant.handling}, " ")
			if variant.strip {
				name += " strip"
			}
			t.Run(name, func(t *testing.T) {
				var paths []string
				if test.prefix != "" {
					paths = []string{test.prefix}
				}
				got := upstreamOf(t, &MatchRoute{Paths: paths}, &UpstreamPath{StripPath: variant.strip, Base: test.base, PathHandling: variant.handling}, test.path)
				if got != variant.want {
					t.Errorf("got %q, want %q", got, variant.want)
				}
			})
		}
	}
}

// What the upstream receives is spelled as the client has written it, as far as
// that is data, and has no dot segment that stripping has made.
func TestUpstreamPathSpelling(t *testing.T) {
	for _, test := range []struct{ paths, path, want string }{
		{"/a", "/a/x%2fy%20z", "/x%2Fy%20z"},
		{"/a", "/%61/%7Ex", "/~x"},
		{"/a", "//a//x", "/x"},
		{"/a", "/b/../a/x", "/x"},
		{"/a", "/a/%C3%A9", "/%C3%A9"},
		{"/a", "/a%3Fq", "/%3Fq"},
		{"/a", "/a%00", "/%00"},
		{"/a", "/a/%25%32%66", "/%252f"},
		{"/a", "/a../secret", "/secret"},
		{"/a", "/a..", "/"},
		{"~/v[12]/x", "/v1/xyz", "/yz"},
		{"~/(?<kind>cats|dogs)", "/dogs/7", "/7"},
		{`~/(?<n>\d+)(?=/)`, "/12/a", "/a"},
	} {
		t.Run(test.path, func(t *testing.T) {
			if got := upstreamOf(t, &MatchRoute{Paths: []string{test.paths}}, &UpstreamPath{StripPath: true}, test.path); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// upstreamOf sends a request through a matcher and the handler, and returns the
// path that goes upstream.
func upstreamOf(t *testing.T, m *MatchRoute, u *UpstreamPath, target string) string {
	t.Helper()
	provision(t, m)
	r := newRequest(http.MethodGet, "http://h"+target)
	if ok, err := m.MatchWithError(r); !ok || err != nil {
		t.Fatalf("%s: got %v, %v, want a match", target, ok, err)
	}
	var got string
	next := caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		got = r.URL.EscapedPath()
		if r.RequestURI != got {
			t.Errorf("RequestURI is %q, the URL %q", r.RequestURI, got)
		}
		return nil
	})
	if err := u.check(); err != nil {
		t.Fatal(err)
	}
	if err := u.ServeHTTP(httptest.NewRecorder(), r, next); err != nil {
		t.Fatal(err)
	}
	return got
}
