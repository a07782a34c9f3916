// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/caddy-gluu/gateway/consumer"
)

// Kind is a family of handlers, as the names of its metrics begin.
type Kind string

const (
	OAuth         Kind = "oauth"
	UMA           Kind = "uma"
	OpenIDConnect Kind = "openid_connect"
	OPA           Kind = "opa"
)

// Metrics counts decisions. Every label has as many values as the
// configuration has rules, consumers or providers, never more: nothing that a
// client can make up becomes a label.
//
// Counters are looked up once and kept by who counts, since a lookup by labels
// costs more than the rest of a decision.
type Metrics struct {
	authenticated, granted, endpoint, operation, refused *prometheus.CounterVec
	totalAuthenticated, totalGranted                     prometheus.Counter
}

// NewMetrics returns the metrics of a kind of handlers in the registry of the
// configuration that is being loaded.
func NewMetrics(ctx caddy.Context, kind Kind) (*Metrics, error) {
	client := "_client"
	authenticated := "gluu_" + string(kind) + client + "_authenticated"
	if kind == OpenIDConnect {
		authenticated = "gluu_openid_connect_users_authenticated"
	}
	register := registrar{registry: ctx.GetMetricsRegistry()}
	m := &Metrics{
		authenticated: register.vector(authenticated,
			"Requests whose token was verified, by provider and consumer.", "provider", "consumer"),
		granted: register.vector("gluu_"+string(kind)+client+"_granted",
			"Requests that a rule let pass, by consumer.", "consumer"),
		endpoint: register.vector("gluu_endpoint_method",
			"Requests that a rule decided about, by the rule's path pattern and the method.", "endpoint", "method"),
		operation: register.vector("gluu_operation",
			"Requests that a rule or a policy decided about, by operation of the OpenAPI document.", "operation"),
		refused: register.vector("gluu_client_refused",
			"Requests refused, by reason and by the path pattern of the rule, if one decided.", "reason", "rule"),
		totalAuthenticated: register.counter("gluu_total_client_authenticated",
			"Requests whose token was verified, by any handler."),
		totalGranted: register.counter("gluu_total_client_granted",
			"Requests that a rule let pass, of any handler."),
	}
	return m, register.err
}

// Grants returns how many requests were granted under this configuration.
func (m *Metrics) Grants() uint64 {
	var value dto.Metric
	if m.totalGranted.Write(&value) != nil {
		return 0
	}
	return uint64(value.GetCounter().GetValue())
}

// registrar registers collectors that another handler of the same
// configuration may have registered already.
type registrar struct {
	registry *prometheus.Registry
	err      error
}

func (r *registrar) vector(name, help string, labels ...string) *prometheus.CounterVec {
	return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
}

func (r *registrar) counter(name, help string) prometheus.Counter {
	return register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
}

func register[C prometheus.Collector](r *registrar, c C) C {
	err := r.registry.Register(c)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	r.err = errors.Join(r.err, err)
	return c
}

// Count is a counter together with the total that it is part of.
type Count struct{ part, total prometheus.Counter }

// Inc counts one.
func (c Count) Inc() {
	c.part.Inc()
	c.total.Inc()
}

// Authenticated returns what counts verified tokens of a consumer, who may be
// nil.
func (m *Metrics) Authenticated(provider string, c *consumer.Consumer) Count {
	return Count{m.authenticated.WithLabelValues(provider, consumerLabel(c)), m.totalAuthenticated}
}

// Granted returns what counts granted requests of a consumer, who may be nil.
func (m *Metrics) Granted(c *consumer.Consumer) Count {
	return Count{m.granted.WithLabelValues(consumerLabel(c)), m.totalGranted}
}

// Endpoint returns what counts requests of a method that a rule decided
// about.
func (m *Metrics) Endpoint(rule string, method Method) prometheus.Counter {
	return m.endpoint.WithLabelValues(rule, methodLabels[method])
}

// Operation returns what counts requests of an operation.
func (m *Metrics) Operation(name string) prometheus.Counter {
	return m.operation.WithLabelValues(name)
}

// Refused counts a refusal.
func (m *Metrics) Refused(reason, rule string) {
	m.refused.WithLabelValues(reason, rule).Inc()
}

func consumerLabel(c *consumer.Consumer) string {
	if c == nil {
		return ""
	}
	return c.Name()
}

// Method is a request method as a label: one of the standard ones, or any
// other, since a client can invent as many as it likes.
type Method uint8

// Methods is how many values a Method has.
const Methods = Method(len(methodLabels))

var methodLabels = [...]string{
	"other", http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
	http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace,
}

// MethodOf returns the label of a request's method.
func MethodOf(method string) Method {
	for i, label := range methodLabels[1:] {
		if label == method {
			return Method(i + 1)
		}
	}
	return 0
}
