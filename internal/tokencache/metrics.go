// SPDX-License-Identifier: Apache-2.0

package tokencache

import "github.com/prometheus/client_golang/prometheus"

// Counters are those of the process: they go on counting across reloads.
var sharedLookups = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "gluu_shared_cache_lookups_total",
	Help: "Lookups of tokens in Redis, by result: hit, miss, rejected (revoked, over or not sealed by a gateway), error or away (Redis is unavailable and was not asked).",
}, []string{"result"})

var entries = prometheus.NewDesc("gluu_token_cache_entries",
	"Tokens that are remembered, by segment: positive or negative.", []string{"segment"}, nil)

var sharedUp = prometheus.NewDesc("gluu_shared_cache_up",
	"Whether the cache that gateways share is used: 1, or 0 while Redis is unavailable.", nil, nil)

// Collectors returns the metrics of the cache.
func (c *Cache) Collectors() []prometheus.Collector {
	return []prometheus.Collector{sharedLookups, collector{c}}
}

// collector reports the state of the cache when it is asked.
type collector struct{ cache *Cache }

// Describe implements prometheus.Collector.
func (collector) Describe(out chan<- *prometheus.Desc) {
	out <- entries
	out <- sharedUp
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	positive, negative := c.cache.Sizes()
	out <- prometheus.MustNewConstMetric(entries, prometheus.GaugeValue, float64(positive), "positive")
	out <- prometheus.MustNewConstMetric(entries, prometheus.GaugeValue, float64(negative), "negative")
	if c.cache.shared != nil {
		up := 0.0
		if c.cache.shared.status().State == SharedOK {
			up = 1
		}
		out <- prometheus.MustNewConstMetric(sharedUp, prometheus.GaugeValue, up)
	}
}
