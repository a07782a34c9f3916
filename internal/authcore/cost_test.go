// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/embedded"
)

// countingEngine counts what is asked of an engine.
type countingEngine struct {
	store.Engine
	reads, lists, writes, checks atomic.Int64
}

func (e *countingEngine) Get(ctx context.Context, kind string, key store.Hash) (store.Row, error) {
	e.reads.Add(1)
	return e.Engine.Get(ctx, kind, key)
}

func (e *countingEngine) List(ctx context.Context, kind string, entry store.Hash, after []byte, n int) ([]store.Row, []byte, error) {
	e.lists.Add(1)
	return e.Engine.List(ctx, kind, entry, after, n)
}

func (e *countingEngine) Commit(ctx context.Context, now time.Time, ops []store.RowOp, announcements [][]byte) error {
	for _, op := range ops {
		if op.Action == store.CheckAction {
			e.checks.Add(1)
		} else {
			e.writes.Add(1)
		}
	}
	return e.Engine.Commit(ctx, now, ops, announcements)
}

// counted returns what an act asks of the engine.
func (e *countingEngine) counted(act func()) (reads, lists, writes, checks int64) {
	for _, n := range []*atomic.Int64{&e.reads, &e.lists, &e.writes, &e.checks} {
		n.Store(0)
	}
	act()
	return e.reads.Load(), e.lists.Load(), e.writes.Load(), e.checks.Load()
}

// S-223, S-224: an act costs the same however many generations a grant has had and
// however many tokens there are: no list, and no row that is not its own.
func TestSec_S223_S224_AnActTouchesItsOwnRows(t *testing.T) {
	file, err := embedded.Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	engine := &countingEngine{Engine: file}
	s := New(newRecords(t, engine, nil), nil)
	tokens := redeem(t, s, terms)
	for generation := range 20 {
		reads, lists, writes, checks := engine.counted(func() {
			if tokens, err = s.RotateRefresh(t.Context(), tokens.RefreshText, rotation(terms)); err != nil {
				t.Fatal(err)
			}
		})
		// The old refresh token, the new one and the access token; the grant is only checked.
		if reads != 2 || lists != 0 || writes != 3 || checks != 1 {
			t.Errorf("generation %d: %d reads, %d lists, %d writes and %d checks", generation+2, reads, lists, writes, checks)
		}
		reads, lists, writes, _ = engine.counted(func() {
			if _, err := s.FindToken(t.Context(), testIssuer, tokens.AccessText); err != nil {
				t.Fatal(err)
			}
		})
		if reads != 2 || lists+writes != 0 { // the token and its grant
			t.Errorf("generation %d: looking up a token takes %d reads, %d lists and %d writes", generation+2, reads, lists, writes)
		}
	}
}
