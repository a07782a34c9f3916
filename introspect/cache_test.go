// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"strings"
	"testing"
)

func TestCacheHitAllocatesNothing(t *testing.T) {
	server := newFakeServer(t)
	server.on("/introspect", respond(active("")))
	p := providerFor(t, server.introspecting(), CacheConfig{})
	raw := strings.Repeat("x", 800)
	if _, err := p.Verify(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = p.Verify(ctx, raw) }); n != 0 {
		t.Errorf("a hit makes %v allocations", n)
	}
}
