// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

// disposition is what happens to a request that has no session, or not enough
// of one.
//
// A redirect to the OpenID Provider is right for a person who opens a page and
// wrong for everything else: a fetch fails with a CORS error, a socket
// reconnects for ever, and an icon that starts a login overwrites the address
// that the person wanted. Fetch metadata (Sec-Fetch-*) tells the two apart; a
// client that does not send it is judged by what it accepts.
type disposition int

const (
	challenge disposition = iota // 401, with what the client can do about it
	redirect                     // 302 to the OpenID Provider
	keepBody                     // the body is kept on the server, then 302
	loseBody                     // 302; the request comes back as a GET
)

// unauthenticated says which requests are sent to log in.
type unauthenticated string

const (
	unauthenticatedAuto  unauthenticated = "auto"
	unauthenticatedLogin unauthenticated = "login"
	unauthenticatedDeny  unauthenticated = "deny"
	unauthenticatedPass  unauthenticated = "pass"
)

// dispose decides about a request. The origin is the site's own, as in
// https://app.example.com.
func (u unauthenticated) dispose(r *http.Request, origin string, restore bool) disposition {
	if u == unauthenticatedDeny || isUpgrade(r) || isPrefetch(r.Header) {
		return challenge
	}
	switch r.Method {
	case http.MethodGet:
		if u == unauthenticatedLogin || isPage(r) {
			return redirect
		}
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		switch {
		case isCrossSite(r.Header, origin):
		case u != unauthenticatedLogin && !isSubmission(r):
		case restore:
			return keepBody
		default:
			return loseBody
		}
	}
	return challenge
}

// isPage reports whether a GET request is a person opening a page.
func isPage(r *http.Request) bool {
	if isXHR(r.Header) || isBackgroundPath(r.URL.Path) {
		return false
	}
	if hasFetchMetadata(r.Header) {
		return isNavigation(r.Header)
	}
	accept := r.Header.Values("Accept")
	return len(accept) == 0 || accepts(accept, "text/html", "application/xhtml+xml", "*/*")
}

// isSubmission reports whether a request with a body is a person submitting a
// form of this site. isCrossSite has excluded those of other sites.
func isSubmission(r *http.Request) bool {
	if isXHR(r.Header) {
		return false
	}
	if hasFetchMetadata(r.Header) {
		return isNavigation(r.Header)
	}
	return accepts(r.Header.Values("Accept"), "text/html", "application/xhtml+xml", "*/*")
}

// isNavigation reports whether fetch metadata describes the navigation of a
// tab, rather than of a frame. It requires both members: a browser that sends
// one sends the other.
func isNavigation(h http.Header) bool {
	return h.Get("Sec-Fetch-Mode") == "navigate" && h.Get("Sec-Fetch-Dest") == "document"
}

func hasFetchMetadata(h http.Header) bool {
	return h.Get("Sec-Fetch-Mode") != "" || h.Get("Sec-Fetch-Dest") != "" || h.Get("Sec-Fetch-Site") != ""
}

// isCrossSite reports whether another site made the browser send the request.
// A sibling subdomain (same-site) is another site: it may belong to others.
func isCrossSite(h http.Header, origin string) bool {
	if site := h.Get("Sec-Fetch-Site"); site != "" {
		return site != "same-origin" && site != "none"
	}
	from := h.Get("Origin")
	return from != "" && !strings.EqualFold(from, origin)
}

func isXHR(h http.Header) bool {
	return strings.EqualFold(h.Get("X-Requested-With"), "XMLHttpRequest")
}

func isUpgrade(r *http.Request) bool {
	return len(r.Header.Values("Upgrade")) > 0 || r.Method == http.MethodConnect || r.Header.Get("Sec-Fetch-Mode") == "websocket"
}

// isPrefetch reports whether the browser asks in advance, on a guess. A login
// that it starts would not be the person's.
func isPrefetch(h http.Header) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		for _, value := range h.Values(name) {
			value = strings.ToLower(value)
			if strings.Contains(value, "prefetch") || strings.Contains(value, "prerender") || strings.Contains(value, "preview") {
				return true
			}
		}
	}
	return false
}

// isBackgroundPath reports whether browsers and crawlers ask for a path by
// themselves.
func isBackgroundPath(p string) bool {
	name := path.Base(p)
	return name == "favicon.ico" || p == "/robots.txt" || strings.HasPrefix(name, "apple-touch-icon")
}

// accepts reports whether an Accept header names one of the media ranges with
// a weight above zero.
func accepts(accept []string, ranges ...string) bool {
	for _, line := range accept {
		for element := range strings.SplitSeq(line, ",") {
			mediaRange, params, err := mime.ParseMediaType(element)
			if err != nil && mediaRange == "" {
				continue
			}
			if weight, err := strconv.ParseFloat(params["q"], 64); err == nil && weight == 0 {
				continue
			}
			if slices.Contains(ranges, mediaRange) {
				return true
			}
		}
	}
	return false
}
