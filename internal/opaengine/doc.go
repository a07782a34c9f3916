// SPDX-License-Identifier: Apache-2.0

// Package opaengine evaluates Open Policy Agent policies: an input document goes in,
// a decision comes out. It knows nothing of HTTP requests, and nothing of what a
// decision means.
//
// An [Engine] is made of files and signed bundles, or of OPA's own configuration.
// What they say is compiled aside and becomes a [Snapshot] by the swap of one
// pointer, so that no request waits for an activation or sees half of one:
//
//	snapshot, err := engine.Snapshot()
//	input := build(snapshot.Uses()) // only what the policy refers to
//	outcome, err := snapshot.Decide(ctx, decision, input, limit)
//
// The input is built of OPA's own values ([ast.Value]) rather than converted from
// JSON: that conversion costs more than the evaluation of most policies.
package opaengine
