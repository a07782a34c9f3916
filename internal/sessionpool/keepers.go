// SPDX-License-Identifier: Apache-2.0

package sessionpool

import (
	"context"
	"errors"
	"slices"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/session"
)

// ErrNoSessions says that no handler of the configuration keeps sessions.
var ErrNoSessions = errors.New("no handler of the running configuration keeps sessions: gluu_openid_connect does")

// Keeper is a handler that logs people in, as the admin API sees it.
type Keeper struct {
	Issuers provider.Issuers // of the people

	// Ended is told what an operator has ended: how many sessions of a person or
	// of a sid.
	Ended func(issuer, sid, subject string, sessions int)
}

// Note remembers a handler of the configuration that keeps sessions.
func (s *Sessions) Note(k Keeper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepers = append(s.keepers, k)
}

// Times returns the times of the sessions of a person, by their subject at
// one issuer, or at all that the configuration can name if it is "".
func (s *Sessions) Times(ctx context.Context, issuer, subject string) ([]session.Times, error) {
	times := []session.Times{}
	err := s.eachIssuer(issuer, func(m *session.Manager, issuer string, _ Keeper) error {
		found, err := m.TimesOf(ctx, issuer, subject)
		times = append(times, found...)
		return err
	})
	return times, err
}

// End ends the sessions of a subject, or the one with a sid, on all
// gateways that share the store, and returns how many there were.
func (s *Sessions) End(ctx context.Context, issuer, sid, subject string) (total int, err error) {
	err = s.eachIssuer(issuer, func(m *session.Manager, issuer string, keeper Keeper) error {
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
func (s *Sessions) eachIssuer(issuer string, do func(*session.Manager, string, Keeper) error) error {
	s.mu.Lock()
	manager, keepers := s.manager, slices.Clone(s.keepers)
	s.mu.Unlock()
	if manager == nil {
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
		var keeper Keeper
		if i := slices.IndexFunc(keepers, func(k Keeper) bool { return k.Issuers.Spoke(issuer) }); i >= 0 {
			keeper = keepers[i]
		}
		if err := do(manager, issuer, keeper); err != nil {
			return err
		}
	}
	return nil
}
