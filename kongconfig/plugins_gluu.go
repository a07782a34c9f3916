// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/caddy-gluu/gateway/scopeexpr"
)

// This file has the plugins of Gluu Gateway 4: they become the handlers of the
// same name.

// oxdFields are about the oxd server, which the gateway does without.
var oxdFields = []string{"oxd_id", "oxd_url", "method_path_tree", "client_name", "client_id_of_oxd_id", "rp_id"}

// providerOf returns the name of the provider that a plugin describes.
// Plugins with the same server and client share one.
func (f *file) providerOf(c *object) string {
	if c.str("oxd_url") != "" {
		f.warnOxd(c)
	}
	c.ignore(oxdFields...)
	address, id, secret := c.str("op_url"), c.secret("client_id"), c.secret("client_secret")
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		c.errorf("op_url", "%q is not the address of an authorization server: write for example https://auth.example.com", address)
		return ""
	}
	c.check("op_url", checkIssuer(u))
	if id == "" || secret == "" {
		requireSecret(c, "client_id", address)
		requireSecret(c, "client_secret", address)
		return ""
	}
	provider := map[string]any{"issuer": address, "client_id": id, "client_secret": secret}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		provider["insecure_hosts"] = []string{u.Host}
		c.warnf(aboutProtection, "op_url", "%s is not protected in transit: anyone on the way can forge tokens; use https", address)
	}
	return f.addProvider(c, strings.ReplaceAll(u.Hostname(), ".", "-"), provider)
}

// requireSecret refuses a field that is not there. One that refers to nothing is
// refused already.
func requireSecret(c *object, field, address string) {
	if node := c.get(field); node == nil || node.Value == "" {
		c.errorf(field, "is required: write what the gateway has at %s", address)
	}
}

func isLoopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

func (f *file) warnOxd(c *object) {
	if !f.oxdWarned {
		c.warnf(aboutTheRest, "oxd_url", "the gateway talks to the authorization server itself: oxd is not needed any more")
	}
	f.oxdWarned = true
}

// addProvider adds a provider under a name of its own, unless it is there.
func (f *file) addProvider(c *object, name string, provider map[string]any) string {
	for n := 1; ; n++ {
		candidate := name
		if n > 1 {
			candidate = fmt.Sprintf("%s-%d", name, n)
		}
		other, taken := f.providers[candidate]
		if !taken {
			f.providers[candidate] = provider
			return candidate
		}
		if isSameProvider(other, provider) {
			if other["client_secret"] != provider["client_secret"] {
				c.errorf("client_secret", "another plugin has the same op_url and client_id with another secret: correct one of them")
			}
			return candidate
		}
	}
}

// isSameProvider reports whether two providers ask the same server as the same client.
func isSameProvider(a, b map[string]any) bool {
	for _, setting := range []string{"issuer", "client_id", "introspection_endpoint", "service"} {
		if a[setting] != b[setting] {
			return false
		}
	}
	return true
}

func readGluuOAuthAuth(f *file, p *plugin) builder {
	return always(f.authHandler(p.config, "gluu_oauth_auth"))
}

func readGluuUMAAuth(f *file, p *plugin) builder {
	p.config.ignore("obtain_rpt")
	return always(f.authHandler(p.config, "gluu_uma_auth"))
}

// authHandler reads what both kinds of authentication have.
func (f *file) authHandler(c *object, name string) map[string]any {
	h := map[string]any{"handler": name, "provider": f.providerOf(c)}
	mapping := c.boolean("consumer_mapping", true)
	if !mapping {
		h["consumer_mapping"] = false
	}
	f.addAnonymous(c, h, mapping)
	if pass := c.oneOf("pass_credentials", "pass", "hide", "phantom_token"); pass != "pass" {
		h["pass_credentials"] = pass
		if pass == "phantom_token" {
			c.warnf(aboutTheRest, "pass_credentials", "phantom tokens are signed: the upstream finds the keys where gluu_jwks publishes them, or may go on without checking")
		}
	}
	if c.boolean("hide_credentials", false) {
		h["pass_credentials"] = "hide"
	}
	f.addHeaders(c, h, "introspect_data")
	return h
}

// addAnonymous says who a caller without a valid token is.
func (f *file) addAnonymous(c *object, h map[string]any, mapping bool) {
	anonymous := strings.TrimSpace(c.str("anonymous"))
	if anonymous == "" {
		return
	}
	consumer, ok := f.byRef["consumers\x00"+anonymous].(*consumer)
	switch {
	case ok:
		h["anonymous"] = consumer.id
	case !mapping:
		h["optional"] = true
	default:
		c.errorf("anonymous", "there is no consumer %q: add it, or leave anonymous out", anonymous)
	}
}

// addHeaders reads headers of the operator's own.
func (f *file) addHeaders(c *object, h map[string]any, variables ...string) {
	var list []any
	taken := make(map[string]string)
	for _, node := range c.list("custom_headers") {
		o := newObject(c.p, c.entity, c.path+"custom_headers.", node)
		if o == nil {
			continue
		}
		header := map[string]any{"header_name": strings.ReplaceAll(o.str("header_name"), "_", "-")}
		text := o.str("value_lua_exp")
		if o.has("value") {
			o.read["value"] = true
			o.errorf("value", "is what files before 4.2 have: write value_lua_exp, with a text in quotes, as in \"'v1'\"")
		}
		expression, err := luaToCEL(text, append(slices.Clone(variables), "consumer"))
		if err != nil {
			o.errorf("value_lua_exp", "%q %s", text, err)
		}
		header["value"] = expression
		if format := o.oneOf("format", "", "string", "base64", "urlencoded", "list", "jwt"); format != "" {
			header["format"] = format
		}
		if sep := o.str("sep"); sep != "" {
			header["sep"] = sep
		}
		iterate := o.boolean("iterate", false)
		if iterate {
			header["iterate"] = true
		}
		checkHeader(o, o.str("header_name"), iterate, o.str("format"), taken)
		o.done()
		list = append(list, header)
	}
	if len(list) > 0 {
		h["custom_headers"] = list
	}
}

// expression reads a document that is written as JSON in a text, or as it is.
func expression(c *object, field string) (json.RawMessage, bool) {
	node := c.get(field)
	if node == nil || node.Kind == yaml.ScalarNode && strings.TrimSpace(node.Value) == "" {
		return nil, false
	}
	if node.Kind == yaml.ScalarNode {
		if !json.Valid([]byte(node.Value)) {
			c.errorf(field, "is not JSON: write a scope expression document")
			return nil, false
		}
		if isEmpty(json.RawMessage(node.Value)) {
			c.errorf(field, "is an empty document, which Gluu Gateway refuses too: write rules, or remove the field")
		}
		return json.RawMessage(node.Value), true
	}
	text, err := json.Marshal(value(node))
	if err != nil {
		c.errorf(field, "is not a document: %v", err)
	}
	return text, err == nil
}

// isEmpty reports whether a document has no rules, as an array that Lua has
// written may show by being an object.
func isEmpty(document json.RawMessage) bool {
	text := strings.Join(strings.Fields(string(document)), "")
	return text == "[]" || text == "{}" || text == "null"
}

func readGluuOAuthPEP(f *file, p *plugin) builder {
	c := p.config
	c.ignore("op_url", "client_id", "client_secret")
	c.ignore(oxdFields...)
	rules := f.readRules(c, "oauth_scope_expression", false)
	if rules == nil {
		return f.withoutRules(c)
	}
	h := map[string]any{"handler": "gluu_oauth_pep", "oauth_scope_expression": rules}
	if !c.boolean("deny_by_default", true) {
		h["deny_by_default"] = false
	}
	return f.afterAuthentication(p, h, "gluu-oauth-auth", "oauth2", "oauth2-introspection", "gluu-openid-connect")
}

// readRules reads and checks a scope expression document.
func (f *file) readRules(c *object, field string, uma bool) json.RawMessage {
	rules, ok := expression(c, field)
	if !ok || isEmpty(rules) {
		return nil
	}
	if uma {
		rules = permitted(rules)
	} else {
		rules = withoutUnknownVars(c, field, rules)
	}
	document, err := scopeexpr.ParseDocument(rules)
	if err == nil {
		_, err = document.Compile(scopeexpr.Options{UMA: uma})
	}
	if err != nil {
		c.errorf(field, "%v", err)
	}
	return rules
}

// withoutRules keeps what a plugin without an expression does: it refuses
// everything, or nothing.
func (f *file) withoutRules(c *object) builder {
	if !c.boolean("deny_by_default", true) {
		c.warnf(aboutProtection, "deny_by_default", "the plugin has no expression and denies nothing by default, so it protects nothing, as in Gluu Gateway: write rules")
		return always()
	}
	c.warnf(aboutProtection, "deny_by_default", "the plugin has no expression, so it refuses every request, as in Gluu Gateway: write rules")
	return always(answer(403, "Unprotected path/method are not allowed"))
}

// afterAuthentication refuses rules on routes on which no plugin finds out who
// is calling: their handler would refuse every request.
func (f *file) afterAuthentication(p *plugin, h map[string]any, names ...string) builder {
	return func(r *route) steps {
		if !slices.ContainsFunc(f.candidates(r), func(other *plugin) bool { return slices.Contains(names, other.name) || !f.isKept(other.name) }) {
			return f.withoutAuthentication(p, r, names[0])
		}
		return steps{before: []any{h}}
	}
}

// withoutAuthentication refuses the file, or closes the route.
func (f *file) withoutAuthentication(p *plugin, r *route, name string) steps {
	where := at{p.o.entity, "", p.o.line}
	if !f.settings.closeRoutes {
		f.p.errorf(where, "on %s there is no %s before it: add it to the same routes", r.o.entity, name)
		return steps{}
	}
	f.p.warnf(aboutProtection, where, "on %s there is no %s before it: its requests are answered 501", r.o.entity, name)
	return steps{before: []any{answer(501, "plugin "+p.name+" is not available")}, closed: true}
}

func (f *file) isKept(name string) bool { return kinds[name].read != nil }

// readIntrospection reads the plugin of Kong Enterprise.
func readIntrospection(f *file, p *plugin) builder {
	c := p.config
	address := c.str("introspection_url")
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		c.errorf("introspection_url", "%q is not a URL with a host", address)
		return always()
	}
	c.check("introspection_url", checkUserinfo(u))
	if strings.Contains(address, "#") {
		c.errorf("introspection_url", "%q has a fragment, which is never sent: leave it out", address)
	}
	provider := map[string]any{"issuer": u.Scheme + "://" + u.Host, "verify": "introspection", "introspection_endpoint": address}
	readBasic(c, provider)
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		provider["insecure_hosts"] = []string{u.Host}
		c.warnf(aboutProtection, "introspection_url", "%s is not protected in transit: use https", address)
	}
	if timeout := c.number("timeout", 0, 10000); timeout > 0 {
		provider["timeout"] = milliseconds(timeout)
	}
	if c.has("ttl") {
		c.warnf(aboutTheRest, "ttl", "answers are remembered for 10 minutes at most, or until the token expires: see cache in docs/app.md")
	}
	if by := c.oneOf("consumer_by", "username", "client_id"); by == "username" {
		c.errorf("consumer_by", "consumers are found by client_id: write client_id, and give them custom_id")
	}
	for _, field := range []string{"introspect_request", "run_on_preflight"} {
		c.ignore(field)
	}
	if headers := c.object("custom_introspection_headers"); headers != nil && len(headers.names) > 0 {
		c.errorf("custom_introspection_headers", "the introspection request has no headers of your own: remove it")
	}
	if claims := c.strs("custom_claims_forward"); len(claims) > 0 {
		c.warnf(aboutTheRest, "custom_claims_forward", "claims go upstream by custom_headers: see docs/headers.md")
	}
	c.ignore("token_type_hint", "keepalive", "ttl")
	h := map[string]any{"handler": "gluu_oauth_auth", "provider": f.addProvider(c, strings.ReplaceAll(u.Hostname(), ".", "-"), provider)}
	f.addAnonymous(c, h, true)
	if c.boolean("hide_credentials", false) {
		h["pass_credentials"] = "hide"
	}
	return always(h)
}

// readBasic takes client id and secret from an Authorization header.
func readBasic(c *object, provider map[string]any) {
	authorization := c.str("authorization_value")
	scheme, encoded, _ := strings.Cut(authorization, " ")
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	id, secret, found := strings.Cut(string(decoded), ":")
	if !strings.EqualFold(scheme, "Basic") || err != nil || !found {
		c.errorf("authorization_value", "is not Basic with a client id and secret: write Basic and base64 of id:secret")
		return
	}
	provider["client_id"], provider["client_secret"] = escapePlaceholders(id), escapePlaceholders(secret)
}

// gluuApp returns the app with providers and consumers.
func (f *file) gluuApp() map[string]any {
	app := map[string]any{}
	if len(f.providers) > 0 {
		app["providers"] = maps.Clone(f.providers)
	}
	var consumers []any
	for _, c := range f.consumers {
		consumers = append(consumers, c.json())
	}
	if len(consumers) > 0 {
		app["consumers"] = consumers
	}
	return app
}
