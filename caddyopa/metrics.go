// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of policies, beside those that all handlers have. Their labels
// come from the configuration.
type metrics struct {
	seconds *prometheus.HistogramVec
	lookups *prometheus.CounterVec
	dropped prometheus.Counter
}

func newMetrics(ctx caddy.Context) (*metrics, error) {
	m := &metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gluu_opa_evaluation_seconds", Help: "How long decisions took, by engine; the engine is empty for a server.",
			Buckets: []float64{.00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1},
		}, []string{"engine"}),
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gluu_opa_cache_lookups", Help: "Decisions that were looked for in the cache, by result: hit or miss.",
		}, []string{"result"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gluu_opa_decisions_dropped", Help: "Decisions that were not logged, because too many were waiting.",
		}),
	}
	registry := ctx.GetMetricsRegistry()
	var errs [3]error
	m.seconds, errs[0] = register(registry, m.seconds)
	m.lookups, errs[1] = register(registry, m.lookups)
	m.dropped, errs[2] = register(registry, m.dropped)
	return m, errors.Join(errs[:]...)
}

// register registers a collector, or returns the one that another handler of the
// configuration has registered.
func register[C prometheus.Collector](registry *prometheus.Registry, collector C) (C, error) {
	err := registry.Register(collector)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing, nil
		}
	}
	return collector, err
}

// engineMetrics are those of one engine.
type engineMetrics struct{ seconds prometheus.Observer }

func (m *metrics) of(engine string) *engineMetrics {
	return &engineMetrics{m.seconds.WithLabelValues(engine)}
}

func (m *engineMetrics) observe(took time.Duration) {
	if m != nil {
		m.seconds.Observe(took.Seconds())
	}
}
