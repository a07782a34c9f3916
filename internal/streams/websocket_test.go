// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
)

// echo accepts a WebSocket and sends back every frame as it came, unmasked. What
// came last goes to got.
func echo(got chan<- []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		var last []byte
		for {
			payload, first, err := readFrame(buffered.Reader)
			if err != nil {
				got <- last
				return
			}
			last = append([]byte{first}, payload...)
			if first&0x0f != 8 {
				_, _ = conn.Write(frame(first, payload, false))
			}
		}
	})
}

func readFrame(r *bufio.Reader) (payload []byte, first byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, 0, err
	}
	n := int(head[1] & 0x7f)
	if n == 126 {
		var long [2]byte
		if _, err := io.ReadFull(r, long[:]); err != nil {
			return nil, 0, err
		}
		n = int(binary.BigEndian.Uint16(long[:]))
	}
	var key [4]byte
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(r, key[:]); err != nil {
			return nil, 0, err
		}
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r, payload)
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	return payload, head[0], err
}

// dial opens a WebSocket through the proxy.
func (p *proxy) dial(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", p.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(limit))
	fmt.Fprint(conn, "GET /ws HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n")
	r := bufio.NewReader(conn)
	answer, err := http.ReadResponse(r, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v (%v), want 101", answer, err)
	}
	return conn, r
}

func wantClose(t *testing.T, r *bufio.Reader, code uint16, reason string) {
	t.Helper()
	payload, first, err := readFrame(r)
	if err != nil || first != 0x88 {
		t.Fatalf("got frame %#x %q (%v), want a Close frame", first, payload, err)
	}
	if got := binary.BigEndian.Uint16(payload); got != code || string(payload[2:]) != reason {
		t.Errorf("got %d %q, want %d %q", got, payload[2:], code, reason)
	}
}

func wantGoingAway(t *testing.T, got <-chan []byte) {
	t.Helper()
	select {
	case last := <-got:
		if len(last) != 3 || last[0] != 0x88 || binary.BigEndian.Uint16(last[1:]) != 1001 {
			t.Errorf("the backend's last frame was %x, want a Close frame with 1001", last)
		}
	case <-time.After(limit):
		t.Error("the backend's connection stays open")
	}
}

func TestSec_S501_AWebSocketEndsWithItsToken(t *testing.T) {
	got := make(chan []byte, 1)
	p := newProxy(t, Config{}, expiring(500*time.Millisecond), echo(got))
	conn, r := p.dial(t)
	_, _ = conn.Write(frame(0x81, []byte("hello"), true))
	if payload, first, err := readFrame(r); err != nil || first != 0x81 || string(payload) != "hello" {
		t.Fatalf("got %#x %q (%v)", first, payload, err)
	}
	wantClose(t, r, 3000, "token_expired")
	// The client's Close frame ends the handshake; the gateway closes first.
	_, _ = conn.Write(frame(0x88, nil, true))
	began := time.Now()
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("after the Close frames: got %d bytes, %v; want the end", n, err)
	}
	if waited := time.Since(began); waited > borderWait/2 {
		t.Errorf("the connection was closed after %s, although the handshake was over", waited)
	}
	wantGoingAway(t, got)
}

// A client that has sent half a frame, and one whose frame is half sent to it, get
// the Close frame at a border.
func TestSec_S507_NothingPassesAfterTheEnd(t *testing.T) {
	got := make(chan []byte, 1)
	arrived, finish := make(chan struct{}), make(chan struct{})
	backend := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		whole := frame(0x82, filled(200), false)
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = conn.Write(whole[:100])
		close(arrived)
		<-finish
		_, _ = conn.Write(whole[100:])
		_, _ = conn.Write(frame(0x81, []byte("after the end"), false))
		var last []byte
		for {
			payload, first, err := readFrame(buffered.Reader)
			if err != nil {
				got <- last
				return
			}
			last = append([]byte{first}, payload...)
		}
	})
	p := newProxy(t, Config{}, expiring(time.Hour), backend)
	conn, r := p.dial(t)
	<-arrived
	half := frame(0x81, []byte("in two parts"), true)
	_, _ = conn.Write(half[:9])
	if _, err := r.Peek(100); err != nil {
		t.Fatal(err)
	}
	if n := Open.EndTokens(func(_ *token.Token, raw string) bool { return raw == "raw" }); n != 1 {
		t.Fatalf("ended %d streams, want 1", n)
	}
	close(finish)
	_, _ = conn.Write(half[9:])
	_, _ = conn.Write(frame(0x81, []byte("after the end"), true))
	if payload, first, err := readFrame(r); err != nil || first != 0x82 || len(payload) != 200 {
		t.Fatalf("got %#x with %d bytes (%v), want the frame that was under way, whole", first, len(payload), err)
	}
	wantClose(t, r, 3000, "token_revoked")
	wantGoingAway(t, got)
}

// A client that does not read is cut off, and holds no one up.
func TestSec_S506_ABlockedClientHoldsNoOneUp(t *testing.T) {
	done := make(chan struct{})
	backend := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		for {
			if _, err := conn.Write(frame(0x82, filled(60000), false)); err != nil {
				return
			}
		}
	})
	p := newProxy(t, Config{}, expiring(time.Hour), backend)
	p.dial(t)
	waitFor(t, "the stream to be open", func() bool { return len(Open.List(isOf("client"))) == 1 })
	began := time.Now()
	Open.End(Admin, isOf("client"))
	if waited := time.Since(began); waited > borderWait/2 {
		t.Errorf("ending a stream took %s", waited)
	}
	select {
	case <-done:
	case <-time.After(limit):
		t.Error("the backend's connection stays open")
	}
}
