// SPDX-License-Identifier: Apache-2.0

// Package scopeexpr decides from a token's scopes whether it may use a path.
//
// A Document says for each path pattern and method which scopes it asks for: a
// rule in JSON Logic over a list of scopes. Compile turns it into a Policy,
// which finds the Rule for a request (by package pathmatch) and decides it:
//
//	policy, err := document.Compile(scopeexpr.Options{})
//	...
//	rule := policy.Find("GET", "/todos/hh")
//	granted := rule != nil && rule.Decide("/todos/hh", scopes)
//
// where scopes is what NewScopes made of the token's scopes, kept beside the
// token.
//
// # Expressions
//
// An entry of the data is a scope, or a pattern if it begins with ^. A pattern
// must match a whole scope. If it has groups named PC1 to PC9 they must equal
// the captures of the path with those numbers, all on one scope: with the path
// /todos/? the pattern ^todos:(?<PC1>.+)$ lets the scope todos:hh read
// /todos/hh and nobody else's. Each entry becomes true or false, and the rule
// is evaluated over them. Only true grants.
//
// The short syntax says the same in a line, ParseShort reads it and
// Expression.Short prints it:
//
//	admin and (employee or ^todos:(?<PC1>.+)$)
//
// # Cost
//
// Everything that can be wrong is found by ParseDocument and Compile, with the
// place and the mend. JSON Logic is evaluated once for each combination of
// booleans and shape of rule, an expression without captures once for each
// token; then a decision is a lookup. Decisions that involve captures are made
// anew for each request, from what the patterns found in the token's scopes.
// Regular expressions run in linear time wherever RE2 can express them; where
// one runs out of time, the request is refused, whatever the rule says of it.
package scopeexpr
