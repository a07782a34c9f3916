// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"net/url"

	"github.com/caddy-gluu/gateway/internal/status"
	"github.com/caddy-gluu/gateway/introspect"
)

// status says what decides about the requests of the handler.
func (p *PEP) status(hosts []string) status.Decider {
	s := status.Decider{Hosts: append([]string{}, hosts...)}
	switch d := p.decider.(type) {
	case *embedded:
		s.Kind, s.By, s.Decision = "engine", p.Engine, d.decision
		if s.By == "" {
			s.By = introspect.DefaultEngine
		}
	case *server:
		s.Kind, s.By = "opa", withoutQuery(d.address)
		if d.authzen {
			s.Kind = "authzen"
		}
		s.Breaker, s.Problem = d.client.Status()
	}
	return s
}

// withoutQuery returns an address without what may be secret in it.
func withoutQuery(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
