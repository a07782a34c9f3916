// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"slices"
	"strconv"
	"strings"
)

// config returns Caddy's configuration.
func (f *file) config() map[string]any {
	f.checkPlugins()
	f.warnServices()
	f.warnTies()
	f.warnEndpoints()
	routes := f.gluuRoutes()
	apps := map[string]any{"http": f.httpApp(routes)}
	if f.usesGluu() {
		apps["gluu"] = f.gluuApp()
	}
	if len(f.settings.secure) > 0 {
		apps["tls"] = f.tlsApp()
		f.addACME(apps["tls"].(map[string]any))
		// A gateway does not change what the machine trusts.
		apps["pki"] = map[string]any{"certificate_authorities": map[string]any{"local": map[string]any{"install_trust": false}}}
	}
	config := map[string]any{"apps": apps}
	if logging := f.logging(); logging != nil {
		config["logging"] = logging
	}
	return config
}

// usesGluu reports whether the app gluu has something to do.
func (f *file) usesGluu() bool {
	return len(f.providers) > 0 || len(f.consumers) > 0
}

// gluuRoutes returns the routes in the order of the file. Those of a service
// that is disabled are left out, as in Kong.
func (f *file) gluuRoutes() []any {
	routes := []any{}
	needClients := true
	for _, r := range f.routes {
		if r.service != nil && !r.service.enabled {
			continue
		}
		chain := f.chain(r)
		if needClients && len(f.oauth2Clients) > 0 {
			needClients = !f.addClients(chain)
		}
		routes = append(routes, map[string]any{
			"match":  []any{map[string]any{"gluu_route": r.matcher()}},
			"handle": chain,
		})
	}
	return routes
}

// chain returns the handlers of a route: its plugins by priority, the path for
// the upstream, and the proxy.
func (f *file) chain(r *route) []any {
	var before, after []any
	effective := f.effectivePlugins(r)
	if closed := f.checkAuthentication(r, effective); closed != nil {
		return closed
	}
	for _, e := range effective {
		s := f.stepsFor(e, r)
		if s.closed {
			return s.before
		}
		before, after = append(before, s.before...), append(after, s.after...)
	}
	if r.service == nil {
		return append(before, answer(503, "no Service found with those values"))
	}
	if path := r.upstreamPath(); path != nil {
		before = append(before, path)
	}
	return slices.Concat(before, after, []any{f.proxy(r.service, r)})
}

// upstreamPath returns the handler that makes the path for the upstream.
func (r *route) upstreamPath() map[string]any {
	h := map[string]any{"handler": "gluu_upstream_path"}
	if r.strip {
		h["strip_path"] = true
	}
	if r.service.path != "" {
		h["base"] = r.service.path
	}
	if r.pathHandling == "v1" {
		h["path_handling"] = "v1"
	}
	return h
}

func (f *file) httpApp(routes []any) map[string]any {
	router := map[string]any{"handler": "gluu_routes", "routes": routes}
	if f.settings.debugHeader {
		router["debug_header"] = true
	}
	server := map[string]any{
		"listen":          slices.Concat(f.settings.plain, f.settings.secure),
		"automatic_https": map[string]any{"disable": true},
		"routes": []any{map[string]any{"handle": []any{
			router,
			answer(404, "no Route matched with those values"),
		}}},
		"errors": map[string]any{"routes": errorRoutes()},
	}
	if len(f.settings.secure) > 0 {
		server["tls_connection_policies"] = f.tlsPolicies()
	}
	if len(f.settings.trustedIPs) > 0 {
		server["trusted_proxies"] = map[string]any{"source": "static", "ranges": f.settings.trustedIPs}
		server["trusted_proxies_strict"] = 1
		server["client_ip_headers"] = []string{f.settings.realIPHeader}
	}
	if names := f.underscoreHeaders(); len(names) > 0 {
		server["expected_underscore_headers"] = names
	}
	if f.hasGRPC() {
		server["protocols"] = []string{"h1", "h2", "h2c", "h3"}
	}
	if f.accessLog {
		server["logs"] = map[string]any{}
	}
	app := map[string]any{"servers": map[string]any{"kong": server}}
	if f.settings.plainPort > 0 {
		app["http_port"] = f.settings.plainPort
	}
	if len(f.settings.secure) > 0 {
		port := f.settings.secure[0][strings.LastIndex(f.settings.secure[0], ":")+1:]
		app["https_port"] = jsonNumber(port)
	}
	if f.metrics {
		app["metrics"] = map[string]any{}
	}
	return app
}

// hasGRPC reports whether clients may call by gRPC, without TLS too.
func (f *file) hasGRPC() bool {
	return slices.ContainsFunc(f.routes, func(r *route) bool { return slices.Contains(r.protocols, "grpc") })
}

// errorRoutes answer errors in the form of Kong's.
func errorRoutes() []any {
	var routes []any
	for _, e := range []struct {
		status int
		text   string
	}{
		{413, "Request size limit exceeded"},
		{502, "An invalid response was received from the upstream server"},
		{503, "failure to get a peer from the ring-balancer"},
		{504, "The upstream server is timing out"},
	} {
		routes = append(routes, map[string]any{
			"match":    []any{map[string]any{"vars": map[string]any{"{http.error.status_code}": []string{strconv.Itoa(e.status)}}}},
			"handle":   []any{answer(e.status, e.text)},
			"terminal": true,
		})
	}
	fallback := answer(0, "An unexpected error occurred")
	fallback["status_code"] = "{http.error.status_code}"
	return append(routes, map[string]any{"handle": []any{fallback}})
}

// underscoreHeaders are the headers with an underscore that routes and plugins
// name: Caddy drops all others.
func (f *file) underscoreHeaders() (names []string) {
	for _, r := range f.routes {
		for name := range r.headers {
			if strings.Contains(name, "_") {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// addACME adds the domains for which certificates are obtained.
func (f *file) addACME(app map[string]any) {
	for _, policy := range f.acme {
		certificates := app["certificates"].(map[string]any)
		automate, _ := certificates["automate"].([]string)
		certificates["automate"] = append(automate, policy.domains...)
		automation, _ := app["automation"].(map[string]any)
		if automation == nil {
			automation = map[string]any{}
			app["automation"] = automation
		}
		policies, _ := automation["policies"].([]any)
		automation["policies"] = append(policies, map[string]any{"subjects": policy.domains, "issuers": []any{policy.issuer}})
	}
}

// logging returns where the access log goes, if the file says so.
func (f *file) logging() map[string]any {
	if f.logPath == "" {
		return nil
	}
	return map[string]any{"logs": map[string]any{
		"default": map[string]any{"exclude": []string{"http.log.access"}},
		"access": map[string]any{
			"include": []string{"http.log.access"},
			"writer":  map[string]any{"output": "file", "filename": f.logPath},
			"encoder": map[string]any{"format": "json"},
		},
	}}
}
