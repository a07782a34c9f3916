// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/caddy-gluu/gateway/internal/token"
)

// The only label that a configuration can choose is the provider's name.
// Nothing that a request brings becomes a label.

const (
	outcomeActive     = "active"
	outcomeInactive   = "inactive"
	outcomeUnreadable = "unreadable"
	outcomeError      = "error"
)

var (
	introspections = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "gluu_introspection_duration_seconds",
		Help:    "How long introspections took, by outcome: active, inactive, unreadable or error.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
	}, []string{"provider", "outcome"})

	cacheLookups = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gluu_token_cache_lookups_total",
		Help: "Lookups of tokens, by result: hit, negative_hit (remembered as no good), stale (used because the server was unavailable) or miss.",
	}, []string{"provider", "result"})
)

// Collectors are the metrics of all verifiers of the process.
func Collectors() []prometheus.Collector {
	return []prometheus.Collector{introspections, cacheLookups}
}

// lookupMetrics are those of a verifier, looked up once: the token cache is
// asked with every request.
type lookupMetrics struct {
	provider                          string
	hits, negativeHits, stale, misses prometheus.Counter
}

func newLookupMetrics(provider string) *lookupMetrics {
	return &lookupMetrics{
		provider:     provider,
		hits:         cacheLookups.WithLabelValues(provider, "hit"),
		negativeHits: cacheLookups.WithLabelValues(provider, "negative_hit"),
		stale:        cacheLookups.WithLabelValues(provider, "stale"),
		misses:       cacheLookups.WithLabelValues(provider, "miss"),
	}
}

// lookups returns the lookups so far, by result.
func (m *lookupMetrics) lookups() map[string]uint64 {
	counters := map[string]prometheus.Counter{
		"hit": m.hits, "negative_hit": m.negativeHits, "stale": m.stale, "miss": m.misses,
	}
	values := make(map[string]uint64, len(counters))
	for result, counter := range counters {
		var value dto.Metric
		if counter.Write(&value) == nil {
			values[result] = uint64(value.GetCounter().GetValue())
		}
	}
	return values
}

func (m *lookupMetrics) introspected(outcome string, took time.Duration) {
	introspections.WithLabelValues(m.provider, outcome).Observe(took.Seconds())
}

// outcomeOf is the outcome of an introspection.
func outcomeOf(err error) string {
	if err == nil {
		return outcomeActive
	}
	switch token.AsError(err).Reason {
	case token.ProviderUnavailable:
		return outcomeError
	case token.Unreadable:
		return outcomeUnreadable
	}
	return outcomeInactive
}
