// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// counters count requests by rule and method. A counter is made when it is
// first needed - ten thousand rules have a hundred thousand, few of which ever
// count anything - and found by two positions from then on.
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
	counter := c.metrics.Endpoint(rule.Pattern(), label) // the same one for all who ask at once
	kept.Store(&counter)
	return counter
}
