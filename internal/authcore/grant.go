// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/caddy-gluu/gateway/internal/store"
)

// Grant is what a person has allowed a client: the family of all tokens that came from
// one authorization.
type Grant struct {
	ID     string `json:"id"`
	Issuer string `json:"issuer"`

	// Service is where the tokens are good: that of the server which issued them,
	// or "*" for everywhere.
	Service string `json:"service,omitempty"`

	// Type is the grant type that it began with.
	Type string `json:"type"`

	ClientID  string   `json:"client_id"`
	Subject   string   `json:"sub"`
	Scopes    []string `json:"scopes,omitempty"`
	Resources []string `json:"resources,omitempty"`

	// Of the login.
	Nonce     string                     `json:"nonce,omitempty"`
	AuthTime  time.Time                  `json:"auth_time,omitzero"`
	ACR       string                     `json:"acr,omitempty"`
	SessionID string                     `json:"sid,omitempty"`
	Claims    map[string]json.RawMessage `json:"claims,omitempty"`

	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never

	version uint64
}

// Terms say what tokens of a grant are like.
type Terms struct {
	AccessTTL time.Duration // 0: never expires

	// Refresh says that there is a refresh token. Idle is how long it is good
	// if it is not used, Absolute how long the grant is; 0: without end.
	Refresh  bool
	Idle     time.Duration
	Absolute time.Duration

	// Keep leaves a refresh token as it is when it is used. Otherwise each use
	// replaces it.
	Keep bool

	// NewText makes a token; nil: 32 random bytes.
	NewText func() string

	// Sign returns an access token as a signed JWT; nil: it is opaque.
	Sign func(*AccessToken) (string, error)
}

func (t Terms) newText() string {
	if t.NewText != nil {
		return t.NewText()
	}
	return RandomText(TokenBytes)
}

// Tokens are what a client gets.
type Tokens struct {
	Grant  *Grant
	Access *AccessToken

	AccessText  string
	RefreshText string // "": none

	// Repeated says that the client has got them before, within the grace period.
	Repeated bool
}

// grantExpiry is when a grant ends that begins now, or is used now if nothing limits it
// from its beginning.
func (t Terms) grantExpiry(now time.Time) time.Time {
	switch {
	case t.Refresh && t.Absolute > 0:
		return now.Add(t.Absolute)
	case t.AccessTTL == 0, t.Refresh && t.Idle == 0:
		return time.Time{}
	case t.Refresh:
		return now.Add(max(t.AccessTTL, t.Idle) + grantLeeway)
	}
	return now.Add(t.AccessTTL + grantLeeway)
}

// grantLeeway is how long a grant outlives the last of its tokens, so that they are
// never found without it because of a rounded second.
const grantLeeway = time.Minute

// StartGrant begins a grant and issues its first tokens. Given resources narrow those of
// the access token.
func (s *Store) StartGrant(ctx context.Context, g *Grant, resources []string, terms Terms) (*Tokens, error) {
	return s.startGrant(ctx, g, resources, terms)
}

// StartGrantWith is StartGrant with further operations in the same Commit. If one of them
// conflicts, nothing has happened and it is ErrChanged.
func (s *Store) StartGrantWith(ctx context.Context, g *Grant, terms Terms, with ...Op) (*Tokens, error) {
	ops := make([]store.Op, len(with))
	for i, op := range with {
		ops[i] = op.op
	}
	return s.startGrant(ctx, g, nil, terms, ops...)
}

func (s *Store) startGrant(ctx context.Context, g *Grant, resources []string, terms Terms, with ...store.Op) (*Tokens, error) {
	now := s.now()
	if g.ID == "" {
		g.ID = RandomText(16)
	}
	g.Created = now.Truncate(time.Second)
	g.Expires = terms.grantExpiry(g.Created)
	tokens := &Tokens{Grant: g}
	ops, err := s.newTokens(tokens, g.Scopes, resources, terms, now)
	if err != nil {
		return nil, err
	}
	r, err := grantRecord(g)
	if err != nil {
		return nil, err
	}
	ops = append(append(ops, store.Create(r)), with...)
	return tokens, changed(s.records.Commit(ctx, ops...))
}

// newTokens makes an access token and, if the terms say so, a refresh token, and
// returns how to store them.
func (s *Store) newTokens(tokens *Tokens, scopes, resources []string, terms Terms, now time.Time) ([]store.Op, error) {
	g := tokens.Grant
	if len(resources) == 0 {
		resources = g.Resources
	}
	tokens.Access = &AccessToken{
		Issuer: g.Issuer, Service: g.Service, ClientID: g.ClientID, Subject: g.Subject,
		Scopes: scopes, Resources: resources, GrantID: g.ID, Claims: g.Claims,
	}
	ops, err := s.newAccess(tokens, terms, now)
	if err != nil || !terms.Refresh {
		return ops, err
	}
	tokens.RefreshText = terms.newText()
	r, err := refreshRecord(&RefreshToken{
		ID: refreshTokenID(g.Issuer, tokens.RefreshText), GrantID: g.ID, Issued: now,
		Expires: refreshExpiry(g, terms, now),
	})
	return append(ops, store.Create(r)), err
}

// newAccess makes the text of an access token and returns how to store it, if it has to
// be.
func (s *Store) newAccess(tokens *Tokens, terms Terms, now time.Time) ([]store.Op, error) {
	t := tokens.Access
	t.IssuedAt = now.Truncate(time.Second)
	if terms.AccessTTL > 0 {
		t.ExpiresAt = t.IssuedAt.Add(terms.AccessTTL)
	}
	if tokens.Grant != nil && !tokens.Grant.Expires.IsZero() && (t.ExpiresAt.IsZero() || t.ExpiresAt.After(tokens.Grant.Expires)) {
		t.ExpiresAt = tokens.Grant.Expires
	}
	if terms.Sign != nil {
		t.JWT = true
		text, err := terms.Sign(t)
		tokens.AccessText = text
		return nil, err
	}
	tokens.AccessText = terms.newText()
	t.ID = OpaqueTokenID(t.Issuer, tokens.AccessText)
	r, err := accessRecord(t)
	return []store.Op{store.Create(r)}, err
}

func grantRecord(g *Grant) (store.Record, error) {
	index := []store.Entry{entry(allIndex, ""), entry(clientIndex, g.ClientID), entry(subjectIndex, g.Subject)}
	if g.SessionID != "" {
		index = append(index, entry(sessionIndex, g.SessionID))
	}
	return record(grantKind, []byte(g.ID), g, g.Expires, g.version, index...)
}

func decodeGrant(r store.Record) (*Grant, error) {
	g := new(Grant)
	err := decode(r, g)
	g.version = r.Version
	return g, err
}

// Grant returns the grant with an ID, or ErrNotFound once it has ended.
func (s *Store) Grant(ctx context.Context, id string) (*Grant, error) {
	if id == "" || len(id) > maxGrantID {
		return nil, ErrNotFound
	}
	g := new(Grant)
	found, err := s.read(ctx, grantKind, []byte(id), g)
	if err != nil {
		return nil, err
	}
	g.version = found.Version
	return g, nil
}

const maxGrantID = 64

// EndGrant ends a grant: from the first write on no token of it is valid, and none is
// issued any more. The tokens are then deleted. A grant that has ended is not an error.
func (s *Store) EndGrant(ctx context.Context, id string) error {
	if err := s.end(ctx, store.Delete(grantKind, []byte(id)).Announce()); err != nil {
		return err
	}
	for _, kind := range []string{accessKind, refreshKind} {
		if _, err := s.deleteAll(ctx, kind, entry(grantIndex, id)); err != nil {
			return err
		}
	}
	return nil
}

// EndGrants ends all grants that match, and returns how many. Those that begin while they
// are listed are found by a further pass.
func (s *Store) EndGrants(ctx context.Context, by Filter) (n int, err error) {
	for {
		ended, err := s.endListed(ctx, by)
		n += ended
		if err != nil || ended == 0 {
			return n, err
		}
	}
}

func (s *Store) endListed(ctx context.Context, by Filter) (n int, err error) {
	var after []byte
	for {
		grants, next, err := s.ListGrants(ctx, by, after, page)
		if err != nil {
			return n, err
		}
		for _, g := range grants {
			if err := s.EndGrant(ctx, g.ID); err != nil {
				return n, err
			}
			n++
		}
		if next == nil {
			return n, nil
		}
		after = next
	}
}

// ListGrants returns a page of grants, and where to go on: nil after the last.
func (s *Store) ListGrants(ctx context.Context, by Filter, after []byte, n int) ([]*Grant, []byte, error) {
	return list(ctx, s, grantKind, by.grantEntry(), after, n, decodeGrant, func(g *Grant) bool {
		return (by.ClientID == "" || g.ClientID == by.ClientID) && (by.Subject == "" || g.Subject == by.Subject) &&
			(by.GrantID == "" || g.ID == by.GrantID) && (by.Service == "" || g.Service == by.Service) && (by.SessionID == "" || g.SessionID == by.SessionID)
	})
}

// checkGrant returns the operation that lets a Commit fail once a grant has ended.
func checkGrant(g *Grant) store.Op {
	return store.Check(store.Record{Kind: grantKind, Key: []byte(g.ID), Version: g.version})
}

// liveGrant returns a grant of a client that is good at a service, or why not.
func (s *Store) liveGrant(ctx context.Context, id string) (*Grant, error) {
	g, err := s.Grant(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, fault(InvalidGrant, ReasonGrantEnded, "what was granted has ended; ask the user again")
	}
	return g, err
}

// IsGoodAt reports whether what was granted for one service may be used at another. What was
// granted for every service ("*") may be, except with ownService.
func IsGoodAt(granted, service string, ownService bool) bool {
	return granted == service || granted == "*" && !ownService
}
