// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"net/http"
	"strings"
	"unicode"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/session"
)

// answerer answers refused requests: people with a page, programs as everywhere.
type answerer struct {
	identity.Answerer
	name func(*session.Session) *identity.Identity // who the record is about
	owns func(cookie string) bool                  // cookies that no upstream sees
}

// refuse answers a request that does not go on.
func (a *answerer) refuse(w http.ResponseWriter, r *http.Request, s *session.Session, refusal identity.Refusal) error {
	if !a.JSON {
		removeCookies(r.Header, a.owns) // error routes may have an upstream
	}
	if !a.JSON || !showsPage(r) || refusal.Challenge != nil && !isNavigation(r.Header) {
		return a.RefuseAs(w, r, a.name(s), refusal)
	}
	id := a.name(s)
	a.Record(r, id, refusal, "request refused")
	a.EmitRefused(r, id, refusal)
	return a.show(w, r, id, refusal)
}

// show answers with a page. The challenge is for programs that read pages: a 401
// without one breaks RFC 9110, section 15.5.2, and no browser asks for a password
// because of it.
func (a *answerer) show(w http.ResponseWriter, r *http.Request, id *identity.Identity, refusal identity.Refusal) error {
	a.SetFields(w, r, id, refusal)
	p := page{Title: titleOf(refusal), Text: []string{refusal.Description}, Reference: requestID(r)}
	if refusal.Link != "" {
		p.Link, p.LinkText = refusal.Link, "Try again"
	}
	return writePage(w, refusal.Status, p)
}

// refuseJSON answers what only programs call.
func (a *answerer) refuseJSON(w http.ResponseWriter, r *http.Request, refusal identity.Refusal) error {
	return a.RefuseAs(w, r, a.name(nil), refusal)
}

// showsPage reports whether a person sees the answer.
func showsPage(r *http.Request) bool {
	if isXHR(r.Header) || isUpgrade(r) || isPrefetch(r.Header) || isBackgroundPath(r.URL.Path) {
		return false
	}
	if hasFetchMetadata(r.Header) {
		return r.Header.Get("Sec-Fetch-Mode") == "navigate"
	}
	return accepts(r.Header.Values("Accept"), "text/html", "application/xhtml+xml")
}

func titleOf(refusal identity.Refusal) string {
	if refusal.Error == "request_submitted" {
		return "Waiting for approval"
	}
	switch refusal.Status {
	case http.StatusUnauthorized:
		return "Login required"
	case http.StatusForbidden:
		return "Access refused"
	case http.StatusServiceUnavailable:
		return "Temporarily unavailable"
	case http.StatusRequestEntityTooLarge:
		return "Too large to keep"
	}
	return "Login failed"
}

// requestID is the request's id, as the log has it.
func requestID(r *http.Request) string {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		id, _ := repl.GetString("http.request.uuid")
		return id
	}
	return ""
}

// shortened makes what the OpenID Provider says fit for a log line.
func shortened(text string) string {
	const enough = 200
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	if len(text) > enough {
		text = text[:enough]
	}
	return strings.ToValidUTF8(text, "?")
}
