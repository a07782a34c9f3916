// SPDX-License-Identifier: Apache-2.0

package caddyratelimit

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/identity"
)

// newHandler provisions a handler from a Caddyfile.
func newHandler(t testing.TB, options string) *RateLimit {
	t.Helper()
	h := new(RateLimit)
	if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("gluu_rate_limit {\n" + options + "\n}")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Cleanup() })
	return h
}

// from is a request of an address.
func from(ip, target string) *http.Request {
	r := httptest.NewRequest("GET", target, nil)
	return r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: ip}))
}

func ask(t testing.TB, h *RateLimit, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(200); return nil })
	if err := h.ServeHTTP(w, r, next); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAnswer(t *testing.T) {
	h := newHandler(t, "year 2\n zone "+t.Name())
	first := ask(t, h, from("10.0.0.1", "/"))
	for name, want := range map[string]string{
		"X-RateLimit-Limit-Year": `^2$`, "X-RateLimit-Remaining-Year": `^1$`, "RateLimit-Limit": `^2$`, "RateLimit-Remaining": `^1$`,
		"RateLimit-Policy": `^"year";q=2;w=31536000$`, "RateLimit": `^"year";r=1;t=\d+$`, "RateLimit-Reset": `^\d+$`, "Retry-After": `^$`,
	} {
		if got := first.Header().Get(name); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: got %q, want %s", name, got, want)
		}
	}
	ask(t, h, from("10.0.0.1", "/"))
	refused := ask(t, h, from("10.0.0.1", "/"))
	if got, want := refused.Body.String(), `{"message":"API rate limit exceeded","error":"rate_limited"}`; refused.Code != 429 || got != want || refused.Header().Get("Retry-After") == "" || refused.Header().Get("X-RateLimit-Remaining-Year") != "0" {
		t.Errorf("got %d %s %v", refused.Code, got, refused.Header())
	}
	if got := ask(t, h, from("10.0.0.2", "/")).Code; got != 200 {
		t.Errorf("another address: got %d", got)
	}
}

func TestOptions(t *testing.T) {
	h := newHandler(t, "year 1\n zone "+t.Name()+"\n error_code 503\n error_message \"a \\\"b\\\"\"\n hide_client_headers true")
	ask(t, h, from("10.0.0.1", "/"))
	w := ask(t, h, from("10.0.0.1", "/"))
	if w.Code != 503 || w.Body.String() != `{"message":"a \"b\"","error":"rate_limited"}` || w.Header().Get("RateLimit") != "" || w.Header().Get("Retry-After") != "" {
		t.Errorf("got %d %s %v", w.Code, w.Body, w.Header())
	}
	dry := newHandler(t, "year 1\n zone "+t.Name()+"dry\n dry_run true")
	ask(t, dry, from("10.0.0.1", "/"))
	if w := ask(t, dry, from("10.0.0.1", "/")); w.Code != 200 || w.Header().Get("X-RateLimit-Remaining-Year") != "0" {
		t.Errorf("dry run: got %d %v", w.Code, w.Header())
	}
}

// Each pair of requests shares a limit of 1, or does not.
func TestLimitBy(t *testing.T) {
	with := func(r *http.Request, c, header string) *http.Request {
		if c != "" {
			identity.Attach(r, &identity.Identity{Consumer: &consumer.Consumer{ID: c}})
		}
		if header != "" {
			r.Header.Set("X-Tenant", header)
		}
		return r
	}
	for _, test := range []struct {
		name, by      string
		first, second *http.Request
		shared        bool
	}{
		{"consumer at two addresses", "consumer", with(from("10.0.0.1", "/"), "c", ""), with(from("10.0.0.2", "/"), "c", ""), true},
		{"two consumers at one address", "consumer", with(from("10.0.0.1", "/"), "c", ""), with(from("10.0.0.1", "/"), "d", ""), false},
		{"no consumer", "consumer", from("10.0.0.1", "/"), from("10.0.0.1", "/"), true},
		{"ip of a consumer", "ip", with(from("10.0.0.1", "/"), "c", ""), with(from("10.0.0.1", "/"), "d", ""), true},
		{"IPv6 of one network", "ip", from("2001:db8::1", "/"), from("2001:db8::ffff:1", "/"), true},
		{"IPv6 of two networks", "ip", from("2001:db8::1", "/"), from("2001:db8:0:1::1", "/"), false},
		{"IPv4 in IPv6", "ip", from("::ffff:10.0.0.1", "/"), from("::ffff:10.0.0.2", "/"), false},
		{"header", "header X-Tenant", with(from("10.0.0.1", "/"), "", "a"), with(from("10.0.0.2", "/"), "", "a"), true},
		{"two values", "header X-Tenant", with(from("10.0.0.1", "/"), "", "a"), with(from("10.0.0.1", "/"), "", "b"), false},
		{"no header", "header X-Tenant", from("10.0.0.1", "/"), from("10.0.0.1", "/"), true},
		{"a header that is an address", "header X-Tenant", from("10.0.0.1", "/"), with(from("10.0.0.2", "/"), "", "10.0.0.1"), false},
		{"path", "path /a", from("10.0.0.1", "/a"), from("10.0.0.2", "/a"), true},
		{"other path", "path /a", from("10.0.0.1", "/b"), from("10.0.0.2", "/b"), false},
		{"all", "all", with(from("10.0.0.1", "/"), "c", ""), from("10.0.0.2", "/b"), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHandler(t, "year 1\n limit_by "+test.by+"\n zone \""+t.Name()+"\"")
			if got := ask(t, h, test.first).Code; got != 200 {
				t.Fatalf("the first: got %d", got)
			}
			if got := ask(t, h, test.second).Code; (got == 429) != test.shared {
				t.Errorf("the second: got %d, shared is %v", got, test.shared)
			}
		})
	}
}

// A reload keeps the counters; another limit begins new ones.
func TestReload(t *testing.T) {
	old := newHandler(t, "year 1\n zone "+t.Name())
	ask(t, old, from("10.0.0.1", "/"))
	for options, want := range map[string]int{"year 1": 429, "year 2": 200} {
		if got := ask(t, newHandler(t, options+"\n zone "+t.Name()), from("10.0.0.1", "/")).Code; got != want {
			t.Errorf("%s: got %d, want %d", options, got, want)
		}
	}
}

func TestRefusedCaddyfile(t *testing.T) {
	for _, test := range []struct{ options, want string }{
		{"", "has no limit: write for example 'minute 100'"},
		{"minute 0", "Testfile:2"},
		{"minute x", "Testfile:2"},
		{"minute 1\n minute 2", "Testfile:3"},
		{"second 10\n minute 5", "minute 5 is less than second 10"},
		{"minutes 5", `there is no "minutes" in gluu_rate_limit`},
		{"minute 1\n limit_by user", `limit_by: there is no "user"`},
		{"minute 1\n limit_by header", "a second word for header and path alone"},
		{"minute 1\n limit_by ip x", "a second word for header and path alone"},
		{"minute 1\n limit_by path a", `write "/a"`},
		{"minute 1\n limit_by", "limit_by takes a word"},
		{"minute 1\n error_code 200", "error_code is a status from 400 to 599, not 200"},
		{"minute 1\n gateways 3", "gateways is about gateways that share a Redis"},
		{"minute 1\n dry_run perhaps", "Testfile:3"},
	} {
		t.Run(test.options, func(t *testing.T) {
			err := new(RateLimit).UnmarshalCaddyfile(caddyfile.NewTestDispenser("gluu_rate_limit {\n" + test.options + "\n}"))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	for _, test := range []struct {
		config RateLimit
		want   string
	}{
		{RateLimit{Minute: -1}, "minute cannot be negative"},
		{RateLimit{Minute: 1, LimitBy: "header"}, "go together"},
		{RateLimit{Minute: 1, HeaderName: "X"}, "go together"},
		{RateLimit{Minute: 1, LimitBy: "path"}, "go together"},
		{RateLimit{Minute: 1, Redis: "x", Gateways: -1}, "a number of 1 or more"},
	} {
		if err := test.config.check(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got %v, want %q", test.config, err, test.want)
		}
	}
}

func BenchmarkServeHTTP(b *testing.B) {
	h := newHandler(b, "second 1000000000\n minute 1000000000")
	r := from("10.0.0.1", "/")
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		_ = h.ServeHTTP(w, r, next)
	}
}
