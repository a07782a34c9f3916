// SPDX-License-Identifier: Apache-2.0

package events

import (
	"context"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

type counter int

func (c *counter) Handle(context.Context, caddy.Event) error {
	*c++
	return nil
}

// provisioned returns an Emitter of a configuration that has not started.
func provisioned(t testing.TB) *Emitter {
	t.Helper()
	ctx, err := caddy.ProvisionContext(&caddy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	emitter, err := NewEmitter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return emitter
}

func TestEmitterOfAConfigurationThatHasNotStarted(t *testing.T) {
	emitter, calls := provisioned(t), new(counter)
	if err := emitter.app.On(Refused, calls); err != nil {
		t.Fatal(err)
	}
	emitter.Emit(Refused, nil)
	if *calls > 0 || emitter.Enabled(Refused) {
		t.Error("an event was emitted while subscriptions may still change")
	}
	emitter.started.Store(true)
	emitter.Emit(Refused, nil)
	emitter.Emit(TokenRevoked, nil)
	if *calls != 1 {
		t.Errorf("the subscriber got %d events, want 1", *calls)
	}
}

func TestNilEmitter(t *testing.T) {
	var emitter *Emitter
	emitter.Emit(Refused, nil)
	if emitter.Enabled(Refused) {
		t.Error("the nil Emitter is enabled")
	}
}

// What a refused request pays for an event that has no subscriber.
func BenchmarkWithoutSubscriber(b *testing.B) {
	emitter := provisioned(b)
	emitter.started.Store(true)
	b.ReportAllocs()
	for b.Loop() {
		if emitter.Enabled(Refused) {
			b.Fatal("something subscribes")
		}
	}
}

var _ caddyevents.Handler = (*counter)(nil)
