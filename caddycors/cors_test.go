// SPDX-License-Identifier: Apache-2.0

package caddycors

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// load sets up a handler from a Caddyfile segment.
func load(source string) (*CORS, error) {
	c := new(CORS)
	if err := c.UnmarshalCaddyfile(caddyfile.NewTestDispenser(source)); err != nil {
		return nil, err
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	return c, c.Provision(ctx)
}

func mustLoad(t *testing.T, source string) *CORS {
	t.Helper()
	c, err := load(source)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve sends a request through the handler. The upstream adds its headers to
// those that are there, as reverse_proxy does.
func serve(t *testing.T, c *CORS, method string, request, upstream http.Header) (*http.Response, bool) {
	t.Helper()
	r := httptest.NewRequest(method, "/", nil)
	maps.Copy(r.Header, request)
	w := httptest.NewRecorder()
	reached := false
	err := c.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		reached = true
		for name, values := range upstream {
			for _, value := range values {
				w.Header().Add(name, value)
			}
		}
		w.WriteHeader(http.StatusOK)
		_, err := io.WriteString(w, "body")
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), reached
}

// about returns the headers of a response that are about CORS.
func about(res *http.Response) map[string]string {
	got := make(map[string]string)
	for name, values := range res.Header {
		if after, ok := strings.CutPrefix(name, prefix); ok {
			got[after] = strings.Join(values, " | ")
		}
	}
	return got
}

func preflight(origin, method, headers string) http.Header {
	h := http.Header{"Origin": {origin}, requestMethod: {method}}
	if headers != "" {
		h[requestHeaders] = []string{headers}
	}
	return h
}

func TestPreflights(t *testing.T) {
	const named = `gluu_cors {
		origins https://app.example.com https://[a-z]+\.example\.org
		methods GET PUT
		headers Authorization Content-Type
		max_age 1h
	}`
	for _, c := range []struct {
		what, config string
		request      http.Header
		want         map[string]string
	}{
		{"all, by default", `gluu_cors`, preflight("https://any.example", "DELETE", "x-a,x-b"),
			map[string]string{"Allow-Origin": "*", "Allow-Methods": "DELETE", "Allow-Headers": "x-a,x-b"}},
		{"a named origin", named, preflight("https://app.example.com", "PUT", "authorization"),
			map[string]string{"Allow-Origin": "https://app.example.com", "Allow-Methods": "PUT", "Allow-Headers": "authorization", "Max-Age": "3600"}},
		{"an origin by expression", named, preflight("https://shop.example.org", "GET", ""),
			map[string]string{"Allow-Origin": "https://shop.example.org", "Allow-Methods": "GET", "Max-Age": "3600"}},
		{"headers as a person writes them", named, preflight("https://app.example.com", "PUT", "Content-Type, Authorization"),
			map[string]string{"Allow-Origin": "https://app.example.com", "Allow-Methods": "PUT", "Allow-Headers": "authorization,content-type", "Max-Age": "3600"}},
		{"another origin", named, preflight("https://evil.example", "GET", ""), nil},
		{"another method", named, preflight("https://app.example.com", "DELETE", ""), nil},
		{"another header", named, preflight("https://app.example.com", "PUT", "x-evil"), nil},
		{"credentials", `gluu_cors {
			origins https://app.example.com
			credentials true
		}`, preflight("https://app.example.com", "GET", ""),
			map[string]string{"Allow-Origin": "https://app.example.com", "Allow-Methods": "GET", "Allow-Credentials": "true"}},
		{"max_age 0 is said", `gluu_cors {
			max_age 0
		}`, preflight("https://a.example", "GET", ""), map[string]string{"Allow-Origin": "*", "Allow-Methods": "GET", "Max-Age": "0"}},
		{"private network", `gluu_cors {
			private_network true
		}`, http.Header{"Origin": {"https://a.example"}, requestMethod: {"GET"}, "Access-Control-Request-Private-Network": {"true"}},
			map[string]string{"Allow-Origin": "*", "Allow-Methods": "GET", "Allow-Private-Network": "true"}},
		{"private network, not allowed", `gluu_cors`, http.Header{"Origin": {"https://a.example"}, requestMethod: {"GET"}, "Access-Control-Request-Private-Network": {"true"}},
			map[string]string{"Allow-Origin": "*", "Allow-Methods": "GET"}},
	} {
		res, reached := serve(t, mustLoad(t, c.config), http.MethodOptions, c.request, nil)
		if reached || res.StatusCode != http.StatusNoContent {
			t.Errorf("%s: status %d, passed on: %v", c.what, res.StatusCode, reached)
		}
		if got := about(res); !maps.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.what, got, c.want)
		}
		if vary := strings.Join(res.Header["Vary"], ", "); !strings.Contains(vary, "Origin") || !strings.Contains(vary, requestMethod) {
			t.Errorf("%s: Vary %q", c.what, vary)
		}
	}
}

func TestOptionsThatAreNoPreflightArePassedOn(t *testing.T) {
	c := mustLoad(t, `gluu_cors`)
	for _, h := range []http.Header{
		{},
		{"Origin": {"https://a.example"}},
		{requestMethod: {"GET"}}, // without an origin
	} {
		if _, reached := serve(t, c, http.MethodOptions, h, nil); !reached {
			t.Errorf("%v is answered", h)
		}
	}
	c = mustLoad(t, "gluu_cors {\n preflight_continue true\n}")
	res, reached := serve(t, c, http.MethodOptions, preflight("https://a.example", "GET", ""), http.Header{"Access-Control-Allow-Origin": {"https://a.example"}})
	if got := about(res); !reached || got["Allow-Origin"] != "https://a.example" {
		t.Errorf("preflight_continue: passed on %v, got %q", reached, got)
	}
}

// Whatever the upstream says about CORS, the gateway has said it already, once.
func TestActualRequests(t *testing.T) {
	const named = `gluu_cors {
		origins https://app.example.com
		exposed_headers X-Total x-page
		credentials true
	}`
	loud := http.Header{
		"Access-Control-Allow-Origin": {"*"}, "Access-Control-Allow-Credentials": {"true"}, "Access-Control-Expose-Headers": {"X-Upstream"},
		"Access-Control-Allow-Methods": {"PATCH"}, "Access-Control-Whatever": {"1"}, "Vary": {"Accept-Encoding, origin"}, "X-Other": {"1"},
	}
	for _, c := range []struct {
		what, config, origin string
		upstream             http.Header
		want                 map[string]string
		vary                 string
	}{
		{"allowed", named, "https://app.example.com", nil,
			map[string]string{"Allow-Origin": "https://app.example.com", "Allow-Credentials": "true", "Expose-Headers": "X-Total, X-Page"}, "Origin"},
		{"allowed, upstream says otherwise", named, "https://app.example.com", loud,
			map[string]string{"Allow-Origin": "https://app.example.com", "Allow-Credentials": "true", "Expose-Headers": "X-Total, X-Page"}, "Origin, Accept-Encoding"},
		{"not allowed, upstream says otherwise", named, "https://evil.example", loud, nil, "Origin, Accept-Encoding"},
		{"a suffix of the origin", named, "https://app.example.com.evil.example", nil, nil, "Origin"},
		{"null", named, "null", loud, nil, "Origin, Accept-Encoding"},
		{"all; what to expose is the upstream's to say", `gluu_cors`, "https://any.example", loud,
			map[string]string{"Allow-Origin": "*", "Expose-Headers": "X-Upstream"}, "Origin, Accept-Encoding"},
	} {
		res, reached := serve(t, mustLoad(t, c.config), http.MethodGet, http.Header{"Origin": {c.origin}}, c.upstream)
		if !reached {
			t.Errorf("%s: not passed on", c.what)
		}
		if got := about(res); !maps.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.what, got, c.want)
		}
		if got := strings.Join(res.Header["Vary"], ", "); got != c.vary {
			t.Errorf("%s: Vary %q, want %q", c.what, got, c.vary)
		}
		if c.upstream != nil && res.Header.Get("X-Other") != "1" {
			t.Errorf("%s: other headers are gone", c.what)
		}
	}
}

func TestARequestWithoutAnOriginIsNotTouched(t *testing.T) {
	upstream := http.Header{"X-Other": {"1"}}
	res, reached := serve(t, mustLoad(t, `gluu_cors`), http.MethodGet, nil, upstream)
	if !reached || len(about(res)) > 0 || res.Header.Get("Vary") != "Origin" {
		t.Errorf("got %v", res.Header)
	}
}

func TestTwoOriginsAreNone(t *testing.T) {
	c := mustLoad(t, "gluu_cors {\n origins https://app.example.com\n}")
	res, _ := serve(t, c, http.MethodGet, http.Header{"Origin": {"https://app.example.com", "https://evil.example"}}, nil)
	if got := about(res); len(got) > 0 {
		t.Errorf("got %q", got)
	}
}

// The page must be able to read why it was refused.
func TestErrorsCarryTheHeaders(t *testing.T) {
	c := mustLoad(t, "gluu_cors {\n origins https://app.example.com\n}")
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Origin", "https://app.example.com")
	w := httptest.NewRecorder()
	failed := errors.New("for handle_errors")
	err := c.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Add("Access-Control-Allow-Origin", "*")
		return failed
	}))
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	w.WriteHeader(http.StatusUnauthorized) // as the error routes do
	if got := w.Result().Header["Access-Control-Allow-Origin"]; !slices.Equal(got, []string{"https://app.example.com"}) {
		t.Errorf("got %q", got)
	}
}

func TestInformationalResponsesComeBeforeTheDecision(t *testing.T) {
	c := mustLoad(t, "gluu_cors {\n origins https://app.example.com\n}")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = c.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Add("Access-Control-Allow-Origin", "*")
			_, err := io.Copy(w, strings.NewReader("body")) // no WriteHeader; ReadFrom
			return err
		}))
	}))
	defer server.Close()
	req, _ := http.NewRequest(http.MethodGet, server.URL, nil)
	req.Header.Set("Origin", "https://app.example.com")
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header["Access-Control-Allow-Origin"]; !slices.Equal(got, []string{"https://app.example.com"}) {
		t.Errorf("got %q", got)
	}
}
