// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"slices"
	"time"

	"github.com/caddy-gluu/gateway/internal/session"
)

// lifetimes are how long a session, and what it is made of, is good for.
type lifetimes struct {
	idle     time.Duration // without a request, 0: no limit
	whole    time.Duration // from the login
	auth     time.Duration // from when the person authenticated
	idToken  time.Duration // from when the ID token was issued
	userinfo time.Duration // from when it was fetched, 0: with each renewal
}

// renewAhead is how long before its end an access token is renewed, so that
// the upstream never receives one that ends on the way.
const renewAhead = 30 * time.Second

// overdue is how long a renewal may be late while the OpenID Provider is
// unavailable.
const overdue = 10 * time.Minute

// end is why a session is over.
type end string

const (
	notEnded     end = ""
	endedIdle    end = "idle"
	endedExpired end = "expired"
)

// ended reports why a session is over at a time, if it is. The clock of the
// OpenID Provider plays no part, so there is no leeway.
func (l *lifetimes) ended(s *session.Session, now time.Time) end {
	switch {
	case !s.Succeeded.IsZero() && !now.Before(s.Succeeded):
		return endedExpired
	case now.Sub(s.Created) >= l.whole:
		return endedExpired
	case l.idle > 0 && now.Sub(s.Seen) >= l.idle:
		return endedIdle
	}
	return notEnded
}

// expires is when the record of a session can go.
func (l *lifetimes) expires(s *session.Session) time.Time {
	expires := s.Created.Add(l.whole)
	if idle := s.Seen.Add(l.idle + l.touch()); l.idle > 0 && idle.Before(expires) {
		expires = idle
	}
	if !s.Succeeded.IsZero() && s.Succeeded.Before(expires) {
		expires = s.Succeeded
	}
	return expires
}

// touch is how often a session is marked as seen: once a minute, which is a
// write, or more often if it may idle for a few minutes only.
func (l *lifetimes) touch() time.Duration {
	if tenth := l.idle / 10; l.idle > 0 && tenth < time.Minute {
		return tenth
	}
	return time.Minute
}

// authenticatedAt is when the person authenticated. Where the OpenID Provider
// does not say, it is when it issued the ID token.
func authenticatedAt(a *session.Authentication) time.Time {
	if a.AuthTime.IsZero() {
		return a.IssuedAt
	}
	return a.AuthTime
}

// isStale reports whether the person has to authenticate again.
func (l *lifetimes) isStale(s *session.Session, now time.Time) bool {
	for i := range s.Authentications {
		if now.Sub(authenticatedAt(&s.Authentications[i])) <= l.auth {
			return false
		}
	}
	return true
}

// renewal is what a session needs before the request goes on.
type renewal struct {
	due     bool
	byToken bool // with the refresh token, while the person waits
	since   time.Time
}

// renewalOf reports whether a session has to be renewed. What was renewed
// without a new ID token counts too: not every OpenID Provider sends one.
func (l *lifetimes) renewalOf(s *session.Session, refresh bool, now time.Time) (r renewal) {
	r.byToken = refresh && s.Refresh != ""
	dueAt := latest(s.Newest().IssuedAt, s.RenewedAt).Add(l.idToken)
	if access := s.Access.ExpiresAt; r.byToken && !access.IsZero() && access.Add(-renewAhead).Before(dueAt) {
		dueAt = access.Add(-renewAhead)
	}
	r.due, r.since = !now.Before(dueAt), dueAt
	return r
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// satisfies reports whether one of the authentications is as strong and as
// recent as is asked for. A longer time ago than the configuration allows is
// too long for every path.
func (l *lifetimes) satisfies(s *session.Session, acrs []string, maxAge int64, now time.Time) bool {
	for i := range s.Authentications {
		a := &s.Authentications[i]
		age := now.Sub(authenticatedAt(a))
		switch {
		case len(acrs) > 0 && !slices.Contains(acrs, a.ACR):
		case age > l.auth:
		case maxAge > 0 && age > time.Duration(maxAge)*time.Second:
		default:
			return true
		}
	}
	return false
}
