// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// sharedCache is a cache of responses that does what RFC 9111 allows a shared
// cache to do, and nothing beyond.
type sharedCache struct {
	*httptest.Server
	backend string

	mu     sync.Mutex
	stored map[string][]storedAnswer
	hits   int
}

type storedAnswer struct {
	request http.Header
	status  int
	header  http.Header
	body    []byte
}

func newSharedCache(t *testing.T, backend string) *sharedCache {
	c := &sharedCache{backend: backend, stored: map[string][]storedAnswer{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *sharedCache) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := r.Method + " " + r.URL.RequestURI()
	i := slices.IndexFunc(c.stored[key], func(s storedAnswer) bool { return s.selectedBy(r.Header) })
	var answer storedAnswer
	if i >= 0 {
		c.hits++
		answer = c.stored[key][i]
	} else {
		var err error
		if answer, err = c.forward(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		if answer.storable() {
			c.stored[key] = append(c.stored[key], answer)
		}
	}
	maps.Copy(w.Header(), answer.header)
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body)
}

func (c *sharedCache) forward(r *http.Request) (storedAnswer, error) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, c.backend+r.URL.RequestURI(), nil)
	if err != nil {
		return storedAnswer{}, err
	}
	req.Header = r.Header.Clone()
	// A connection kept alive could be one to a configuration before.
	req.Close = true
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return storedAnswer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return storedAnswer{req.Header, resp.StatusCode, resp.Header, body}, err
}

// selectedBy is RFC 9111, section 4.1.
func (s storedAnswer) selectedBy(request http.Header) bool {
	for _, name := range list(s.header["Vary"]) {
		if name == "*" || !slices.Equal(s.request.Values(name), request.Values(name)) {
			return false
		}
	}
	return true
}

// storable is RFC 9111, sections 3 and 3.5, with the statuses that RFC 9110,
// section 15.1 allows to store without being told so.
func (s storedAnswer) storable() bool {
	directives := list(s.header["Cache-Control"])
	has := func(name string) bool {
		return slices.ContainsFunc(directives, func(d string) bool { return d == name || strings.HasPrefix(d, name+"=") })
	}
	if has("no-store") || has("private") {
		return false
	}
	if s.request.Get("Authorization") != "" && !has("public") && !has("s-maxage") && !has("must-revalidate") {
		return false
	}
	return has("max-age") || has("s-maxage") || slices.Contains([]int{200, 404, 405, 410, 414, 501}, s.status)
}

func list(lines []string) (values []string) {
	for value := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		if value = strings.ToLower(strings.TrimSpace(value)); value != "" {
			values = append(values, value)
		}
	}
	return values
}

// pages is an upstream with a page for each user, that says of it what caches
// are told.
func newPages(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Header.Get("X-Authenticated-Userid")
		if r.Header.Get("X-Anonymous-Consumer") != "" {
			name = "the public"
		}
		w.Header().Set("Cache-Control", r.URL.Query().Get("control"))
		if vary := r.URL.Query().Get("vary"); vary != "" {
			w.Header().Set("Vary", vary)
		}
		_, _ = io.WriteString(w, "the page of "+name)
	}))
	t.Cleanup(s.Close)
	return s
}

func ask(t *testing.T, address, token string) (status int, header http.Header, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	// A connection kept alive could be one to a configuration before.
	req.Close = true
	resp, err := http.DefaultTransport.RoundTrip(req)
	for range 10 {
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
			break
		}
		// As in gateway.send: the socket of the configuration before.
		resp, err = http.DefaultTransport.RoundTrip(req)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(content)
}

const (
	cachedRules  = "gluu_oauth_pep {\npath /page {\nGET scope read\n}\ndeny_by_default false\n}\n"
	explicitly   = "/open?control=public,+max-age=60"
	silently     = "/open?control=max-age=60"
	forEachByKey = "/page?control=max-age=60&vary=X-Authenticated-Userid"
)

// S-57: a shared cache before the gateway, or behind it, shows no user the page
// of another.
func TestSec_S57_CachesDoNotMixCallersUp(t *testing.T) {
	pages := newPages(t)
	proxy := "reverse_proxy " + strings.TrimPrefix(pages.URL, "http://") + "\n"
	g := start(t, simpleApp, "")
	for _, user := range []string{"one", "two"} {
		g.auth.issue(user, claims("client-a", "read", "sub", user))
	}
	g.auth.issue("narrow", claims("client-a", "other"))
	// Each asks twice, so that the second time is from the cache if at all.
	everybody := func(what, address string, anonymous int, targets ...string) {
		t.Helper()
		for _, target := range targets {
			for _, user := range []string{"", "one", "two", "", "two", "one"} {
				status, _, body := ask(t, address+target, user)
				wantStatus, want := 200, "the page of "+user
				if user == "" {
					wantStatus, want = anonymous, "the page of the public"
				}
				if status != wantStatus || status == 200 && body != want {
					t.Errorf("%s, %s: '%s' got %d %s, want %d %s", what, target, user, status, body, wantStatus, want)
				}
			}
		}
	}

	g.load(simpleApp, "gluu_oauth_auth\n"+cachedRules+proxy)
	before := newSharedCache(t, "http://"+g.address)
	everybody("before", before.URL, 401, silently, "/page?control=max-age=60")
	if before.hits > 0 {
		t.Errorf("before: %d answers to authenticated callers came from the cache", before.hits)
	}

	// With an anonymous consumer there are answers to requests without
	// Authorization, which caches may store and show to everybody.
	g.load(simpleApp, "gluu_oauth_auth {\nanonymous guest\n}\n"+cachedRules+proxy)
	before = newSharedCache(t, "http://"+g.address)
	everybody("before, with anonymous", before.URL, 200, silently, explicitly)
	if before.hits == 0 {
		t.Error("before, with anonymous: nothing came from the cache")
	}
	everybody("before, with anonymous", before.URL, 401, "/page?control=max-age=60")

	for _, credentials := range []string{"pass", "phantom_token", "hide"} {
		behind := newSharedCache(t, pages.URL)
		g.load(simpleApp, "gluu_oauth_auth {\npass_credentials "+credentials+"\n}\n"+cachedRules+
			"reverse_proxy "+strings.TrimPrefix(behind.URL, "http://")+"\n")
		targets := []string{forEachByKey}
		if credentials != "hide" {
			// Where the cache sees no Authorization, it has to be told.
			targets = append(targets, silently)
		}
		everybody("behind, "+credentials, "http://"+g.address, 401, targets...)
		if credentials == "hide" && behind.hits == 0 {
			t.Error("behind, hide: nothing came from the cache")
		}
		// What is in the cache is for those alone who may have it.
		if status, _, _ := ask(t, "http://"+g.address+forEachByKey, "narrow"); status != 403 {
			t.Errorf("behind, %s: without the scope got %d, want 403", credentials, status)
		}
	}
}

// What an upstream says about caching is handed on; a refusal is never kept.
func TestSec_S57_WhatCachesAreTold(t *testing.T) {
	pages := newPages(t)
	proxy := "reverse_proxy " + strings.TrimPrefix(pages.URL, "http://") + "\n"
	g := start(t, simpleApp, "")
	g.auth.issue("one", claims("client-a", "read", "sub", "one"))
	g.auth.issue("narrow", claims("client-a", "other"))
	for _, format := range []string{"json", "caddy"} {
		g.load(simpleApp+"error_format "+format+"\n", "gluu_oauth_auth\n"+strings.Replace(cachedRules, "deny_by_default false", "", 1)+proxy)
		for _, c := range []struct {
			target, token string
			want          int
		}{
			{"/page", "", 401}, {"/page", "bad", 401}, {"/page", "a b", 400}, {"/page", "narrow", 403}, {"/none", "one", 403},
			{"/page%2f", "one", 400}, {"/" + strings.Repeat("x", 17<<10), "one", 414},
		} {
			status, header, _ := ask(t, "http://"+g.address+c.target, c.token)
			if status != c.want || header.Get("Cache-Control") != "no-store" {
				t.Errorf("error_format %s, %.20s with '%s': got %d, Cache-Control %q, want %d and no-store", format, c.target, c.token, status, header["Cache-Control"], c.want)
			}
		}
		g.auth.setDown(true)
		if status, header, _ := ask(t, "http://"+g.address+"/page", "new-"+format); status != 503 || header.Get("Cache-Control") != "no-store" {
			t.Errorf("error_format %s, provider unavailable: got %d, Cache-Control %q", format, status, header["Cache-Control"])
		}
		g.auth.setDown(false)

		for _, control := range []string{"private", "public, max-age=60", "max-age=5, must-revalidate"} {
			_, header, _ := ask(t, "http://"+g.address+"/page?vary=Accept&control="+strings.ReplaceAll(control, " ", "+"), "one")
			if !slices.Equal(header["Cache-Control"], []string{control}) || !slices.Equal(header["Vary"], []string{"Accept"}) {
				t.Errorf("the upstream said %q and Accept, the client got %q and %q", control, header["Cache-Control"], header["Vary"])
			}
		}
	}
}
