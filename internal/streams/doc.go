// SPDX-License-Identifier: Apache-2.0

// Package streams ends long-lived connections together with the token that
// opened them. A gateway decides when a request comes in; a WebSocket, an event
// stream or a gRPC call goes on for hours after that.
//
// A stream is guarded from its request on. Its guard is an entry in a register of the
// process, which outlives reloads and has one timer for all: no goroutine waits. It
// ends when its token expires, is revoked or is not active any more when the
// authorization server is asked again, when its consumer is deleted, when a rule that
// has changed forbids it, or when an operator says so.
//
// How it ends depends on the protocol. Each client learns that it has to come
// back with another token, and no message is cut in two, unless the client takes
// longer than a second to receive the one that is under way:
//
//   - WebSocket (RFC 6455): a Close frame at a frame border, to both ends.
//   - Server-sent events: the end of the answer after a whole event.
//   - gRPC: the trailer `grpc-status: 16` (UNAUTHENTICATED) after a whole message.
//   - All else: the connection is cut.
package streams
