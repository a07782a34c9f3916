// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/embedded"
)

const secret = "a secret of a test, of 32 bytes or more"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openFile opens a store in a file, and returns its engine too.
func openFile(t *testing.T, path string, o store.Options) (*store.Store, store.Engine) {
	t.Helper()
	engine, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return newStore(t, engine, o), engine
}

func newStore(t *testing.T, engine store.Engine, o store.Options) *store.Store {
	t.Helper()
	o.Secrets = []string{secret}
	s, err := store.New(engine, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func record(kind, key string) store.Record {
	return store.Record{
		Kind: kind, Key: []byte(key), Value: []byte("value of " + key), Expires: time.Now().Add(time.Minute),
		Index: []store.Entry{{Kind: "subject", Value: []byte("alice@example.org")}},
	}
}

// recorder keeps what the engine is handed.
type recorder struct {
	store.Engine
	ops           []store.RowOp
	announcements [][]byte
}

func (r *recorder) Commit(ctx context.Context, now time.Time, ops []store.RowOp, announcements [][]byte) error {
	r.ops = append(r.ops, ops...)
	r.announcements = append(r.announcements, announcements...)
	return r.Engine.Commit(ctx, now, ops, announcements)
}

func TestNothingCanBeReadWhereItIsStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	engine, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	seen := &recorder{Engine: engine}
	s := newStore(t, seen, store.Options{})
	r := record("refresh", "token-1234567890")
	if err := s.Commit(t.Context(), store.Put(r).Announce()); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(file, []byte("refresh")) {
		t.Fatal("not even the kind is in the file: the test looks at the wrong one")
	}
	places := map[string][]byte{"the file": file, "the value": seen.ops[0].Row.Value, "the announcement": seen.announcements[0]}
	for place, text := range places {
		for _, word := range []string{"token-1234567890", "value of", "alice", "example.org", secret} {
			if bytes.Contains(text, []byte(word)) {
				t.Errorf("%s shows %q", place, word)
			}
		}
	}
}

// forge stores rows as they are, as one does who can write to the database.
func forge(t *testing.T, engine store.Engine, row store.Row) {
	t.Helper()
	op := store.RowOp{Action: store.PutAction, Row: row, Expect: store.Expect{Any: true}}
	if err := engine.Commit(t.Context(), time.Now(), []store.RowOp{op}, nil); err != nil {
		t.Fatal(err)
	}
}

func TestForgedRowsAreNotFound(t *testing.T) {
	log, lines := observer.New(zap.InfoLevel)
	seen := &recorder{}
	engine, err := embedded.Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	seen.Engine = engine
	s := newStore(t, seen, store.Options{Logger: zap.New(log)})
	if err := s.Commit(t.Context(), store.Put(record("token", "mine")), store.Put(record("token", "other")), store.Put(record("grant", "mine"))); err != nil {
		t.Fatal(err)
	}
	mine, other, grant := seen.ops[0].Row, seen.ops[1].Row, seen.ops[2].Row
	with := func(row store.Row, change func(*store.Row)) store.Row {
		row.Value = bytes.Clone(row.Value)
		change(&row)
		return row
	}
	for name, forged := range map[string]store.Row{
		"of another key":     with(mine, func(r *store.Row) { r.Value, r.Version = other.Value, other.Version }),
		"of another kind":    with(mine, func(r *store.Row) { r.Value, r.Version = grant.Value, grant.Version }),
		"of another version": with(mine, func(r *store.Row) { r.Version++ }),
		"a changed byte":     with(mine, func(r *store.Row) { r.Value[30] ^= 1 }),
		"a changed end":      with(mine, func(r *store.Row) { r.Value[len(r.Value)-1] ^= 1 }),
		"a byte less":        with(mine, func(r *store.Row) { r.Value = r.Value[1:] }),
		"plain":              with(mine, func(r *store.Row) { r.Value = []byte("value") }),
		"empty":              with(mine, func(r *store.Row) { r.Value = nil }),
	} {
		t.Run(name, func(t *testing.T) {
			forge(t, engine, forged)
			if got, err := s.Get(t.Context(), "token", []byte("mine")); !errors.Is(err, store.ErrNotFound) || !errors.Is(err, store.ErrUnopened) {
				t.Errorf("got %q, %v, want ErrUnopened, which is an ErrNotFound", got.Value, err)
			}
			records, _, err := s.List(t.Context(), "token", store.Entry{Kind: "subject", Value: []byte("alice@example.org")}, nil, 10)
			if err != nil || len(records) != 1 {
				t.Errorf("listed: %d records, %v, want the other one", len(records), err)
			}
		})
	}
	if n := lines.FilterLevelExact(zap.ErrorLevel).Len(); n != 1 {
		t.Errorf("%d lines at level error, want one a minute", n)
	}
	forge(t, engine, mine)
	if _, err := s.Get(t.Context(), "token", []byte("mine")); err != nil {
		t.Errorf("the genuine row: %v", err)
	}
}

func TestForgedExpiryAndIndexDoNotCount(t *testing.T) {
	now := time.Now()
	seen := &recorder{}
	engine, err := embedded.Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	seen.Engine = engine
	s := newStore(t, seen, store.Options{Now: func() time.Time { return now }})
	bob := record("token", "of bob")
	bob.Index[0].Value = []byte("bob")
	if err := s.Commit(t.Context(), store.Put(record("token", "of alice")), store.Put(bob)); err != nil {
		t.Fatal(err)
	}
	row := seen.ops[0].Row
	row.Expires, row.Index = store.Forever, seen.ops[1].Row.Index
	forge(t, engine, row)
	records, _, err := s.List(t.Context(), "token", store.Entry{Kind: "subject", Value: []byte("bob")}, nil, 10)
	if err != nil || len(records) != 1 || string(records[0].Key) != "of bob" {
		t.Errorf("listed: %d records, %v, want only bob's own", len(records), err)
	}
	now = now.Add(time.Hour)
	if _, err := s.Get(t.Context(), "token", []byte("of alice")); !errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrUnopened) {
		t.Errorf("long after its end: got %v, want ErrNotFound alone", err)
	}
}

// hanging is an engine that does not answer.
type hanging struct{ store.Engine }

func (hanging) Get(ctx context.Context, _ string, _ store.Hash) (store.Row, error) {
	<-ctx.Done()
	return store.Row{}, ctx.Err()
}

func (hanging) Commit(ctx context.Context, _ time.Time, _ []store.RowOp, _ [][]byte) error {
	<-ctx.Done()
	return ctx.Err()
}

func (hanging) List(ctx context.Context, _ string, _ store.Hash, _ []byte, _ int) ([]store.Row, []byte, error) {
	<-ctx.Done()
	return nil, nil, ctx.Err()
}

func (hanging) Sweep(ctx context.Context, _ time.Time, _ int) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}
func (hanging) Watch(ctx context.Context, _ func([]byte)) { <-ctx.Done() }
func (hanging) Close() error                              { return nil }

func TestSec_S213_EngineThatHangsIsUnavailable(t *testing.T) {
	s := newStore(t, hanging{}, store.Options{Timeout: 10 * time.Millisecond})
	_, getErr := s.Get(t.Context(), "token", []byte("key"))
	_, _, listErr := s.List(t.Context(), "token", store.Entry{Kind: "subject"}, nil, 10)
	_, sweepErr := s.Sweep(t.Context())
	for name, err := range map[string]error{
		"Get": getErr, "List": listErr, "Sweep": sweepErr,
		"Commit": s.Commit(t.Context(), store.Put(record("token", "key"))),
	} {
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: got %v, want ErrUnavailable alone", name, err)
		}
	}
}

func TestClosedStoreIsUnavailable(t *testing.T) {
	s, _ := openFile(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "token", []byte("key")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get: got %v, want ErrUnavailable", err)
	}
	if err := s.Commit(t.Context(), store.Put(record("token", "key"))); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Commit: got %v, want ErrUnavailable", err)
	}
}

func TestNewRefusesShortSecrets(t *testing.T) {
	for _, secrets := range [][]string{nil, {"short"}, {secret, "short"}} {
		engine, err := embedded.Open(filepath.Join(t.TempDir(), "store.db"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.New(engine, store.Options{Secrets: secrets}); err == nil || !strings.Contains(err.Error(), "keys of the store") {
			t.Errorf("%d secrets: got %v, want that they are refused", len(secrets), err)
		}
		if _, err := engine.Get(t.Context(), "token", store.Hash{}); errors.Is(err, store.ErrNotFound) {
			t.Error("the engine was not closed")
		}
	}
}

func Example() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	engine, err := embedded.Open(filepath.Join(dir, "store.db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := store.New(engine, store.Options{Secrets: []string{"32 bytes or more, from a generator"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	ctx := context.Background()
	code := store.Record{Kind: "code", Key: []byte("8f14e45f"), Value: []byte("alice"), Expires: time.Now().Add(time.Minute)}
	if err := s.Commit(ctx, store.Put(code)); err != nil {
		fmt.Println(err)
	}
	found, err := s.Get(ctx, "code", []byte("8f14e45f"))
	fmt.Printf("%s, %v\n", found.Value, err)
	fmt.Println(s.Commit(ctx, store.Remove(found))) // the code is redeemed
	fmt.Println(s.Commit(ctx, store.Remove(found))) // and cannot be again
	// Output:
	// alice, <nil>
	// <nil>
	// the record was changed meanwhile
}
