// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"net/http"
	"path"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Endpoint is one thing that the server does, and the path of it.
type Endpoint string

// The endpoints.
const (
	AuthorizeEndpoint  Endpoint = "/oauth2/authorize"
	ChallengeEndpoint  Endpoint = "/oauth2/authorize/" // a challenge follows
	PushedEndpoint     Endpoint = "/oauth2/par"
	TokenEndpoint      Endpoint = "/oauth2/token"
	IntrospectEndpoint Endpoint = "/oauth2/introspect"
	RevokeEndpoint     Endpoint = "/oauth2/revoke"
	RegisterEndpoint   Endpoint = "/oauth2/register"
	ClientEndpoint     Endpoint = "/oauth2/register/" // a client_id follows
	UserinfoEndpoint   Endpoint = "/oauth2/userinfo"
	LogoutEndpoint     Endpoint = "/oauth2/logout"
	JWKSEndpoint       Endpoint = "/oauth2/jwks"
	MetadataEndpoint   Endpoint = "/.well-known/openid-configuration"
)

// methods are those that an endpoint answers.
func (e Endpoint) methods() []string {
	switch e {
	case AuthorizeEndpoint, UserinfoEndpoint, LogoutEndpoint:
		return []string{http.MethodGet, http.MethodHead, http.MethodPost}
	case PushedEndpoint, TokenEndpoint, IntrospectEndpoint, RevokeEndpoint, RegisterEndpoint:
		return []string{http.MethodPost}
	case ClientEndpoint:
		return []string{http.MethodDelete, http.MethodGet, http.MethodPut}
	}
	return []string{http.MethodGet, http.MethodHead}
}

// Label is the endpoint's name in logs and metrics.
func (e Endpoint) Label() string {
	switch e {
	case ChallengeEndpoint:
		return "challenge"
	case ClientEndpoint:
		return "register"
	}
	return path.Base(string(e))
}

// URL is the public address of an endpoint.
func (i Issuer) URL(e Endpoint) string { return i.base + string(e) }

// routes maps the paths at which this issuer answers to what it does there. The
// metadata of an issuer with a path is served at several of them: OpenID
// Connect Discovery appends the well-known part to the issuer, RFC 8414 section
// 3.1 inserts it before the path, and clients try both for either name. The
// endpoints are below the issuer, and without its path for a site that has
// only this server.
func (i Issuer) routes(offered []Endpoint) map[string]Endpoint {
	routes := make(map[string]Endpoint)
	for _, e := range offered {
		routes[string(e)] = e
		routes[i.path+string(e)] = e
	}
	for _, known := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		routes[i.path+known] = MetadataEndpoint
		routes[known+i.path] = MetadataEndpoint
	}
	return routes
}

// endpointOf returns which endpoint a request is for, and what follows its path. The path
// must match exactly: an odd spelling of it belongs to other handlers.
func (s *Server) endpointOf(r *http.Request) (e Endpoint, rest string, ok bool) {
	path := r.URL.EscapedPath()
	if e, rest, ok = s.route(path); ok || s.Issuer.path == "" {
		return e, rest, ok
	}
	// Within handle_path the issuer's path has been stripped.
	original, is := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if is && original.URL != nil && original.URL.EscapedPath() == s.Issuer.path+path {
		return s.route(s.Issuer.path + path)
	}
	return "", "", false
}

func (s *Server) route(path string) (e Endpoint, rest string, ok bool) {
	if e, ok = s.routes[path]; ok {
		return e, "", e != ChallengeEndpoint && e != ClientEndpoint
	}
	at := strings.LastIndexByte(path, '/') + 1
	if e, ok = s.routes[path[:at]]; !ok || e != ChallengeEndpoint && e != ClientEndpoint {
		return "", "", false
	}
	return e, path[at:], true
}
