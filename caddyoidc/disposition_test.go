// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"net/http/httptest"
	"strings"
	"testing"
)

const ownOrigin = "https://app.example.com"

// request makes a request from a line and header lines.
func request(line string, headers ...string) (method, target string, fields map[string]string) {
	method, target, _ = strings.Cut(line, " ")
	fields = make(map[string]string)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		fields[name] = value
	}
	return method, target, fields
}

func TestSec_S114_S117_S118_S192_WhoIsSentToLogIn(t *testing.T) {
	const (
		navigate   = "Sec-Fetch-Mode: navigate"
		document   = "Sec-Fetch-Dest: document"
		html       = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"
		sameOrigin = "Sec-Fetch-Site: same-origin"
	)
	tests := []struct {
		name    string
		line    string
		headers []string
		// by `unauthenticated`: auto, auto with restore, login
		auto, restore, login disposition
	}{
		{"navigation", "GET /a", []string{navigate, document}, redirect, redirect, redirect},
		{"navigation that accepts anything", "GET /a", []string{navigate, document, "Accept: application/json"}, redirect, redirect, redirect},
		{"navigation from another site", "GET /a", []string{navigate, document, "Sec-Fetch-Site: cross-site"}, redirect, redirect, redirect},
		{"old browser", "GET /a", []string{html}, redirect, redirect, redirect},
		{"curl", "GET /a", []string{"Accept: */*"}, redirect, redirect, redirect},
		{"no Accept", "GET /a", nil, redirect, redirect, redirect},
		{"xhtml", "GET /a", []string{"Accept: application/xhtml+xml"}, redirect, redirect, redirect},
		{"API client", "GET /a", []string{"Accept: application/json"}, challenge, challenge, redirect},
		{"html refused by weight", "GET /a", []string{"Accept: application/json, text/html;q=0"}, challenge, challenge, redirect},
		{"empty Accept", "GET /a", []string{"Accept: "}, challenge, challenge, redirect},
		{"XHR", "GET /a", []string{html, "X-Requested-With: XMLHttpRequest"}, challenge, challenge, redirect},
		{"XHR in another case", "GET /a", []string{html, "X-Requested-With: xmlhttprequest"}, challenge, challenge, redirect},
		{"fetch", "GET /a", []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Accept: */*"}, challenge, challenge, redirect},
		{"image", "GET /a", []string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image", "Accept: */*"}, challenge, challenge, redirect},
		{"frame", "GET /a", []string{navigate, "Sec-Fetch-Dest: iframe", html}, challenge, challenge, redirect},
		{"half of the fetch metadata", "GET /a", []string{navigate, html}, challenge, challenge, redirect},
		{"websocket", "GET /a", []string{"Upgrade: websocket", "Connection: Upgrade"}, challenge, challenge, challenge},
		{"websocket over HTTP/2", "CONNECT /a", nil, challenge, challenge, challenge},
		{"websocket by its metadata", "GET /a", []string{"Sec-Fetch-Mode: websocket"}, challenge, challenge, challenge},
		{"prefetch", "GET /a", []string{navigate, document, "Sec-Purpose: prefetch"}, challenge, challenge, challenge},
		{"prerender", "GET /a", []string{navigate, document, "Sec-Purpose: prefetch;prerender"}, challenge, challenge, challenge},
		{"prefetch of old browsers", "GET /a", []string{html, "Purpose: prefetch"}, challenge, challenge, challenge},
		{"prefetch of Firefox", "GET /a", []string{html, "X-Moz: prefetch"}, challenge, challenge, challenge},
		{"favicon", "GET /favicon.ico", []string{"Accept: */*"}, challenge, challenge, redirect},
		{"robots", "GET /robots.txt", nil, challenge, challenge, redirect},
		{"touch icon", "GET /apple-touch-icon-120x120-precomposed.png", nil, challenge, challenge, redirect},
		{"page about robots", "GET /docs/robots.txt", nil, redirect, redirect, redirect},
		{"HEAD", "HEAD /a", []string{html}, challenge, challenge, challenge},
		{"OPTIONS", "OPTIONS /a", []string{html}, challenge, challenge, challenge},
		{"unknown method", "PROPFIND /a", []string{html}, challenge, challenge, challenge},
		{"form", "POST /a", []string{navigate, document, sameOrigin}, loseBody, keepBody, loseBody},
		{"form typed or bookmarked", "POST /a", []string{navigate, document, "Sec-Fetch-Site: none"}, loseBody, keepBody, loseBody},
		{"form of a sibling", "POST /a", []string{navigate, document, "Sec-Fetch-Site: same-site"}, challenge, challenge, challenge},
		{"form of another site", "POST /a", []string{navigate, document, "Sec-Fetch-Site: cross-site"}, challenge, challenge, challenge},
		{"fetch with a body", "POST /a", []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", sameOrigin, "Accept: */*"}, challenge, challenge, loseBody},
		{"form of an old browser", "POST /a", []string{html, "Origin: " + ownOrigin}, loseBody, keepBody, loseBody},
		{"form of an old browser without Origin", "POST /a", []string{html}, loseBody, keepBody, loseBody},
		{"form of another site by Origin", "POST /a", []string{html, "Origin: https://evil.example"}, challenge, challenge, challenge},
		{"form from an opaque origin", "POST /a", []string{html, "Origin: null"}, challenge, challenge, challenge},
		{"POST of an API client", "POST /a", []string{"Accept: application/json"}, challenge, challenge, loseBody},
		{"POST without Accept", "POST /a", nil, challenge, challenge, loseBody},
		{"PUT by navigation", "PUT /a", []string{html}, loseBody, keepBody, loseBody},
		{"DELETE by navigation", "DELETE /a", []string{html}, loseBody, keepBody, loseBody},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			method, target, fields := request(test.line, test.headers...)
			r := httptest.NewRequest(method, target, nil)
			for name, value := range fields {
				r.Header.Set(name, value)
			}
			for _, c := range []struct {
				mode    unauthenticated
				restore bool
				want    disposition
			}{
				{unauthenticatedAuto, false, test.auto},
				{unauthenticatedAuto, true, test.restore},
				{unauthenticatedLogin, false, test.login},
				{unauthenticatedDeny, true, challenge},
			} {
				if got := c.mode.dispose(r, ownOrigin, c.restore); got != c.want {
					t.Errorf("%s, restore %t: got %d, want %d", c.mode, c.restore, got, c.want)
				}
			}
		})
	}
}

// A 401 has a challenge (RFC 9110, section 15.5.2) whatever its form; what a
// browser asks for by itself, no person reads.
func TestARefusalHasAChallengeAndTheFormOfItsReader(t *testing.T) {
	w := newWorld(t, 1, nil)
	g := w.gateways[0]
	for name, test := range map[string]struct {
		method, target string
		change         map[string]string
		page           bool
	}{
		"form of another site": {"POST", "/", map[string]string{"Sec-Fetch-Site": "cross-site"}, true},
		"prefetch":             {"GET", "/", map[string]string{"Sec-Purpose": "prefetch"}, false},
		"prerender":            {"GET", "/", map[string]string{"Sec-Purpose": "prefetch;prerender"}, false},
		"XHR":                  {"GET", "/", map[string]string{"X-Requested-With": "XMLHttpRequest"}, false},
		"frame":                {"GET", "/", map[string]string{"Sec-Fetch-Dest": "iframe"}, false},
		"icon":                 {"POST", "/favicon.ico", map[string]string{"Sec-Fetch-Site": "cross-site"}, false},
		"HEAD":                 {"HEAD", "/", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			header := navigation.Clone()
			for field, value := range test.change {
				header.Set(field, value)
			}
			got := w.newPerson().once(test.method, g.URL+test.target, header, "")
			if got.StatusCode != 401 || got.Header.Get("WWW-Authenticate") != `Bearer realm="api"` || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %v", got.StatusCode, got.Header)
			}
			if page := strings.HasPrefix(got.Header.Get("Content-Type"), "text/html"); page != test.page {
				t.Errorf("got %s %s", got.Header.Get("Content-Type"), got.body)
			}
			if len(got.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("got cookies %v", got.Header.Values("Set-Cookie"))
			}
		})
	}
}
