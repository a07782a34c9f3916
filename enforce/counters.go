// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// counters count requests by rule and method. A counter is created on first use,
// because ten thousand rules could have a hundred thousand counters, most of them
// never used. After that it is found by two indexes.
type counters struct {
	metrics *identity.Metrics
	rules   [][identity.Methods]atomic.Pointer[prometheus.Counter]
}

func newCounters(metrics *identity.Metrics, rules int) counters {
	return counters{metrics, make([][identity.Methods]atomic.Pointer[prometheus.Counter], rules)}
}

func (c *counters) endpoint(rule *scopeexpr.Rule, method string) prometheus.Counter {
	label := identity.MethodOf(method)
	kept := &c.rules[rule.Index()][label]
	if counter := kept.Load(); counter != nil {
		return *counter
	}
	counter := c.metrics.Endpoint(rule.Pattern(), label) // the same one for concurrent callers
	kept.Store(&counter)
	return counter
}
