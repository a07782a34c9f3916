// SPDX-License-Identifier: Apache-2.0

package token

import (
	"errors"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/jose"
)

// What a JWT and an introspection answer have in common: both are a JSON
// object of claims under the same names (RFC 7519, section 4; RFC 7662,
// section 2.2; RFC 9068, section 2.2).

// FromClaims reads the claims that the gateway itself understands. An error
// means that a claim has the wrong type, so that its meaning is unknown. What the
// claims cannot say (Provider, Issuer, JWT, ClaimsJSON) is the caller's to set.
func FromClaims(claims jose.Object) (*Token, error) {
	var t Token
	var errs [5]error
	t.Subject, errs[0] = claims.Text("sub")
	t.ClientID, errs[1] = clientIDOf(claims)
	t.Scopes, errs[2] = scopesOf(claims)
	t.ExpiresAt, errs[3] = claims.Time("exp")
	t.Confirmation, errs[4] = confirmationOf(claims)
	return &t, errors.Join(errs[:]...)
}

// clientIDOf returns the client that the token was issued to: `client_id`
// (RFC 8693, section 4.3), `azp` as Keycloak and Google call it, `cid`
// as Okta does.
func clientIDOf(claims jose.Object) (string, error) {
	for _, name := range []string{"client_id", "azp", "cid"} {
		if id, err := claims.Text(name); err != nil || id != "" {
			return id, err
		}
	}
	return "", nil
}

// scopesOf returns the scopes from `scope` (RFC 8693, section 4.2) or `scp`,
// which some servers prefer. Either is a string or a list; a string is split
// at U+0020 and nothing else (RFC 6749, section 3.3).
func scopesOf(claims jose.Object) ([]string, error) {
	value, ok := claims.Get("scope")
	if !ok {
		value, ok = claims.Get("scp")
	}
	if !ok || value.JSON() == "null" {
		return nil, nil
	}
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
	if slices.ContainsFunc(scopes, func(s string) bool { return strings.Contains(s, " ") }) {
		return nil, errors.New("a scope in a list contains a space")
	}
	return slices.DeleteFunc(scopes, isEmpty), nil
}

func isEmpty(s string) bool { return s == "" }

// confirmationOf returns the key that the token is bound to. What cannot be
// understood comes back as a confirmation without a member, which no proof
// satisfies: a bound token is never taken for a plain one.
func confirmationOf(claims jose.Object) (*Confirmation, error) {
	value, ok := claims.Get("cnf")
	if !ok || value.IsNull() {
		// RFC 9449, section 5: a token of this type is bound, even if the
		// answer forgets to what.
		if kind, err := claims.Text("token_type"); err == nil && strings.EqualFold(kind, "DPoP") {
			return &Confirmation{}, nil
		}
		return nil, nil
	}
	cnf, err := value.Object()
	if err != nil {
		return &Confirmation{}, nil
	}
	jkt, err1 := cnf.Text("jkt")
	x5t, err2 := cnf.Text("x5t#S256")
	return &Confirmation{JKT: jkt, X5T: x5t}, errors.Join(err1, err2)
}
