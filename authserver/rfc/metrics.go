// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what the servers of a configuration do. No label has a value
// that comes from a request.
type Metrics struct {
	issued  *prometheus.CounterVec // grant, format
	revoked prometheus.Counter
	refused *prometheus.CounterVec // endpoint, reason
}

// NewMetrics registers the metrics, or finds those that another server of the
// same configuration has registered.
func NewMetrics(registry prometheus.Registerer) (*Metrics, error) {
	const namespace, subsystem = "gluu", "oauth_server"
	m := &Metrics{
		issued: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "tokens_issued_total",
			Help: "Access tokens issued by the embedded authorization server.",
		}, []string{"grant", "format"}),
		revoked: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "tokens_revoked_total",
			Help: "Access tokens revoked at the embedded authorization server.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "requests_refused_total",
			Help: "Requests that the embedded authorization server has refused, by reason.",
		}, []string{"endpoint", "reason"}),
	}
	var err error
	m.issued, err = register(registry, m.issued, err)
	m.revoked, err = register(registry, m.revoked, err)
	m.refused, err = register(registry, m.refused, err)
	return m, err
}

func register[C prometheus.Collector](registry prometheus.Registerer, collector C, previous error) (C, error) {
	err := registry.Register(collector)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing, previous
		}
	}
	return collector, errors.Join(previous, err)
}
