// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"net/http"
	"testing"
)

func TestOnlyWebsocketUpgrades(t *testing.T) {
	s := NewStripper(nil)
	for protocol, stays := range map[string]bool{
		"websocket": true, "WebSocket": true, "WEBSOCKET": true, " websocket\t": true,
		"h2c": false, "H2C": false, "websocket, h2c": false, "h2c,websocket": false, " h2c\t": false,
		"HTTP/2.0": false, "TLS/1.0": false, "websocket, HTTP/1.1": false, "http /2": false,
		`"h2c"`: false, "h2c;q=1": false, "h2c q": false, "h2cc": false, "": false,
		"connect-udp": false, "connect-ip": false, "SPDY/3.1": false, "tcp": false,
		"websocket/13": false, "websocket;q=1": false, "websocket,": false, "websocket, websocket": false,
	} {
		t.Run(protocol, func(t *testing.T) {
			h := http.Header{
				"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {protocol},
				"Http2-Settings": {"AAMAAABkAARAAAAAAAIAAAAA"}, "Sec-Websocket-Key": {"x"},
			}
			s.Strip(h)
			if _, stayed := h["Upgrade"]; stayed != stays {
				t.Errorf("got %q, want it to stay: %t", h["Upgrade"], stays)
			}
			if h.Get("Http2-Settings") != "" || h.Get("Sec-Websocket-Key") == "" {
				t.Errorf("left %v", h)
			}
		})
	}
	for _, offers := range [][]string{{"websocket", "h2c"}, {"websocket", "websocket"}} {
		h := http.Header{"Connection": {"Upgrade"}, "Upgrade": offers}
		if s.Strip(h); h.Get("Upgrade") != "" {
			t.Errorf("the fields %q: left %v", offers, h)
		}
	}
}
