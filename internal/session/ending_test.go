// SPDX-License-Identifier: Apache-2.0

package session

import (
	"errors"
	"testing"
)

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
			records, engine := openFlakyStore(t, clock)
			m := newManager(t, records, clock)
			m.Shared = false // what is in memory is used without reading it again
			cookie := create(t, m, sessionOf(clock, "alice", "sid"))
			s, err := m.Open(t.Context(), cookie)
			if err != nil {
				t.Fatal(err)
			}
			m.near.clear()
			end := func() {
				if err := m.End(t.Context(), s); err != nil {
					t.Error(err)
				}
			}
			engine.afterGet.Store(&end)
			if err := read(m, cookie, s); err != nil && !errors.Is(err, ErrNone) {
				t.Fatal(err)
			}
			if _, err := m.Open(t.Context(), cookie); !errors.Is(err, ErrNone) {
				t.Errorf("the session that has ended opens: %v", err)
			}
		})
	}
}
