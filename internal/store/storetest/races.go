// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-gluu/gateway/internal/store"
)

const parallel = 50

// inParallel calls a function 50 times at once and returns how often it
// succeeded. It may fail with ErrConflict only.
func inParallel(t *testing.T, run func(i int) error) (succeeded int64) {
	t.Helper()
	var start, done sync.WaitGroup
	var successes atomic.Int64
	start.Add(1)
	for i := range parallel {
		done.Go(func() {
			start.Wait()
			switch err := run(i); {
			case err == nil:
				successes.Add(1)
			case !errors.Is(err, store.ErrConflict):
				t.Errorf("request %d: %v", i, err)
			}
		})
	}
	start.Done()
	done.Wait()
	return successes.Load()
}

// The redemption of a code: all have read it before the first one writes.
func (s Suite) testOneWins(t *testing.T) {
	gateways := s.gateways(t, s.New(t), store.Options{})
	for round := range 3 {
		key := fmt.Sprint("code", round)
		commit(t, gateways[0], store.Create(record("code", key, "x", "alice")))
		code := get(t, gateways[0], "code", key)
		won := inParallel(t, func(i int) error {
			return gateways[i%len(gateways)].Commit(t.Context(), store.Remove(code), store.Create(record("token", fmt.Sprint(round, ".", i), "x", key)))
		})
		if won != 1 {
			t.Errorf("%d of %d redemptions were first, want 1", won, parallel)
		}
		if tokens := list(t, gateways[0], "token", key, 10); len(tokens) != 1 {
			t.Errorf("tokens of the code: %q, want one", tokens)
		}
		first := inParallel(t, func(i int) error {
			return gateways[i%len(gateways)].Commit(t.Context(), store.Create(record("jti", key, fmt.Sprint(i))))
		})
		if first != 1 {
			t.Errorf("%d of %d made the same record, want 1", first, parallel)
		}
	}
}

// The rotation of a refresh token touches two records and leaves one that is
// live.
func (s Suite) testRotations(t *testing.T) {
	gateways := s.gateways(t, s.New(t), store.Options{})
	commit(t, gateways[0], store.Create(record("refresh", "first", "x", "family")), store.Create(record("family", "family", "first")))
	refresh, family := get(t, gateways[0], "refresh", "first"), get(t, gateways[0], "family", "family")
	won := inParallel(t, func(i int) error {
		next := record("refresh", fmt.Sprint("next", i), "x", "family")
		family := family
		family.Value = next.Key
		return gateways[i%len(gateways)].Commit(t.Context(), store.Remove(refresh), store.Create(next), store.Replace(family))
	})
	if won != 1 {
		t.Errorf("%d of %d rotations were first, want 1", won, parallel)
	}
	live := list(t, gateways[0], "refresh", "family", 10)
	if len(live) != 1 || live[0] != string(get(t, gateways[0], "family", "family").Value) {
		t.Errorf("live refresh tokens: %q, want the one that the family names", live)
	}
}

func (s Suite) testOppositeOrders(t *testing.T) {
	gateways := s.gateways(t, s.New(t), store.Options{})
	won := inParallel(t, func(i int) error {
		ops := []store.Op{store.Put(record("grant", "a", "x", "alice")), store.Put(record("grant", "b", "x", "alice")), store.Put(record("grant", "c", "x", "alice"))}
		if i%2 == 1 {
			slices.Reverse(ops)
		}
		if i%5 == 0 {
			ops[1] = store.Delete("grant", []byte("b"))
		}
		return gateways[i%len(gateways)].Commit(t.Context(), ops...)
	})
	if won != parallel {
		t.Errorf("%d of %d succeeded, want all", won, parallel)
	}
}
