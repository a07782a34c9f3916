// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/caddy-gluu/gateway/internal/store"
)

func accessRecord(t *AccessToken) (store.Record, error) {
	index := []store.Entry{entry(allIndex, ""), entry(clientIndex, t.ClientID)}
	if t.GrantID == "" {
		index = append(index, entry(holderIndex, holderOf(t)))
	} else {
		index = append(index, entry(grantIndex, t.GrantID))
	}
	if t.Subject != "" {
		index = append(index, entry(subjectIndex, t.Subject))
	}
	return record(accessKind, t.ID[:], recordOf(t), t.ExpiresAt, t.version, index...)
}

// holderOf is under whose name a client's own tokens are counted.
func holderOf(t *AccessToken) string { return t.Issuer + "\x00" + t.ClientID }

func decodeAccess(r store.Record) (*AccessToken, error) {
	var stored tokenRecord
	if err := decode(r, &stored); err != nil {
		return nil, err
	}
	t := stored.token(TokenID(r.Key))
	t.version = r.Version
	return t, nil
}

// IssueToken issues an access token to a client itself. The client can hold as many as
// limit says; 0: any number.
func (s *Store) IssueToken(ctx context.Context, t *AccessToken, terms Terms, limit int) (text string, err error) {
	tokens := &Tokens{Access: t}
	ops, err := s.newAccess(tokens, terms, s.now())
	if err != nil || len(ops) == 0 {
		return tokens.AccessText, err
	}
	if limit > 0 {
		full, err := s.reserve(ctx, accessKind, entry(holderIndex, holderOf(t)), limit)
		if err != nil {
			return "", err
		}
		if full {
			return "", fault("temporarily_unavailable", ReasonTooManyTokens,
				"this client holds too many tokens: use each one until it expires, or revoke it")
		}
	}
	return tokens.AccessText, changed(s.records.Commit(ctx, ops...))
}

// ImportToken stores an access token whose text another server has made, and a refresh
// token with it unless that is "". A text that is taken is ErrExists.
func (s *Store) ImportToken(ctx context.Context, g *Grant, t *AccessToken, access, refresh string, refreshExpires time.Time) error {
	t.ID = OpaqueTokenID(t.Issuer, access)
	var ops []store.Op
	if g != nil {
		if g.ID == "" {
			g.ID = RandomText(16)
		}
		t.GrantID = g.ID
		r, err := grantRecord(g)
		if err != nil {
			return err
		}
		ops = append(ops, store.Create(r))
	}
	if refresh != "" {
		r, err := refreshRecord(&RefreshToken{ID: refreshTokenID(t.Issuer, refresh), GrantID: t.GrantID, Issued: t.IssuedAt, Expires: refreshExpires})
		if err != nil {
			return err
		}
		ops = append(ops, store.Create(r))
	}
	r, err := accessRecord(t)
	if err != nil {
		return err
	}
	if err := s.records.Commit(ctx, append(ops, store.Create(r))...); !errors.Is(err, store.ErrConflict) {
		return err
	}
	return ErrExists
}

// Token returns the stored access token with an ID, whether or not its grant has ended, or
// ErrNotFound.
func (s *Store) Token(ctx context.Context, id TokenID) (*AccessToken, error) {
	var stored tokenRecord
	found, err := s.read(ctx, accessKind, id[:], &stored)
	if err != nil {
		return nil, err
	}
	t := stored.token(id)
	t.version = found.Version
	return t, nil
}

// FindToken returns the opaque access token that a text is, or ErrNotFound if there is
// none, it has expired, or its grant has ended. Functions are told before it reads the
// grant, by kind (see Watch) and ID.
func (s *Store) FindToken(ctx context.Context, issuer, text string, depends ...func(kind, id string)) (*AccessToken, error) {
	if text == "" || len(text) > MaxToken {
		return nil, ErrNotFound
	}
	t, err := s.Token(ctx, OpaqueTokenID(issuer, text))
	if err != nil {
		return nil, err
	}
	if t.IsExpired(s.now()) || t.Revoked {
		return nil, ErrNotFound
	}
	for _, depend := range depends {
		depend(GrantChanged, t.GrantID)
	}
	if err := s.checkGrantOf(ctx, t); err != nil {
		return nil, err
	}
	return t, nil
}

// CheckJWT returns ErrNotFound if a JWT whose signature is right was revoked, or its
// grant has ended.
func (s *Store) CheckJWT(ctx context.Context, t *AccessToken) error {
	_, err := s.Token(ctx, t.ID)
	switch {
	case err == nil:
		return ErrNotFound // only its revocation is stored
	case !errors.Is(err, ErrNotFound):
		return err
	}
	return s.checkGrantOf(ctx, t)
}

func (s *Store) checkGrantOf(ctx context.Context, t *AccessToken) (err error) {
	if t.GrantID != "" {
		t.Grant, err = s.Grant(ctx, t.GrantID)
	}
	return err
}

// RevokeToken makes an access token inactive for good. An opaque one is deleted. Of a JWT
// it is stored that it is revoked, until it expires. Its grant goes on.
func (s *Store) RevokeToken(ctx context.Context, t *AccessToken) error {
	if !t.JWT {
		err := s.end(ctx, store.Delete(accessKind, t.ID[:]).Announce())
		if err == nil && t.GrantID == "" {
			s.free(accessKind, entry(holderIndex, holderOf(t)))
		}
		return err
	}
	if t.IsExpired(s.now()) {
		return nil
	}
	t.Revoked = true
	r, err := record(accessKind, t.ID[:], recordOf(t), t.ExpiresAt, 0, entry(clientIndex, t.ClientID))
	if err != nil {
		return err
	}
	return s.end(ctx, store.Put(r).Announce())
}

// ReplaceToken stores a changed access token in place of the one that was read. If that
// was changed meanwhile, it is ErrChanged.
func (s *Store) ReplaceToken(ctx context.Context, t *AccessToken) error {
	r, err := accessRecord(t)
	if err != nil {
		return err
	}
	return changed(s.end(ctx, store.Replace(r).Announce()))
}

// RenameToken stores a changed opaque access token under another text, in place of the one
// that was read. A text that is taken, or a token that was changed meanwhile, is ErrChanged.
func (s *Store) RenameToken(ctx context.Context, t *AccessToken, text string) error {
	old := store.Record{Kind: accessKind, Key: bytes.Clone(t.ID[:]), Version: t.version}
	t.ID, t.version = OpaqueTokenID(t.Issuer, text), 0
	r, err := accessRecord(t)
	if err != nil {
		return err
	}
	if string(r.Key) == string(old.Key) {
		r.Version = old.Version
		return changed(s.end(ctx, store.Replace(r).Announce()))
	}
	return changed(s.end(ctx, store.Remove(old).Announce(), store.Create(r)))
}

// ListTokens returns a page of opaque access tokens that have not expired, and where to
// go on: nil after the last.
func (s *Store) ListTokens(ctx context.Context, by Filter, after []byte, n int) ([]*AccessToken, []byte, error) {
	return list(ctx, s, accessKind, by.tokenEntry(), after, n, decodeAccess, func(t *AccessToken) bool {
		return !t.Revoked && (by.ClientID == "" || t.ClientID == by.ClientID) && (by.Subject == "" || t.Subject == by.Subject) &&
			(by.GrantID == "" || t.GrantID == by.GrantID) && (by.Service == "" || t.Service == by.Service)
	})
}

// TakeOver stores tokens, and revocations of JWTs, that another store had. Writing them
// again is not an error.
func (s *Store) TakeOver(ctx context.Context, tokens []*AccessToken) error {
	ops := make([]store.Op, 0, len(tokens))
	for _, t := range tokens {
		if t.IsExpired(s.now()) {
			continue
		}
		r, err := accessRecord(t)
		if err != nil {
			return err
		}
		ops = append(ops, store.Put(r))
	}
	return s.records.Commit(ctx, ops...)
}
