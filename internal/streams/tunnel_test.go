// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// h2Stream is a stream of HTTP/2 as a handler has it. A read that is over by its
// deadline was the last one.
type h2Stream struct {
	header   http.Header
	answered chan int // the status
	out      *io.PipeWriter
	body     *io.PipeReader
}

func (s *h2Stream) Header() http.Header         { return s.header }
func (s *h2Stream) WriteHeader(status int)      { s.answered <- status }
func (s *h2Stream) Write(p []byte) (int, error) { return s.out.Write(p) }
func (s *h2Stream) Flush()                      {}

func (s *h2Stream) SetReadDeadline(at time.Time) error {
	time.AfterFunc(time.Until(at), func() { _ = s.body.CloseWithError(os.ErrDeadlineExceeded) })
	return nil
}

func (s *h2Stream) SetWriteDeadline(at time.Time) error {
	time.AfterFunc(time.Until(at), func() { _ = s.out.CloseWithError(os.ErrDeadlineExceeded) })
	return nil
}

// tunnelTo opens a WebSocket as HTTP/2 has it.
func (p *proxy) tunnelTo(t *testing.T, caller Caller) (s *h2Stream, toGateway io.WriteCloser, r *bufio.Reader, over <-chan error) {
	t.Helper()
	fromGateway, out := io.Pipe()
	body, toGateway := io.Pipe()
	s = &h2Stream{header: http.Header{}, answered: make(chan int, 2), out: out, body: body}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	request := (&http.Request{
		Method: http.MethodConnect, URL: &url.URL{Path: "/ws"}, Host: "gateway", RequestURI: "/ws?x", RemoteAddr: "192.0.2.1:1",
		Proto: "HTTP/2.0", ProtoMajor: 2, Header: http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}}, Body: body,
	}).WithContext(ctx)
	done := make(chan error, 1)
	go func() {
		done <- p.guard.ServeHTTP(s, request, caller, caddyhttp.HandlerFunc(p.upgrade))
		_ = out.Close()
	}()
	select {
	case status := <-s.answered:
		if status != http.StatusOK || s.header.Get("Upgrade") != "" || s.header.Get("Connection") != "" {
			t.Fatalf("got %d %v, want 200 without an upgrade (RFC 8441, section 5)", status, s.header)
		}
	case <-ctx.Done():
		t.Fatal("no answer")
	}
	return s, toGateway, bufio.NewReader(fromGateway), done
}

// upgrade passes a WebSocket on as Caddy's proxy does: it answers before it takes the
// connection over.
func (p *proxy) upgrade(w http.ResponseWriter, r *http.Request) error {
	backend, err := net.Dial("tcp", p.backend)
	if err != nil {
		return err
	}
	defer backend.Close()
	if err := r.Write(backend); err != nil {
		return err
	}
	fromBackend := bufio.NewReader(backend)
	answer, err := http.ReadResponse(fromBackend, r)
	if err != nil {
		return err
	}
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer client.Close()
	over := make(chan struct{}, 2)
	for _, pair := range []struct {
		to   io.Writer
		from io.Reader
	}{{backend, client}, {client, fromBackend}} {
		go func() {
			_, _ = io.Copy(pair.to, pair.from)
			if pair.to == backend {
				_ = backend.(*net.TCPConn).CloseWrite()
			}
			over <- struct{}{}
		}()
	}
	<-over
	select {
	case <-over:
	case <-r.Context().Done():
	}
	return nil
}

// A WebSocket over HTTP/2 is one like any other.
func TestSec_S515_AWebSocketOverHTTP2EndsWithItsToken(t *testing.T) {
	got := make(chan []byte, 1)
	caller := expiring(time.Hour)
	caller.Token.ClientID = "h2"
	p := newProxy(t, Config{}, caller, echo(got))
	_, out, in, over := p.tunnelTo(t, caller)
	if _, err := out.Write(frame(0x81, []byte("hello"), true)); err != nil {
		t.Fatal(err)
	}
	if payload, first, err := readFrame(in); err != nil || first != 0x81 || string(payload) != "hello" {
		t.Fatalf("got %#x %q (%v)", first, payload, err)
	}
	list := Open.List(isOf("h2"))
	if len(list) != 1 || list[0].Protocol != WebSocket || list[0].Path != "/ws" {
		t.Fatalf("open are %+v, want one WebSocket", list)
	}
	Open.End(TokenRevoked, isOf("h2"))
	wantClose(t, in, 3000, "token_revoked")
	wantGoingAway(t, got)
	if err := <-over; err != nil {
		t.Error(err)
	}
	if n, err := in.Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // as io.Reader says
		t.Errorf("after the Close frame: got %d bytes, %v; want the end of the stream", n, err)
	}
	if n := len(Open.List(isOf("h2"))); n != 0 {
		t.Errorf("%d streams are left over", n)
	}
}

// The rest of a frame that is under way arrives, as over HTTP/1.1.
func TestTheFrameUnderWayArrivesOverHTTP2(t *testing.T) {
	got := make(chan []byte, 1)
	caller := expiring(time.Hour)
	caller.Token.ClientID = "h2-half"
	p := newProxy(t, Config{}, caller, echo(got))
	_, out, in, over := p.tunnelTo(t, caller)
	whole := frame(0x81, []byte("hello"), true)
	if _, err := out.Write(append(whole, whole[:4]...)); err != nil {
		t.Fatal(err)
	}
	if payload, _, err := readFrame(in); err != nil || string(payload) != "hello" {
		t.Fatalf("got %q (%v)", payload, err)
	}
	Open.End(Admin, isOf("h2-half"))
	wantClose(t, in, 3000, "admin")
	if _, err := out.Write(whole[4:]); err != nil {
		t.Fatal(err)
	}
	wantGoingAway(t, got) // after the frame, which echo reads whole
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// What the client ends is over without the gateway's doing.
func TestAClientEndsItsWebSocketOverHTTP2(t *testing.T) {
	got := make(chan []byte, 1)
	caller := expiring(time.Hour)
	caller.Token.ClientID = "h2-gone"
	p := newProxy(t, Config{}, caller, echo(got))
	_, out, _, over := p.tunnelTo(t, caller)
	_ = out.Close()
	select {
	case err := <-over:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(limit):
		t.Fatal("the stream goes on")
	}
	if n := len(Open.List(isOf("h2-gone"))); n != 0 {
		t.Errorf("%d streams are left over", n)
	}
}

// afterwards is an answer of HTTP/2 whose handler has returned: Go's panics then.
type afterwards struct{ *h2Stream }

func (afterwards) SetReadDeadline(time.Time) error  { panic("the handler has returned") }
func (afterwards) SetWriteDeadline(time.Time) error { panic("the handler has returned") }

// A client that leaves while its WebSocket is ended does not end the gateway.
func TestAnEndThatComesAfterTheClientHasLeft(t *testing.T) {
	body, _ := io.Pipe()
	request := (&http.Request{Method: http.MethodConnect, URL: &url.URL{Path: "/ws"}, Proto: "HTTP/2.0", ProtoMajor: 2, Header: http.Header{}, Body: body}).WithContext(t.Context())
	tunnel, _ := asUpgrade(afterwards{&h2Stream{body: body}}, request)
	conn, _, err := tunnel.Hijack()
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	close(gone)
	tunnel.finish(gone)
	for name, err := range map[string]error{
		"read": conn.SetReadDeadline(time.Now()), "write": conn.SetWriteDeadline(time.Now()), "both": conn.SetDeadline(time.Now()),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: got %v, want that it is closed", name, err)
		}
	}
}
