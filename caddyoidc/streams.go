// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"context"
	"errors"

	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/streams"
	"github.com/caddy-gluu/gateway/internal/token"
)

// streamOf says whose stream a request is that may become one. Its end is that of
// the session's access token, which a renewal by another request moves, or of the
// session.
func (p *people) streamOf(v *visit, seen *view) streams.Caller {
	l, sessions := v.lifetimes, v.sessions
	tokenOf := func(s *session.Session) *token.Token {
		t := &token.Token{Provider: p.provider, Issuer: s.Issuer, ClientID: s.ClientID, Subject: s.Subject, ExpiresAt: l.expires(s)}
		if access := s.Access.ExpiresAt; !access.IsZero() && access.Before(t.ExpiresAt) {
			t.ExpiresAt = access
		}
		return t
	}
	current := v.session
	caller := streams.Caller{Token: tokenOf(current), Provider: p.provider, Session: current.Tag()}
	if c := seen.consumer; c != nil {
		caller.ConsumerID, caller.Consumer = c.ID, c.Name()
	}
	caller.Again = func(ctx context.Context) (*token.Token, error) {
		newest, err := sessions.Reload(ctx, current)
		switch {
		case errors.Is(err, session.ErrNone):
			return nil, &token.Error{Reason: token.Inactive, Err: err}
		case err != nil:
			return nil, err
		}
		return tokenOf(newest), nil
	}
	return caller
}
