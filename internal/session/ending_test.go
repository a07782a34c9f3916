// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"testing"

	"github.com/caddy-gluu/gateway/internal/store"
)

// paused is an engine whose answers a test holds back: after is called with each
// row that was read, before the caller has it.
type paused struct {
	store.Engine
	after func()
}

func (p *paused) Get(ctx context.Context, kind string, key store.Hash) (store.Row, error) {
	row, err := p.Engine.Get(ctx, kind, key)
	if then := p.after; then != nil && err == nil && kind == kindSession {
		p.after = nil
		then()
	}
	return row, err
}

// A session that ends while another request reads it, or marks it as seen, is
// over for that request's successors too: what was read must not stay in memory.
func TestSec_S140_ASessionThatEndsWhileItIsReadIsOver(t *testing.T) {
	for name, read := range map[string]func(m *Manager, cookie string, s *Session) error{
		"opened": func(m *Manager, cookie string, _ *Session) error {
			_, err := m.Open(t.Context(), cookie)
			return err
		},
		"reloaded": func(m *Manager, _ string, s *Session) error {
			_, err := m.Reload(t.Context(), s)
			return err
		},
		"updated": func(m *Manager, _ string, s *Session) error {
			_, err := m.Update(t.Context(), s, inAnHour, func(*Session) error { return nil })
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			clock := newClock()
			records, flaky := openFlakyStore(t, clock)
			engine := &paused{Engine: flaky.Engine}
			flaky.Engine = engine
			m := newManager(t, records, clock)
			m.Shared = false // what is in memory is used without reading it again
			cookie := create(t, m, sessionOf(clock, "alice", "sid"))
			s, err := m.Open(t.Context(), cookie)
			if err != nil {
				t.Fatal(err)
			}
			m.near.clear()
			engine.after = func() {
				if err := m.End(t.Context(), s); err != nil {
					t.Error(err)
				}
			}
			if err := read(m, cookie, s); err != nil && !errors.Is(err, ErrNone) {
				t.Fatal(err)
			}
			if _, err := m.Open(t.Context(), cookie); !errors.Is(err, ErrNone) {
				t.Errorf("the session that has ended opens: %v", err)
			}
		})
	}
}
