// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// tunnelCaddyfile has a path that a client without a scope is refused.
func tunnelCaddyfile() string {
	return strings.Replace(streamsCaddyfile, "path /?? {", "path /forbidden {\nGET scope todos:admin\n}\npath /?? {", 1)
}

// A WebSocket over HTTP/2 (RFC 8441), from the client's request to the upstream's frames.
func TestSec_S515_AWebSocketOverHTTP2(t *testing.T) {
	t.Parallel()
	stub := newStubServer(t)
	gateway := harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: strings.Replace(tunnelCaddyfile(), "{\n\tgluu {", "{\n\tservers {\n\t\tprotocols h1 h2c\n\t}\n\tgluu {", 1),
		Env:       map[string]string{"SERVER": stub.addr, "UPSTREAM": streamUpstream(t), "GODEBUG": "http2xconnect=1"},
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

	checkTunnel(t, gateway, 2, open)
}

// A WebSocket over HTTP/3 (RFC 9220). Caddy offers it without being asked to.
func TestSec_S515_AWebSocketOverHTTP3(t *testing.T) {
	t.Parallel()
	stub := newStubServer(t)
	certificate, key := harness.Certificate(t)
	gateway := harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: strings.Replace(tunnelCaddyfile(), "{$SITE} {", "(all) {", 1) + "{$SITE} {\n\timport all\n}\n{$TLS_SITE} {\n\ttls tls.crt tls.key\n\timport all\n}\n",
		Env:       map[string]string{"SERVER": stub.addr, "UPSTREAM": streamUpstream(t)},
		Files:     map[string]string{"tls.crt": certificate, "tls.key": key},
	})
	gateway.WaitReady("/ready", harness.Bearer("is-the-server-there"))
	client := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // the test's own certificate
	t.Cleanup(func() { _ = client.Close() })
	openBy := func(protocol, path, token string) (*http.Response, io.Writer) {
		body, out := io.Pipe()
		t.Cleanup(func() { _ = out.Close() })
		request, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, "https://"+gateway.TLS+path, body)
		if err != nil {
			t.Fatal(err)
		}
		request.Proto = protocol // as quic-go has it
		request.Header.Set("Sec-Websocket-Version", "13")
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := client.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return answer, out
	}
	for _, protocol := range []string{"webtransport", "connect-udp", "WebSocket"} {
		if answer, _ := openBy(protocol, "/ws", "of-another-protocol"); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", protocol, answer.StatusCode)
		}
	}
	checkTunnel(t, gateway, 3, func(path, token string) (*http.Response, io.Writer) { return openBy("websocket", path, token) })
}

// checkTunnel opens WebSockets by extended CONNECT: rules decide about them, frames pass
// in both directions, and they end with their token.
func checkTunnel(t *testing.T, gateway *harness.Gateway, major int, open func(path, token string) (*http.Response, io.Writer)) {
	t.Helper()
	for path, want := range map[string]int{"/ws": http.StatusUnauthorized, "/forbidden": http.StatusForbidden} {
		token := "without-the-scope"
		if want == http.StatusUnauthorized {
			token = ""
		}
		if answer, _ := open(path, token); answer.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, answer.StatusCode, want)
		}
	}
	token := "of-http" + strconv.Itoa(major)
	answer, out := open("/ws", token)
	if answer.StatusCode != http.StatusOK || answer.ProtoMajor != major {
		t.Fatalf("got %s %d, want 200 over HTTP/%d", answer.Proto, answer.StatusCode, major)
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
	adminDo(t, gateway, http.MethodDelete, "/gluu/tokens/token", token)
	if code, reason := closeFrame(t, in); code != 3000 || reason != "token_revoked" {
		t.Errorf("got %d %q", code, reason)
	}
}
