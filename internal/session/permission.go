// SPDX-License-Identifier: Apache-2.0

package session

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Permission is what an UMA authorization server has said about the person and one
// rule: the requesting party token (RPT) that it granted, or how far it has got
// with that.
type Permission struct {
	// Token is the RPT, "" if there is none. It ends at ExpiresAt, unless that is
	// zero.
	Token     string    `json:"rpt,omitempty"`
	ExpiresAt time.Time `json:"exp,omitzero"`

	// Ticket is a permission ticket that the server waits for, "" if it waits for
	// none. It is not shown before NotBefore.
	Ticket    string    `json:"ticket,omitempty"`
	NotBefore time.Time `json:"nbf,omitzero"`

	// Rounds counts how often the person has come back from saying more about
	// themselves since RoundsSince, without a permission since.
	Rounds      int       `json:"rounds,omitempty"`
	RoundsSince time.Time `json:"rounds_since,omitzero"`
}

const (
	// maxRounds is how often a person is sent to say more about themselves for one
	// rule within roundsAge. Then it is the server that does not understand.
	maxRounds = 2
	roundsAge = 5 * time.Minute
)

// MayAskPerson reports whether the person can be sent to say more about themselves.
func (p *Permission) MayAskPerson(now time.Time) bool {
	return p.Rounds < maxRounds || !now.Before(p.RoundsSince.Add(roundsAge))
}

// CameBack keeps the ticket with which the person came back.
func (p *Permission) CameBack(ticket string, now time.Time) {
	if p.Rounds == 0 || !now.Before(p.RoundsSince.Add(roundsAge)) {
		p.Rounds, p.RoundsSince = 0, now
	}
	p.Rounds++
	p.Ticket, p.NotBefore = ticket, now
}

// maxPermissions is how many bytes all permissions of a session may have: the half
// of a record.
const maxPermissions = maxRecord / 2

func (p *Permission) size() int { return len(p.Token) + len(p.Ticket) }

// endsAt is when the permission is of no use any more. One without an end lasts as
// long as the session.
func (p *Permission) endsAt() time.Time {
	switch {
	case p.Token != "" && p.ExpiresAt.IsZero():
		return time.Unix(1<<40, 0)
	case p.Ticket != "" || !p.NotBefore.IsZero():
		return latest(p.ExpiresAt, p.NotBefore.Add(ticketAge))
	}
	return p.ExpiresAt
}

// ticketAge is how long a ticket is kept after it could have been shown.
const ticketAge = 10 * time.Minute

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// SetPermission sets the permission of a key. Those that have ended are forgotten,
// and so are those that end first while all together are too large for the record:
// they can be asked for again.
func (s *Session) SetPermission(key string, p Permission, now time.Time) {
	kept := maps.Clone(s.Permissions) // another version of the session may have it
	if kept == nil {
		kept = make(map[string]Permission)
	}
	maps.DeleteFunc(kept, func(_ string, old Permission) bool { return !now.Before(old.endsAt()) })
	delete(kept, key)
	total := p.size()
	for _, old := range kept {
		total += old.size()
	}
	byEnd := slices.SortedFunc(maps.Keys(kept), func(a, b string) int {
		x, y := kept[a], kept[b]
		return cmp.Or(x.endsAt().Compare(y.endsAt()), cmp.Compare(a, b))
	})
	for _, oldest := range byEnd {
		if total <= maxPermissions {
			break
		}
		old := kept[oldest]
		total -= old.size()
		delete(kept, oldest)
	}
	kept[key] = p
	s.Permissions = kept
}

// SetClaims sets the persisted claims token of a key.
func (s *Session) SetClaims(key, token string) {
	claims := maps.Clone(s.Claims)
	if claims == nil {
		claims = make(map[string]string)
	}
	claims[key] = token
	s.Claims = claims
}
