// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

const streamsCaddyfile = `
{
	gluu {
		provider {
			issuer http://{$SERVER}
			introspection_endpoint http://{$SERVER}/introspect
			client_id gateway
			client_secret stub-secret-5f2b
			verify introspection
		}
		consumer todo-app {
			custom_id todo-app
		}
	}
}
{$SITE} {
	encode gzip
	gluu_oauth_auth {
		streams {
			recheck 300ms
			sse_event token_end
		}
	}
	gluu_oauth_pep {
		path /?? {
			GET scope todos:read
		}
	}
	reverse_proxy {$UPSTREAM}
}
`

// streamUpstream sends an event and then nothing, and echoes a WebSocket's frames.
func streamUpstream(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ready" {
			return
		}
		if r.Header.Get("Upgrade") == "" {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: 1\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(conn, buffered)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// socket opens a WebSocket through the gateway.
func socket(t *testing.T, gateway *harness.Gateway, token string) *bufio.Reader {
	t.Helper()
	return socketAt(t, gateway, "/ws", token)
}

func socketAt(t *testing.T, gateway *harness.Gateway, path, token string) *bufio.Reader {
	t.Helper()
	conn, err := net.Dial("tcp", gateway.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer %s\r\n\r\n", path, gateway.Addr, token)
	r := bufio.NewReader(conn)
	answer, err := http.ReadResponse(r, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v (%v), want 101", answer, err)
	}
	return r
}

// closeFrame reads a Close frame, then the end of the connection.
func closeFrame(t *testing.T, r *bufio.Reader) (code uint16, reason string) {
	t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil || head[0] != 0x88 || head[1] > 125 {
		t.Fatalf("got %x (%v), want a Close frame", head, err)
	}
	payload := make([]byte, head[1])
	if _, err := io.ReadFull(r, payload); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the Close frame: got %v, want the end of the connection", err)
	}
	return binary.BigEndian.Uint16(payload), string(payload[2:])
}

// S-514: `encode` stands between the handlers and the client, and nothing is buffered.
func TestSec_S514_StreamsEndWithTheirToken(t *testing.T) {
	t.Parallel()
	stub := newStubServer(t)
	gateway := harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: streamsCaddyfile, Env: map[string]string{"SERVER": stub.addr, "UPSTREAM": streamUpstream(t)},
	})
	gateway.WaitReady("/ready", harness.Bearer("is-the-server-there"))

	t.Run("a WebSocket whose token was forgotten by an operator", func(t *testing.T) {
		r := socket(t, gateway, "forgotten")
		adminDo(t, gateway, http.MethodDelete, "/gluu/tokens/token", "forgotten")
		if code, reason := closeFrame(t, r); code != 3000 || reason != "token_revoked" {
			t.Errorf("got %d %q", code, reason)
		}
	})
	t.Run("an event stream whose token the server takes back", func(t *testing.T) {
		for _, encoding := range []string{"identity", "gzip"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+gateway.Addr+"/events", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer taken-back-"+encoding)
			request.Header.Set("Accept", "text/event-stream")
			request.Header.Set("Accept-Encoding", encoding)
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			stub.fault(func(w http.ResponseWriter, r *http.Request) {
				harness.Answer(200, "application/json", `{"active":false}`)(w, r)
			})
			body, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			stub.fault(nil)
			want := "data: 1\n\nevent: token_end\ndata: recheck_inactive\n\n"
			if string(body) != want || err != nil {
				t.Errorf("%s: got %q (%v), want %q and a clean end", encoding, body, err, want)
			}
		}
	})
	t.Run("one that an operator ends", func(t *testing.T) {
		r := socket(t, gateway, "kept")
		var streams struct {
			Data []struct {
				ID, Protocol, Path, Consumer string
			}
		}
		// The client has the 101 a moment before the gateway has taken the connection over.
		for deadline := time.Now().Add(patience); len(streams.Data) == 0; {
			list := adminDo(t, gateway, http.MethodGet, "/gluu/streams?client_id=todo-app", "")
			if err := json.Unmarshal([]byte(list), &streams); err != nil || len(streams.Data) > 1 || time.Now().After(deadline) {
				t.Fatalf("got %s (%v), want one stream", list, err)
			}
		}
		if s := streams.Data[0]; s.Protocol != "websocket" || s.Path != "/ws" || s.Consumer != "todo-app" {
			t.Errorf("got %+v", s)
		}
		if got := adminDo(t, gateway, http.MethodDelete, "/gluu/streams?id="+streams.Data[0].ID, ""); got != `{"ended":1}` {
			t.Errorf("got %s", got)
		}
		if code, reason := closeFrame(t, r); code != 3000 || reason != "admin" {
			t.Errorf("got %d %q", code, reason)
		}
	})
	t.Run("none is left over", func(t *testing.T) {
		harness.Eventually(t, patience, func() string {
			if list := adminDo(t, gateway, http.MethodGet, "/gluu/streams", ""); !strings.Contains(list, `"total":0`) {
				return list
			}
			return ""
		})
	})
}

// adminDo sends a request to the gateway's admin API and returns the answer's body.
func adminDo(t *testing.T, gateway *harness.Gateway, method, path, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+gateway.Admin+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: got %d %s (%v)", method, path, answer.StatusCode, text, err)
	}
	return strings.TrimSpace(string(text))
}
