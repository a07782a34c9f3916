// SPDX-License-Identifier: Apache-2.0

package caddykong

import (
	"net/http"
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
}

// matchVar is the request variable that holds the match.
const matchVar = "gluu_route"

// store keeps the match for gluu_upstream_path and for placeholders.
func (m match) store(r *http.Request) {
	caddyhttp.SetVar(r.Context(), matchVar, &m)
	if replacer, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		replacer.Map(m.placeholder)
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
