// SPDX-License-Identifier: Apache-2.0

// Package streamjudge ends open streams that new rules forbid. Rules decide about a
// request when it comes in. When they change, the streams that are open are judged by
// them: whether they would let the request in if it came now, from the caller that it
// had.
package streamjudge
