// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"errors"

	"github.com/caddy-gluu/gateway/internal/session"
)

// ErrNoSessions says that no handler of the configuration keeps sessions.
var ErrNoSessions = errors.New("no handler of the running configuration keeps sessions: gluu_openid_connect does")

// CountSessions returns how many sessions a person has, by their subject at one
// issuer, or at all that the configuration knows if it is "".
func (a *App) CountSessions(ctx context.Context, issuer, subject string) (int, error) {
	return a.eachIssuer(issuer, func(m *session.Manager, issuer string) (int, error) {
		return m.Count(ctx, issuer, subject)
	})
}

// EndSessions ends the sessions of a subject, or the one with a sid, on all
// gateways that share the store, and returns how many there were.
func (a *App) EndSessions(ctx context.Context, issuer, sid, subject string) (int, error) {
	return a.eachIssuer(issuer, func(m *session.Manager, issuer string) (int, error) {
		return m.EndBy(ctx, issuer, sid, subject)
	})
}

// eachIssuer adds up what an operation returns for an issuer, or for all.
func (a *App) eachIssuer(issuer string, do func(*session.Manager, string) (int, error)) (total int, err error) {
	a.mu.Lock()
	sessions := a.sessions
	a.mu.Unlock()
	if sessions == nil {
		return 0, ErrNoSessions
	}
	issuers := []string{issuer}
	if issuer == "" {
		issuers = a.Issuers()
	}
	for _, issuer := range issuers {
		n, err := do(sessions, issuer)
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}
