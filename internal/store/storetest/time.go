// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/store"
)

func (s Suite) testExpiry(t *testing.T) {
	clock := newClock()
	st := open(t, s.New(t), store.Options{Now: clock.Now})
	r := record("grant", "g", "old", "alice")
	r.Expires = clock.Now().Add(time.Minute).Truncate(time.Millisecond)
	commit(t, st, store.Create(r))
	r = get(t, st, "grant", "g")

	clock.jump(r.Expires.Sub(clock.Now()) - time.Millisecond)
	holds(t, st, "grant", "g", "old")
	clock.jump(time.Millisecond)
	holds(t, st, "grant", "g", "")
	if got := list(t, st, "grant", "alice", 10); len(got) != 0 {
		t.Errorf("listed: %q, want nothing", got)
	}
	conflicts(t, st, store.Replace(r))
	conflicts(t, st, store.Remove(r))
	conflicts(t, st, store.Check(r))

	r.Value, r.Expires, r.Index = []byte("new"), clock.Now().Add(time.Hour), nil
	commit(t, st, store.Create(r))
	holds(t, st, "grant", "g", "new")
	clock.jump(-time.Minute) // nothing of the old one is left
	holds(t, st, "grant", "g", "new")
	if got := list(t, st, "grant", "alice", 10); len(got) != 0 {
		t.Errorf("listed by the entry of the expired record: %q, want nothing", got)
	}
}

func (s Suite) testClockJumps(t *testing.T) {
	clock := newClock()
	place := s.New(t)
	st := open(t, place, store.Options{Now: clock.Now})
	commit(t, st, store.Create(record("grant", "hour", "x", "alice")))
	day := record("grant", "day", "x", "alice")
	day.Expires = day.Expires.Add(24 * time.Hour)
	commit(t, st, store.Create(day))

	clock.jump(2 * time.Hour)
	holds(t, st, "grant", "hour", "")
	holds(t, st, "grant", "day", "x")
	if _, err := st.Sweep(t.Context()); err != nil {
		t.Fatalf("Sweep: %v", err)
	}
	holds(t, st, "grant", "day", "x")
	late := record("grant", "late", "x")
	late.Expires = clock.Now().Add(time.Hour)
	commit(t, st, store.Create(late))

	clock.jump(-2 * time.Hour)
	holds(t, st, "grant", "day", "x")
	holds(t, st, "grant", "late", "x")
	if s.Shared { // one gateway's clock deletes nothing of the others
		holds(t, st, "grant", "hour", "x")
	} else {
		holds(t, st, "grant", "hour", "")
	}
	clock.jump(-48 * time.Hour)
	holds(t, st, "grant", "day", "x")
	if _, err := st.Sweep(t.Context()); err != nil {
		t.Fatalf("Sweep: %v", err)
	}
	holds(t, st, "grant", "day", "x")
}

func (s Suite) testLeftovers(t *testing.T) {
	place := s.New(t)
	st := open(t, place, store.Options{})
	end := time.Now().Add(2 * time.Second)
	for i := range 40 {
		r := record("token", fmt.Sprint(i), "x", "alice", fmt.Sprint("client", i%3))
		r.Expires = end.Add(-time.Duration(i%7) * 100 * time.Millisecond)
		commit(t, st, store.Put(r).Announce())
		switch i % 4 {
		case 1:
			commit(t, st, store.Delete("token", r.Key))
		case 2: // expires at another time, with other entries
			r.Expires, r.Index = end.Add(-time.Second), r.Index[1:]
			commit(t, st, store.Put(r))
		case 3: // expires before it is written
			r.Expires = time.Now().Add(-time.Hour)
			commit(t, st, store.Put(r))
		}
	}
	if place.Leftovers(t) == 0 {
		t.Fatal("nothing is counted while there are records")
	}
	eventually(t, "everything has expired and was swept", func() bool {
		if time.Now().Before(end) {
			return false
		}
		if _, err := st.Sweep(t.Context()); err != nil {
			t.Fatalf("Sweep: %v", err)
		}
		return place.Leftovers(t) == 0
	})
}

// sweepRecords is how many records are swept. The 1,000,000 of the contract take
// minutes: set GLUU_STORE_SWEEP=1000000.
func sweepRecords(t testing.TB) int {
	text := os.Getenv("GLUU_STORE_SWEEP")
	if text == "" {
		return 3000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("GLUU_STORE_SWEEP: %v", err)
	}
	return n
}

func (s Suite) testSweepUnderLoad(t *testing.T) {
	clock := newClock()
	place := s.New(t)
	st := open(t, place, store.Options{Now: clock.Now, Timeout: 5 * time.Minute})
	end := time.Now().Add(time.Duration(1+sweepRecords(t)/3000) * time.Second)
	fill(t, st, sweepRecords(t), end)
	commit(t, st, store.Put(record("grant", "stays", "x")))
	if s.Shared { // deletes by its own clock too
		<-time.After(time.Until(end))
	}
	clock.jump(end.Sub(clock.Now()) + time.Second)

	var slowest atomic.Int64
	requests := 0
	swept := make(chan int, 1)
	var sweeping sync.WaitGroup
	sweeping.Go(func() {
		n, err := st.Sweep(t.Context())
		if err != nil {
			t.Errorf("Sweep: %v", err)
		}
		swept <- n
	})
	deleted := -1
	for deleted < 0 {
		began := time.Now()
		holds(t, st, "grant", "stays", "x")
		r := get(t, st, "grant", "stays")
		commit(t, st, store.Replace(r))
		slowest.Store(max(slowest.Load(), int64(time.Since(began))))
		requests++
		select {
		case deleted = <-swept:
		default:
		}
	}
	sweeping.Wait()
	t.Logf("%d records swept while %d requests ran, the slowest in %s", deleted, requests, time.Duration(slowest.Load()))
	if n, err := st.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("a second sweep deletes %d, %v, want nothing", n, err)
	}
	holds(t, st, "token", "0", "")
	holds(t, st, "grant", "stays", "x")
}

// fill makes records that expire at a moment.
func fill(t testing.TB, st *store.Store, n int, expires time.Time) {
	t.Helper()
	for at := 0; at < n; {
		var ops []store.Op
		for len(ops) < store.MaxOps && at < n {
			r := record("token", fmt.Sprint(at), "a value", fmt.Sprint("subject", at%1000))
			r.Expires = expires
			ops = append(ops, store.Put(r))
			at++
		}
		commit(t, st, ops...)
	}
}
