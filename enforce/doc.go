// SPDX-License-Identifier: Apache-2.0

// Package enforce is the common part of the handlers that allow or refuse requests
// by the rules of a scope expression document: the canonical path, the rule that
// applies, requests without a rule, dry runs, and records.
//
// Such a handler embeds an [Enforcer] and supplies the decision:
//
//	func (p *PEP) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
//		return p.Enforce(w, r, next, p.decide)
//	}
//
// Package identity knows who is calling; package scopeexpr decides whether a rule
// allows a set of scopes.
package enforce
