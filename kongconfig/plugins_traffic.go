// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// This file has the plugins that answer or stop requests without knowing who
// sends them.

// staticJSON answers each request with JSON.
func staticJSON(status int, body any) map[string]any {
	text, _ := json.Marshal(body)
	return static(status, "application/json; charset=utf-8", string(text))
}

func static(status int, contentType, body string) map[string]any {
	return map[string]any{
		"handler": "static_response", "status_code": status, "body": escapePlaceholders(body),
		"headers": map[string]any{"Content-Type": []string{contentType}},
	}
}

// always returns a builder that does the same on every route.
func always(handlers ...any) builder {
	return func(*route) steps { return steps{before: handlers} }
}

// when runs handlers for requests that match.
func when(match map[string]any, handlers ...any) map[string]any {
	return map[string]any{"match": []any{match}, "handle": handlers}
}

func not(match map[string]any) map[string]any {
	return map[string]any{"not": []any{match}}
}

func readCORS(f *file, p *plugin) builder {
	c := p.config
	h := map[string]any{"handler": "gluu_cors"}
	origins := c.strs("origins")
	c.checkEach("origins", origins, checkOrigin)
	c.checkEach("methods", c.strs("methods"), checkCORSMethod)
	c.checkEach("headers", c.strs("headers"), checkHeaderName)
	c.checkEach("exposed_headers", c.strs("exposed_headers"), checkHeaderName)
	for name, list := range map[string][]string{"origins": origins, "methods": c.strs("methods"), "headers": c.strs("headers"), "exposed_headers": c.strs("exposed_headers")} {
		if len(list) > 0 {
			h[name] = list
		}
	}
	if c.boolean("credentials", false) {
		h["credentials"] = true
		if len(origins) == 0 || slices.Contains(origins, "*") {
			h["credentials_for_all"] = true
			c.warnf(aboutProtection, "credentials", "with credentials and all origins, every web page can act as its visitor, as in Kong: name the origins")
		}
	}
	if c.has("max_age") {
		h["max_age"] = c.number("max_age", 0, 0)
	}
	if c.boolean("preflight_continue", false) {
		h["preflight_continue"] = true
	}
	if c.boolean("private_network", false) {
		h["private_network"] = true
	}
	c.ignore("max_age", "allow_origin_absent")
	return always(h)
}

func readIPRestriction(f *file, p *plugin) builder {
	c := p.config
	allow := slices.Concat(c.strs("allow"), c.strs("whitelist"))
	deny := slices.Concat(c.strs("deny"), c.strs("blacklist"))
	if len(allow)+len(deny) == 0 {
		c.errorf("allow", "there is nothing to allow or to deny: write allow or deny")
	}
	for field, list := range map[string][]string{"allow": allow, "deny": deny} {
		for _, entry := range list {
			if !isRange(entry) {
				c.errorf(field, "%q is not an address or a range of addresses: write for example 10.0.0.0/8", entry)
			}
		}
	}
	message := c.str("message")
	if message == "" {
		message = "Your IP address is not allowed"
	}
	refusal := answer(c.finalStatus("status", 403), message)
	var routes []any
	if len(deny) > 0 {
		routes = append(routes, when(map[string]any{"client_ip": map[string]any{"ranges": deny}}, refusal))
	}
	if len(allow) > 0 {
		routes = append(routes, when(not(map[string]any{"client_ip": map[string]any{"ranges": allow}}), refusal))
	}
	return always(subroute(routes...))
}

func isRange(entry string) bool {
	_, errPrefix := netip.ParsePrefix(entry)
	_, errAddress := netip.ParseAddr(entry)
	return errPrefix == nil || errAddress == nil
}

func readACL(f *file, p *plugin) builder {
	c := p.config
	allow := slices.Concat(c.strs("allow"), c.strs("whitelist"))
	deny := slices.Concat(c.strs("deny"), c.strs("blacklist"))
	if (len(allow) == 0) == (len(deny) == 0) {
		c.errorf("allow", "one of allow and deny is required, and not both: write the groups that may pass, or those that may not")
	}
	if c.boolean("include_consumer_groups", false) {
		c.errorf("include_consumer_groups", "consumer groups are not kept: write false, and give acls to the consumers")
	}
	if c.boolean("always_use_authenticated_groups", false) {
		c.errorf("always_use_authenticated_groups", "groups are those of consumers: write false")
	}
	h := map[string]any{"handler": "gluu_acl"}
	if len(allow) > 0 {
		h["allow"] = allow
	} else {
		h["deny"] = deny
	}
	if c.boolean("hide_groups_header", false) {
		h["hide_groups_header"] = true
	}
	return func(r *route) steps {
		if !f.authenticates(r) {
			// Groups that are only denied refuse no one who is unknown, here as beside an
			// anonymous consumer.
			if len(allow) == 0 {
				c.warnf(aboutProtection, "", "nothing authenticates on %s, so no caller is known to be in a group and no request is denied: add gluu-oauth-auth or oauth2 there", r.o.entity)
				return steps{}
			}
			c.warnf(aboutProtection, "", "nothing authenticates on %s, so every request is answered 401: add gluu-oauth-auth or oauth2 there", r.o.entity)
			return steps{before: []any{answer(401, "Unauthorized")}}
		}
		return steps{before: []any{h}}
	}
}

// authentication are the plugins that find out who is calling.
var authentication = []string{"gluu-oauth-auth", "gluu-uma-auth", "gluu-openid-connect", "oauth2", "oauth2-introspection"}

// authenticates reports whether a plugin that does so runs on a route.
func (f *file) authenticates(r *route) bool {
	return slices.ContainsFunc(f.candidates(r), func(p *plugin) bool { return slices.Contains(authentication, p.name) })
}

func readRequestSize(f *file, p *plugin) builder {
	c := p.config
	unit := map[string]int{"megabytes": 1 << 20, "kilobytes": 1 << 10, "bytes": 1}[c.oneOf("size_unit", "megabytes", "kilobytes", "bytes")]
	size := c.number("allowed_payload_size", 0, 128) * unit
	handlers := []any{map[string]any{"handler": "request_body", "max_size": max(size, 1)}}
	if c.boolean("require_content_length", false) {
		handlers = append([]any{subroute(when(map[string]any{"header": map[string]any{"Content-Length": nil}}, answer(411, "A valid Content-Length header is required")))}, handlers...)
	}
	return always(handlers...)
}

// terminated are the texts of answers without a message of the file's own.
var terminated = map[int]string{
	http.StatusUnauthorized: "Unauthorized", http.StatusNotFound: "Not found", http.StatusMethodNotAllowed: "Method not allowed",
	http.StatusInternalServerError: "An unexpected error occurred", http.StatusBadGateway: "Bad Gateway", http.StatusServiceUnavailable: "Service unavailable",
}

func readTermination(f *file, p *plugin) builder {
	c := p.config
	status := c.finalStatus("status_code", 503)
	message, body, contentType := c.str("message"), c.str("body"), c.str("content_type")
	if c.boolean("echo", false) {
		c.errorf("echo", "requests are not echoed: write false")
	}
	c.check("content_type", checkFieldValue(contentType))
	switch {
	case message != "" && body+contentType != "":
		c.errorf("message", "is the whole answer: remove it, or body and content_type")
	case contentType != "" && body == "":
		c.errorf("content_type", "there is no body for it: write body, or remove content_type")
	}
	response := answer(status, message)
	switch {
	case body != "":
		if contentType == "" {
			contentType = "application/json; charset=utf-8"
		}
		response = static(status, contentType, body)
	case message == "" && terminated[status] == "":
		response = map[string]any{"handler": "static_response", "status_code": status}
	case message == "":
		response = answer(status, terminated[status])
	}
	trigger := c.str("trigger")
	if trigger == "" {
		return func(*route) steps { return steps{before: []any{response}} }
	}
	match := []any{map[string]any{"header": map[string]any{trigger: []string{"*"}}}, map[string]any{"query": map[string]any{trigger: []string{"*"}}}}
	return always(subroute(map[string]any{"match": match, "handle": []any{response}}))
}

func readRedirect(f *file, p *plugin) builder {
	c := p.config
	location := c.str("location")
	u, err := url.Parse(location)
	if err != nil || u.Host == "" {
		c.errorf("location", "%q is not a URL with a host: write for example https://example.com/new", location)
		return always()
	}
	target := escapePlaceholders(location)
	if c.boolean("keep_incoming_path", false) {
		target = escapePlaceholders(u.Scheme+"://"+u.Host) + "{http.request.orig_uri}"
	}
	status := c.finalStatus("status_code", 301)
	return always(map[string]any{"handler": "static_response", "status_code": status, "headers": map[string]any{"Location": []string{target}}})
}

func readCorrelationID(f *file, p *plugin) builder {
	c := p.config
	name := c.str("header_name")
	if name == "" {
		name = "Kong-Request-ID"
	}
	if !headerName.MatchString(name) {
		c.errorf("header_name", "%q is not the name of a header: use letters, digits and -", name)
	}
	if generator := c.oneOf("generator", "uuid#counter", "uuid", "tracker"); generator != "uuid" {
		c.warnf(aboutTheRest, "generator", "ids are UUIDs, not those of %s", generator)
	}
	handlers := []any{subroute(when(map[string]any{"header": map[string]any{name: nil}}, setHeader(name, "{http.request.uuid}")))}
	if c.boolean("echo_downstream", false) {
		handlers = append(handlers, map[string]any{"handler": "headers", "response": map[string]any{"set": map[string]any{name: []string{"{http.request.header." + name + "}"}}}})
	}
	return always(handlers...)
}

func setHeader(name, value string) map[string]any {
	return map[string]any{"handler": "headers", "request": map[string]any{"set": map[string]any{name: []string{value}}}}
}

// bots are the names by which crawlers and scripts call themselves. The list is
// short: what has bot, spider, crawl or scrape in its name is on it by that.
const bots = `(?i)(bot\b|bot[/ -]|spider|crawl|scrape|archiver|indexer|facebookexternalhit|slurp|mediapartners-google|google.*/\+/web/snippet|` +
	`google-http-java-client|apache-httpclient|http%20client|python-urllib|httpmonitor|tlsprober|winhttp|\bjnlp\b|bingpreview|ia_archiver|` +
	`heritrix|nutch|larbin|yandex\w+|baidu|yahoo.*seeker|wordpress|simplepie|simplerss|whatweb|wget-robot|xenu|yeti|feedfetcher|favicon)`

func readBotDetection(f *file, p *plugin) builder {
	c := p.config
	allow := slices.Concat(c.strs("allow"), c.strs("whitelist"))
	deny := append(slices.Concat(c.strs("deny"), c.strs("blacklist")), bots)
	for field, list := range map[string][]string{"allow": allow, "deny": deny} {
		for _, pattern := range list {
			if _, err := regexp.Compile(pattern); err != nil {
				c.errorf(field, "%q is not a regular expression that Go's engine runs: %v", pattern, err)
			}
		}
	}
	c.warnf(aboutTheRest, "", "the list of known bots is this gateway's own and shorter than Kong's: what must be refused is best named in deny")
	match := map[string]any{"header_regexp": map[string]any{"User-Agent": map[string]any{"pattern": join(deny)}}}
	if len(allow) > 0 {
		match["not"] = []any{map[string]any{"header_regexp": map[string]any{"User-Agent": map[string]any{"pattern": join(allow)}}}}
	}
	return always(subroute(when(match, answer(403, "Forbidden"))))
}

// join makes one expression of several.
func join(patterns []string) string {
	return "(?:" + strings.Join(patterns, ")|(?:") + ")"
}

func readACME(f *file, p *plugin) builder {
	c := p.config
	domains := c.strs("domains")
	email, directory := c.str("account_email"), c.str("api_uri")
	for _, domain := range domains {
		if strings.Contains(domain, "*") {
			c.errorf("domains", "%q needs a challenge by DNS, for which a module of Caddy is required: name the hosts", domain)
		}
	}
	if len(domains) == 0 && !c.boolean("allow_any_domain", false) {
		c.warnf(aboutTheRest, "domains", "names no domain, so that there are no certificates")
	}
	if c.boolean("allow_any_domain", false) {
		c.errorf("allow_any_domain", "certificates for any name that a client asks for would exhaust the limits of the authority: write domains")
	}
	c.ignore("tos_accepted", "cert_type", "rsa_key_size", "renew_threshold_days", "storage", "storage_config", "fail_backoff_minutes", "preferred_chain", "enable_ipv4_common_name", "account_key")
	issuer := map[string]any{"module": "acme"}
	if email != "" {
		issuer["email"] = email
	}
	if directory != "" {
		issuer["ca"] = directory
	}
	if id, key := c.str("eab_kid"), c.secret("eab_hmac_key"); id != "" {
		issuer["external_account"] = map[string]any{"key_id": id, "mac_key": key}
	}
	if len(domains) > 0 {
		f.acme = append(f.acme, acmePolicy{domains, issuer})
		c.warnf(aboutTheRest, "storage", "Caddy keeps the certificates in its own storage and gets new ones")
	}
	return always()
}

// acmePolicy is how certificates for domains are obtained.
type acmePolicy struct {
	domains []string
	issuer  map[string]any
}

func readTracing(f *file, p *plugin) builder {
	p.config.readAll()
	p.config.warnf(aboutTheRest, "", "spans go where the OTEL_ variables of the environment say, for example OTEL_EXPORTER_OTLP_ENDPOINT: set them")
	return func(r *route) steps {
		name := r.name
		if name == "" {
			name = r.id
		}
		return steps{before: []any{map[string]any{"handler": "tracing", "span": escapePlaceholders(name)}}}
	}
}

func readMetrics(f *file, p *plugin) builder {
	p.config.readAll()
	f.metrics = true
	p.config.warnf(aboutTheRest, "", "metrics are at /metrics of the admin endpoint, under names of their own: see docs/moving-from-kong.md")
	return always()
}

func readLog(f *file, p *plugin) builder {
	path := p.config.str("path")
	p.config.readAll()
	f.accessLog = true
	if p.name == "file-log" && path != "" {
		f.logPath = path
		p.config.warnf(aboutTheRest, "", "the access log of all routes is written to %s, in Caddy's format", path)
		return always()
	}
	p.config.warnf(aboutTheRest, "", "the access log of all routes goes to Caddy's log: collect it from there")
	return always()
}

// readAll reads all fields: they change nothing here.
func (o *object) readAll() {
	o.ignore(o.names...)
}
