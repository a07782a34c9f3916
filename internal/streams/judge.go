// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"net/http"

	"github.com/caddy-gluu/gateway/internal/token"
)

// Admitted is a stream with the request that it was admitted by, for rules that have
// changed since.
type Admitted struct {
	Info
	Method   string
	Target   string // as the client asked for it; its query may hold a token
	Port     string // of the gateway; "" if unknown
	IsSecure bool   // the request came over TLS
	Token    *token.Token
}

// Header returns the fields by which requests for streams are told apart.
func (a Admitted) Header() http.Header {
	switch a.Protocol {
	case WebSocket:
		return http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}}
	case GRPC:
		return http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
	}
	return http.Header{"Accept": {"text/event-stream"}}
}

// EndForbidden ends the streams that the rules of today would not admit, and returns
// how many.
func (r *Register) EndForbidden(forbids func(Admitted) bool) (ended int) {
	for _, s := range r.all() {
		if forbids(s.admitted()) && s.end(RuleChanged) {
			ended++
		}
	}
	return ended
}

func (s *Stream) admitted() Admitted {
	place := s.place.Value()
	a := Admitted{Info: s.info(), Method: place.method, Target: s.target, Port: place.port, IsSecure: place.isSecure, Token: s.seen}
	if a.Token == nil && s.session == "" {
		a.Token = s.token()
	}
	return a
}
