// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/policylint"
	"github.com/caddy-gluu/gateway/internal/siteorder"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// maxCompared is up to how many rules are compared with each other when a
// configuration loads: that takes time by the square of their number. For more
// there is `caddy gluu rules`.
const maxCompared = 500

// warn logs what loads but can hardly be meant.
func warn(ctx caddy.Context, policy *scopeexpr.Policy) {
	logger := ctx.Logger()
	check := policylint.Check
	if policy.NumRules() > maxCompared {
		check = policylint.CheckRules
	}
	for _, warning := range check(policy) {
		logger.Warn("a rule probably does not do what was meant",
			zap.String("method", warning.Rule.Method()), zap.String("rule", warning.Rule.Pattern()), zap.String("warning", warning.Text))
	}
}

// warnWithoutAuthentication warns if no request of the site can have an identity.
func warnWithoutAuthentication(ctx caddy.Context) {
	if siteorder.LacksAuthentication(ctx) {
		ctx.Logger().Warn("this site has no authentication handler, so that all requests are refused: write gluu_oauth_auth, gluu_uma_auth or gluu_openid_connect before the rules")
	}
}
