// SPDX-License-Identifier: Apache-2.0

package caddykong

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/kongpath"
)

// match is a rule that has matched a request.
type match struct {
	rule   *rule
	regex  *kongpath.Regex
	path   string // of the request, in its normal form
	length int    // of the part that has matched; -1: regex knows

	replacer *caddy.Replacer // of the request
}

// matchVar is the request variable that holds the match.
const matchVar = "gluu_route"

// store keeps the match for gluu_upstream_path and for placeholders.
func (m match) store(r *http.Request) {
	m.replacer, _ = r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	caddyhttp.SetVar(r.Context(), matchVar, &m)
	if m.replacer != nil {
		m.replacer.Map(m.placeholder)
	}
}

// matchOf returns the match of a request; nil if there is none.
func matchOf(r *http.Request) *match {
	m, _ := caddyhttp.GetVar(r.Context(), matchVar).(*match)
	return m
}

// prefix returns the part of the path that has matched.
func (m *match) prefix() string {
	if m.length >= 0 {
		return m.path[:m.length]
	}
	values, _, err := m.regex.Captures(m.path)
	if err != nil || len(values) == 0 {
		return ""
	}
	return values[0]
}

// pathAsSent returns the path as the client has written it, with its escapes: a header
// can carry it whatever they stand for.
func (m *match) pathAsSent() string {
	address, _ := m.replacer.GetString("http.request.orig_uri")
	if !strings.HasPrefix(address, "/") {
		u, err := url.Parse(address)
		if err != nil {
			return ""
		}
		return u.EscapedPath()
	}
	path, _, _ := strings.Cut(address, "?")
	return path
}

func (m *match) placeholder(name string) (any, bool) {
	name, ok := strings.CutPrefix(name, "gluu.route.")
	if !ok {
		return nil, false
	}
	switch name {
	case "id":
		return m.rule.of.ID, true
	case "name":
		return m.rule.of.Name, true
	case "prefix":
		return m.prefix(), true
	case "path":
		return m.pathAsSent(), true
	}
	capture, ok := strings.CutPrefix(name, "capture.")
	return m.capture(capture), ok
}

// capture returns a group of the regular expression by its number or name; ""
// if there is none, or if it took no part.
func (m *match) capture(name string) string {
	if m.regex == nil {
		return ""
	}
	values, names, err := m.regex.Captures(m.path)
	if err != nil {
		return ""
	}
	i, err := strconv.Atoi(name)
	if err != nil {
		i = slices.Index(names, name)
	}
	if i < 0 || i >= len(values) {
		return ""
	}
	return values[i]
}
