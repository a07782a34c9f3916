// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pb33f/go-yaml"

	"github.com/caddy-gluu/gateway/scopeexpr"
)

// A requirement is what an operation asks of a token: an access, or scopes, of which
// one of the lists must be held as a whole.
type requirement struct {
	access string // scopeexpr.Public, scopeexpr.Authenticated, Deny; "" with scopes
	any    [][]string
}

// Types of security schemes whose tokens a gateway can verify.
const (
	kindOAuth2  = "oauth2"
	kindConnect = "openIdConnect"
	kindHTTP    = "http"
	bearer      = "bearer"
)

// checkSchemes refuses names of schemes that the document does not have, and schemes
// that do not come with a token.
func (l *loader) checkSchemes(a *api) error {
	for _, name := range l.opts.SecuritySchemes {
		s, ok := a.schemes[name]
		switch {
		case !ok:
			return &Error{File: l.main, Reason: fmt.Sprintf("security_scheme %q is not a security scheme of the document", name),
				Hint: "name one of those that it has: " + strings.Join(sortedNames(a.schemes), ", ")}
		case !verifiable(s):
			return l.errorAt(s.node, "name schemes of type oauth2, openIdConnect or http with scheme bearer",
				"security_scheme %q is of type %q: this gateway verifies access tokens only", name, s.kind)
		}
	}
	return nil
}

func sortedNames(schemes map[string]scheme) []string {
	names := make([]string, 0, len(schemes))
	for name := range schemes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func verifiable(s scheme) bool {
	return s.kind == kindOAuth2 || s.kind == kindConnect || s.kind == kindHTTP && s.http == bearer
}

// ours reports whether this gateway verifies the tokens of a scheme.
func (l *loader) ours(name string, s scheme) bool {
	if len(l.opts.SecuritySchemes) > 0 {
		return slices.Contains(l.opts.SecuritySchemes, name)
	}
	return s.kind == kindOAuth2 || s.kind == kindConnect
}

// requirementOf reads the security of an operation.
func (l *loader) requirementOf(a *api, op *operation) (requirement, error) {
	s := op.security
	if s.node == nil {
		// An empty list at the top says no more than none at all. That an
		// operation is public has to be said of it.
		if s = a.security; len(s.alternatives) == 0 {
			access := l.opts.Unlisted
			if access == "" {
				access = Deny
			}
			return requirement{access: access}, nil
		}
	}
	if len(s.alternatives) == 0 {
		return requirement{access: scopeexpr.Public}, nil
	}
	var r requirement
	optional := false
	for _, alternative := range s.alternatives {
		scopes, protects, err := l.conjunction(a, op, alternative)
		switch {
		case err != nil:
			return requirement{}, err
		case len(alternative) == 0:
			optional = true
		case !protects:
			// Only schemes that are left out: a caller who satisfies them alone is
			// not let in here.
		case !slices.ContainsFunc(r.any, func(other []string) bool { return slices.Equal(other, scopes) }):
			r.any = append(r.any, scopes)
		}
	}
	switch {
	case optional:
		return requirement{access: scopeexpr.Public}, nil
	case len(r.any) == 0:
		return requirement{}, l.errorAt(s.node, "name one of its schemes with security_scheme, or write a rule of your own with override",
			"without the schemes that security_scheme leaves out, nothing protects this operation")
	case slices.ContainsFunc(r.any, func(scopes []string) bool { return len(scopes) == 0 }):
		return requirement{access: scopeexpr.Authenticated}, nil
	}
	return r, nil
}

// conjunction returns the scopes that an alternative requires together, and whether
// a scheme of this gateway is in it.
func (l *loader) conjunction(a *api, op *operation, alternative alternative) (scopes []string, protects bool, err error) {
	for _, need := range alternative {
		s, known := a.schemes[need.scheme.value]
		if !known {
			return nil, false, l.errorAt(need.scheme.node, "define it, or correct the name", "the security scheme %q is not defined", need.scheme.value)
		}
		if !l.ours(need.scheme.value, s) {
			if len(l.opts.SecuritySchemes) == 0 {
				return nil, false, l.errorAt(need.scheme.node,
					"write security_scheme with the names of those that it verifies, which leaves this one to the API",
					"the security scheme %q is of type %q, which this gateway does not verify by default", need.scheme.value, s.kind)
			}
			continue
		}
		protects = true
		for _, scope := range need.scopes {
			if strings.HasPrefix(scope.value, "^") {
				return nil, false, l.errorAt(scope.node, "write a regular expression into "+scopesExtension, "the scope %q starts with ^", scope.value)
			}
			if s.kind == kindOAuth2 && !s.declared[scope.value] {
				l.warn(op, scope.node, "correct it, or declare it there", "the scope %q is not declared by any flow of the security scheme %q", scope.value, need.scheme.value)
			}
			if scope := l.opts.Prefix + scope.value; !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	return scopes, protects, nil
}

// ownScopes reads x-gluu-scopes, all of which are required.
func (l *loader) ownScopes(node *yaml.Node) (requirement, error) {
	wrong := func(at *yaml.Node) error {
		return l.errorAt(at, `write a list of scopes such as ["^todos:(?<PC1>.+)$"]`, "%s is not a list of texts", scopesExtension)
	}
	if node.Kind != yaml.SequenceNode || len(node.Content) == 0 {
		return requirement{}, wrong(node)
	}
	var scopes []string
	for _, scope := range node.Content {
		if scope.Kind != yaml.ScalarNode || scope.Tag == "!!null" || scope.Value == "" {
			return requirement{}, wrong(scope)
		}
		scopes = append(scopes, scope.Value)
	}
	return requirement{any: [][]string{scopes}}, nil
}

// expression writes a requirement as JSON Logic over the scopes that it names.
func (r requirement) expression() *scopeexpr.Expression {
	var data, alternatives []string
	for _, scopes := range r.any {
		var operands []string
		for _, scope := range scopes {
			i := slices.Index(data, scope)
			if i < 0 {
				i, data = len(data), append(data, scope)
			}
			operands = append(operands, fmt.Sprintf(`{"var":%d}`, i))
		}
		alternatives = append(alternatives, operator("and", operands))
	}
	return &scopeexpr.Expression{Rule: []byte(operator("or", alternatives)), Data: data}
}

func operator(name string, operands []string) string {
	if len(operands) == 1 {
		return operands[0]
	}
	return fmt.Sprintf(`{%q:[%s]}`, name, strings.Join(operands, ","))
}
