// SPDX-License-Identifier: Apache-2.0

// Package scopeexpr decides whether the scopes of a token grant it a path.
//
// A Document says which scopes each path pattern and method requires: a rule in
// JSON Logic over a list of scopes. Compile turns it into a Policy, which finds
// the Rule for a request (with package pathmatch) and decides it:
//
//	policy, err := document.Compile(scopeexpr.Options{})
//	...
//	rule := policy.Find("GET", "/todos/hh")
//	granted := rule != nil && rule.Decide("/todos/hh", scopes)
//
// where scopes is the result of NewScopes for the token's scopes, kept with the
// token.
//
// # Expressions
//
// An entry of the data is a scope, or a pattern if it starts with ^. A pattern
// must match a whole scope. Its groups PC1 to PC9, if any, must equal the captures
// of the path with those numbers, all in one scope: for the path /todos/? the
// pattern ^todos:(?<PC1>.+)$ lets the scope todos:hh read /todos/hh and no other
// path. Each entry becomes true or false, and the rule is evaluated over them.
// Only true grants.
//
// The short syntax fits on one line. ParseShort reads it, and Expression.Short
// prints it:
//
//	admin and (employee or ^todos:(?<PC1>.+)$)
//
// # Cost
//
// ParseDocument and Compile find every fault, and say where it is and what to
// write instead. JSON Logic is evaluated once for each combination of booleans
// and shape of rule, and an expression without captures once for each token;
// after that a decision is a lookup. Decisions that involve captures are made for
// each request, from what the patterns matched in the token's scopes. Regular
// expressions run in linear time wherever RE2 supports them; if one times out,
// the request is refused, whatever the rule says.
package scopeexpr
