// SPDX-License-Identifier: Apache-2.0

package session

import (
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/seal"
)

// A session that is in memory is found without decryption, without asking the store, and
// with no more than one allocation.
func TestAHitDecryptsNothing(t *testing.T) {
	c := newClock()
	s, engine := openFlakyStore(t, c)
	m := newManager(t, s, c)
	cookie := create(t, m, sessionOf(c, "alice", "sid-1"))
	if _, err := m.Open(t.Context(), cookie); err != nil {
		t.Fatal(err)
	}
	// With another key and without a store, whatever is not in memory cannot be had.
	other, err := seal.New(Label, strings.Repeat("x", 32))
	if err != nil {
		t.Fatal(err)
	}
	m.Sealer = other
	engine.away.Store(true)
	open := func() {
		if found, err := m.Open(t.Context(), cookie); err != nil || found.Subject != "alice" {
			t.Fatalf("got %+v, %v", found, err)
		}
	}
	if allocations := testing.AllocsPerRun(200, open); allocations > 1 {
		t.Errorf("%v allocations, want 1 at the most", allocations)
	}
	engine.away.Store(false)
	c.advance(fresh)
	if found, err := m.Open(t.Context(), cookie); err == nil {
		t.Errorf("read again with another key: got %+v, so that the test shows nothing", found)
	}
}
