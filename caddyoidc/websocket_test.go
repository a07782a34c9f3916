// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/streams"
)

// A text frame of a client, masked with zeros, and its echo.
const (
	masked   = "\x81\x85\x00\x00\x00\x00hello"
	unmasked = "\x81\x05hello"
)

// echo answers at the other end of a WebSocket with what it gets.
func echo(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "websocket")
	w.WriteHeader(http.StatusSwitchingProtocols)
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := buffered.Flush(); err != nil {
		return err
	}
	for {
		frame := make([]byte, len(masked))
		if _, err := io.ReadFull(buffered, frame); err != nil {
			return nil
		}
		// What a server sends is not masked (RFC 6455 section 5.1).
		if _, err := conn.Write(append([]byte{frame[0], frame[1] & 0x7f}, frame[6:]...)); err != nil {
			return nil
		}
	}
}

// S-166: a WebSocket does not outlive the session that it was opened with, and one without a
// session is not opened and not sent to log in.
func TestSec_S166_AWebSocketEndsWithItsSession(t *testing.T) {
	w := newStreamWorldOf(t, 2, caddyhttp.HandlerFunc(echo))
	at, p := w.gateways[0], w.newPerson()
	p.want(p.open(at.URL+"/"), 200, "alice")
	address := strings.TrimPrefix(at.URL, "http://")
	open := func(cookie string) (net.Conn, *bufio.Reader, *http.Response) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(conn, "GET /socket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-Fetch-Mode: websocket\r\n%s\r\n", address, cookie)
		reader := bufio.NewReader(conn)
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		return conn, reader, answer
	}
	if _, _, answer := open(""); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a session: got %s, want 401", answer.Status)
	}
	conn, reader, answer := open("Cookie: " + defaultSessionCookie + "=" + sessionCookie(p, at) + "\r\n")
	if answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %s, want 101", answer.Status)
	}
	back := make([]byte, len(unmasked))
	if _, err := io.WriteString(conn, masked); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(reader, back); err != nil || string(back) != unmasked {
		t.Fatalf("got %q, %v", back, err)
	}

	// A logout at the other gateway.
	elsewhere := w.newPerson()
	elsewhere.client.Jar.SetCookies(mustParse(t, w.gateways[1].URL), []*http.Cookie{{Name: defaultSessionCookie, Value: sessionCookie(p, at)}})
	elsewhere.once("GET", w.gateways[1].URL+"/logout", http.Header{"Sec-Fetch-Site": {"same-origin"}}, "")

	rest, err := io.ReadAll(reader)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		t.Fatal("the WebSocket goes on after the logout")
	}
	if len(rest) < 4 || rest[0] != 0x88 { // RFC 6455 section 5.5.1: a close frame
		t.Errorf("got %q (%v), want a close frame", rest, err)
	}
	if n := len(streams.Open.List(func(s streams.Info) bool { return s.Session != "" })); n != 0 {
		t.Errorf("%d streams are still listed", n)
	}
}
