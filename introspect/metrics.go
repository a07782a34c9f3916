// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/tokencache"
	"github.com/caddy-gluu/gateway/internal/verifier"
)

// Caddy makes a new metrics registry with each configuration. The collectors
// are those of the process and are put into each registry anew, so that
// counters go on counting across reloads, like the caches and keys that they
// describe.

// registerMetrics makes the metrics visible in a configuration's registry.
func registerMetrics(registry *prometheus.Registry, cache *tokencache.Cache) error {
	collectors := slices.Concat(cache.Collectors(), verifier.Collectors(), provider.Collectors())
	for _, collector := range collectors {
		err := registry.Register(collector)
		if errors.As(err, new(prometheus.AlreadyRegisteredError)) {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
