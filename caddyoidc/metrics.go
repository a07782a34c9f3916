// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what happens to people. Labels are fixed words and the names of
// providers: nothing that a person or a client chooses.
type metrics struct {
	provider  string
	logins    *prometheus.CounterVec
	refreshes *prometheus.CounterVec
	logouts   *prometheus.CounterVec
	lookups   *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer, provider string) (*metrics, error) {
	m := &metrics{
		provider: provider,
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gluu_openid_connect_logins_total", Help: "Logins by outcome: started, completed, refused, failed, state_unknown, user_changed.",
		}, []string{"provider", "outcome"}),
		refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gluu_openid_connect_refreshes_total", Help: "Renewals of sessions with a refresh token, by outcome: completed, refused, failed, unavailable.",
		}, []string{"provider", "outcome"}),
		logouts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gluu_openid_connect_logouts_total", Help: "Sessions that ended, by kind: rp, backchannel, frontchannel, idle, expired, refused, admin.",
		}, []string{"provider", "kind"}),
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gluu_session_lookups_total", Help: "Session cookies that were looked up, by result: hit, miss, away.",
		}, []string{"result"}),
	}
	for _, vec := range []**prometheus.CounterVec{&m.logins, &m.refreshes, &m.logouts, &m.lookups} {
		if err := registry.Register(*vec); err != nil {
			already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err)
			if !ok {
				return nil, err
			}
			*vec = already.ExistingCollector.(*prometheus.CounterVec)
		}
	}
	return m, nil
}

func (m *metrics) login(outcome string)   { m.logins.WithLabelValues(m.provider, outcome).Inc() }
func (m *metrics) refresh(outcome string) { m.refreshes.WithLabelValues(m.provider, outcome).Inc() }
func (m *metrics) logout(kind string)     { m.logouts.WithLabelValues(m.provider, kind).Inc() }
func (m *metrics) lookup(result string)   { m.lookups.WithLabelValues(result).Inc() }
