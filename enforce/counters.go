// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// counters count requests by rule and method, and by operation. A counter is created
// on first use, because ten thousand rules could have a hundred thousand counters, most
// of them never used. After that it is found by two indexes.
type counters struct {
	metrics    *identity.Metrics
	rules      [][identity.Methods]atomic.Pointer[prometheus.Counter]
	operations []atomic.Pointer[prometheus.Counter]
}

func newCounters(metrics *identity.Metrics, rules int) counters {
	return counters{
		metrics, make([][identity.Methods]atomic.Pointer[prometheus.Counter], rules),
		make([]atomic.Pointer[prometheus.Counter], rules),
	}
}

// count counts a request that a rule decides about.
func (c *counters) count(rule *scopeexpr.Rule, method string) {
	c.endpoint(rule, method).Inc()
	if rule.Operation() != "" {
		c.operation(rule).Inc()
	}
}

func (c *counters) endpoint(rule *scopeexpr.Rule, method string) prometheus.Counter {
	label := identity.MethodOf(method)
	return keptOr(&c.rules[rule.Index()][label], func() prometheus.Counter { return c.metrics.Endpoint(rule.Pattern(), label) })
}

func (c *counters) operation(rule *scopeexpr.Rule) prometheus.Counter {
	return keptOr(&c.operations[rule.Index()], func() prometheus.Counter { return c.metrics.Operation(rule.Operation()) })
}

// keptOr returns the counter that is kept, or creates it: the same one for concurrent
// callers.
func keptOr(kept *atomic.Pointer[prometheus.Counter], create func() prometheus.Counter) prometheus.Counter {
	if counter := kept.Load(); counter != nil {
		return *counter
	}
	counter := create()
	kept.Store(&counter)
	return counter
}
