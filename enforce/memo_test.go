// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"fmt"
	"slices"
	"testing"

	"github.com/caddy-gluu/gateway/consumer"
)

func TestMemosAreShared(t *testing.T) {
	var m memos
	create := func() *Memo { return new(Memo) }
	list, ann, bob := []string{"read", "write"}, &consumer.Consumer{ID: "a"}, &consumer.Consumer{ID: "b"}
	first := m.of(list, ann, create)
	tests := []struct {
		name   string
		scopes []string
		c      *consumer.Consumer
		same   bool
	}{
		{"the same list and consumer", list, ann, true},
		{"another consumer", list, bob, false},
		{"no consumer", list, nil, false},
		{"a list that is equal", slices.Clone(list), ann, false},
		{"the beginning of the list", list[:1], ann, false},
		{"no scopes", nil, ann, false},
	}
	for _, test := range tests {
		if got := m.of(test.scopes, test.c, create); (got == first) != test.same {
			t.Errorf("%s: the same memo: %t, want %t", test.name, got == first, test.same)
		}
	}
	for i := range 2 * maxMemos {
		m.of([]string{fmt.Sprint(i)}, ann, create)
		if len(m.known) > maxMemos {
			t.Fatalf("%d memos are kept, want %d at most", len(m.known), maxMemos)
		}
	}
}
