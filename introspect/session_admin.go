// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"errors"
	"slices"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/session"
)

// ErrNoSessions says that no handler of the configuration keeps sessions.
var ErrNoSessions = errors.New("no handler of the running configuration keeps sessions: gluu_openid_connect does")

// SessionKeeper is a handler that logs people in, as the admin API sees it.
type SessionKeeper struct {
	Issuers provider.Issuers // of the people

	// Ended is told what an operator has ended: how many sessions of a person or
	// of a sid.
	Ended func(issuer, sid, subject string, sessions int)
}

// NoteSessionKeeper remembers a handler of the configuration that keeps sessions.
func (a *App) NoteSessionKeeper(k SessionKeeper) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keepers = append(a.keepers, k)
}

// SessionTimes returns the times of the sessions of a person, by their subject at
// one issuer, or at all that the configuration can name if it is "".
func (a *App) SessionTimes(ctx context.Context, issuer, subject string) ([]session.Times, error) {
	times := []session.Times{}
	err := a.eachIssuer(issuer, func(m *session.Manager, issuer string, _ SessionKeeper) error {
		found, err := m.TimesOf(ctx, issuer, subject)
		times = append(times, found...)
		return err
	})
	return times, err
}

// EndSessions ends the sessions of a subject, or the one with a sid, on all
// gateways that share the store, and returns how many there were.
func (a *App) EndSessions(ctx context.Context, issuer, sid, subject string) (total int, err error) {
	err = a.eachIssuer(issuer, func(m *session.Manager, issuer string, keeper SessionKeeper) error {
		n, err := m.EndBy(ctx, issuer, sid, subject)
		total += n
		if n > 0 && keeper.Ended != nil {
			keeper.Ended(issuer, sid, subject, n)
		}
		return err
	})
	return total, err
}

// eachIssuer does something for an issuer, or for all that can be named, with a
// handler whose it is.
func (a *App) eachIssuer(issuer string, do func(*session.Manager, string, SessionKeeper) error) error {
	a.mu.Lock()
	sessions, keepers := a.sessions, slices.Clone(a.keepers)
	a.mu.Unlock()
	if sessions == nil {
		return ErrNoSessions
	}
	issuers := []string{issuer}
	if issuer == "" {
		issuers = nil
		for _, k := range keepers {
			issuers = append(issuers, k.Issuers.Known()...)
		}
		slices.Sort(issuers)
		issuers = slices.Compact(issuers)
	}
	for _, issuer := range issuers {
		var keeper SessionKeeper
		if i := slices.IndexFunc(keepers, func(k SessionKeeper) bool { return k.Issuers.Spoke(issuer) }); i >= 0 {
			keeper = keepers[i]
		}
		if err := do(sessions, issuer, keeper); err != nil {
			return err
		}
	}
	return nil
}
