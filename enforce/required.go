// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"fmt"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// explainRefusal adds to a refusal what the log says about it: the rule, the
// expression that it requires, and the scopes that the token has. A handler that
// decides by something else than the token's scopes has set them itself.
func explainRefusal(refusal *identity.Refusal, rule *scopeexpr.Rule, id *identity.Identity) {
	refusal.Rule, refusal.Operation = rule.Pattern(), rule.Operation()
	switch refusal.Reason {
	case identity.ReasonScopeMissing, identity.ReasonNoToken:
	default:
		return
	}
	refusal.Required = required(rule)
	if refusal.Grants == nil && id != nil && id.Token != nil {
		refusal.Grants = id.Token.Scopes
	}
}

// required returns the expression of a rule as a person writes it.
func required(rule *scopeexpr.Rule) string {
	expression := rule.Expression()
	if expression == nil {
		return ""
	}
	short, err := expression.Short()
	if err != nil { // no short form
		return fmt.Sprintf("%s over %q", expression.Rule, expression.Data)
	}
	return short
}
