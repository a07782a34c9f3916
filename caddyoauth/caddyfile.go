// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/enforce"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

func init() {
	directive.RegisterHandler("gluu_oauth_auth", parseAuth)
	directive.RegisterHandler("gluu_oauth_pep", parsePEP)
}

// parseAuth sets up gluu_oauth_auth. Syntax:
//
//	gluu_oauth_auth [<matcher>] [<provider>...] {
//		issuer|op_url|client_id|client_secret|... <value>   # a provider of its own, as in the app
//		provider embedded [<issuer> [<service>]]
//		id <name>
//		anonymous <consumer>
//		anonymous_on failed|missing
//		token_from authorization|header <name>|query <name>|cookie <name>|form
//		several_tokens refuse|first
//		optional [true|false]
//		pass_credentials pass|hide|phantom_token
//		consumer_mapping true|false
//		upstream_headers on|off
//		header <name> <expression> [string|base64|urlencoded|list|jwt] [<separator>]
//		header_each <name with {*}> <expression> [string|base64|urlencoded]
//		phantom_token_alg ES256|RS256|EdDSA|none
//		realm <text>
//		dry_run [true|false]
//	}
func parseAuth(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	a := new(OAuthAuth)
	if err := a.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return a, a.CheckReferences(h)
}

// parsePEP sets up gluu_oauth_pep.
func parsePEP(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	p := new(OAuthPEP)
	return p, p.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler. Syntax:
//
//	gluu_oauth_pep [<matcher>] {
//		path <pattern> {
//			<method>... scope <expression> [{
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
//			watch [true|false]
//		}
//		override path <pattern> { ... }
//		oauth_scope_expression <json>
//		oauth_scope_expression_file <path>
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
func (p *OAuthPEP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	start, err := directive.BeginBlock(d, "write 'path %s { <method> scope <expression> }' into the block")
	if err != nil {
		return err
	}
	rules := enforce.Rules{Options: scopeexpr.Options{}}
	var once directive.Once
	for d.NextBlock(0) {
		if err := once.Check(d, "path", "override", option, option+"_file"); err != nil {
			return err
		}
		known, err := p.UnmarshalOption(d)
		if known || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		switch name := d.Val(); name {
		case "path":
			err = rules.UnmarshalPath(d)
		case "openapi":
			err = rules.UnmarshalOpenAPI(d)
		case "override":
			err = rules.UnmarshalOverride(d)
		case option:
			err = rules.UnmarshalDocument(d)
		case option + "_file":
			if p.ScopeExpressionFile != "" {
				return d.Errf("%s is set twice: join the files", name)
			}
			if p.ScopeExpressionFile, err = directive.String(d); err == nil {
				if _, err = enforce.Compile(option, nil, p.ScopeExpressionFile, rules.Options); err != nil {
					err = d.WrapErr(err)
				}
			}
		default:
			err = directive.Unknown(d, "gluu_oauth_pep", "path", "openapi", "override", option, option+"_file", "deny_by_default", "ambiguous_paths", "encoded_slashes", "override_headers", "dry_run", "log_grants", "id")
		}
		if err != nil {
			return err
		}
	}
	p.ScopeExpression, p.RuleOptions, err = rules.Finish(start, option, p.ScopeExpressionFile)
	return err
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*OAuthAuth)(nil)
	_ caddyfile.Unmarshaler = (*OAuthPEP)(nil)
)
