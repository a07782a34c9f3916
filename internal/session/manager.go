// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/caddy-gluu/gateway/internal/seal"
	"github.com/caddy-gluu/gateway/internal/store"
)

var (
	// ErrNone says that a cookie opens no session: there never was one, it has
	// ended, or the key that it was sealed with is gone.
	ErrNone = errors.New("no session")

	// ErrUnavailable says that the store does not answer. Nothing is known about
	// the session, so it must not be ended for it.
	ErrUnavailable = errors.New("the session store is unavailable")

	// ErrTooLarge says that a session does not fit into a record.
	ErrTooLarge = errors.New("the session is too large")
)

// Kinds of records in the store.
const (
	kindSession = "session"
	kindLock    = "session_lock"
	kindOnce    = "session_once"
	kindKept    = "session_kept"
)

const (
	// maxRecord bounds a session in the store. A usual one has 4 to 10 KB.
	maxRecord = 64 << 10

	// fresh is how long a session that was read from a shared store is used
	// without reading it again. That a session ended is announced at once; this is
	// for what was not announced.
	fresh = 5 * time.Second

	// maxConflicts is how often a change is tried against others.
	maxConflicts = 50
)

// Label is the label to make the Sealer of a Manager with.
const Label = "gluu sessions"

// Config is what a Manager is made of.
type Config struct {
	Store  *store.Store
	Sealer *seal.Sealer  // made with Label and the keys of the configuration
	Size   int           // of the near cache, in sessions
	Grace  time.Duration // how long a session lives on while the store is unavailable
	Shared bool          // other processes change the store too
	Now    func() time.Time
}

// Manager keeps sessions in a store. It is safe for concurrent use.
type Manager struct {
	Config
	near    *nearCache
	flights singleflight.Group
	stop    func() // watching the store
	changed atomic.Pointer[func(tag string)]
}

// Expires says when the record of a session can be removed.
type Expires func(*Session) time.Time

// NewManager makes a Manager.
func NewManager(config Config) (*Manager, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	near, err := newNearCache(config.Size)
	if err != nil {
		return nil, err
	}
	m := &Manager{Config: config, near: near}
	m.stop = config.Store.Watch(kindSession, func(key []byte) {
		if len(key) != idSize {
			near.clear() // announcements may have been missed
			m.tellChanged(nil)
			return
		}
		near.remove([idSize]byte(key))
		m.tellChanged(key)
	})
	return m, nil
}

// Ping returns an error if the store does not answer.
func (m *Manager) Ping(ctx context.Context) error {
	if _, err := m.Store.Get(ctx, kindSession, make([]byte, idSize)); err != nil && !errors.Is(err, store.ErrNotFound) {
		return unavailable(err)
	}
	return nil
}

// OnChange has a function called when a session has changed or ended, here or at
// another gateway, with its name in logs ([Session.Tag]); "" stands for any. It
// must return quickly.
func (m *Manager) OnChange(tell func(tag string)) { m.changed.Store(&tell) }

func (m *Manager) tellChanged(key []byte) {
	tell := m.changed.Load()
	switch {
	case tell == nil:
	case key == nil:
		(*tell)("")
	default:
		(*tell)(reference{id: [idSize]byte(key)}.tag())
	}
}

// Close ends the Manager. The store goes on, and so do requests that have begun.
func (m *Manager) Close() {
	m.stop()
	m.near.entries.StopAllGoroutines()
}

// Create stores a new session and returns the cookie that opens it.
func (m *Manager) Create(ctx context.Context, s Session, expires Expires) (*Session, string, error) {
	s.ref, s.version = newReference(), 0
	if err := m.put(ctx, &s, expires, store.Create); err != nil {
		return nil, "", err
	}
	return &s, s.ref.cookie(), nil
}

// Open returns the session that a cookie opens. The error is ErrNone, or wraps
// ErrUnavailable.
func (m *Manager) Open(ctx context.Context, cookie string) (*Session, error) {
	ref, ok := parseCookie(cookie)
	if !ok {
		return nil, ErrNone
	}
	now := m.Now()
	kept, readAt := m.near.get(&ref)
	if kept != nil && (!m.Shared || now.Sub(readAt) < fresh) {
		return kept, nil
	}
	mark := m.near.mark(ref.id)
	s, err := m.read(ctx, &ref)
	switch {
	case err == nil && kept != nil && kept.version == s.version:
		m.near.put(kept, now, mark) // with what handlers made of it
		return kept, nil
	case err == nil:
		m.near.put(s, now, mark)
	case errors.Is(err, ErrNone):
		m.near.remove(ref.id)
	case kept != nil && now.Sub(readAt) < m.Grace:
		return kept, nil
	}
	return s, err
}

// Reload reads a session again, whatever is remembered of it.
func (m *Manager) Reload(ctx context.Context, s *Session) (*Session, error) {
	mark := m.near.mark(s.ref.id)
	newest, err := m.read(ctx, &s.ref)
	if err == nil {
		m.near.put(newest, m.Now(), mark)
	}
	return newest, err
}

// read reads a session from the store and opens it.
func (m *Manager) read(ctx context.Context, ref *reference) (*Session, error) {
	record, err := m.Store.Get(ctx, kindSession, ref.id[:])
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, ErrNone
	case err != nil:
		return nil, unavailable(err)
	}
	s, err := openRecord(m.Sealer, ref, record.Value)
	if err != nil {
		return nil, err
	}
	s.version = record.Version
	return s, nil
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }

// Update applies a change to the newest version of a session and stores it. If
// something else is stored in between, the change is applied to that again: no
// change is lost. Its error is returned as it is. The session that comes back
// is a new value.
func (m *Manager) Update(ctx context.Context, s *Session, expires Expires, change func(*Session) error) (*Session, error) {
	for range maxConflicts {
		current, err := m.read(ctx, &s.ref)
		if err != nil {
			if errors.Is(err, ErrNone) {
				m.near.remove(s.ref.id)
			}
			return nil, err
		}
		if err := change(current); err != nil {
			return nil, err
		}
		err = m.put(ctx, current, expires, store.Replace)
		if err == nil {
			return current, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, err
		}
	}
	return nil, unavailable(errors.New("too many changes at once"))
}

// put stores a session, under the condition that the operation has.
func (m *Manager) put(ctx context.Context, s *Session, expires Expires, op func(store.Record) store.Op) error {
	value, err := sealRecord(m.Sealer, &s.ref, s)
	if err != nil {
		return err
	}
	record := store.Record{
		Kind: kindSession, Key: s.ref.id[:], Value: value, Expires: expires(s), Index: indexOf(s), Version: s.version,
	}
	mark := m.near.mark(s.ref.id)
	if err := m.Store.Commit(ctx, op(record).Announce()); err != nil {
		if errors.Is(err, store.ErrConflict) {
			return err
		}
		return unavailable(err)
	}
	m.near.put(s, m.Now(), mark+1) // the Commit has announced itself, once
	return nil
}

// indexOf are the entries by which a logout finds the session.
func indexOf(s *Session) []store.Entry {
	index := []store.Entry{subjectEntry(s.Issuer, s.Subject)}
	if s.SID != "" {
		index = append(index, sidEntry(s.Issuer, s.SID))
	}
	return index
}

func subjectEntry(issuer, subject string) store.Entry {
	return store.Entry{Kind: "sub", Value: seal.Join(issuer, []byte(subject))}
}

func sidEntry(issuer, sid string) store.Entry {
	return store.Entry{Kind: "sid", Value: seal.Join(issuer, []byte(sid))}
}

// End ends a session, on all gateways. It is not an error if it has ended already.
func (m *Manager) End(ctx context.Context, s *Session) error {
	m.near.remove(s.ref.id)
	if err := m.Store.Commit(ctx, store.Delete(kindSession, s.ref.id[:]).Announce()); err != nil {
		return unavailable(err)
	}
	return nil
}

// EndBy ends the sessions at an issuer that have a sid, a subject, or both if
// neither is "", and returns how many there were.
func (m *Manager) EndBy(ctx context.Context, issuer, sid, subject string) (ended int, err error) {
	records, err := m.find(ctx, issuer, sid, subject)
	if err != nil {
		return 0, err
	}
	for _, record := range records {
		m.near.remove([idSize]byte(record.Key))
		if err := m.Store.Commit(ctx, store.Delete(kindSession, record.Key).Announce()); err != nil {
			return ended, unavailable(err)
		}
		ended++
	}
	return ended, nil
}

// page is how many records are read at a time.
const page = 100

// find finds the records that a logout is about.
func (m *Manager) find(ctx context.Context, issuer, sid, subject string) (found []store.Record, err error) {
	entry := subjectEntry(issuer, subject)
	if sid != "" {
		entry = sidEntry(issuer, sid)
	}
	var after []byte
	for {
		records, next, err := m.Store.List(ctx, kindSession, entry, after, page)
		if err != nil {
			return nil, unavailable(err)
		}
		for _, record := range records {
			if len(record.Key) == idSize && (sid == "" || subject == "" || hasEntry(record, subjectEntry(issuer, subject))) {
				found = append(found, record)
			}
		}
		if after = next; after == nil {
			return found, nil
		}
	}
}

func hasEntry(record store.Record, wanted store.Entry) bool {
	return slices.ContainsFunc(record.Index, func(e store.Entry) bool {
		return e.Kind == wanted.Kind && bytes.Equal(e.Value, wanted.Value)
	})
}

// TimesOf returns the times of the sessions that a person has, the oldest first.
func (m *Manager) TimesOf(ctx context.Context, issuer, subject string) ([]Times, error) {
	records, err := m.find(ctx, issuer, "", subject)
	if err != nil {
		return nil, err
	}
	times := make([]Times, 0, len(records))
	for _, record := range records {
		if t, ok := timesOf(record); ok {
			times = append(times, t)
		}
	}
	slices.SortFunc(times, func(a, b Times) int { return a.Created.Compare(b.Created) })
	return times, nil
}

// InMemory is about how many sessions this process has opened in memory.
func (m *Manager) InMemory() int { return m.near.size() }

// Once reports whether it is the first time, on any gateway, that something is
// named for a purpose. It is remembered until it expires.
func (m *Manager) Once(ctx context.Context, purpose string, expires time.Time, parts ...string) (first bool, err error) {
	err = m.Store.Commit(ctx, store.Create(store.Record{Kind: kindOnce, Key: m.name(purpose, parts...), Expires: expires}))
	switch {
	case errors.Is(err, store.ErrConflict):
		return false, nil
	case err != nil:
		return false, unavailable(err)
	}
	return true, nil
}

// name is a key for something that may be known to others, such as the `jti` of
// a token: it cannot be searched for without the secret.
func (m *Manager) name(purpose string, parts ...string) []byte {
	bound := make([][]byte, len(parts))
	for i, part := range parts {
		bound[i] = []byte(part)
	}
	name := m.Sealer.MAC(purpose, bound...)
	return name[:]
}

// Keep stores sealed bytes under an id until they expire.
func (m *Manager) Keep(ctx context.Context, id string, sealed []byte, expires time.Time) error {
	record := store.Record{Kind: kindKept, Key: m.name(kindKept, id), Value: sealed, Expires: expires}
	if err := m.Store.Commit(ctx, store.Create(record)); err != nil {
		return unavailable(err)
	}
	return nil
}

// Take returns what was kept under an id and removes it, nil if there is
// nothing. Of several that take at once, one gets it.
func (m *Manager) Take(ctx context.Context, id string) ([]byte, error) {
	record, err := m.Store.Get(ctx, kindKept, m.name(kindKept, id))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, unavailable(err)
	}
	err = m.Store.Commit(ctx, store.Remove(record))
	switch {
	case errors.Is(err, store.ErrConflict):
		return nil, nil
	case err != nil:
		return nil, unavailable(err)
	}
	return record.Value, nil
}
