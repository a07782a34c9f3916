// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"net"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/caddy-gluu/gateway/internal/opaengine"
)

// The document of Kong's OPA plugin, for policies that were written for it. Service
// and route are Kong's own, and are left out; what the gateway knows beyond it
// (request_token_data, scopes, ...) is beside it.

var kongMembers = append([]member{
	newMember("request", nested(kongRequest)),
	newMember("client_ip", text(func(q *question) string { return clientIP(q.r) })),
}, commonMembers...)

var kongRequest = []member{newMember("http", nested(kongHTTP))}

var kongHTTP = []member{
	newMember("method", text(func(q *question) string { return q.r.Method })),
	newMember("scheme", text(func(q *question) string { return scheme(q.r) })),
	newMember("host", text(func(q *question) string { return hostname(q.r.Host) })),
	newMember("port", func(q *question, _ *opaengine.Uses) (*ast.Term, error) { return ast.IntNumberTerm(port(q)), nil }),
	newMember("path", text(func(q *question) string { return slashed(q) })),
	newMember("querystring", (*question).arguments),
	newMember("headers", (*question).headers),
	newMember("parsed_body", (*question).bodyTerm),
	newMember("body", (*question).rawBody),
	newMember("body_size", (*question).bodySize),
	newMember("body_state", (*question).bodyState),
}

func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

func port(q *question) int {
	if _, text, err := net.SplitHostPort(q.r.Host); err == nil {
		if number, err := strconv.Atoi(text); err == nil {
			return number
		}
	}
	if q.r.TLS != nil {
		return 443
	}
	return 80
}

// slashed is the canonical path as one text, in which a kept slash is written as it
// was sent.
func slashed(q *question) string { return strings.ReplaceAll(q.path, "\x00", "%2F") }
