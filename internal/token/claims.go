// SPDX-License-Identifier: Apache-2.0

package token

import (
	"errors"
	"strings"

	"github.com/caddy-gluu/gateway/jose"
)

// What a JWT and an introspection answer have in common: both are a JSON
// object of claims under the same names (RFC 7519, section 4; RFC 7662,
// section 2.2; RFC 9068, section 2.2).

// FromClaims reads the claims that the gateway itself understands. An error
// means that a claim has the wrong type, so that its meaning is unknown. What the
// claims cannot say (Provider, Issuer, JWT, ClaimsJSON) is the caller's to set.
func FromClaims(claims jose.Object, m Mapping) (*Token, error) {
	var t Token
	var errs [5]error
	t.Subject, errs[0] = claims.Text("sub")
	t.ClientID, errs[1] = m.clientID(claims)
	t.Scopes, errs[2] = m.grants(claims)
	t.ExpiresAt, errs[3] = claims.Time("exp")
	t.Confirmation, errs[4] = confirmationOf(claims)
	return &t, errors.Join(errs[:]...)
}

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
