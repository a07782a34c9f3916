// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-gluu/gateway/internal/seal"
	"github.com/caddy-gluu/gateway/internal/store"
)

// UseOnce remembers until a time that a text was used for a purpose, the `jti` of a client
// assertion for example. ErrExists says that it was used before, here or at another gateway.
func (s *Store) UseOnce(ctx context.Context, purpose, issuer, text string, until time.Time) error {
	id := NewTokenID(purpose, issuer, text)
	r := store.Record{Kind: onceKind, Key: id[:], Expires: until}
	if err := s.records.Commit(ctx, store.Create(r)); !errors.Is(err, store.ErrConflict) {
		return err
	}
	return ErrExists
}

// Consent is what a person has said yes to, for one client and one redirect URI.
type Consent struct {
	ID          string    `json:"id"`
	Issuer      string    `json:"issuer"`
	Subject     string    `json:"sub"`
	ClientID    string    `json:"client_id"`
	RedirectURI string    `json:"redirect_uri"`
	Scopes      []string  `json:"scopes,omitempty"`
	Resources   []string  `json:"resources,omitempty"`
	Created     time.Time `json:"created"`
}

// consentTTL is how long a person is not asked again.
const consentTTL = 365 * 24 * time.Hour

func consentEntry(c *Consent) store.Entry {
	id := NewTokenID("consent", c.Issuer, string(seal.Join("consent", []byte(c.ClientID), []byte(c.RedirectURI), []byte(c.Subject))))
	return store.Entry{Kind: consentIndex, Value: id[:]}
}

// Remember stores that a person has said yes.
func (s *Store) Remember(ctx context.Context, c *Consent) error {
	if known, err := s.Remembered(ctx, c); known || err != nil {
		return err
	}
	c.ID, c.Created = RandomText(16), s.now().Truncate(time.Second)
	r, err := record(consentKind, []byte(c.ID), c, c.Created.Add(consentTTL), 0,
		consentEntry(c), entry(clientIndex, c.ClientID), entry(subjectIndex, c.Subject))
	if err != nil {
		return err
	}
	return s.records.Commit(ctx, store.Create(r))
}

// Remembered reports whether a person has said yes to at least this before: to the same
// client, at the same redirect URI, for these scopes and resources.
func (s *Store) Remembered(ctx context.Context, asked *Consent) (bool, error) {
	var after []byte
	for {
		found, next, err := list(ctx, s, consentKind, consentEntry(asked), after, page,
			func(r store.Record) (*Consent, error) { c := new(Consent); return c, decode(r, c) },
			func(c *Consent) bool {
				return c.Issuer == asked.Issuer && c.Subject == asked.Subject && c.ClientID == asked.ClientID && c.RedirectURI == asked.RedirectURI &&
					isSubset(asked.Scopes, c.Scopes) && slices.Equal(asked.Resources, c.Resources)
			})
		if err != nil || len(found) > 0 {
			return len(found) > 0, err
		}
		if next == nil {
			return false, nil
		}
		after = next
	}
}

// Forget deletes all consents of a person.
func (s *Store) Forget(ctx context.Context, subject string) error {
	_, err := s.deleteAll(ctx, consentKind, entry(subjectIndex, subject))
	return err
}
