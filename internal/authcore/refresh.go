// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-gluu/gateway/internal/seal"
	"github.com/caddy-gluu/gateway/internal/store"
)

// RefreshToken is one generation of the refresh token of a grant.
type RefreshToken struct {
	ID      TokenID   `json:"-"`
	GrantID string    `json:"grant"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires,omitzero"` // zero: never

	// Rotated is when the token was replaced. Successor is what its holder got for
	// it, sealed with a key derived from the token.
	Rotated   time.Time `json:"rotated,omitzero"`
	Successor []byte    `json:"successor,omitempty"`

	version uint64
}

func refreshRecord(t *RefreshToken) (store.Record, error) {
	return record(refreshKind, t.ID[:], t, t.Expires, t.version, entry(grantIndex, t.GrantID))
}

// refreshExpiry is when a refresh token of now is over.
func refreshExpiry(g *Grant, terms Terms, now time.Time) time.Time {
	var expires time.Time
	if terms.Idle > 0 {
		expires = now.Add(terms.Idle)
	}
	if !g.Expires.IsZero() && (expires.IsZero() || expires.After(g.Expires)) {
		expires = g.Expires
	}
	return expires
}

// Rotation is how a client uses a refresh token.
type Rotation struct {
	Issuer   string
	Service  string
	ClientID string // of the client, authenticated

	// OwnService refuses a token that is good for every service, unless Service is "*" too.
	OwnService bool

	// Scopes and Resources narrow what the access token is for; none: all of the
	// grant.
	Scopes    []string
	Resources []string

	// Grace is how long after a rotation the holder of the token gets the same
	// successor again.
	Grace time.Duration

	// Refuse is why the request is refused whatever the token is, nil if it is not.
	// Only that the token was used before goes first: a thief must not choose whether
	// that is noticed.
	Refuse error

	// Accept looks at the grant again, whose client or consumer may have changed,
	// and returns the terms of the tokens, or why there are none. The scopes of
	// the grant that it is handed may be reduced by it, for this access token.
	Accept func(*Grant) (Terms, error)
}

// RotateRefresh issues tokens for a refresh token, which it replaces in the same Commit
// unless the terms say to keep it. Of many that do so at the same moment one wins. Within
// the grace period the others get what the winner got. After it the token was stolen, and
// the grant ends.
func (s *Store) RotateRefresh(ctx context.Context, text string, by Rotation) (*Tokens, error) {
	for range attempts {
		tokens, err := s.rotateRefresh(ctx, text, by)
		if !errors.Is(err, ErrChanged) {
			return tokens, err
		}
	}
	return nil, errContention
}

func (s *Store) rotateRefresh(ctx context.Context, text string, by Rotation) (*Tokens, error) {
	t, err := s.refreshToken(ctx, by.Issuer, text)
	if err != nil {
		return nil, refusal(by.Refuse, err)
	}
	g, err := s.grantOf(ctx, t, by)
	if err != nil {
		return nil, refusal(by.Refuse, err)
	}
	if isReused := !t.Rotated.IsZero() && s.now().Sub(t.Rotated) >= by.Grace; isReused {
		return nil, s.endReused(ctx, g.ID, t.Issued, fault(InvalidGrant, ReasonRefreshReused,
			"the refresh token was used before: what was granted has ended, ask the user again"))
	}
	if by.Refuse != nil {
		return nil, by.Refuse
	}
	narrowed := *g
	narrowed.Scopes = slices.Clone(g.Scopes)
	terms, err := by.Accept(&narrowed)
	if err != nil {
		return nil, err
	}
	if !t.Rotated.IsZero() {
		return repeat(g, t, text)
	}
	scopes, err := by.narrow(&narrowed)
	if err != nil {
		return nil, err
	}
	return s.exchange(ctx, g, t, text, by, scopes, terms)
}

// exchange issues the tokens. All that it reads is part of the Commit.
func (s *Store) exchange(ctx context.Context, g *Grant, t *RefreshToken, text string, by Rotation, scopes []string, terms Terms) (*Tokens, error) {
	now := s.now()
	grant, err := s.prolong(g, terms, now)
	if err != nil {
		return nil, err
	}
	tokens := &Tokens{Grant: g}
	terms.Refresh = !terms.Keep
	ops, err := s.newTokens(tokens, scopes, by.Resources, terms, now)
	if err != nil {
		return nil, err
	}
	old, err := s.replaced(tokens, t, text, terms, now)
	if err != nil {
		return nil, err
	}
	return tokens, changed(s.records.Commit(ctx, append(ops, old, grant)...))
}

// replaced returns what becomes of a refresh token that was used.
func (s *Store) replaced(tokens *Tokens, t *RefreshToken, text string, terms Terms, now time.Time) (op store.Op, err error) {
	if !terms.Keep {
		t.Rotated = now
		if t.Successor, err = sealSuccessor(t.ID, text, tokens); err != nil {
			return op, err
		}
		r, err := refreshRecord(t)
		return store.Replace(r), err
	}
	tokens.RefreshText = text
	later := refreshExpiry(tokens.Grant, terms, now)
	unchanged := isAbout(t.Expires, later, terms.Idle)
	t.Expires = later
	r, err := refreshRecord(t)
	if unchanged {
		return store.Check(r), err
	}
	return store.Replace(r), err
}

// prolong lets a grant last that has no absolute limit, and returns the operation for it:
// the check that it has not ended, if there is nothing to write.
func (s *Store) prolong(g *Grant, terms Terms, now time.Time) (store.Op, error) {
	terms.Refresh = true
	later := terms.grantExpiry(now)
	if terms.Absolute > 0 || isAbout(g.Expires, later, terms.Idle) {
		return checkGrant(g), nil
	}
	g.Expires = later
	r, err := grantRecord(g)
	return store.Replace(r), err
}

// isAbout reports whether moving an expiry is not worth a write: requests that only check
// a record do not get into each other's way.
func isAbout(before, later time.Time, idle time.Duration) bool {
	if before.IsZero() || later.IsZero() {
		return before.IsZero() && later.IsZero()
	}
	return later.Sub(before).Abs() < idle/20
}

func (s *Store) refreshToken(ctx context.Context, issuer, text string) (*RefreshToken, error) {
	unknown := fault(InvalidGrant, ReasonRefreshUnknown, "the refresh token is unknown or has expired")
	if text == "" || len(text) > MaxToken {
		return nil, unknown
	}
	t := &RefreshToken{ID: refreshTokenID(issuer, text)}
	found, err := s.read(ctx, refreshKind, t.ID[:], t)
	if errors.Is(err, ErrNotFound) {
		return nil, unknown
	}
	t.version = found.Version
	return t, err
}

// grantOf returns the grant of a refresh token, unless it is another client's.
func (s *Store) grantOf(ctx context.Context, t *RefreshToken, by Rotation) (*Grant, error) {
	g, err := s.liveGrant(ctx, t.GrantID)
	switch {
	case err != nil:
		return nil, err
	case g.ClientID != by.ClientID:
		return nil, fault(InvalidGrant, ReasonForeignClient, "the refresh token was issued to another client")
	case !IsGoodAt(g.Service, by.Service, by.OwnService):
		return nil, fault(InvalidGrant, ReasonForeignService, "the refresh token was issued for another service")
	}
	return g, nil
}

func (by Rotation) narrow(g *Grant) (scopes []string, err error) {
	if !isSubset(by.Scopes, g.Scopes) {
		return nil, fault(InvalidScope, ReasonScope, "a scope was not granted; leave scope out to get all that were")
	}
	if !isSubset(by.Resources, g.Resources) {
		return nil, fault(InvalidTarget, ReasonTarget, "a resource was not granted; leave resource out to get all that were")
	}
	if len(by.Scopes) > 0 {
		return by.Scopes, nil
	}
	return g.Scopes, nil
}

func isSubset(part, whole []string) bool {
	for _, one := range part {
		if !slices.Contains(whole, one) {
			return false
		}
	}
	return true
}

// repeat answers a token that was replaced a moment ago.
func repeat(g *Grant, t *RefreshToken, text string) (*Tokens, error) {
	successor, err := openSuccessor(t.ID, text, t.Successor)
	if err != nil {
		return nil, err
	}
	access := successor.Record.token(successor.AccessID)
	access.JWT = successor.JWT
	return &Tokens{
		Grant: g, Access: access, AccessText: successor.Access, RefreshText: successor.Refresh, Repeated: true,
	}, nil
}

// successor is what a refresh token was exchanged for.
type successor struct {
	Access   string      `json:"access"`
	Refresh  string      `json:"refresh"`
	AccessID TokenID     `json:"access_id"`
	JWT      bool        `json:"jwt,omitempty"`
	Record   tokenRecord `json:"record"`
}

// sealerOf derives a key from a token: only who has the token can open what was sealed
// with it.
func sealerOf(text string) (*seal.Sealer, error) {
	sum := sha256.Sum256([]byte(text))
	return seal.New("gluu gateway refresh token successor", hex.EncodeToString(sum[:]))
}

func sealSuccessor(id TokenID, text string, tokens *Tokens) ([]byte, error) {
	value, err := json.Marshal(successor{
		Access: tokens.AccessText, Refresh: tokens.RefreshText,
		AccessID: tokens.Access.ID, JWT: tokens.Access.JWT, Record: recordOf(tokens.Access),
	})
	if err != nil {
		return nil, err
	}
	sealer, err := sealerOf(text)
	if err != nil {
		return nil, err
	}
	return sealer.Seal(value, "successor", id[:]), nil
}

func openSuccessor(id TokenID, text string, sealed []byte) (s successor, err error) {
	sealer, err := sealerOf(text)
	if err != nil {
		return s, err
	}
	value, err := sealer.Open(sealed, "successor", id[:])
	if err != nil {
		return s, fmt.Errorf("opening the successor of a refresh token: %w", err)
	}
	return s, json.Unmarshal(value, &s)
}

// FindRefresh returns the grant that a refresh token belongs to, and ErrNotFound if there
// is none or the token was replaced.
func (s *Store) FindRefresh(ctx context.Context, issuer, text string) (*RefreshToken, *Grant, error) {
	t, g, err := s.FindAnyRefresh(ctx, issuer, text)
	if err == nil && !t.Rotated.IsZero() {
		return nil, nil, ErrNotFound
	}
	return t, g, err
}

// FindAnyRefresh is FindRefresh, also for a token that was replaced: a client that never got
// the answer with the next one has no other to take its grant back with.
func (s *Store) FindAnyRefresh(ctx context.Context, issuer, text string) (*RefreshToken, *Grant, error) {
	t, err := s.refreshToken(ctx, issuer, text)
	if _, refused := errors.AsType[*Fault](err); refused {
		return nil, nil, ErrNotFound
	}
	if err != nil {
		return nil, nil, err
	}
	g, err := s.Grant(ctx, t.GrantID)
	return t, g, err
}
