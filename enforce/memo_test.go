// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"testing"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/internal/token"
)

func TestMemosAreShared(t *testing.T) {
	var m memos
	create := func() *Memo { return new(Memo) }
	set, ann, bob := new(token.ScopeSet), &consumer.Consumer{ID: "a"}, &consumer.Consumer{ID: "b"}
	first := m.of(memoKey{set, ann}, create)
	tests := []struct {
		name string
		key  memoKey
		same bool
	}{
		{"the same scopes and consumer", memoKey{set, ann}, true},
		{"another consumer", memoKey{set, bob}, false},
		{"no consumer", memoKey{set, nil}, false},
		{"other scopes", memoKey{new(token.ScopeSet), ann}, false},
	}
	for _, test := range tests {
		if got := m.of(test.key, create); (got == first) != test.same {
			t.Errorf("%s: the same memo: %t, want %t", test.name, got == first, test.same)
		}
	}
	for range 2 * maxMemos {
		m.of(memoKey{new(token.ScopeSet), ann}, create)
		if len(m.known) > maxMemos {
			t.Fatalf("%d memos are kept, want %d at most", len(m.known), maxMemos)
		}
	}
}
