// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
)

// The collectors are those of the process, so that counters continue across
// reloads, like the keys that they describe. The only label that a configuration
// chooses is the provider's name; nothing that a request brings becomes a label.
var (
	keyFetches = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gluu_key_fetches_total",
		Help: "Fetches of an authorization server's keys, by result: ok or error.",
	}, []string{"provider", "result"})

	breakerState = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "gluu_breaker_state",
		Help: "State of the circuit breaker of an endpoint: 0 closed, 1 half-open, 2 open.",
	}, []string{"provider", "endpoint"})
)

// Collectors returns the metrics of all servers, for a configuration's registry.
func Collectors() []prometheus.Collector {
	return []prometheus.Collector{keyFetches, breakerState}
}

// serverMetrics are those of a server.
type serverMetrics struct {
	provider string

	mu    sync.Mutex // guards against the state of a breaker of an ended server
	ended bool
}

func newServerMetrics(provider string) *serverMetrics {
	names.add(provider)
	return &serverMetrics{provider: provider}
}

func (m *serverMetrics) keysFetched(err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	keyFetches.WithLabelValues(m.provider, result).Inc()
}

// breakerState shows the state of a breaker, unless the server has ended: a
// request that outlasts it must not leave a stale series behind.
func (m *serverMetrics) breakerState(endpoint string, state gobreaker.State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return
	}
	breakerState.WithLabelValues(m.provider, endpoint).Set(float64(state))
}

// end removes the gauges, which describe the present. Counters stay: they tell
// what has been. A server whose settings changed has a namesake for as long as
// both configurations are there; its gauges stay, too.
func (m *serverMetrics) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return
	}
	m.ended = true
	if names.remove(m.provider) == 0 {
		breakerState.DeletePartialMatch(prometheus.Labels{"provider": m.provider})
	}
}

// names counts the servers of each name.
var names nameCounts

type nameCounts struct {
	mu     sync.Mutex
	counts map[string]int
}

func (n *nameCounts) add(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.counts == nil {
		n.counts = make(map[string]int)
	}
	n.counts[name]++
}

// remove returns how many are left.
func (n *nameCounts) remove(name string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.counts[name]--
	left := n.counts[name]
	if left == 0 {
		delete(n.counts, name)
	}
	return left
}
