// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"context"
	"sync"
	"testing"

	"github.com/caddy-gluu/gateway/internal/store"
)

// watch watches an engine until stop is called.
func watch(t *testing.T, engine store.Engine, announced func([]byte)) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { engine.Watch(ctx, announced) })
	return func() {
		cancel()
		running.Wait()
	}
}
