// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"net/http"
	"strings"
)

// stripUpgrade removes the offer to change the protocol of the connection,
// unless it is the offer to change to websocket. A proxy that forwards an offer
// to an upstream which accepts it has a tunnel from then on, through which the
// client sends further requests with any paths and headers, unseen by the
// gateway (h2c smuggling), or reaches other servers (connect-udp, RFC 9298).
//
//	GET /public HTTP/1.1
//	Connection: Upgrade
//	Upgrade: h2c
//	HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA
//
// An upgrade is an offer that a server may ignore (RFC 9110, section 7.8), and
// RFC 9113 has given up h2c. A websocket carries no requests: the decision is
// about the request that asks for it. A list of known dangerous protocols would
// miss the next one, and spellings that upstreams read more leniently, such as
// "h2c;q=1".
//
// It matters only beside a Connection field, without which Upgrade ends at the
// next hop.
func stripUpgrade(h http.Header) {
	delete(h, "Http2-Settings")
	if offers, ok := h["Upgrade"]; ok && !isWebsocket(offers) {
		delete(h, "Upgrade")
	}
}

// isWebsocket reports whether websocket is the only offer.
func isWebsocket(offers []string) bool {
	return len(offers) == 1 && strings.EqualFold(strings.Trim(offers[0], " \t"), "websocket")
}
