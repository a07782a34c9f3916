// SPDX-License-Identifier: Apache-2.0

// Command bench measures what the gateway costs beside plain reverse_proxy in
// the same binary.
//
// Two proxies, one plain and one with the gateway's handlers, run at the same
// time on the same core (a concurrent pair); the upstream, the authorization
// server and the load generator share the other cores. The two are given the
// same load at the same moment, so whatever the machine does meanwhile slows
// both alike, and the ratio of their CPU times per request stays where wall
// clock figures wander. CPU time is read from the kernel's per-process clock,
// not from ticks. A pair of two plain proxies (A/A) is measured first: it must
// read 1.00 within 0.02, or the table is not worth reading.
//
// Latency is measured apart, at a fixed rate and from the moment at which a
// request was due (open loop), so that a stall counts for every request that
// it delayed.
//
//	go run ./bench -binary bin/caddy            the table
//	go run ./bench -binary bin/caddy -soak 10m  all scenarios at a fixed rate
package main
