// SPDX-License-Identifier: Apache-2.0

package caddykong

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/kongpath"
)

func init() {
	caddy.RegisterModule(new(MatchRoute))
}

// MatchRoute is a matcher that has the conditions of a route of Kong. All kinds
// of conditions that are set must hold, and of each kind one value.
//
// The path is compared in its normal form: escapes are decoded unless they
// stand for a reserved character, dot segments are resolved and repeated slashes
// merged. A request that matches has the placeholders `{gluu.route.id}`,
// `{gluu.route.name}`, `{gluu.route.path}`, `{gluu.route.prefix}` and
// `{gluu.route.capture.<number or name>}`, and
// `gluu_upstream_path` knows which part of its path has matched.
type MatchRoute struct {
	// The id of the route, for `{gluu.route.id}`.
	ID string `json:"id,omitempty"`

	// The name of the route, for `{gluu.route.name}`.
	Name string `json:"name,omitempty"`

	// Host names, in any case. A `*` at the beginning or the end stands for any
	// number of labels: `*.example.com`, `example.*`. With a port, the port must
	// be that of the request. Default: any host
	Hosts []string `json:"hosts,omitempty"`

	// Prefixes of the path, `/todos`, compared byte by byte, so that `/todos`
	// matches `/todoslist` too. With `~` before it, a regular expression that
	// must match from the beginning of the path: `~/v[12]/x`. Default: any path
	Paths []string `json:"paths,omitempty"`

	// Methods, in capitals. HEAD is not GET. Default: any method
	Methods []string `json:"methods,omitempty"`

	// Headers with the values of which one must be there, in any case; `~*`
	// before a value makes it a regular expression. Default: any
	Headers map[string][]string `json:"headers,omitempty"`

	// Server names that a client asks for when it opens a TLS connection. They
	// say nothing about requests without TLS. Default: any
	SNIs []string `json:"snis,omitempty"`

	// http and https, grpc and grpcs. As a matcher, a request of another
	// protocol does not match; a route of `gluu_routes` that is for https alone
	// answers http with `https_redirect_status_code`. Default: any
	Protocols []string `json:"protocols,omitempty"`

	// What a route of `gluu_routes` that is for https alone answers to http:
	// 426, or a redirect with 301, 302, 307 or 308. Default: 426
	HTTPSRedirectStatusCode int `json:"https_redirect_status_code,omitempty"`

	// Among routes of `gluu_routes` that have a regular expression for the path
	// and are alike otherwise, the greatest number goes first. Default: 0
	RegexPriority int `json:"regex_priority,omitempty"`

	index *index
}

// CaddyModule returns the Caddy module information.
func (*MatchRoute) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.matchers.gluu_route",
		New: func() caddy.Module { return new(MatchRoute) },
	}
}

// Provision compiles the conditions.
func (m *MatchRoute) Provision(caddy.Context) (err error) {
	if m.HTTPSRedirectStatusCode != 0 || m.RegexPriority != 0 {
		return fmt.Errorf("gluu_route: https_redirect_status_code and regex_priority are for a route of gluu_routes: remove them from a matcher")
	}
	m.index, err = newIndex([]*MatchRoute{m})
	return err
}

// MatchWithError reports whether a request meets the conditions. A regular
// expression that takes too long is answered 503.
func (m *MatchRoute) MatchWithError(r *http.Request) (bool, error) {
	found, err := m.index.lookup(r)
	if err != nil || found.rule == nil || !m.isProtocol(r) {
		return false, err
	}
	found.store(r)
	return true, nil
}

// isProtocol reports whether a request has one of the protocols.
func (m *MatchRoute) isProtocol(r *http.Request) bool {
	if len(m.Protocols) == 0 {
		return true
	}
	if isSecure(r) {
		return slices.Contains(m.Protocols, "https") || slices.Contains(m.Protocols, "grpcs")
	}
	return slices.Contains(m.Protocols, "http") || slices.Contains(m.Protocols, "grpc")
}

// isSecure reports whether the client uses TLS, as far as a trusted proxy
// before this gateway knows.
func isSecure(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	if proto := r.Header.Get("X-Forwarded-Proto"); trusted && proto != "" {
		return strings.EqualFold(proto, "https")
	}
	return r.TLS != nil
}

// check refuses what cannot be right.
func (m *MatchRoute) check() error {
	for _, host := range m.Hosts {
		if err := checkHost(host); err != nil {
			return err
		}
	}
	for _, path := range m.Paths {
		if err := kongpath.Check(path); err != nil {
			return err
		}
	}
	for _, method := range m.Methods {
		if method == "" || strings.ToUpper(method) != method || strings.ContainsAny(method, " ,|*") {
			return fmt.Errorf("methods: %q is not a method in capitals: write for example GET", method)
		}
	}
	for name, values := range m.Headers {
		if err := checkHeader(name, values); err != nil {
			return err
		}
	}
	for _, protocol := range m.Protocols {
		if !slices.Contains([]string{"http", "https", "grpc", "grpcs"}, protocol) {
			return fmt.Errorf("protocols: there is no %q: write http, https, grpc or grpcs", protocol)
		}
	}
	if !slices.Contains([]int{0, 426, 301, 302, 307, 308}, m.HTTPSRedirectStatusCode) {
		return fmt.Errorf("https_redirect_status_code is 426, 301, 302, 307 or 308, not %d", m.HTTPSRedirectStatusCode)
	}
	if m.RegexPriority < 0 {
		return fmt.Errorf("regex_priority cannot be negative, got %d", m.RegexPriority)
	}
	return nil
}

func checkHost(host string) error {
	name, _, err := splitPort(host)
	if err != nil {
		return err
	}
	inner := strings.TrimSuffix(strings.TrimPrefix(name, "*."), ".*")
	if inner == "" || strings.Contains(inner, "*") || len(name)-len(inner) > 2 || strings.ContainsAny(inner, " /\\") {
		return fmt.Errorf("hosts: %q is not a host name, which may have one '*' at an end: write for example example.com, *.example.com or example.*", host)
	}
	return nil
}

// splitPort takes the port off a configured host; 0 is any.
func splitPort(host string) (name string, port int, err error) {
	name, text, found := cutPort(host)
	if !found {
		return strings.ToLower(name), 0, nil
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("hosts: %q has no valid port: write for example example.com:8443", host)
	}
	return strings.ToLower(name), port, nil
}

// cutPort splits a host from its port, if it has one. The brackets of an IPv6
// address stay.
func cutPort(host string) (name, port string, found bool) {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.HasSuffix(host, "]") {
		return host, "", false
	}
	return host[:i], host[i+1:], true
}

func checkHeader(name string, values []string) error {
	if strings.EqualFold(name, "Host") {
		return fmt.Errorf("headers: Host is not compared here: write hosts")
	}
	if name == "" || strings.ContainsAny(name, " :\t") {
		return fmt.Errorf("headers: %q is not a valid header name: use letters, digits and -", name)
	}
	if len(values) == 0 {
		return fmt.Errorf("headers: %s has no value: name those of which one must be there", name)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner                 = (*MatchRoute)(nil)
	_ caddyhttp.RequestMatcherWithError = (*MatchRoute)(nil)
)
