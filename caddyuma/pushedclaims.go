// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/enforce"
	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/session"
)

// pushedClaims are what the authorization server is told about a person (UMA 2.0
// Grant, section 3.3.1).
type pushedClaims struct {
	format     string
	expression *headers.Object // nil: the ID token as it is
	signer     *headers.Signer
	algorithm  string
	audience   string // the authorization server
}

func newPushedClaims(config *ClientConfig, audience string, signer *headers.Signer) (*pushedClaims, error) {
	p := &pushedClaims{format: cmp.Or(config.ClaimTokenFormat, idTokenFormat), signer: signer, audience: audience}
	if !config.pushesExpression() {
		return p, nil
	}
	var err error
	if p.expression, err = headers.CompileObject(config.PushedClaims, claimVars...); err != nil {
		return nil, fmt.Errorf("pushed_claims: %w", err)
	}
	if p.algorithm, err = signer.Require(config.PushedClaimsAlg); err != nil {
		return nil, fmt.Errorf("pushed_claims_alg: %w", err)
	}
	return p, nil
}

// claimTokenAge is how long a claim token is good: the authorization server reads
// it at once.
const claimTokenAge = 5 * time.Minute

// tokenFor returns the claim token about a person.
func (p *pushedClaims) tokenFor(req enforce.Request, s *session.Session) (string, error) {
	if p.expression == nil {
		if s.IDToken == "" {
			return "", errors.New("the session has no ID token")
		}
		return s.IDToken, nil
	}
	idToken, err := req.Identity.Token.Claims()
	if err != nil {
		return "", err
	}
	claims, err := p.expression.Eval(map[string]any{
		"id_token": idToken, "userinfo": objectOrNil(req.Identity.UserInfo), "request": describe(req),
	})
	if err != nil {
		return "", err
	}
	claims["aud"] = p.audience
	if _, has := claims["sub"]; !has {
		claims["sub"] = s.Subject
	}
	signed, err := p.signer.Sign(headers.SignRequest{
		Claims: claims, OriginalIssuer: s.Issuer, Type: headers.TypeClaimToken, Algorithm: p.algorithm, NotAfter: time.Now().Add(claimTokenAge),
	})
	if err != nil {
		return "", err
	}
	return signed.Token, nil
}

// objectOrNil keeps an object that is missing from looking like an empty one.
func objectOrNil(object map[string]any) any {
	if object == nil {
		return nil
	}
	return object
}

// describe is the request for expressions. Names of headers are in lower case.
func describe(req enforce.Request) map[string]any {
	fields := make(map[string]any, len(req.Header))
	for name, values := range req.Header {
		fields[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	fields["host"] = req.Host
	return map[string]any{"method": req.Method, "path": req.Path, "headers": fields}
}

// refusalOfClaims refuses a request about whose sender nothing can be pushed.
func refusalOfClaims(err error) identity.Refusal {
	if errors.Is(err, headers.ErrNotReady) {
		return identity.NotReady(err)
	}
	return identity.Internal(fmt.Errorf("pushed_claims: %w", err))
}
