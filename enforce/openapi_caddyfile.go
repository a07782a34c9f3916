// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"encoding/json"
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/directive"
)

// UnmarshalOpenAPI reads the subdirective that names an OpenAPI document, relative to
// the Caddyfile. Syntax:
//
//	openapi <file> {
//		security_scheme <name>...
//		base_path <path>|servers|none
//		unlisted deny|public|authenticated
//		prefix <text>
//		watch [true|false]
//	}
func (r *Rules) UnmarshalOpenAPI(d *caddyfile.Dispenser) (err error) {
	r.openapi, r.openapiAt = new(OpenAPI), d.Token()
	if r.openapi.File, err = directive.String(d); err == nil {
		r.openapi.File, err = directive.Beside(d, r.openapi.File)
	}
	if err != nil {
		return err
	}
	if err := directive.EachOption(d, r.unmarshalOpenAPIOption, "security_scheme"); err != nil {
		return err
	}
	return nil
}

func (r *Rules) unmarshalOpenAPIOption(d *caddyfile.Dispenser) (err error) {
	o := r.openapi
	switch d.Val() {
	case "security_scheme":
		err = directive.AddStrings(d, &o.SecurityScheme)
	case "base_path":
		err = directive.SetString(d, &o.BasePath)
	case "unlisted":
		err = directive.SetString(d, &o.Unlisted)
	case "prefix":
		err = directive.SetString(d, &o.Prefix)
	case "watch":
		o.Watch, err = directive.Flag(d)
		if err == nil && o.Watch && r.Options.UMA {
			return d.Err(errUMAWatch.Error())
		}
	default:
		return directive.Unknown(d, "openapi", "security_scheme", "base_path", "unlisted", "prefix", "watch")
	}
	if err != nil {
		return err
	}
	options := o.options(r.Options.UMA)
	if err := options.Check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// errUMAWatch refuses a combination: resources are registered when a configuration
// loads.
var errUMAWatch = errors.New("watch is only for gluu_oauth_pep: the resources of gluu_uma_pep are registered when the configuration loads; reload it after a change")

// UnmarshalOverride reads rules that replace those of operations. Syntax:
//
//	override path <pattern> { ... }
func (r *Rules) UnmarshalOverride(d *caddyfile.Dispenser) error {
	if !d.NextArg() || d.Val() != "path" {
		return d.Errf("override comes before path: write 'override path /users/? { GET scope <expression> }'")
	}
	rule, at, err := r.unmarshalPath(d)
	if err != nil {
		return err
	}
	r.overrides, r.overridePlaces = append(r.overrides, rule), append(r.overridePlaces, at)
	return nil
}

// finishOpenAPI checks the rules together with those of the OpenAPI document.
func (r *Rules) finishOpenAPI(option string, document json.RawMessage, file string) (RuleOptions, error) {
	options := RuleOptions{OpenAPI: r.openapi}
	if len(r.overrides) > 0 {
		alone := Rules{Options: r.Options, document: r.overrides, places: r.overridePlaces}
		if _, err := r.overrides.Compile(r.Options); err != nil {
			return options, alone.explain(directive.At(r.openapiAt), err)
		}
	}
	var err error
	if options.Override, err = marshalRules(r.overrides); err != nil {
		return options, err
	}
	_, _, err = (&RuleSource{options, option, document, file, r.Options}).Compile()
	if err != nil {
		return options, r.explainJoin(err)
	}
	return options, nil
}

// explainJoin adds the line to an error about rules and operations.
func (r *Rules) explainJoin(err error) error {
	at := r.openapiAt
	if conflict, ok := errors.AsType[*joinError](err); ok {
		rules, places := r.document, r.places
		if conflict.operation == "" {
			rules, places = r.overrides, r.overridePlaces
		}
		for i, rule := range rules {
			if rule.Path != conflict.path {
				continue
			}
			at = places[i].path
			if j := conditionOf(rule, conflict.method); j >= 0 && j < len(places[i].conditions) {
				at = places[i].conditions[j]
			}
			break
		}
	}
	return directive.At(at).WrapErr(err)
}
