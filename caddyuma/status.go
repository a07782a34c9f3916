// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"cmp"
	"maps"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/caddy-gluu/gateway/internal/status"
)

// status says which resources the rules protect, and how well they are known at the
// authorization server.
func (p *UMAPEP) status(hosts []string) status.UMA {
	s := status.UMA{
		Hosts: append([]string{}, hosts...), Provider: p.provider.Name(), Issuer: p.provider.Issuer(),
		Registration: cmp.Or(p.Registration, registrationOn), ObtainsRPT: p.ObtainRPT,
		Resources: p.resources.list(), Left: p.resources.left(), Tickets: p.tickets.count.read(),
	}
	if failed := p.resources.failed.Load(); failed != nil {
		s.Problem, s.NextAttempt = &failed.Problem, &failed.next
	}
	return s
}

// list returns the resources in the order of the rules, those of one name as one: that
// is what they are at the authorization server.
func (r *resources) list() []status.Resource {
	all := []status.Resource{}
	place := make(map[string]int)
	for _, rule := range r.policy.Rules() {
		each := r.byRule[rule.Index()]
		if each == nil {
			continue
		}
		shown := r.show(each)
		key := cmp.Or(shown.Name, "id "+shown.ID)
		i, ok := place[key]
		if !ok {
			i = len(all)
			place[key] = i
			all = append(all, shown)
		}
		all[i].Rules = append(all[i].Rules, rule.Method()+" "+rule.Pattern())
	}
	return all
}

func (r *resources) show(each *resource) status.Resource {
	shown := status.Resource{Name: each.name, State: status.Missing, Scopes: append([]string{}, r.authority.wanted(r, each)...)}
	id := each.id.Load()
	if id == nil {
		return shown
	}
	shown.ID, shown.State = *id, status.Registered
	if each.given || !r.registers() {
		shown.State = status.Existing
	}
	return shown
}

// left returns what was registered for rules that are gone.
func (r *resources) left() []status.Resource {
	r.authority.registry.mu.Lock()
	known := maps.Clone(r.authority.registry.byName)
	r.authority.registry.mu.Unlock()
	all := []status.Resource{}
	for _, name := range r.authority.gone(known) {
		all = append(all, status.Resource{Name: name, ID: known[name].ID, Scopes: append([]string{}, known[name].Scopes...)})
	}
	return all
}

// read returns the values of the counters.
func (c ticketCounter) read() status.Tickets {
	value := func(counter prometheus.Counter) uint64 {
		var m dto.Metric
		if counter.Write(&m) != nil {
			return 0
		}
		return uint64(m.GetCounter().GetValue())
	}
	return status.Tickets{Issued: value(c.issued), Failed: value(c.failed), Limited: value(c.limited)}
}
