// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"slices"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// presented is a token as a client sent it. It is taken apart at most once, when
// that is first asked for, and handed down.
type presented struct {
	raw      string
	most     int    // bytes that a token may have
	question string // names the token, as what the server is asked about
	insist   bool   // ask whatever the circuit breaker says

	// atHand has the key that the token names, nil if keys must be waited for.
	atHand jwtcheck.KeySet

	parsed bool
	jwt    *jwtcheck.JWT
	err    error

	read  bool
	claim claimed
}

func (l *Lookup) presented(raw string, key tokencache.Key) *presented {
	return &presented{raw: raw, most: l.maxToken, question: string(key[:])}
}

// parse returns the token as a JWT, an error if it is not a signed one. Nothing
// in it has been verified.
func (t *presented) parse() (*jwtcheck.JWT, error) {
	if !t.parsed {
		t.jwt, t.err = jwtcheck.Parse(t.raw, t.most)
		t.parsed = true
	}
	return t.jwt, t.err
}

// claimed returns what the token says about itself, unverified.
func (t *presented) claimed() claimed {
	if !t.read {
		t.claim = t.readClaimed()
		t.read = true
	}
	return t.claim
}

// readClaimed takes the claims of a well-formed JWT as they were parsed, and
// everything else apart leniently.
func (t *presented) readClaimed() claimed {
	if jwt, err := t.parse(); err == nil {
		if claims, err := jwt.Claims(); err == nil {
			if c, ok := claimedIn(claims); ok {
				return c
			}
		}
	}
	return readClaimed(t.raw)
}

// claimsAny reports whether the token says, unverified, that it is a JWT of one of
// these issuers. It is what `verify auto` goes by: a token that lies about it is
// checked against the keys of the issuer that it names, and one that is odd in any
// other way is refused there.
func (t *presented) claimsAny(issuers provider.Issuers) bool {
	return slices.ContainsFunc(t.claimed().issuers, issuers.Claim)
}

// isJWT reports whether the token is a signed JWT of any issuer.
func (t *presented) isJWT() bool {
	_, err := t.parse()
	return err == nil
}
