// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// cutFrames are frames with every length of header that WebSockets have, up to a byte of
// their payload. One is a fragment, and one compressed.
func cutFrames(isMasked bool) map[string][]byte {
	return map[string][]byte{
		"7 bits":  frame(0x82, filled(3), isMasked),
		"16 bits": frame(0x01, filled(126), isMasked),    // a fragment
		"64 bits": frame(0xc2, filled(1<<16), isMasked),  // compressed (RFC 7692)
		"empty":   frame(0x89, nil, isMasked),            // a ping
		"last":    frame(0x80, filled(0x7e88), isMasked), // whose length looks like another frame
	}
}

// headerOf is how long the header of a frame is.
func headerOf(whole []byte) int {
	length := 2
	switch whole[1] & 0x7f {
	case 126:
		length += 2
	case 127:
		length += 8
	}
	if whole[1]&0x80 != 0 {
		length += 4
	}
	return length
}

// The end of a stream comes while a frame of the backend is under way, at each byte of
// its header and after it. The client gets the frame whole, and then the Close frame.
func TestAFrameOfTheBackendIsNotCutAnywhere(t *testing.T) {
	for name, whole := range cutFrames(false) {
		for at := 1; at <= min(headerOf(whole)+1, len(whole)-1); at++ {
			t.Run(fmt.Sprintf("%s, byte %d", name, at), func(t *testing.T) {
				t.Parallel()
				client := t.Name()
				finish := make(chan struct{})
				caller := expiring(time.Hour)
				caller.Token.ClientID = client
				p := newProxy(t, Config{}, caller, upgraded(func(conn net.Conn) {
					_, _ = conn.Write(whole[:at])
					<-finish
					_, _ = conn.Write(whole[at:])
					_, _ = conn.Write(frame(0x81, []byte("after the end"), false))
					_, _ = io.Copy(io.Discard, conn) // closing before that would reset the connection
				}))
				_, r := p.dial(t)
				if _, err := r.Peek(at); err != nil {
					t.Fatal(err)
				}
				if n := Open.End(TokenRevoked, isOf(client)); n != 1 {
					t.Fatalf("ended %d streams, want 1", n)
				}
				close(finish)
				got := make([]byte, len(whole))
				if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, whole) {
					t.Fatalf("got %d bytes (%v), not the frame", len(got), err)
				}
				wantClose(t, r, 3000, "token_revoked")
			})
		}
	}
}

// The same for a frame of the client: the backend gets it whole, and then a Close frame.
func TestAFrameOfTheClientIsNotCutAnywhere(t *testing.T) {
	for name, whole := range cutFrames(true) {
		for at := 1; at <= min(headerOf(whole)+1, len(whole)-1); at++ {
			t.Run(fmt.Sprintf("%s, byte %d", name, at), func(t *testing.T) {
				t.Parallel()
				client := t.Name()
				arrived, got := make(chan struct{}), make(chan []byte, 1)
				caller := expiring(time.Hour)
				caller.Token.ClientID = client
				p := newProxy(t, Config{}, caller, upgraded(func(conn net.Conn) {
					_ = conn.SetDeadline(time.Now().Add(limit))
					all := make([]byte, at)
					_, _ = io.ReadFull(conn, all)
					close(arrived)
					rest := make([]byte, len(whole)-at+8) // with the Close frame, which is masked
					n, _ := io.ReadFull(conn, rest)
					got <- append(all, rest[:n]...)
				}))
				conn, _ := p.dial(t)
				_, _ = conn.Write(whole[:at])
				<-arrived
				if n := Open.End(TokenRevoked, isOf(client)); n != 1 {
					t.Fatalf("ended %d streams, want 1", n)
				}
				_, _ = conn.Write(whole[at:])
				_, _ = conn.Write(frame(0x81, []byte("after the end"), true))
				all := <-got
				if len(all) != len(whole)+8 || !bytes.Equal(all[:len(whole)], whole) || all[len(whole)] != 0x88 || all[len(whole)+1] != 0x82 {
					t.Errorf("got %d bytes, the last %x; want the frame and a Close frame", len(all), all[max(0, len(all)-8):])
				}
			})
		}
	}
}

// upgraded is a backend that speaks for itself once a WebSocket is open.
func upgraded(speak func(net.Conn)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		speak(conn)
	})
}

// Clients that do not read, of a WebSocket and of an event stream, do not hold up the end
// of the streams that are ended after them.
func TestSec_S506_OthersEndWhileClientsAreBlocked(t *testing.T) {
	const client = "blocked and not"
	caller := expiring(time.Hour)
	caller.Token.ClientID = client
	over := make(chan string, 2)
	flood := newProxy(t, Config{}, caller, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { over <- r.URL.Path }()
		if r.URL.Path == "/ws" {
			upgraded(func(conn net.Conn) {
				for {
					if _, err := conn.Write(frame(0x82, filled(60000), false)); err != nil {
						return
					}
				}
			}).ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for event := "data: " + strconv.Quote(string(filled(60000))) + "\n\n"; ; {
			if _, err := fmt.Fprint(w, event); err != nil {
				return
			}
		}
	}))
	flood.dial(t)
	conn, err := net.Dial("tcp", flood.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprint(conn, "GET /events HTTP/1.1\r\nHost: gateway\r\nAccept: text/event-stream\r\n\r\n")
	waitFor(t, "two streams to be open", func() bool { return len(Open.List(isOf(client))) == 2 })

	got := make(chan []byte, 1)
	p := newProxy(t, Config{}, caller, echo(got))
	_, r := p.dial(t)
	waitFor(t, "a third", func() bool { return len(Open.List(isOf(client))) == 3 })
	began := time.Now()
	if n := Open.End(Admin, isOf(client)); n != 3 {
		t.Fatalf("ended %d streams, want 3", n)
	}
	wantClose(t, r, 3000, "admin")
	if waited := time.Since(began); waited > borderWait { // what a client that does not read is given
		t.Errorf("the client that reads was told after %s", waited)
	}
	for range 2 {
		select {
		case <-over:
		case <-time.After(limit):
			t.Fatal("the backend goes on sending to a client that does not read")
		}
	}
	waitFor(t, "no stream to be left over", func() bool { return len(Open.List(isOf(client))) == 0 })
}
