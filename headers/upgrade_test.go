// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"net/http"
	"testing"
)

func TestNoUpgradeToAnotherHTTP(t *testing.T) {
	s := NewStripper(nil)
	for protocol, stays := range map[string]bool{
		"h2c": false, "H2C": false, "websocket, h2c": false, "h2c,websocket": false, " h2c\t": false,
		"HTTP/2.0": false, "TLS/1.0": false, "websocket, HTTP/1.1": false, "http /2": false,
		"websocket": true, "WebSocket": true, "SPDY/3.1": true, "tcp": true, "h2cc": true,
	} {
		h := http.Header{
			"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {protocol},
			"Http2-Settings": {"AAMAAABkAARAAAAAAAIAAAAA"}, "Sec-Websocket-Key": {"x"},
		}
		s.Strip(h)
		if (h.Get("Upgrade") == protocol) != stays {
			t.Errorf("Upgrade: %s: got %q, to stay: %v", protocol, h["Upgrade"], stays)
		}
		if h.Get("Http2-Settings") != "" || h.Get("Sec-Websocket-Key") == "" {
			t.Errorf("Upgrade: %s: left %v", protocol, h)
		}
	}
	h := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket", "h2c"}}
	if s.Strip(h); h.Get("Upgrade") != "" {
		t.Errorf("two fields: left %v", h)
	}
}
