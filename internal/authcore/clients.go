// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/caddy-gluu/gateway/internal/store"
)

// CreateClient stores a new client. It gives it an ID and a client_id if it has none. A
// client_id that is taken is ErrExists.
func (s *Store) CreateClient(ctx context.Context, c *Client) error {
	if c.ID == "" {
		c.ID = uuid.NewString()
	}
	if c.ClientID == "" {
		c.ClientID = RandomText(16)
	}
	now := s.now().Truncate(time.Second)
	c.Created, c.Updated = now, now
	r, err := clientRecord(c)
	if err != nil {
		return err
	}
	if err := s.records.Commit(ctx, store.Create(r)); !errors.Is(err, store.ErrConflict) {
		return err
	}
	return ErrExists
}

// RegisterClient is CreateClient for a client that registers itself. There can be as many
// of an issuer as the limit says.
func (s *Store) RegisterClient(ctx context.Context, c *Client, limit int) error {
	full, err := s.reserve(ctx, clientKind, entry(registeredIndex, c.Registration.Issuer), limit)
	if err != nil {
		return err
	}
	if full {
		return fault("temporarily_unavailable", ReasonTooManyClients, "too many clients have registered themselves")
	}
	return s.CreateClient(ctx, c)
}

// clientRecord is the record of a client. Its key is the client_id, which says nothing
// about a person.
func clientRecord(c *Client) (store.Record, error) {
	index := []store.Entry{entry(allIndex, ""), entry(idIndex, c.ID)}
	if c.Consumer != "" {
		index = append(index, entry(consumerIndex, c.Consumer))
	}
	if c.Registration != nil {
		index = append(index, entry(registeredIndex, c.Registration.Issuer))
	}
	if c.Registration != nil && c.Registration.Digest != "" {
		index = append(index, entry(digestIndex, c.Registration.Issuer+"\x00"+c.Registration.Digest))
	}
	return record(clientKind, []byte(c.ClientID), c, c.Expires, c.version, index...)
}

func decodeClient(r store.Record) (*Client, error) {
	c := new(Client)
	err := decode(r, c)
	c.version = r.Version
	return c, err
}

// Client returns the stored client with a client_id, or ErrNotFound.
func (s *Store) Client(ctx context.Context, clientID string) (*Client, error) {
	if clientID == "" || len(clientID) > maxClientID {
		return nil, ErrNotFound
	}
	c := new(Client)
	found, err := s.read(ctx, clientKind, []byte(clientID), c)
	if err != nil {
		return nil, err
	}
	c.version = found.Version
	return c, nil
}

// maxClientID is how long a client_id may be: the URL of a metadata document.
const maxClientID = 2048

// ClientByID returns the stored client whose record has an ID, or ErrNotFound.
func (s *Store) ClientByID(ctx context.Context, id string) (*Client, error) {
	return s.firstClient(ctx, entry(idIndex, id), func(c *Client) bool { return c.ID == id })
}

// ClientByDigest returns the client of an issuer that has registered itself with the
// metadata of a digest, or ErrNotFound.
func (s *Store) ClientByDigest(ctx context.Context, issuer, digest string) (*Client, error) {
	return s.firstClient(ctx, entry(digestIndex, issuer+"\x00"+digest), func(c *Client) bool {
		return c.Registration != nil && c.Registration.Digest == digest && c.Registration.Issuer == issuer
	})
}

func (s *Store) firstClient(ctx context.Context, by store.Entry, matches func(*Client) bool) (*Client, error) {
	var after []byte
	for {
		found, next, err := list(ctx, s, clientKind, by, after, page, decodeClient, matches)
		switch {
		case err != nil:
			return nil, err
		case len(found) > 0:
			return found[0], nil
		case next == nil:
			return nil, ErrNotFound
		}
		after = next
	}
}

// ReplaceClient stores a changed client in place of the one that was read. If that was
// changed meanwhile, it is ErrChanged. Its client_id may be another one.
func (s *Store) ReplaceClient(ctx context.Context, before, after *Client) error {
	after.Updated = s.now().Truncate(time.Second)
	after.version = before.version
	r, err := clientRecord(after)
	if err != nil {
		return err
	}
	if before.ClientID == after.ClientID {
		return changed(s.end(ctx, store.Replace(r).Announce()))
	}
	old, err := clientRecord(before)
	if err != nil {
		return err
	}
	if _, err := s.Client(ctx, after.ClientID); err == nil {
		return ErrExists
	}
	r.Version = 0
	if err := changed(s.end(ctx, store.Remove(old).Announce(), store.Create(r))); err != nil {
		return err
	}
	return s.endClient(ctx, before.ClientID)
}

func changed(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return ErrChanged
	}
	return err
}

// TouchClient moves the expiry of a client that has registered itself, because it is
// used. Of several that do so at once one is enough.
func (s *Store) TouchClient(ctx context.Context, c *Client, expires time.Time) error {
	touched := *c
	touched.Expires = expires
	r, err := clientRecord(&touched)
	if err != nil {
		return err
	}
	if err := s.records.Commit(ctx, store.Replace(r)); !errors.Is(err, store.ErrConflict) {
		return err
	}
	return nil
}

// DeleteClient deletes a client, its grants, tokens and all that people have consented
// to for it. From the first write on the client is unknown, so nothing of it is valid.
func (s *Store) DeleteClient(ctx context.Context, c *Client) error {
	if err := s.end(ctx, store.Delete(clientKind, []byte(c.ClientID)).Announce()); err != nil {
		return err
	}
	return s.endClient(ctx, c.ClientID)
}

func (s *Store) endClient(ctx context.Context, clientID string) error {
	if _, err := s.EndGrants(ctx, Filter{ClientID: clientID}); err != nil {
		return err
	}
	for _, kind := range []string{accessKind, consentKind} {
		if _, err := s.deleteAll(ctx, kind, entry(clientIndex, clientID)); err != nil {
			return err
		}
	}
	return nil
}

// ListClients returns a page of stored clients, and where to go on: nil after the last.
func (s *Store) ListClients(ctx context.Context, by Filter, after []byte, n int) ([]*Client, []byte, error) {
	at := entry(allIndex, "")
	if by.Consumer != "" {
		at = entry(consumerIndex, by.Consumer)
	}
	return list(ctx, s, clientKind, at, after, n, decodeClient, func(c *Client) bool {
		return (by.Consumer == "" || c.Consumer == by.Consumer) && (by.ClientID == "" || c.ClientID == by.ClientID)
	})
}
