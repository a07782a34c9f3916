// SPDX-License-Identifier: Apache-2.0

package provider

import "time"

// Status is what an operator can learn about a server. It contains no secret.
type Status struct {
	Name      string            `json:"name"`
	Issuer    string            `json:"issuer"`
	Verify    string            `json:"verify"`
	Health    string            `json:"health"`
	Endpoints map[string]string `json:"endpoints"`
	KeyIDs    []string          `json:"key_ids"`
	Breakers  map[string]string `json:"breakers"`
	Discovery *DiscoveryStatus  `json:"discovery,omitempty"`
	ClientID  string            `json:"client_id,omitempty"`
	LastError *Failure          `json:"last_error,omitempty"`
}

// DiscoveryStatus says whether the metadata of a server has been found.
type DiscoveryStatus struct {
	Done        bool      `json:"done"`
	Error       string    `json:"error,omitempty"`
	NextAttempt time.Time `json:"next_attempt,omitzero"`
}

// Failure is the last thing that went wrong with a server.
type Failure struct {
	Time     time.Time `json:"time"`
	Endpoint string    `json:"endpoint"`
	Error    string    `json:"error"`
}

// What Health says.
const (
	HealthOK       = "ok"       // no problem is known
	HealthDegraded = "degraded" // the server refuses the gateway's credentials, or an endpoint is failing: its circuit breaker is not closed
	HealthPending  = "pending"  // what it takes to verify tokens is not known yet
)

// Status returns the state of the server.
func (s *Server) Status() Status {
	status := Status{
		Name:      s.name,
		Issuer:    s.config.Issuer,
		Verify:    s.config.Verify,
		Health:    HealthOK,
		Endpoints: s.knownEndpoints(),
		KeyIDs:    append([]string{}, s.keys.KeyIDs()...),
		Breakers:  s.endpoints.breakers(),
		ClientID:  s.ClientID(),
		LastError: s.lastFailure.Load(),
	}
	if s.rejected.Load() {
		status.Health = HealthDegraded
	}
	for _, state := range status.Breakers {
		if state != "closed" {
			status.Health = HealthDegraded
		}
	}
	if s.needsDiscovery() {
		status.Discovery = s.discovery.status()
		if !status.Discovery.Done {
			status.Health = HealthPending
		}
	}
	if s.config.Register != nil && status.ClientID == "" {
		status.Health = HealthPending
	}
	return status
}

func (d *discovery) status() *DiscoveryStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	status := &DiscoveryStatus{Done: d.found != nil, NextAttempt: d.next}
	if d.problem != nil {
		status.Error = d.problem.Error()
	}
	return status
}
