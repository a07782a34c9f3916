// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"compress/flate"
	"crypto/sha1" //nolint:gosec // RFC 6455, 4.2.2, asks for it
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// browserUpstream serves a page, an event stream and a WebSocket that a browser
// accepts.
func browserUpstream(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/ready", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><title>streams</title><p id="seen">nothing</p>`)
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		//nolint:gosec // RFC 6455, 4.2.2, asks for it
		accept := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n",
			base64.StdEncoding.EncodeToString(accept[:]))
		if r.URL.Query().Has("compressed") && strings.Contains(r.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate") {
			fmt.Fprint(conn, "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
			_, _ = conn.Write(compressedFrame("compressed"))
		} else {
			fmt.Fprint(conn, "\r\n")
		}
		_, _ = io.Copy(io.Discard, buffered)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// compressedFrame is a text in a frame of permessage-deflate (RFC 7692, 7.2.1).
func compressedFrame(text string) []byte {
	var payload bytes.Buffer
	w, _ := flate.NewWriter(&payload, flate.BestCompression) // the level is a valid one
	_, _ = io.WriteString(w, text)
	_ = w.Flush()
	compressed := bytes.TrimSuffix(payload.Bytes(), []byte{0, 0, 0xff, 0xff})
	return append([]byte{0xc1, byte(len(compressed))}, compressed...)
}

// TestABrowserSeesItsStreamsEnd: what scripts are told is what a page can act on.
func TestABrowserSeesItsStreamsEnd(t *testing.T) {
	t.Parallel()
	browser := harness.StartBrowser(t)
	stub := newStubServer(t)
	gateway := harness.StartGateway(t, harness.GatewayConfig{
		// Scripts cannot send an Authorization header with these two.
		Caddyfile: strings.NewReplacer("gluu_oauth_auth {", "gluu_oauth_auth {\n\t\ttoken_from authorization\n\t\ttoken_from query access_token").Replace(streamsCaddyfile),
		Env:       map[string]string{"SERVER": stub.addr, "UPSTREAM": browserUpstream(t)},
	})
	gateway.WaitReady("/ready", harness.Bearer("is-the-server-there"))
	open := func(t *testing.T, script string) *harness.Tab {
		t.Helper()
		tab := browser.Window(t).Tab()
		tab.Open("http://" + gateway.Addr + "/page?access_token=the-page")
		tab.WaitText("nothing")
		tab.Eval(script + "; 'started'")
		return tab
	}

	t.Run("a WebSocket", func(t *testing.T) {
		tab := open(t, `
			const socket = new WebSocket("ws://" + location.host + "/ws?access_token=of-a-socket")
			const show = (text) => document.getElementById("seen").textContent = text
			socket.onopen = () => show("open")
			socket.onclose = (event) => show("closed " + event.code + " " + event.reason + " " + event.wasClean)`)
		tab.WaitText("open")
		adminDo(t, gateway, http.MethodDelete, "/gluu/tokens/token", "of-a-socket")
		tab.WaitText("closed 3000 token_revoked true")
	})
	t.Run("a WebSocket that is compressed", func(t *testing.T) {
		tab := open(t, `
			const socket = new WebSocket("ws://" + location.host + "/ws?compressed&access_token=of-a-compressed-socket")
			const show = (text) => document.getElementById("seen").textContent = text
			socket.onmessage = (event) => show(event.data + " by " + socket.extensions)
			socket.onclose = (event) => show("closed " + event.code + " " + event.reason + " " + event.wasClean)`)
		tab.WaitText("compressed by permessage-deflate")
		adminDo(t, gateway, http.MethodDelete, "/gluu/tokens/token", "of-a-compressed-socket")
		tab.WaitText("closed 3000 token_revoked true")
	})
	t.Run("an EventSource", func(t *testing.T) {
		tab := open(t, `
			const source = new EventSource("/events?access_token=of-a-source")
			const show = (text) => document.getElementById("seen").textContent = text
			let last = ""
			source.onmessage = (event) => show("message " + event.data)
			source.addEventListener("token_end", (event) => last = event.data)
			source.onerror = () => { if (source.readyState === EventSource.CLOSED) show("over: " + last) }`)
		tab.WaitText("message 1")
		stub.fault(harness.Answer(200, "application/json", `{"active":false}`))
		// The browser comes back by itself, and is told 401.
		tab.WaitText("over: recheck_inactive")
		stub.fault(nil)
	})
}
