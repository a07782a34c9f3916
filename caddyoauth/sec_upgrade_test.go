// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// h2c smuggling: one granted request must not open a tunnel for requests that
// the gateway never sees. An upstream that speaks h2c accepts the offer to
// switch to it. A websocket carries no requests, and works.
func TestSec_S508_NoTunnelToAnotherHTTP(t *testing.T) {
	var tunnels atomic.Int32
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocol := r.Header.Get("Upgrade")
		if protocol == "" {
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		tunnels.Add(1)
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+protocol+"\r\n\r\n")
		_, _ = bufio.NewReader(conn).ReadByte()
	}))
	defer backend.Close()
	proxy := "reverse_proxy " + strings.TrimPrefix(backend.URL, "http://") + "\n"

	g := start(t, simpleApp, "")
	g.auth.issue("good", claims("client-a", "read"))
	for _, site := range []string{
		"gluu_oauth_auth\ngluu_oauth_pep {\npath /public {\nGET scope read\n}\n}\n" + proxy,
		"gluu_oauth_auth /other\n" + proxy,
	} {
		g.load(simpleApp, site)
		for protocol, want := range map[string]int{
			"h2c": 200, "H2C": 200, "websocket, h2c": 200, "HTTP/2.0": 200, "websocket": 101,
		} {
			for _, connection := range []string{"Upgrade", "Upgrade, HTTP2-Settings", "upgrade"} {
				before := tunnels.Load()
				got := g.get("/public", "good", "Connection: "+connection, "Upgrade: "+protocol,
					"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
				if opened := tunnels.Load() != before; got.status != want || opened != (want == 101) {
					t.Errorf("Connection: %s, Upgrade: %s: status %d, tunnel: %v", connection, protocol, got.status, opened)
				}
			}
		}
	}
}
