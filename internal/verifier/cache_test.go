// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

func TestCacheHitAllocatesNothing(t *testing.T) {
	server := providertest.NewServer(t)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	p := providerFor(t, introspecting(server), tokencache.Settings{})
	raw := strings.Repeat("x", 800)
	if _, err := p.Verify(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = p.Verify(ctx, raw) }); n != 0 {
		t.Errorf("a hit makes %v allocations", n)
	}
}
