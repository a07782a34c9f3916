// SPDX-License-Identifier: Apache-2.0

package introspect

import "github.com/caddy-gluu/gateway/internal/provider"

// ProviderStatus is what an operator can learn about a provider. It contains
// no secret.
type ProviderStatus struct {
	provider.Status
	Lookups map[string]uint64 `json:"token_lookups"`
}

// ProviderStatuses returns the state of every provider, those of handlers
// included, in the order of their names.
func (a *App) ProviderStatuses() []ProviderStatus {
	statuses := []ProviderStatus{}
	for _, p := range a.all() {
		statuses = append(statuses, ProviderStatus{p.server.Status(), p.Lookups()})
	}
	return statuses
}
