// SPDX-License-Identifier: Apache-2.0

package caddyconsumer

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/siteguard"
)

// offerExplanations lets the admin API ask this handler about callers.
func (a *ACL) offerExplanations(ctx caddy.Context) {
	hosts, _ := siteguard.Address(ctx)
	a.app.AddExplained(explain.Part{Site: siteguard.Site(ctx), Hosts: hosts, Gate: a})
}

// ExplainCaller implements explain.Gate. It decides as ServeHTTP does, without a trace
// in the records.
func (a *ACL) ExplainCaller(caller *explain.Caller) explain.AccessList {
	list := explain.AccessList{Allow: a.Allow, Deny: a.Deny, DryRun: a.DryRun}
	var id *identity.Identity
	if caller != nil {
		id = &identity.Identity{Token: caller.Token, Anonymous: caller.Anonymous}
		if caller.ConsumerID != "" {
			id.Consumer = a.app.Directory().Find(caller.ConsumerID)
		}
	}
	if refusal := a.decide(id); refusal != nil {
		list.Refused = identity.Explained(*refusal)
	}
	return list
}

// Interface guard
var _ explain.Gate = (*ACL)(nil)
