// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct{ ended *prometheus.CounterVec }

// newMetrics registers the metrics with the registry of a configuration, which
// has several guards as a rule.
func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	ended := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gluu_streams_ended_total",
		Help: "Long-lived connections that the gateway has ended, by protocol and reason.",
	}, []string{"protocol", "reason"})
	for _, collector := range []prometheus.Collector{ended, openStreams{}} {
		err := registry.Register(collector)
		if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
			if existing, ok := already.ExistingCollector.(*prometheus.CounterVec); ok {
				ended = existing
			}
		} else if err != nil {
			return nil, err
		}
	}
	return &metrics{ended: ended}, nil
}

// openStreams counts when it is asked.
type openStreams struct{}

var openDesc = prometheus.NewDesc("gluu_streams_open", "Long-lived connections that are open, by protocol.", []string{"protocol"}, nil)

// Describe implements prometheus.Collector.
func (openStreams) Describe(descs chan<- *prometheus.Desc) { descs <- openDesc }

// Collect implements prometheus.Collector.
func (openStreams) Collect(metrics chan<- prometheus.Metric) {
	for protocol, n := range Open.count() {
		metrics <- prometheus.MustNewConstMetric(openDesc, prometheus.GaugeValue, float64(n), string(protocol))
	}
}
