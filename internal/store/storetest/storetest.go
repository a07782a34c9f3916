// SPDX-License-Identifier: Apache-2.0

// Package storetest is what every engine of a store must pass: one suite of
// tests and the same benchmarks, so that the code above can rely on one
// behaviour whatever is configured.
package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/store"
)

// Place is where the records of one test are. A shared one can be opened
// several times at once, as by several gateways.
type Place interface {
	// Open opens the place.
	Open(t testing.TB) store.Engine

	// Leftovers counts what is there: rows, index entries, whatever records
	// leave. 0 when they have all gone.
	Leftovers(t testing.TB) int
}

// Server is a place on a server that can be stopped and started again.
type Server interface {
	Place
	Stop(t testing.TB)
	Start(t testing.TB)

	// KeepsAll reports whether the server still has after a stop what it had
	// answered.
	KeepsAll() bool
}

// Suite is how to test an engine.
type Suite struct {
	// New returns an empty place.
	New func(t testing.TB) Place

	// Shared says that several gateways can have the place open.
	Shared bool
}

const (
	secretA = "the first secret of a test, of 32 bytes or more"
	secretB = "the second secret of a test, of 32 bytes or more"

	// patience is how long anything may take on a slow machine.
	patience = 30 * time.Second
)

// Run runs the suite.
func (s Suite) Run(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"what was written is read", s.testRead},
		{"expectations", s.testExpectations},
		{"all or none", s.testAllOrNone},
		{"a version never comes back", s.testVersions},
		{"mistakes are refused", s.testMistakes},
		{"listed by index", s.testList},
		{"a page that was made up", s.testForgedPage},
		{"secrets are replaced", s.testSecrets},
		{"an expired record is absent", s.testExpiry},
		{"the clock jumps", s.testClockJumps},
		{"S-201, S-203: one of 50 redemptions wins", s.testOneWins},
		{"S-202: one of 50 rotations wins", s.testRotations},
		{"opposite orders do not block each other", s.testOppositeOrders},
		{"S-222, S-225: swept in batches while requests run", s.testSweepUnderLoad},
		{"S-226: nothing is left after all has expired", s.testLeftovers},
		{"announcements reach who watches", s.testWatch},
		{"S-213: unavailable and back", s.testUnavailable},
	} {
		t.Run(test.name, test.run)
	}
}

// clock is a time that the test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// open opens a store at a place, with the machine's clock and one secret unless
// the options say otherwise.
func open(t testing.TB, place Place, o store.Options) *store.Store {
	t.Helper()
	if o.Secrets == nil {
		o.Secrets = []string{secretA}
	}
	if o.Timeout == 0 {
		o.Timeout = patience // the machine may be slow, and no test is about that
	}
	s, err := store.New(place.Open(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return s
}

// gateways opens a place as often as it can be, twice at most: what holds
// within a gateway must hold among several.
func (s Suite) gateways(t testing.TB, place Place, o store.Options) []*store.Store {
	gateways := []*store.Store{open(t, place, o)}
	if s.Shared {
		gateways = append(gateways, open(t, place, o))
	}
	return gateways
}

// record returns a record that lives for an hour.
func record(kind, key, value string, index ...string) store.Record {
	r := store.Record{Kind: kind, Key: []byte(key), Value: []byte(value), Expires: time.Now().Add(time.Hour)}
	for _, e := range index {
		r.Index = append(r.Index, store.Entry{Kind: "subject", Value: []byte(e)})
	}
	return r
}

func commit(t testing.TB, s *store.Store, ops ...store.Op) {
	t.Helper()
	if err := s.Commit(t.Context(), ops...); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

func conflicts(t testing.TB, s *store.Store, ops ...store.Op) {
	t.Helper()
	if err := s.Commit(t.Context(), ops...); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Commit: got %v, want ErrConflict", err)
	}
}

func get(t testing.TB, s *store.Store, kind, key string) store.Record {
	t.Helper()
	r, err := s.Get(t.Context(), kind, []byte(key))
	if err != nil {
		t.Fatalf("Get %s %q: %v", kind, key, err)
	}
	return r
}

// holds checks the value of a record; "" is that there is none.
func holds(t testing.TB, s *store.Store, kind, key, want string) {
	t.Helper()
	r, err := s.Get(t.Context(), kind, []byte(key))
	switch {
	case want == "" && !errors.Is(err, store.ErrNotFound):
		t.Errorf("%s %q: got %q, %v, want ErrNotFound", kind, key, r.Value, err)
	case want != "" && (err != nil || string(r.Value) != want):
		t.Errorf("%s %q: got %q, %v, want %q", kind, key, r.Value, err, want)
	}
}

func eventually(t testing.TB, what string, check func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !check() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("not even after %s: %s", patience, what)
		}
	}
}
