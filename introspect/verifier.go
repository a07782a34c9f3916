// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/caddy-gluu/gateway/internal/dpop"
	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// verifier verifies the tokens of one authorization server. Like the server
// itself it stays when a configuration is reloaded with the same settings.
type verifier struct {
	server       *provider.Server
	metrics      *lookupMetrics
	singleFlight singleflight.Group // tokens that are being verified
	cacheKeys    tokencache.Hasher
	proofs       *dpop.Checker
}

func newVerifier(s *provider.Server) *verifier {
	return &verifier{
		server:    s,
		metrics:   newLookupMetrics(s.Name()),
		cacheKeys: tokencache.NewHasher(),
		proofs:    newProofs(s),
	}
}

func newProofs(s *provider.Server) *dpop.Checker {
	return dpop.New(func() time.Time { return s.Now() }, s.Config().DPoPNonce)
}

// Destruct implements caddy.Destructor: no configuration has the server any
// more.
func (v *verifier) Destruct() error {
	v.server.Close()
	return nil
}

// presented is a token as a client sent it. It is taken apart at most once, when
// that is first asked for, and handed down.
type presented struct {
	raw string

	parsed bool
	jwt    *jwtcheck.JWT
	err    error
}

// parse returns the token as a JWT, an error if it is not a signed one. Nothing
// in it has been verified.
func (t *presented) parse() (*jwtcheck.JWT, error) {
	if !t.parsed {
		t.jwt, t.err = jwtcheck.Parse(t.raw, maxToken)
		t.parsed = true
	}
	return t.jwt, t.err
}

// claimsIssuer reports whether the token is a signed JWT that says, unverified,
// that it is this issuer's. It is what `verify auto` goes by: a token that lies
// about it is checked against the keys of the issuer that it names.
func (t *presented) claimsIssuer(issuer string) bool {
	jwt, err := t.parse()
	if err != nil {
		return false
	}
	claims, err := jwt.Claims()
	return err == nil && jwtcheck.Issuer(claims, issuer) == nil
}

// isJWT reports whether the token is a signed JWT of any issuer.
func (t *presented) isJWT() bool {
	_, err := t.parse()
	return err == nil
}
