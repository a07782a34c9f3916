// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/caddy-gluu/gateway/internal/store"
)

// Kinds of records, and the indexes that find them.
const (
	clientKind    = "oauth_client"
	grantKind     = "oauth_grant"
	codeKind      = "oauth_code"
	refreshKind   = "oauth_refresh"
	accessKind    = "access_token"
	challengeKind = "oauth_challenge"
	pushedKind    = "oauth_pushed"
	consentKind   = "oauth_consent"
	onceKind      = "oauth_once"

	allIndex      = "all"
	idIndex       = "id"
	clientIndex   = "client"
	consumerIndex = "consumer"
	subjectIndex  = "subject"
	sessionIndex  = "session"
	grantIndex    = "grant"
	holderIndex   = "holder"
	digestIndex   = "digest"
	consentIndex  = "consent"

	registeredIndex = "registered"
)

const (
	// page is how many records are read or deleted at a time.
	page = 50

	// attempts is how often an act begins anew when another was first.
	attempts = 8
)

// Store keeps the records of an authorization server. It is safe for concurrent use.
type Store struct {
	records *store.Store
	now     func() time.Time

	mu     sync.Mutex
	counts map[string]*counter
	unsure []func()
}

// New makes a Store of the records of an internal/store. A nil clock is time.Now.
func New(records *store.Store, now func() time.Time) *Store {
	if now == nil {
		now = time.Now
	}
	return &Store{records: records, now: now, counts: make(map[string]*counter)}
}

// IsSame reports whether two stores have the same records.
func (s *Store) IsSame(other *Store) bool { return s.records == other.records }

// ReadsAtOnce reports whether a record is read without waiting for anything.
func (s *Store) ReadsAtOnce() bool { return s.records.ReadsAtOnce() }

// read decodes the record of a kind and a key. A record that does not open is not an
// unknown one: it may say that something was revoked.
func (s *Store) read(ctx context.Context, kind string, key []byte, into any) (store.Record, error) {
	found, err := s.records.Get(ctx, kind, key)
	switch {
	case errors.Is(err, store.ErrUnopened):
		return found, fmt.Errorf("reading a record of kind %s: %w: %w", kind, store.ErrUnavailable, err)
	case errors.Is(err, store.ErrNotFound):
		return found, ErrNotFound
	case err != nil:
		return found, err
	}
	return found, decode(found, into)
}

func decode(found store.Record, into any) error {
	if err := json.Unmarshal(found.Value, into); err != nil {
		return fmt.Errorf("reading a record of kind %s: %w", found.Kind, err)
	}
	return nil
}

// record makes a record of a value.
func record(kind string, key []byte, value any, expires time.Time, version uint64, index ...store.Entry) (store.Record, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return store.Record{}, fmt.Errorf("writing a record of kind %s: %w", kind, err)
	}
	if expires.IsZero() {
		expires = store.Forever
	}
	return store.Record{Kind: kind, Key: key, Value: text, Expires: expires, Index: index, Version: version}, nil
}

func entry(kind, value string) store.Entry { return store.Entry{Kind: kind, Value: []byte(value)} }

// Filter says which records are listed: those that match all that is given.
type Filter struct {
	ClientID string
	Subject  string
	GrantID  string
	Service  string
	Consumer string // of clients

	SessionID string // of grants
}

// tokenEntry is the index entry that finds the fewest of the tokens that match.
func (f Filter) tokenEntry() store.Entry {
	if f.GrantID != "" {
		return entry(grantIndex, f.GrantID)
	}
	return f.grantEntry()
}

func (f Filter) grantEntry() store.Entry {
	switch {
	case f.Subject != "":
		return entry(subjectIndex, f.Subject)
	case f.SessionID != "":
		return entry(sessionIndex, f.SessionID)
	case f.ClientID != "":
		return entry(clientIndex, f.ClientID)
	}
	return entry(allIndex, "")
}

// list reads a page of records and returns those that decode and match.
func list[T any](ctx context.Context, s *Store, kind string, by store.Entry, after []byte, n int,
	decode func(store.Record) (T, error), matches func(T) bool) (found []T, next []byte, err error) {
	records, next, err := s.records.List(ctx, kind, by, after, n)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range records {
		value, err := decode(r)
		if err != nil {
			return nil, nil, err
		}
		if matches(value) {
			found = append(found, value)
		}
	}
	return found, next, nil
}

// deleteAll deletes the records of a kind with an index entry, in batches, until there
// are none. The caller has to prevent that new ones are written meanwhile.
func (s *Store) deleteAll(ctx context.Context, kind string, by store.Entry) (n int, err error) {
	var after []byte
	for {
		records, next, err := s.records.List(ctx, kind, by, after, page)
		if err != nil {
			return n, err
		}
		ops := make([]store.Op, 0, len(records))
		for _, r := range records {
			ops = append(ops, store.Delete(kind, r.Key).Announce())
		}
		if err := s.end(ctx, ops...); err != nil {
			return n, err
		}
		n += len(ops)
		switch {
		case len(ops) > 0:
			after = nil // what was written while this was listed may be anywhere
		case next == nil:
			return n, nil
		default:
			after = next
		}
	}
}

// Kinds of records that Watch tells about.
const (
	TokenChanged  = accessKind // the key is the TokenID
	GrantChanged  = grantKind  // the key is the ID of the grant
	ClientChanged = clientKind // the key is the client_id
)

// Watch calls a function when a token, a grant or a client was changed or ended, by this
// gateway or another one. A nil key says that anything may have changed. The function must
// return quickly.
func (s *Store) Watch(changed func(kind string, key []byte)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsure = append(s.unsure, func() { changed("", nil) })
	var stops []func()
	for _, kind := range []string{TokenChanged, GrantChanged, ClientChanged} {
		stops = append(stops, s.records.Watch(kind, func(key []byte) { changed(kind, key) }))
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// end executes operations that end something. If it is not known whether they were
// executed, those who watch learn that anything may have changed.
func (s *Store) end(ctx context.Context, ops ...store.Op) error {
	err := s.records.Commit(ctx, ops...)
	if err == nil || errors.Is(err, store.ErrConflict) {
		return err
	}
	s.mu.Lock()
	unsure := slices.Clone(s.unsure)
	s.mu.Unlock()
	for _, tell := range unsure {
		tell()
	}
	return err
}
