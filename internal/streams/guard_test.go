// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/token"
)

func newRequest(t *testing.T, target string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// limit is what a test waits for at most.
const limit = 10 * time.Second

// proxy is a guard in front of a reverse proxy to a backend.
type proxy struct {
	*httptest.Server
	guard *Guard
}

func newProxy(t *testing.T, config Config, caller Caller, backend http.Handler) *proxy {
	t.Helper()
	upstream := httptest.NewServer(backend)
	t.Cleanup(upstream.Close)
	target, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	reverse := httputil.NewSingleHostReverseProxy(target)
	reverse.FlushInterval = -1
	p := &proxy{guard: &Guard{limits: config.limits(time.Hour), logger: zap.NewNop(), metrics: metrics}}
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		reverse.ServeHTTP(w, r)
		return nil
	})
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := p.guard.ServeHTTP(w, r, caller, next); err != nil {
			t.Errorf("the guard: %v", err)
		}
	}))
	t.Cleanup(p.Server.Close)
	return p
}

func expiring(in time.Duration) Caller {
	return Caller{Token: &token.Token{ClientID: "client", ExpiresAt: time.Now().Add(in)}, Raw: "raw"}
}

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

// The gRPC code of a token that is over is 16: with 7 a client would give up.
func TestSec_S513_AGRPCCallEndsUnauthenticated(t *testing.T) {
	for name, sent := range map[string][]byte{
		"between messages":            message(filled(10)),
		"before the upstream answers": nil,
	} {
		t.Run(name, func(t *testing.T) {
			metrics, err := newMetrics(prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			guard := &Guard{limits: (*Config)(nil).limits(time.Hour), logger: zap.NewNop(), metrics: metrics}
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = guard.ServeHTTP(w, r, expiring(time.Hour), caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
					if sent != nil {
						w.Header().Set("Content-Type", "application/grpc")
						_, _ = w.Write(sent)
						_ = http.NewResponseController(w).Flush()
					}
					<-r.Context().Done()
					return context.Cause(r.Context())
				}))
			}))
			server.EnableHTTP2 = true
			server.StartTLS()
			t.Cleanup(server.Close)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/todos.Todos/Watch", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/grpc+proto")
			revoke := func() {
				waitFor(t, "the call", func() bool { return len(Open.List(isOf("client"))) == 1 })
				Open.EndTokens(func(_ *token.Token, raw string) bool { return raw == "raw" })
			}
			if sent == nil {
				go revoke()
			}
			answer, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if sent != nil {
				revoke()
			}
			body, err := io.ReadAll(answer.Body)
			if err != nil || !bytes.Equal(body, sent) || answer.ProtoMajor != 2 {
				t.Errorf("got %x over HTTP/%d (%v), want %x", body, answer.ProtoMajor, err, sent)
			}
			if got := answer.Trailer.Get("Grpc-Status") + " " + answer.Trailer.Get("Grpc-Message"); got != "16 token_revoked" {
				t.Errorf("got the trailers %q", got)
			}
		})
	}
}

// Streams leave no goroutine and no entry behind, whichever side ends them.
func TestSec_S504_NothingIsLeftOver(t *testing.T) {
	got := make(chan []byte, 20)
	p := newProxy(t, Config{}, expiring(time.Hour), echo(got))
	before := runtime.NumGoroutine()
	for i := range 20 {
		conn, r := p.dial(t)
		if i%2 == 0 {
			conn.Close()
			<-got
			continue
		}
		waitFor(t, "the stream to be open", func() bool { return len(Open.List(isOf("client"))) == 1 })
		Open.End(Admin, isOf("client"))
		wantClose(t, r, 3000, "admin")
		<-got
		conn.Close()
	}
	waitFor(t, "all streams to be over", func() bool { return Open.Len() == 0 })
	// Connections that the test's servers keep open for the next request are few.
	waitFor(t, "their goroutines to end", func() bool { return runtime.NumGoroutine() <= before+2 })
}

func isOf(client string) func(Info) bool {
	return func(s Info) bool { return s.ClientID == client }
}

func waitFor(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !isSo(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// eventSource sends an event, and the first half of another.
func eventSource(rest <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		fmt.Fprint(w, "data: 1\n\ndata: ha")
		w.(http.Flusher).Flush()
		select {
		case <-rest:
		case <-r.Context().Done():
			return
		}
		fmt.Fprint(w, "lf\n\ndata: after the end\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
}

func (p *proxy) events(t *testing.T) *http.Response {
	t.Helper()
	r := newRequest(t, p.URL+"/events")
	r.Header.Set("Accept", "text/event-stream")
	answer, err := p.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func TestAnEventStreamEndsAfterAnEvent(t *testing.T) {
	for name, tc := range map[string]struct {
		event, want string
	}{
		"without a last event": {"", "data: 1\n\ndata: half\n\n"},
		"with one":             {"goodbye", "data: 1\n\ndata: half\n\nevent: goodbye\ndata: token_revoked\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			rest := make(chan struct{})
			p := newProxy(t, Config{SSEEvent: tc.event}, expiring(time.Hour), eventSource(rest))
			answer := p.events(t)
			begun := make([]byte, len("data: 1\n\ndata: ha"))
			if _, err := io.ReadFull(answer.Body, begun); err != nil {
				t.Fatal(err)
			}
			Open.EndTokens(func(_ *token.Token, raw string) bool { return raw == "raw" })
			close(rest)
			body, err := io.ReadAll(answer.Body)
			if got := string(begun) + string(body); err != nil || got != tc.want {
				t.Errorf("got %q (%v), want %q and a clean end", got, err, tc.want)
			}
		})
	}
}

func TestAnEventStreamEndsWithItsToken(t *testing.T) {
	p := newProxy(t, Config{}, expiring(300*time.Millisecond), eventSource(nil))
	body, err := io.ReadAll(p.events(t).Body)
	if got := string(body); err != nil || !strings.HasPrefix(got, "data: 1\n\n") {
		t.Errorf("got %q (%v), want the event and a clean end", got, err)
	}
}

// An answer of a known length is an answer, whatever the request accepts; one
// without is cut, so that it cannot be taken for whole.
func TestOtherAnswersOfAnEventStreamRequest(t *testing.T) {
	slow := make(chan struct{})
	backend := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sized" {
			w.Header().Set("Content-Length", "4")
		}
		fmt.Fprint(w, "12")
		w.(http.Flusher).Flush()
		select {
		case <-slow:
		case <-r.Context().Done():
		}
		fmt.Fprint(w, "34")
	})
	p := newProxy(t, Config{}, expiring(time.Hour), backend)
	for _, path := range []string{"/endless", "/sized"} {
		isCut := path == "/endless"
		r := newRequest(t, p.URL+path)
		r.Header.Set("Accept", "application/json, text/event-stream")
		answer, err := p.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if open := len(Open.List(isOf("client"))); (open == 1) != isCut {
			t.Errorf("%s: %d streams are open", path, open)
		}
		Open.EndTokens(func(_ *token.Token, raw string) bool { return raw == "raw" })
		if !isCut {
			close(slow)
		}
		if body, err := io.ReadAll(answer.Body); (err != nil) != isCut {
			t.Errorf("%s: got %q (%v)", path, body, err)
		}
		answer.Body.Close()
	}
}

func TestSec_S509_TheServerIsAskedAgain(t *testing.T) {
	refused := &token.Error{Reason: token.Inactive, Err: errors.New("revoked")}
	for name, tc := range map[string]struct {
		err     error
		session string
		want    Reason
	}{
		"inactive":            {refused, "", RecheckInactive},
		"expired":             {&token.Error{Reason: token.Expired, Err: errors.New("over")}, "", TokenExpired},
		"logged out":          {refused, "session", SessionEnded},
		"no answer":           {&token.Error{Reason: token.ProviderUnavailable, Err: errors.New("down")}, "", ""},
		"still good":          {nil, "", ""},
		"an unreadable one":   {&token.Error{Reason: token.Unreadable, Err: errors.New("odd")}, "", ""},
		"cancelled by itself": {context.Canceled, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan struct{}, 100)
			caller := expiring(time.Hour)
			caller.Session = tc.session
			caller.Again = func(context.Context) (*token.Token, error) {
				asked <- struct{}{}
				return caller.Token, tc.err
			}
			ended := make(chan Reason, 1)
			config := Config{Recheck: caddy.Duration(10 * time.Millisecond)}
			l := config.limits(time.Hour)
			s := NewRegister().begin(EventStream, requestInfo{}, caller, &l, func(_ *Stream, reason Reason) { ended <- reason })
			defer s.close()
			s.arm(EventStream, func(Reason) {})
			<-asked
			if tc.want == "" {
				<-asked // it goes on, and is asked about again
				if reason := s.ended(); reason != "" {
					t.Errorf("ended: %s", reason)
				}
				return
			}
			select {
			case reason := <-ended:
				if reason != tc.want {
					t.Errorf("got %q, want %q", reason, tc.want)
				}
			case <-time.After(limit):
				t.Error("the stream goes on")
			}
		})
	}
}

func TestSec_S503_StreamsOnlyEndEarlier(t *testing.T) {
	started := time.Unix(1000, 0)
	minute := caddy.Duration(time.Minute)
	for name, tc := range map[string]struct {
		config  Config
		expires time.Duration // after the start; 0: never
		tokenAt time.Duration // 0: not with the token
		ageAt   time.Duration
	}{
		"with the token":             {Config{Jitter: new(caddy.Duration)}, time.Hour, time.Hour, 0},
		"grace":                      {Config{Jitter: new(caddy.Duration), Grace: minute}, time.Hour, time.Hour + time.Minute, 0},
		"a token without end":        {Config{}, 0, 0, 0},
		"off":                        {Config{EndWithToken: new(bool), MaxAge: minute, Jitter: new(caddy.Duration)}, time.Hour, 0, time.Minute},
		"jitter":                     {Config{}, time.Hour, time.Hour - 5*time.Second, 0},
		"jitter of a short life":     {Config{}, 10 * time.Second, 9 * time.Second, 0},
		"age, which has jitter also": {Config{MaxAge: minute}, 0, 0, 55 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			l := tc.config.limits(time.Hour)
			s := &Stream{limits: &l, started: started, current: new(token.Token), jitter: 1}
			if tc.expires > 0 {
				s.current.ExpiresAt = started.Add(tc.expires)
			}
			for what, pair := range map[string][2]time.Time{
				"token": {s.tokenEnd(), started.Add(tc.tokenAt)}, "age": {s.ageEnd(), started.Add(tc.ageAt)},
			} {
				if pair[1].Equal(started) {
					pair[1] = time.Time{}
				}
				if !pair[0].Equal(pair[1]) {
					t.Errorf("%s: got %s, want %s", what, pair[0], pair[1])
				}
			}
		})
	}
}

// Of a token of this process's server something has changed, which may or may not
// be its revocation.
func TestATokenMayNotHold(t *testing.T) {
	for name, err := range map[string]error{"revoked": &token.Error{Reason: token.Inactive, Err: errors.New("gone")}, "still good": nil} {
		t.Run(name, func(t *testing.T) {
			caller := expiring(time.Hour)
			asked := make(chan struct{}, 1)
			caller.Holds = func(*token.Token) bool { return false }
			caller.Again = func(context.Context) (*token.Token, error) {
				asked <- struct{}{}
				return caller.Token, err
			}
			r := NewRegister()
			l := (*Config)(nil).limits(time.Hour)
			ended := make(chan Reason, 1)
			s := r.begin(EventStream, requestInfo{}, caller, &l, func(_ *Stream, reason Reason) { ended <- reason })
			defer s.close()
			s.arm(EventStream, func(Reason) {})
			r.Sweep(time.Now(), func(Info) Reason { return "" })
			<-asked
			if err == nil {
				if reason := s.ended(); reason != "" {
					t.Errorf("ended: %s", reason)
				}
				return
			}
			select {
			case reason := <-ended:
				if reason != TokenRevoked {
					t.Errorf("got %q", reason)
				}
			case <-time.After(limit):
				t.Error("the stream goes on")
			}
		})
	}
}

// The clock is set while a timer runs; a consumer is deleted.
func TestSec_S511_TheClockIsSet(t *testing.T) {
	r := NewRegister()
	l := (*Config)(nil).limits(time.Hour)
	var ended []string
	open := func(name string, caller Caller) {
		caller.Consumer = name
		s := r.begin(EventStream, requestInfo{}, caller, &l, func(s *Stream, reason Reason) {
			ended = append(ended, s.info().Consumer+" "+string(reason))
		})
		s.arm(EventStream, func(Reason) {})
		t.Cleanup(s.close)
	}
	open("one", expiring(time.Hour))
	open("two", expiring(3*time.Hour))
	open("three", Caller{ConsumerID: "3"})
	r.Sweep(time.Now().Add(2*time.Hour), func(s Info) Reason {
		if s.ConsumerID == "3" {
			return ConsumerDeleted
		}
		return ""
	})
	if got, want := strings.Join(ended, ", "), "one token_expired, three consumer_deleted"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What a request pays that is not a stream.
func BenchmarkOrdinaryRequest(b *testing.B) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for name, value := range map[string]string{
		"Accept": "application/json, text/plain, */*", "Content-Type": "application/json", "User-Agent": "x", "Authorization": "Bearer x",
	} {
		r.Header.Set(name, value)
	}
	b.ReportAllocs()
	for b.Loop() {
		if IsStream(r) {
			b.Fatal("taken for a stream")
		}
	}
}

// What an open stream takes in memory, beside what a proxy takes for it.
func BenchmarkOpenStream(b *testing.B) {
	r := NewRegister()
	l := (*Config)(nil).limits(time.Hour)
	caller := expiring(time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		r.begin(EventStream, requestInfo{}, caller, &l, nil).arm(EventStream, nil)
	}
}
