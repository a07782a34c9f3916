// SPDX-License-Identifier: Apache-2.0

// Package decisions remembers what was decided lately in this process: each of the
// last refusals with what led to it, and how many requests were granted and refused
// in each of the last minutes. People who ask why a request was refused find the
// answer by its id, which the client has in the body of the answer.
//
// A handler that refuses a request adds it; the admin API and the pages read:
//
//	decisions.Recent.Add(&decisions.Refused{RequestID: id, Reason: "scope_missing", ...})
//
//	found := decisions.Recent.Find(id)                            // why was it refused?
//	newest := decisions.Recent.List(decisions.Filter{Status: 403}, 50)
//	tail := decisions.Recent.Tail(decisions.Filter{})             // live
//	defer tail.Close()
//	more, missed, err := tail.Next(ctx)
//
// The register belongs to the process and so survives reloads. It has a fixed number
// of slots whose memory is used again, and adding one makes no allocation once each
// slot is large enough. A granted request costs nothing: grants are read off the
// counters that exist anyway ([Register.Granted]).
//
// What a client has sent is kept as text of a bounded length. It may contain control
// and bidirectional characters: show it through package visible. There is never a
// token or a secret in it: the path comes without the query, as in the log.
package decisions
