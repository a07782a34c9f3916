// SPDX-License-Identifier: Apache-2.0

package streams

// Reason is why a stream was ended, in the words of logs and metrics.
type Reason string

const (
	TokenExpired    Reason = "token_expired"    // the `exp` of its token
	TokenRevoked    Reason = "token_revoked"    // or forgotten by an operator
	MaxAge          Reason = "max_age"          // it was open for as long as one may be
	RecheckInactive Reason = "recheck_inactive" // the authorization server does not vouch for its token any more
	ConsumerDeleted Reason = "consumer_deleted"
	SessionEnded    Reason = "session_ended" // the person has logged out
	RuleChanged     Reason = "rule_changed"  // a rule that has changed forbids it now
	Admin           Reason = "admin"         // DELETE /gluu/streams
)

// Protocol is what a stream speaks, which says how it ends.
type Protocol string

const (
	WebSocket   Protocol = "websocket"
	EventStream Protocol = "sse"
	GRPC        Protocol = "grpc"
	GRPCWeb     Protocol = "grpc-web"
	Other       Protocol = "other" // is cut
)

// Codes of WebSocket Close frames, from the registry of RFC 6455, section 11.7.
const (
	codeGoingAway    = 1001
	codePolicy       = 1008
	codeUnauthorized = 3000
	codeForbidden    = 3003
)
