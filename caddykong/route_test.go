// SPDX-License-Identifier: Apache-2.0

package caddykong

import (
	"context"
	"crypto/tls"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// newRequest returns a request as Caddy's server has it. A target with https
// has come over TLS, and its host as the server name.
func newRequest(method, target string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	replacer := caddy.NewReplacer()
	ctx := context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{})
	ctx = context.WithValue(ctx, caddy.ReplacerCtxKey, replacer)
	if r.TLS != nil {
		r.TLS.ServerName, _, _ = cutPort(r.Host)
	}
	return r.WithContext(ctx)
}

func provision(t testing.TB, m *MatchRoute) {
	t.Helper()
	if err := m.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
}

func TestMatch(t *testing.T) {
	header := func(lines ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(lines); i += 2 {
			h.Add(lines[i], lines[i+1])
		}
		return h
	}
	for _, test := range []struct {
		name    string
		route   MatchRoute
		request string // method and target
		header  http.Header
		want    bool
	}{
		{"prefix", MatchRoute{Paths: []string{"/a"}}, "GET http://h/ab", nil, true},
		{"prefix is case-sensitive", MatchRoute{Paths: []string{"/a"}}, "GET http://h/A", nil, false},
		{"no prefix", MatchRoute{Paths: []string{"/a"}}, "GET http://h/b/a", nil, false},
		{"one of two", MatchRoute{Paths: []string{"/a", "/b"}}, "GET http://h/b", nil, true},
		{"query does not count", MatchRoute{Paths: []string{"/a"}}, "GET http://h/x?/a", nil, false},
		{"encoded letter", MatchRoute{Paths: []string{"/abc"}}, "GET http://h/%61bc", nil, true},
		{"encoded slash is data", MatchRoute{Paths: []string{"/a/b"}}, "GET http://h/a%2Fb", nil, false},
		{"encoded slash in a prefix", MatchRoute{Paths: []string{"/a%2Fb"}}, "GET http://h/a%2fb", nil, true},
		{"odd raw path", MatchRoute{Paths: []string{"/a/b"}}, "GET http://h/a%2Fb^", nil, false},
		{"dots", MatchRoute{Paths: []string{"/admin"}}, "GET http://h/x/..//admin", nil, true},
		{"regex", MatchRoute{Paths: []string{`~/v[12]/x`}}, "GET http://h/v1/xyz", nil, true},
		{"regex from the beginning", MatchRoute{Paths: []string{`~/v[12]/x`}}, "GET http://h/A/v1/x", nil, false},
		{"all alternatives from the beginning", MatchRoute{Paths: []string{`~/a$|/b$`}}, "GET http://h/x/b", nil, false},
		{"regex ignores case if asked to", MatchRoute{Paths: []string{`~(?i)/a$`}}, "GET http://h/A", nil, true},
		{"look-ahead", MatchRoute{Paths: []string{`~/(?!admin)\w+$`}}, "GET http://h/admin", nil, false},
		{"look-ahead matches", MatchRoute{Paths: []string{`~/(?!admin)\w+$`}}, "GET http://h/user", nil, true},

		{"host", MatchRoute{Hosts: []string{"a.example.com"}}, "GET http://A.Example.com:8443/", nil, true},
		{"other host", MatchRoute{Hosts: []string{"a.example.com"}}, "GET http://b.example.com/", nil, false},
		{"wildcard of any depth", MatchRoute{Hosts: []string{"*.ex.com"}}, "GET http://a.b.ex.com:8443/", nil, true},
		{"wildcard is not the domain", MatchRoute{Hosts: []string{"*.ex.com"}}, "GET http://ex.com/", nil, false},
		{"wildcard needs a label", MatchRoute{Hosts: []string{"*.ex.com"}}, "GET http://.ex.com/", nil, false},
		{"wildcard is of labels", MatchRoute{Hosts: []string{"*.ex.com"}}, "GET http://evilex.com/", nil, false},
		{"wildcard at the end", MatchRoute{Hosts: []string{"ex.*"}}, "GET http://ex.co.uk/", nil, true},
		{"wildcard at the end is of labels", MatchRoute{Hosts: []string{"ex.*"}}, "GET http://exe.com/", nil, false},
		{"port", MatchRoute{Hosts: []string{"h:8000"}}, "GET http://h:8000/", nil, true},
		{"other port", MatchRoute{Hosts: []string{"h:8000"}}, "GET http://h:8001/", nil, false},
		{"port of the protocol", MatchRoute{Hosts: []string{"h:443"}}, "GET https://h/", nil, true},
		{"not the port of the protocol", MatchRoute{Hosts: []string{"h:443"}}, "GET http://h/", nil, false},

		{"method", MatchRoute{Methods: []string{"GET"}}, "GET http://h/", nil, true},
		{"HEAD is not GET", MatchRoute{Methods: []string{"GET"}}, "HEAD http://h/", nil, false},

		{"header", MatchRoute{Headers: map[string][]string{"x-version": {"V1", "v2"}}}, "GET http://h/", header("X-Version", "v1"), true},
		{"header is missing", MatchRoute{Headers: map[string][]string{"X-Version": {"v1"}}}, "GET http://h/", nil, false},
		{"second line of a header", MatchRoute{Headers: map[string][]string{"X-Version": {"v1"}}}, "GET http://h/", header("X-Version", "v0", "X-Version", "v1"), true},
		{"part of a header", MatchRoute{Headers: map[string][]string{"X-Version": {"v1"}}}, "GET http://h/", header("X-Version", "v10"), false},
		{"header by regex", MatchRoute{Headers: map[string][]string{"X-Version": {"~*^V[12]$"}}}, "GET http://h/", header("X-Version", "v2"), true},
		{"Kelvin sign", MatchRoute{Headers: map[string][]string{"X-Kind": {"k"}}}, "GET http://h/", header("X-Kind", "\u212a"), false},
		{"both headers", MatchRoute{Headers: map[string][]string{"A": {"1"}, "B": {"2"}}}, "GET http://h/", header("A", "1"), false},

		{"SNI", MatchRoute{SNIs: []string{"a.example."}}, "GET https://a.example/", nil, true},
		{"other SNI", MatchRoute{SNIs: []string{"a.example"}}, "GET https://b.example/", nil, false},
		{"SNI without TLS", MatchRoute{SNIs: []string{"a.example"}}, "GET http://b.example/", nil, true},

		{"https", MatchRoute{Protocols: []string{"https"}}, "GET https://h/", nil, true},
		{"not https", MatchRoute{Protocols: []string{"https"}}, "GET http://h/", nil, false},
		{"proxy that is not trusted", MatchRoute{Protocols: []string{"https"}}, "GET http://h/", header("X-Forwarded-Proto", "https"), false},
		{"no conditions", MatchRoute{}, "GET http://h/x", nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			provision(t, &test.route)
			method, target, _ := strings.Cut(test.request, " ")
			r := newRequest(method, target)
			maps.Copy(r.Header, test.header)
			got, err := test.route.MatchWithError(r)
			if got != test.want || err != nil {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestPlaceholders(t *testing.T) {
	m := &MatchRoute{ID: "4711", Name: "pets", Paths: []string{`~/(?<kind>cats|dogs)/(\d+)`}}
	provision(t, m)
	r := newRequest("GET", "http://h/cats/12/x")
	if ok, err := m.MatchWithError(r); !ok || err != nil {
		t.Fatal(ok, err)
	}
	replacer := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	got := replacer.ReplaceAll("{gluu.route.id} {gluu.route.name} {gluu.route.capture.kind} {gluu.route.capture.2} [{gluu.route.capture.9}] {gluu.route.prefix}", "?")
	if want := "4711 pets cats 12 [?] /cats/12"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestASlowExpressionIsRefused(t *testing.T) {
	x, err := newIndex([]*MatchRoute{{Name: "slow", Paths: []string{`~/(?!x)(a+)+$`}}, {Paths: []string{"/"}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = x.lookup(newRequest("GET", "http://h/"+strings.Repeat("a", 40)+"!"))
	failed, ok := err.(caddyhttp.HandlerError)
	if !ok || failed.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("got %v, want 503 and not the next route", err)
	}
	if found, err := x.lookup(newRequest("GET", "http://h/x")); err != nil || found.rule == nil || found.rule.route != 1 {
		t.Errorf("got %+v, %v, want the second route", found, err)
	}
}

func TestRefusedRoutes(t *testing.T) {
	for _, test := range []struct {
		route MatchRoute
		want  string
	}{
		{MatchRoute{Hosts: []string{"a.*.com"}}, "one '*' at an end"},
		{MatchRoute{Hosts: []string{"*.a.*"}}, "one '*' at an end"},
		{MatchRoute{Hosts: []string{"*a.com"}}, "one '*' at an end"},
		{MatchRoute{Hosts: []string{"*"}}, "one '*' at an end"},
		{MatchRoute{Hosts: []string{"a.com:x"}}, "no valid port"},
		{MatchRoute{Hosts: []string{"a.com/x"}}, "is not a host name"},
		{MatchRoute{Paths: []string{"a"}}, `write "/a"`},
		{MatchRoute{Paths: []string{""}}, `write "/"`},
		{MatchRoute{Paths: []string{`/status/\d+`}}, `write "~/status/\\d+"`},
		{MatchRoute{Paths: []string{"/a//b"}}, `write "/a/b"`},
		{MatchRoute{Paths: []string{"/a%2fb"}}, `write "/a%2Fb"`},
		{MatchRoute{Paths: []string{"/%61"}}, `write "/a"`},
		{MatchRoute{Paths: []string{"/100%"}}, "write %25"},
		{MatchRoute{Paths: []string{"~/(a"}}, "is not a valid regular expression"},
		{MatchRoute{Methods: []string{"get"}}, "in capitals"},
		{MatchRoute{Headers: map[string][]string{"Host": {"a"}}}, "write hosts"},
		{MatchRoute{Headers: map[string][]string{"X": nil}}, "has no value"},
		{MatchRoute{Headers: map[string][]string{"X": {"~*("}}}, "is not a regular expression"},
		{MatchRoute{Protocols: []string{"tcp"}}, `there is no "tcp"`},
		{MatchRoute{HTTPSRedirectStatusCode: 200}, "not 200"},
		{MatchRoute{RegexPriority: -1}, "cannot be negative"},
	} {
		t.Run(test.want, func(t *testing.T) {
			_, err := newIndex([]*MatchRoute{&test.route})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestCaddyfile(t *testing.T) {
	var m MatchRoute
	source := "gluu_route {\n name todos\n hosts *.example.com h\n paths /todos ~/v\\d+\n methods GET POST\n headers X-Version v1 ~*v2\n snis s\n protocols https\n}"
	if err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser(source)); err != nil {
		t.Fatal(err)
	}
	if m.Name != "todos" || len(m.Hosts) != 2 || len(m.Paths) != 2 || len(m.Methods) != 2 || len(m.Headers["X-Version"]) != 2 || len(m.SNIs) != 1 || len(m.Protocols) != 1 {
		t.Errorf("got %+v", m)
	}
	var u UpstreamPath
	if err := u.UnmarshalCaddyfile(caddyfile.NewTestDispenser("gluu_upstream_path {\n strip_path true\n base /api\n path_handling v1\n}")); err != nil {
		t.Fatal(err)
	}
	if u != (UpstreamPath{StripPath: true, Base: "/api", PathHandling: "v1"}) {
		t.Errorf("got %+v", u)
	}
}

func TestRefusedCaddyfile(t *testing.T) {
	for _, test := range []struct{ source, want string }{
		{"gluu_route /a", "write 'paths /a' into the block, at Testfile:1"},
		{"gluu_route {\n}", "gluu_route has no condition"},
		{"gluu_route {\n path /a\n}", `there is no "path" in gluu_route`},
		{"gluu_route {\n paths a\n}", "at Testfile:2"},
		{"gluu_route {\n name a\n name b\n}", "Testfile:3"},
		{"gluu_route {\n headers X\n}", "headers takes a name and values"},
		{"gluu_upstream_path /a", "write 'base /a' into the block"},
		{"gluu_upstream_path {\n}", "changes nothing"},
		{"gluu_upstream_path {\n base a\n}", `write "/a"`},
		{"gluu_upstream_path {\n base /a//b\n}", `write "/a/b"`},
		{"gluu_upstream_path {\n path_handling v2\n}", `not "v2"`},
		{"gluu_upstream_path {\n strip_path yes\n}", "Testfile:2"},
		{"gluu_upstream_path {\n strip true\n}", `there is no "strip"`},
	} {
		t.Run(test.source, func(t *testing.T) {
			d := caddyfile.NewTestDispenser(test.source)
			var err error
			if strings.HasPrefix(test.source, "gluu_route") {
				err = new(MatchRoute).UnmarshalCaddyfile(d)
			} else {
				err = new(UpstreamPath).UnmarshalCaddyfile(d)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestProtocols(t *testing.T) {
	for _, test := range []struct {
		name     string
		route    MatchRoute
		tls      bool
		major    int
		grpc     bool
		status   int
		location string
	}{
		{"any", MatchRoute{}, false, 1, false, 0, ""},
		{"both", MatchRoute{Protocols: []string{"http", "https"}}, false, 1, false, 0, ""},
		{"https alone", MatchRoute{Protocols: []string{"https"}}, false, 1, false, 426, ""},
		{"https alone over TLS", MatchRoute{Protocols: []string{"https"}}, true, 1, false, 0, ""},
		{"redirect", MatchRoute{Protocols: []string{"https"}, HTTPSRedirectStatusCode: 308}, false, 1, false, 308, "https://h/x?y=z"},
		{"http alone over TLS", MatchRoute{Protocols: []string{"http"}}, true, 1, false, 0, ""},
		{"grpc over HTTP/1.1", MatchRoute{Protocols: []string{"grpc"}}, false, 1, true, 426, ""},
		{"grpc", MatchRoute{Protocols: []string{"grpc"}}, false, 2, true, 0, ""},
		{"grpc with JSON", MatchRoute{Protocols: []string{"grpc"}}, false, 2, false, 415, ""},
		{"grpcs without TLS", MatchRoute{Protocols: []string{"grpcs"}}, false, 2, true, 426, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRequest("GET", "http://h:8000/x?y=z")
			r.ProtoMajor = test.major
			if test.tls {
				r.TLS = new(tls.ConnectionState)
			}
			if test.grpc {
				r.Header.Set("Content-Type", "application/grpc+proto")
			}
			w := httptest.NewRecorder()
			answered := answerProtocol(w, r, &test.route)
			if answered != (test.status != 0) || answered && w.Code != test.status || w.Header().Get("Location") != test.location {
				t.Errorf("got %v %d %q, want %d %q", answered, w.Code, w.Header().Get("Location"), test.status, test.location)
			}
		})
	}
}
