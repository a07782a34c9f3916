// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"go.uber.org/zap"
)

// A token file is a bbolt database with two buckets:
//
//	tokens   ID                  -> the token as JSON
//	expiry   expiry (8 bytes) ID -> whose token it is (issuer, 0, client id)
//
// The second one is the first in the order in which tokens expire: sweeping
// reads only what it deletes, and opening the file counts the tokens of each
// client without reading one of them. Both change in one transaction, so a
// process that is killed at any moment leaves them as they were before or
// after.
var (
	tokensBucket = []byte("tokens")
	expiryBucket = []byte("expiry")
	metaBucket   = []byte("meta")
	formatKey    = []byte("format")
	formatValue  = []byte("1")
)

const (
	// lockTimeout is enough for a process that is just ending.
	lockTimeout = 2 * time.Second

	sweepInterval = time.Minute
	// sweepBatch bounds how long sweeping keeps a token from being stored.
	sweepBatch = 1000

	// batchDelay is how long a write waits for others to share the disk's
	// time with.
	batchDelay = time.Millisecond
)

// tokenFile is an open token file. It is shared by all configurations of this
// process that use it.
type tokenFile struct {
	path   string
	db     *bbolt.DB
	logger *zap.Logger
	now    func() time.Time

	mu   sync.Mutex
	held map[string]int // owner -> tokens, expired ones included until they are swept

	closing chan struct{}
	sweeper sync.WaitGroup
}

// tokenRecord is a token as it is written to the file, or sealed in a store.
type tokenRecord struct {
	Issuer    string   `json:"issuer"`
	ClientID  string   `json:"client_id"`
	Subject   string   `json:"sub,omitempty"`
	Scopes    []string `json:"scopes,omitempty"`
	IssuedAt  int64    `json:"iat"`
	ExpiresAt int64    `json:"exp"`
	Revoked   bool     `json:"revoked,omitempty"`
}

func recordOf(t *Token) tokenRecord {
	return tokenRecord{
		Issuer: t.Issuer, ClientID: t.ClientID, Subject: t.Subject, Scopes: t.Scopes,
		IssuedAt: t.IssuedAt.Unix(), ExpiresAt: t.ExpiresAt.Unix(), Revoked: t.Revoked,
	}
}

func (r tokenRecord) token(id TokenID) *Token {
	return &Token{
		ID: id, Issuer: r.Issuer, ClientID: r.ClientID, Subject: r.Subject, Scopes: r.Scopes,
		IssuedAt: time.Unix(r.IssuedAt, 0), ExpiresAt: time.Unix(r.ExpiresAt, 0), Revoked: r.Revoked,
	}
}

// openTokenFile opens the file, or makes it, and sweeps it from then on.
func openTokenFile(path string, logger *zap.Logger) (file *tokenFile, err error) {
	// bbolt meets some kinds of damage with a panic.
	defer func() {
		if damage := recover(); damage != nil {
			file, err = nil, fmt.Errorf("the token storage %s is damaged (%v); move it elsewhere to begin with an empty one: the tokens in it are lost, clients ask for new ones", path, damage)
		}
	}()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      lockTimeout,
		FreelistType: bbolt.FreelistMapType,
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("the token storage %s is in use by another process: give this one a file of its own with 'storage embedded { path <file> }', or stop the other", path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%s is not a token storage, or a damaged one (%w): name another file with 'storage embedded { path <file> }', or move it elsewhere", path, err)
	case err != nil:
		return nil, fmt.Errorf("opening the token storage %s: %w", path, err)
	}
	db.MaxBatchDelay = batchDelay
	file = &tokenFile{
		path: path, db: db, logger: logger, now: time.Now,
		held:    make(map[string]int),
		closing: make(chan struct{}),
	}
	if err := db.Update(file.prepare); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the token storage %s: %w", path, err), db.Close())
	}
	file.sweeper.Go(file.sweepUntilClosed)
	return file, nil
}

// prepare makes the buckets and counts what they hold.
func (f *tokenFile) prepare(tx *bbolt.Tx) error {
	meta, err := tx.CreateBucketIfNotExists(metaBucket)
	if err != nil {
		return err
	}
	switch format := meta.Get(formatKey); {
	case format == nil:
		if err := meta.Put(formatKey, formatValue); err != nil {
			return err
		}
	case !bytes.Equal(format, formatValue):
		return fmt.Errorf("its format is %q, this version of the gateway reads %q", format, formatValue)
	}
	if _, err := tx.CreateBucketIfNotExists(tokensBucket); err != nil {
		return err
	}
	expiry, err := tx.CreateBucketIfNotExists(expiryBucket)
	if err != nil {
		return err
	}
	return expiry.ForEach(func(_, owner []byte) error {
		f.held[string(owner)]++
		return nil
	})
}

// Destruct closes the file; the pool calls it after the last configuration
// that used it.
func (f *tokenFile) Destruct() error {
	close(f.closing)
	f.sweeper.Wait()
	return f.db.Close()
}

// put records a token unless its owner holds as many as the limit already.
func (f *tokenFile) put(token *Token, limit int) error {
	owner := ownerOf(token.Issuer, token.ClientID)
	if !f.reserve(owner, limit) {
		// Some of what it holds may have expired meanwhile.
		if err := f.sweep(); err != nil {
			return err
		}
		if !f.reserve(owner, limit) {
			return ErrTooManyTokens
		}
	}
	value, err := json.Marshal(recordOf(token))
	if err != nil {
		f.release(owner, 1)
		return fmt.Errorf("recording a token: %w", err)
	}
	replaced := ""
	err = f.db.Batch(func(tx *bbolt.Tx) error {
		var err error
		if replaced, err = remove(tx, token.ID); err != nil {
			return err
		}
		if err := tx.Bucket(tokensBucket).Put(token.ID[:], value); err != nil {
			return err
		}
		return tx.Bucket(expiryBucket).Put(expiryKey(token.ExpiresAt.Unix(), token.ID), []byte(owner))
	})
	if err != nil {
		f.release(owner, 1)
		return fmt.Errorf("recording a token in %s: %w", f.path, err)
	}
	f.release(replaced, 1)
	return nil
}

// get returns the token with this ID, expired or not.
func (f *tokenFile) get(id TokenID) (*Token, error) {
	var record tokenRecord
	err := f.db.View(func(tx *bbolt.Tx) error {
		value := tx.Bucket(tokensBucket).Get(id[:])
		if value == nil {
			return ErrNoToken
		}
		return json.Unmarshal(value, &record)
	})
	if errors.Is(err, ErrNoToken) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("reading a token from %s: %w", f.path, err)
	}
	return record.token(id), nil
}

// delete forgets the token with this ID.
func (f *tokenFile) delete(id TokenID) error {
	removed := ""
	err := f.db.Batch(func(tx *bbolt.Tx) (err error) {
		removed, err = remove(tx, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("deleting a token from %s: %w", f.path, err)
	}
	f.release(removed, 1)
	return nil
}

// remove takes a token out of both buckets and returns whose it was, "" if
// there was none.
func remove(tx *bbolt.Tx, id TokenID) (owner string, err error) {
	tokens, expiry := tx.Bucket(tokensBucket), tx.Bucket(expiryBucket)
	value := tokens.Get(id[:])
	if value == nil {
		return "", nil
	}
	var record tokenRecord
	if err := json.Unmarshal(value, &record); err != nil {
		return "", err
	}
	if err := tokens.Delete(id[:]); err != nil {
		return "", err
	}
	return ownerOf(record.Issuer, record.ClientID), expiry.Delete(expiryKey(record.ExpiresAt, id))
}

// reserve counts one more token of an owner, if that is within the limit.
func (f *tokenFile) reserve(owner string, limit int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held[owner] >= limit {
		return false
	}
	f.held[owner]++
	return true
}

// release counts tokens of an owner as gone; an empty owner has none.
func (f *tokenFile) release(owner string, n int) {
	if owner == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held[owner] -= n; f.held[owner] <= 0 {
		delete(f.held, owner)
	}
}

// ownerOf is under whose name a token is counted.
func ownerOf(issuer, clientID string) string { return issuer + "\x00" + clientID }

// expiryKey sorts tokens by the time at which they expire.
func expiryKey(expires int64, id TokenID) []byte {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(id)), uint64(max(expires, 0)))
	return append(key, id[:]...)
}
