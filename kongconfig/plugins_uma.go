// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/internal/strictjson"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// readGluuUMAPEP reads the plugin that protects resources of a UMA server.
func readGluuUMAPEP(f *file, p *plugin) builder {
	c := p.config
	h := map[string]any{"handler": "gluu_uma_pep", "provider": f.providerOf(c)}
	obtains := c.boolean("obtain_rpt", false)
	if obtains {
		h["obtain_rpt"] = true
	}
	if c.boolean("require_id_token", false) {
		h["require_id_token"] = true
	}
	f.addPushedClaims(c, h, obtains)
	f.addClaimsGathering(c, h, obtains)
	rules := f.readRules(c, "uma_scope_expression", true)
	if rules == nil {
		return f.withoutRules(c)
	}
	h["uma_scope_expression"] = rules
	if !c.boolean("deny_by_default", true) {
		h["deny_by_default"] = false
	}
	if !obtains {
		return f.afterAuthentication(p, h, "gluu-uma-auth", "gluu-openid-connect")
	}
	return f.afterAuthentication(p, h, "gluu-openid-connect")
}

// addPushedClaims reads what the server is told about a person.
func (f *file) addPushedClaims(c *object, h map[string]any, obtains bool) {
	text := strings.TrimSpace(c.str("pushed_claims_lua_exp"))
	switch {
	case text == "":
		return
	case !obtains:
		c.warnf(aboutTheRest, "pushed_claims_lua_exp", "has no effect without obtain_rpt, as in Gluu Gateway: it is left out")
		return
	}
	expression, err := luaToCEL(text, []string{"id_token", "userinfo", "request"})
	if err != nil {
		c.errorf("pushed_claims_lua_exp", "%q %s", text, err)
		return
	}
	if isScalar(expression) {
		c.errorf("pushed_claims_lua_exp", "%q is not a table, so that no server would take it for claims, from Gluu Gateway neither: write for example {id_token = id_token}", text)
		return
	}
	h["pushed_claims"] = expression
	if expression == "id_token" {
		c.warnf(aboutTheRest, "pushed_claims_lua_exp", "the ID token is sent as its issuer has signed it; Gluu Gateway sent its claims unsigned")
		return
	}
	c.warnf(aboutTheRest, "pushed_claims_lua_exp", "the claims are signed, and the authorization server finds the keys where gluu_jwks publishes them, or may go on without checking")
}

// isScalar reports whether an expression that has been Lua is a constant, or a text
// about the request.
func isScalar(expression string) bool {
	return strings.ContainsAny(expression[:1], `"-0123456789`) || slices.Contains([]string{"true", "false", "request.path", "request.method"}, expression) ||
		strings.HasPrefix(expression, "request.headers.") || strings.HasPrefix(expression, "request.headers[")
}

// addClaimsGathering reads where people come back to who have told the server
// more about themselves.
func (f *file) addClaimsGathering(c *object, h map[string]any, obtains bool) {
	redirects, path := c.boolean("redirect_claim_gathering_url", false), strings.TrimSpace(c.str("claims_redirect_path"))
	switch {
	case redirects && !obtains:
		c.warnf(aboutTheRest, "redirect_claim_gathering_url", "has no effect without obtain_rpt, as in Gluu Gateway: it is left out")
	case redirects && path == "":
		c.errorf("claims_redirect_path", "is required with redirect_claim_gathering_url: write the path that is registered as a claims redirect URI, for example /claims-callback")
	case redirects:
		h["redirect_claim_gathering_url"], h["claims_redirect_path"] = true, path
	case path != "":
		c.warnf(aboutTheRest, "claims_redirect_path", "has no effect without redirect_claim_gathering_url, as in Gluu Gateway: it is left out")
	}
}

// permitted writes conditions without an expression as this gateway does: in Gluu
// Gateway they require any permission for the resource. Other documents stay as
// they are, wrong ones too, for which there is a better error: one with a member
// twice would lose the first of the two.
func permitted(rules json.RawMessage) json.RawMessage {
	var document []map[string]json.RawMessage
	if json.Unmarshal(rules, &document) != nil || hasMemberTwice(rules) {
		return rules
	}
	changed := false
	for _, rule := range document {
		var conditions []map[string]json.RawMessage
		if json.Unmarshal(rule["conditions"], &conditions) != nil {
			return rules
		}
		for _, condition := range conditions {
			if len(condition["scope_expression"]) == 0 && len(condition["access"]) == 0 && len(condition["httpMethods"]) > 0 {
				condition["access"], changed = json.RawMessage(`"`+scopeexpr.Permitted+`"`), true
			}
		}
		rule["conditions"], _ = json.Marshal(conditions)
	}
	if !changed {
		return rules
	}
	rewritten, err := json.Marshal(document)
	if err != nil {
		return rules
	}
	return rewritten
}

// hasMemberTwice reports whether an object anywhere in a document, which is JSON, has
// two members of one name.
func hasMemberTwice(document json.RawMessage) bool {
	_, err := strictjson.Object(slices.Concat([]byte(`{"document":`), document, []byte("}")))
	return err != nil
}
