// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"context"
	"errors"

	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/streams"
	"github.com/caddy-gluu/gateway/internal/token"
)

// streamOf says whose stream a request is that may become one.
func (p *people) streamOf(v *visit, seen *view) streams.Caller {
	source := &streamSource{people: p, lifetimes: v.lifetimes, sessions: v.sessions, first: v.session}
	caller := streams.Caller{Token: source.token(v.session), Provider: p.provider, Session: v.session.Tag(), Seen: seen.token, Source: source}
	if c := seen.consumer; c != nil {
		caller.ConsumerID, caller.Consumer = c.ID, c.Name()
	}
	return caller
}

// streamSource vouches for a stream by its session. Its end is that of the session's
// access token, which a renewal by another request moves, or of the session.
type streamSource struct {
	people    *people
	lifetimes *lifetimes
	sessions  *session.Manager
	first     *session.Session // as it was when the stream began
}

func (f *streamSource) token(s *session.Session) *token.Token {
	t := &token.Token{
		Provider: f.people.provider, Issuer: s.Issuer, ClientID: s.ClientID, Subject: s.Subject, ExpiresAt: f.lifetimes.expires(s),
	}
	if access := s.Access.ExpiresAt; !access.IsZero() && access.Before(t.ExpiresAt) {
		t.ExpiresAt = access
	}
	return t
}

// Again implements streams.Source.
func (f *streamSource) Again(ctx context.Context, _ string) (*token.Token, error) {
	newest, err := f.sessions.Reload(ctx, f.first)
	switch {
	case errors.Is(err, session.ErrNone):
		return nil, &token.Error{Reason: token.Inactive, Err: err}
	case err != nil:
		return nil, err
	}
	return f.token(newest), nil
}

// Holds implements streams.Source. What happens to sessions is told to the register.
func (*streamSource) Holds(*token.Token) bool { return true }

// IsLocal implements streams.Source.
func (*streamSource) IsLocal() bool { return false }

// Interface guard
var _ streams.Source = (*streamSource)(nil)
