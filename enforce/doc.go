// SPDX-License-Identifier: Apache-2.0

// Package enforce is what handlers have in common that let requests pass or
// refuse them by the rules of a scope expression document: the canonical
// path, the rule for it, what happens where there is none, dry runs, records.
//
// Such a handler embeds an [Enforcer] and brings the decision itself:
//
//	func (p *PEP) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
//		return p.Enforce(w, r, next, p.decide)
//	}
//
// What is not here: who is calling (package identity), what a rule says of a
// set of scopes (package scopeexpr).
package enforce
