// SPDX-License-Identifier: Apache-2.0

package kongconfig

import "net/url"

// readGluuOPAPEP reads the plugin that asks a server of Open Policy Agent.
func readGluuOPAPEP(f *file, p *plugin) builder {
	c := p.config
	address := c.str("opa_url")
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		c.errorf("opa_url", "%q is not the address of a decision: write for example http://127.0.0.1:8181/v1/data/httpapi/authz", address)
		return always()
	}
	c.check("opa_url", checkUserinfo(u))
	h := map[string]any{"handler": "gluu_opa_pep", "url": address}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		h["insecure_hosts"] = []string{u.Hostname()}
		c.warnf(aboutProtection, "opa_url", "%s is not protected in transit: anyone on the way can allow a request; use https", address)
	}
	if c.boolean("forward_request_body", false) {
		h["body"] = "json"
	}
	return f.afterAuthentication(p, h, "gluu-oauth-auth", "gluu-openid-connect", "gluu-uma-auth", "oauth2", "oauth2-introspection")
}
