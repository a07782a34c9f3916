// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// This file has the plugin with which people log in.

func readGluuOpenIDConnect(f *file, p *plugin) builder {
	c := p.config
	h := map[string]any{"handler": "gluu_openid_connect", "provider": f.providerOf(c)}
	for _, name := range []string{"authorization_redirect_path", "logout_path", "post_logout_redirect_path_or_url"} {
		if text := c.str(name); text != "" {
			h[name] = text
		}
	}
	checkLogin(c)
	if scopes := scopesOf(c, "requested_scopes"); len(scopes) > 0 {
		h["requested_scopes"] = scopes
	}
	if rules, ok := expression(c, "required_acrs_expression"); ok {
		h["required_acrs_expression"] = rules
	}
	for _, name := range []string{"max_id_token_age", "max_id_token_auth_age"} {
		if age := c.number(name, 0, 0); age > 0 {
			h[name] = fmt.Sprintf("%ds", age)
		}
	}
	if c.boolean("restore_original_auth_params", false) {
		h["restore_original_auth_params"] = true
	}
	if prefix := strings.TrimSpace(c.str("anonymous")); prefix != "" {
		f.addAnonymous(c, h, true)
	}
	f.addHeaders(c, h, "id_token", "userinfo", "access_token")
	return func(r *route) steps {
		own := maps.Clone(h)
		if own["base_url"] = f.baseURL(r); own["base_url"] == "" {
			c.errorf("authorization_redirect_path", "%s does not say where browsers reach it: set GLUU_KONG_BASE_URL, for example to https://app.example.com, or give the route one host", r.o.entity)
		}
		f.addCookieName(own)
		return steps{before: []any{own}}
	}
}

// addCookieName gives the sessions of a second provider at an origin a cookie of their
// own: each login would end the other's session otherwise.
func (f *file) addCookieName(h map[string]any) {
	base, provider := h["base_url"].(string), strings.ReplaceAll(h["provider"].(string), ":", "-")
	first, taken := f.logins[base]
	switch {
	case !taken:
		if f.logins == nil {
			f.logins = make(map[string]string)
		}
		f.logins[base] = provider
	case first != provider && strings.HasPrefix(base, "https:"):
		h["cookie_name"] = "__Host-gluu_session_" + provider
	case first != provider:
		h["cookie_name"] = "gluu_session_" + provider
	}
}

// checkLogin refuses paths and scopes with which no one can log in.
func checkLogin(c *object) {
	callback, logout := c.str("authorization_redirect_path"), c.str("logout_path")
	for field, path := range map[string]string{"authorization_redirect_path": callback, "logout_path": logout} {
		if path != "" {
			c.check(field, checkOwnPath(path))
		}
	}
	if callback != "" && callback == logout {
		c.errorf("logout_path", "%q is the authorization_redirect_path too: give each a path of its own", logout)
	}
	if place := c.str("post_logout_redirect_path_or_url"); place != "" {
		c.check("post_logout_redirect_path_or_url", checkPathOrURL(place))
	}
	if scopes := c.strs("requested_scopes"); len(scopes) > 0 && !slices.Contains(scopes, "openid") {
		c.errorf("requested_scopes", "lacks openid, without which there is no ID token: add it")
	}
}

// baseURL is the origin under which browsers reach a route. It is never taken
// from a request, which could choose where people are sent back to.
func (f *file) baseURL(r *route) string {
	if f.settings.baseURL != "" {
		return f.settings.baseURL
	}
	if len(r.hosts) != 1 || strings.Contains(r.hosts[0], "*") {
		return ""
	}
	if slices.Contains(r.protocols, "https") {
		return "https://" + strings.ToLower(r.hosts[0])
	}
	return "http://" + strings.ToLower(r.hosts[0])
}
