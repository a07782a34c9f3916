// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/enforce"
	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	directive.RegisterHandler("gluu_uma_pep", parsePEP)
}

// parsePEP sets up gluu_uma_pep.
func parsePEP(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	p := new(UMAPEP)
	if err := p.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return p, introspect.References{Providers: []string{p.Provider}}.Check(h)
}

// UnmarshalCaddyfile sets up the handler. Syntax:
//
//	gluu_uma_pep [<matcher>] [<provider>] {
//		path <pattern> {
//			<method>... scope <expression> [{
//				resource_id <id>
//				resource_name <name>
//				acr <value>...
//				max_age <duration>
//			}]
//			<method>... public
//			<method>... authenticated [{
//				acr <value>...
//				max_age <duration>
//			}]
//		}
//		openapi <file> {
//			security_scheme <name>...
//			base_path <path>|servers|none
//			unlisted deny|public|authenticated
//			prefix <text>
//		}
//		override path <pattern> { ... }
//		uma_scope_expression <json>
//		uma_scope_expression_file <path>
//		resource_prefix <text>
//		registration on|off|prune
//		obtain_rpt [true|false]
//		require_id_token [true|false]
//		pushed_claims id_token|<expression>
//		pushed_claims_alg ES256|RS256|EdDSA|none
//		claim_token_format <uri>
//		requesting_party client|access_token
//		redirect_claim_gathering_url [true|false]
//		claims_redirect_path <path>
//		id <name>
//		deny_by_default true|false
//		ambiguous_paths reject|allow
//		encoded_slashes reject|keep
//		override_headers strip|pass
//		dry_run [true|false]
//		log_grants [true|false]
//	}
//
// All rules add up to one document.
func (p *UMAPEP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	start, err := directive.BeginNamed(d, "provider", &p.Provider)
	if err != nil {
		return err
	}
	rules := enforce.Rules{Options: documentOptions}
	var once directive.Once
	for d.NextBlock(0) {
		if err := once.Check(d, "path", "override", option, option+"_file"); err != nil {
			return err
		}
		known, err := p.UnmarshalOption(d)
		if !known && err == nil {
			err = p.unmarshalOwn(d, &rules)
		}
		if err != nil {
			return err
		}
	}
	if err := p.checkClient(); err != nil {
		return start.WrapErr(err)
	}
	p.ScopeExpression, p.RuleOptions, err = rules.Finish(start, option, p.ScopeExpressionFile)
	return err
}

// unmarshalOwn reads a subdirective that other enforcing handlers do not have.
func (p *UMAPEP) unmarshalOwn(d *caddyfile.Dispenser, rules *enforce.Rules) (err error) {
	switch name := d.Val(); name {
	case "obtain_rpt", "require_id_token", "pushed_claims", "pushed_claims_alg", "claim_token_format", "requesting_party",
		"redirect_claim_gathering_url", "claims_redirect_path":
		return p.unmarshalClient(d)
	case "path":
		return rules.UnmarshalPath(d)
	case "openapi":
		return rules.UnmarshalOpenAPI(d)
	case "override":
		return rules.UnmarshalOverride(d)
	case option:
		return rules.UnmarshalDocument(d)
	case option + "_file":
		if p.ScopeExpressionFile != "" {
			return d.Errf("%s is set twice: join the files", name)
		}
		if p.ScopeExpressionFile, err = directive.String(d); err != nil {
			return err
		}
		_, err = enforce.Compile(option, nil, p.ScopeExpressionFile, rules.Options)
	case "resource_prefix":
		if p.ResourcePrefix, err = directive.String(d); err != nil {
			return err
		}
		err = p.check()
	case "registration":
		if p.Registration, err = directive.String(d); err != nil {
			return err
		}
		err = p.check()
	default:
		return directive.Unknown(d, "gluu_uma_pep", "path", "openapi", "override", option, option+"_file", "resource_prefix", "registration", "obtain_rpt", "require_id_token", "pushed_claims", "pushed_claims_alg", "claim_token_format", "requesting_party", "redirect_claim_gathering_url", "claims_redirect_path", "deny_by_default", "ambiguous_paths", "encoded_slashes", "override_headers", "dry_run", "log_grants", "id")
	}
	if err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// unmarshalClient reads an option of the UMA client.
func (c *ClientConfig) unmarshalClient(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "obtain_rpt":
		c.ObtainRPT, err = directive.Flag(d)
	case "require_id_token":
		c.RequireIDToken, err = directive.Flag(d)
	case "pushed_claims":
		c.PushedClaims, err = directive.String(d)
	case "pushed_claims_alg":
		c.PushedClaimsAlg, err = directive.String(d)
	case "claim_token_format":
		c.ClaimTokenFormat, err = directive.String(d)
	case "requesting_party":
		c.RequestingParty, err = directive.String(d)
	case "redirect_claim_gathering_url":
		c.RedirectClaimGatheringURL, err = directive.Flag(d)
	case "claims_redirect_path":
		c.ClaimsRedirectPath, err = directive.String(d)
	}
	return err
}

// Interface guard
var _ caddyfile.Unmarshaler = (*UMAPEP)(nil)
