// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// A reload changes the rule that let streams in. The proxy would close WebSockets by
// itself without a delay, and with another code.
func TestSec_S516_AStreamEndsWithItsRule(t *testing.T) {
	t.Parallel()
	stub := newStubServer(t)
	gateway := harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: strings.NewReplacer(
			"path /?? {", "path /kept {\nGET scope todos:read\n}\npath /?? {",
			"reverse_proxy {$UPSTREAM}", "reverse_proxy {$UPSTREAM} {\nstream_close_delay 1h\n}",
		).Replace(streamsCaddyfile),
		Env: map[string]string{"SERVER": stub.addr, "UPSTREAM": streamUpstream(t)},
	})
	gateway.WaitReady("/ready", harness.Bearer("is-the-server-there"))
	ending, kept := socket(t, gateway, "ended"), socketAt(t, gateway, "/kept", "kept")
	harness.Eventually(t, patience, func() string {
		if list := adminDo(t, gateway, http.MethodGet, "/gluu/streams", ""); !strings.Contains(list, `"total":2`) {
			return list
		}
		return ""
	})

	rule := func(path, scope string) string {
		return `{"path": "` + path + `", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}, "data": ["` + scope + `"]}}]}`
	}
	gateway.Config(http.MethodPatch, gateway.HandlerPath("gluu_oauth_pep")+"/oauth_scope_expression",
		json.RawMessage("["+rule("/kept", "todos:read")+","+rule("/??", "todos:admin")+"]"))
	if code, reason := closeFrame(t, ending); code != 3003 || reason != "rule_changed" {
		t.Errorf("got %d %q, want 3003 rule_changed", code, reason)
	}
	if list := adminDo(t, gateway, http.MethodGet, "/gluu/streams", ""); !strings.Contains(list, `"/kept"`) {
		t.Errorf("the stream that its rule still lets in is not open: %s", list)
	}
	adminDo(t, gateway, http.MethodDelete, "/gluu/streams?all=true", "")
	if code, reason := closeFrame(t, kept); code != 3000 || reason != "admin" {
		t.Errorf("the other one: got %d %q", code, reason)
	}
}

// A WebSocket over HTTP/2 (RFC 8441), from the client's request to the upstream's frames.
func TestSec_S515_AWebSocketOverHTTP2(t *testing.T) {
	t.Parallel()
	stub := newStubServer(t)
	gateway := harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: strings.NewReplacer(
			"{\n\tgluu {", "{\n\tservers {\n\t\tprotocols h1 h2c\n\t}\n\tgluu {",
			"path /?? {", "path /forbidden {\nGET scope todos:admin\n}\npath /?? {",
		).Replace(streamsCaddyfile),
		Env: map[string]string{"SERVER": stub.addr, "UPSTREAM": streamUpstream(t), "GODEBUG": "http2xconnect=1"},
	})
	gateway.WaitReady("/ready", harness.Bearer("is-the-server-there"))
	//lint:ignore SA1019 The transport of net/http refuses the field :protocol.
	plain := &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	client := &http.Client{Transport: plain}
	t.Cleanup(client.CloseIdleConnections)
	open := func(path, token string) (*http.Response, io.Writer) {
		body, out := io.Pipe()
		t.Cleanup(func() { _ = out.Close() })
		request, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, "http://"+gateway.Addr+path, body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := client.Transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return answer, out
	}

	for path, want := range map[string]int{"/ws": http.StatusUnauthorized, "/forbidden": http.StatusForbidden} {
		token := "without-the-scope"
		if want == http.StatusUnauthorized {
			token = ""
		}
		if answer, _ := open(path, token); answer.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, answer.StatusCode, want)
		}
	}
	answer, out := open("/ws", "of-http2")
	if answer.StatusCode != http.StatusOK || answer.ProtoMajor != 2 {
		t.Fatalf("got %s %d, want 200 over HTTP/2", answer.Proto, answer.StatusCode)
	}
	hello := "\x81\x85\x00\x00\x00\x00hello" // masked with zeros; it comes back as it is
	if _, err := io.WriteString(out, hello); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(answer.Body)
	echoed := make([]byte, len(hello))
	if _, err := io.ReadFull(in, echoed); err != nil || string(echoed) != hello {
		t.Fatalf("got %q (%v)", echoed, err)
	}
	if list := adminDo(t, gateway, http.MethodGet, "/gluu/streams", ""); !strings.Contains(list, `"protocol":"websocket"`) || !strings.Contains(list, `"/ws"`) {
		t.Errorf("got %s, want a WebSocket", list)
	}
	adminDo(t, gateway, http.MethodDelete, "/gluu/tokens/token", "of-http2")
	if code, reason := closeFrame(t, in); code != 3000 || reason != "token_revoked" {
		t.Errorf("got %d %q", code, reason)
	}
}
