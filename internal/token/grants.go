// SPDX-License-Identifier: Apache-2.0

package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/jose"
)

// Mapping says which claims of an authorization server's tokens name the client
// and what they grant. The zero value is for servers that use the registered
// names.
type Mapping struct {
	// ClientID are the names of claims, of which the first that is there is
	// the client. DefaultClientIDClaims if there are none.
	ClientID []string

	// Grants are the claims whose values rules ask for. If there are none, it is
	// `scope`, or `scp` where there is no `scope`.
	Grants []Grant
}

// Grant is a claim whose values rules ask for, under a prefix of their own.
type Grant struct {
	Path   ClaimPath
	Prefix string
}

// DefaultClientIDClaims are the claims that name the client: `client_id` (RFC
// 8693, section 4.3), `azp` as Keycloak and Google call it, `cid` as Okta does and
// `appid` as Entra does in tokens of version 1.
var DefaultClientIDClaims = []string{"client_id", "azp", "cid", "appid"}

// CheckGrants refuses prefixes that could be taken for each other.
func CheckGrants(grants []Grant) error {
	for i, a := range grants {
		for _, b := range grants[:i] {
			switch {
			case slices.Equal(a.Path, b.Path) && a.Prefix == b.Prefix:
				return fmt.Errorf("%q is named twice: keep one of them", strings.Join(a.Path, "."))
			case a.Prefix == "" || b.Prefix == "" || a.Prefix == b.Prefix:
			case strings.HasPrefix(a.Prefix, b.Prefix), strings.HasPrefix(b.Prefix, a.Prefix):
				return fmt.Errorf("one of the prefixes %q and %q begins with the other, so that values of one claim could be taken for those of another: choose prefixes that differ", b.Prefix, a.Prefix)
			}
		}
	}
	return nil
}

// clientID returns the client that the token was issued to, "" if it does not
// say.
func (m *Mapping) clientID(claims jose.Object) (string, error) {
	names := m.ClientID
	if len(names) == 0 {
		names = DefaultClientIDClaims
	}
	for _, name := range names {
		if id, err := claims.Text(name); err != nil || id != "" {
			return id, err
		}
	}
	return "", nil
}

// grants returns what rules can ask for, each value once.
func (m *Mapping) grants(claims jose.Object) ([]string, error) {
	if len(m.Grants) == 0 {
		return scopesOf(claims)
	}
	var all []string
	known := make(map[string]bool) // an answer may list very many
	for _, grant := range m.Grants {
		values, err := grant.values(claims)
		if err != nil {
			return nil, err
		}
		for _, value := range values {
			if value == "" || m.isForeign(grant.Prefix, value) {
				continue
			}
			if value = grant.Prefix + value; !known[value] {
				known[value] = true
				all = append(all, value)
			}
		}
	}
	return all, nil
}

// IsAssigned reports whether a rule that asks for this asks for what an
// administrator assigns to users and clients, such as a role, and not for a scope
// that a client can request.
func (m Mapping) IsAssigned(grant string) bool {
	return slices.ContainsFunc(m.Grants, func(g Grant) bool {
		return g.Prefix != "" && !g.Path.isScope() && strings.HasPrefix(grant, g.Prefix)
	})
}

// isForeign reports whether a value of a claim without a prefix looks like one
// of a claim that has one: a scope must never be taken for a role.
func (m *Mapping) isForeign(prefix, value string) bool {
	return prefix == "" && slices.ContainsFunc(m.Grants, func(g Grant) bool {
		return g.Prefix != "" && strings.HasPrefix(value, g.Prefix)
	})
}

// values returns the texts of the claim. Scopes are read strictly. Of other
// claims, whose form no standard prescribes, only texts count.
func (g Grant) values(claims jose.Object) ([]string, error) {
	value, ok := g.Path.find(claims)
	switch {
	case !ok || value.IsNull():
		return nil, nil
	case g.Path.isScope():
		return scopesIn(value)
	case value.IsText():
		text, err := value.Text()
		return []string{text}, err
	case !value.IsList():
		return nil, nil
	}
	elements, err := value.Elements()
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, element := range elements {
		if !element.IsText() {
			continue
		}
		text, err := element.Text()
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// scopesOf returns the scopes from `scope` (RFC 8693, section 4.2), or from
// `scp` where there is none, which some servers prefer.
func scopesOf(claims jose.Object) ([]string, error) {
	value, ok := claims.Get("scope")
	if !ok {
		value, ok = claims.Get("scp")
	}
	if !ok || value.IsNull() {
		return nil, nil
	}
	return scopesIn(value)
}

// scopesIn returns the scopes in a string, which is split at U+0020 and nothing
// else (RFC 6749, section 3.3), or in a list.
func scopesIn(value jose.Value) ([]string, error) {
	if value.IsText() {
		text, err := value.Text()
		if err != nil || text == "" {
			return nil, err
		}
		return slices.DeleteFunc(strings.Split(text, " "), isEmpty), nil
	}
	scopes, err := value.Texts()
	if err != nil {
		return nil, errors.New("scope is neither a string nor a list of strings")
	}
	// Joined to a header, such an element would turn into two scopes.
	if slices.ContainsFunc(scopes, hasSpace) {
		return nil, errors.New("a scope in a list contains a space")
	}
	return slices.DeleteFunc(scopes, isEmpty), nil
}

func isEmpty(s string) bool  { return s == "" }
func hasSpace(s string) bool { return strings.Contains(s, " ") }

// JoinedScopes returns what the token grants as one text, separated by spaces.
// A role whose name contains a space is left out: it would turn into two.
func (t *Token) JoinedScopes() string {
	if !slices.ContainsFunc(t.Scopes, hasSpace) {
		return strings.Join(t.Scopes, " ")
	}
	return strings.Join(slices.DeleteFunc(slices.Clone(t.Scopes), hasSpace), " ")
}
