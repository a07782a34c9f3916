// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"maps"
	"slices"

	"github.com/caddy-gluu/gateway/internal/collected"
	"github.com/caddy-gluu/gateway/internal/status"
)

// reports are how to ask handlers of one kind what they tell operators.
type reports[T any] struct {
	collected.Items[func() T, []func() T]
}

// ask returns what all of them say at the moment.
func (r *reports[T]) ask() []T {
	all := []T{}
	for _, report := range r.Get(func(items []func() T) []func() T { return items }) {
		all = append(all, report())
	}
	return all
}

// AddUMA tells, while a handler is provisioned, how to ask it for its resources.
func (a *App) AddUMA(report func() status.UMA) { a.uma.Add(report) }

// UMA returns the resources of all handlers that protect resources.
func (a *App) UMA() []status.UMA { return a.uma.ask() }

// AddDecider tells, while a handler is provisioned, how to ask it what decides about
// its requests.
func (a *App) AddDecider(report func() status.Decider) { a.deciders.Add(report) }

// OPAStatus returns the engines in the order of their names, and the handlers that
// have policies decide.
func (a *App) OPAStatus() status.OPA {
	all := status.OPA{Engines: []status.Engine{}, Deciders: a.deciders.ask()}
	for _, name := range slices.Sorted(maps.Keys(a.engines)) {
		all.Engines = append(all.Engines, a.engines[name].Status())
	}
	return all
}
