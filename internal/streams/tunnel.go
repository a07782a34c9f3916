// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// A WebSocket over HTTP/2 or HTTP/3 is a CONNECT request with the protocol
// "websocket" (RFC 8441 and 9220, extended CONNECT); its frames are the bodies of
// request and answer. Whatever comes after the guard sees it as what it becomes at
// the upstream, a GET request that asks for an upgrade: rules decide about that,
// and it is counted and ended like all other WebSockets.

// isTunnel reports whether a request is a WebSocket over HTTP/2 or HTTP/3. Go puts the
// pseudo-header of HTTP/2 among the fields, quic-go that of HTTP/3 into Proto.
func isTunnel(r *http.Request) bool {
	if r.Method != http.MethodConnect {
		return false
	}
	switch r.ProtoMajor {
	case 2:
		protocol := r.Header[protocolField]
		return len(protocol) == 1 && protocol[0] == "websocket"
	case 3:
		return r.Proto == "websocket"
	}
	return false
}

// protocolField is not a valid name of a field, so that no client can send it as one.
const protocolField = ":protocol"

// asUpgrade turns extended CONNECT into the request of HTTP/1.1, and its answer back.
func asUpgrade(w http.ResponseWriter, r *http.Request) (*tunnel, *http.Request) {
	t := &tunnel{ResponseWriter: w, body: r.Body, closed: make(chan struct{}), addresses: addressesOf(r)}
	upgrade := r.WithContext(r.Context())
	upgrade.Method, upgrade.Body, upgrade.ContentLength = http.MethodGet, http.NoBody, 0
	upgrade.Proto, upgrade.ProtoMajor, upgrade.ProtoMinor = "HTTP/1.1", 1, 1
	upgrade.Header = r.Header.Clone()
	delete(upgrade.Header, protocolField)
	upgrade.Header["Connection"], upgrade.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	key := make([]byte, 16)
	_, _ = rand.Read(key) // never fails
	upgrade.Header["Sec-Websocket-Key"] = []string{base64.StdEncoding.EncodeToString(key)}
	return t, upgrade
}

// tunnel is the answer to extended CONNECT. It can be taken over like a connection of
// HTTP/1.1 until the handler returns.
type tunnel struct {
	http.ResponseWriter
	body      io.ReadCloser
	addresses addresses
	isTaken   bool

	writing sync.Mutex
	isOver  bool // nothing can be written any more

	// Deadlines have a lock of their own: they are for writes that are held up.
	deadlines sync.Mutex
	isGone    bool // the answer is not this one's any more

	closing sync.Once
	closed  chan struct{}
}

// Unwrap is for http.ResponseController.
func (t *tunnel) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// WriteHeader answers 200 where HTTP/1.1 has 101 (RFC 8441, section 5).
func (t *tunnel) WriteHeader(status int) {
	if status == http.StatusSwitchingProtocols {
		h := t.Header()
		for _, name := range []string{"Connection", "Upgrade", "Sec-Websocket-Accept", "Sec-WebSocket-Accept"} {
			delete(h, name)
		}
		status = http.StatusOK
	}
	t.ResponseWriter.WriteHeader(status)
}

// Hijack implements http.Hijacker.
func (t *tunnel) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if t.isTaken {
		return nil, nil, http.ErrHijacked
	}
	if err := http.NewResponseController(t.ResponseWriter).Flush(); err != nil {
		return nil, nil, err
	}
	t.isTaken = true
	conn := &tunnelConn{t}
	return conn, bufio.NewReadWriter(bufio.NewReaderSize(conn, 16), bufio.NewWriterSize(conn, 16)), nil
}

// finish waits, after the handler has returned, for what is still to be sent: the
// end of the handler is that of the stream. It takes a second at most, as all ends.
func (t *tunnel) finish(gone <-chan struct{}) {
	if t.isTaken {
		select {
		case <-t.closed:
		case <-gone:
		}
	}
	t.writing.Lock()
	t.isOver = true
	t.writing.Unlock()
	t.deadlines.Lock()
	t.isGone = true
	t.deadlines.Unlock()
}

// setDeadline sets a deadline of the answer. What ends a stream may come to it after the
// client has left and the handler has returned, when Go's HTTP/2 panics.
func (t *tunnel) setDeadline(set func(*http.ResponseController, time.Time) error, at time.Time) error {
	t.deadlines.Lock()
	defer t.deadlines.Unlock()
	if t.isGone {
		return net.ErrClosed
	}
	return set(http.NewResponseController(t.ResponseWriter), at)
}

// tunnelConn is a stream of HTTP/2 or HTTP/3 as a connection.
type tunnelConn struct{ t *tunnel }

// Read implements net.Conn.
func (c *tunnelConn) Read(p []byte) (int, error) { return c.t.body.Read(p) }

// Write implements net.Conn.
func (c *tunnelConn) Write(p []byte) (int, error) {
	c.t.writing.Lock()
	defer c.t.writing.Unlock()
	if c.t.isOver {
		return 0, net.ErrClosed
	}
	n, err := c.t.ResponseWriter.Write(p)
	if err != nil {
		return n, err
	}
	return n, http.NewResponseController(c.t.ResponseWriter).Flush()
}

// Close implements net.Conn. Nothing more is read; what is still written of a message
// is sent, until the handler returns.
func (c *tunnelConn) Close() error {
	c.t.closing.Do(func() {
		_ = c.t.body.Close()
		close(c.t.closed)
	})
	return nil
}

// SetDeadline implements net.Conn.
func (c *tunnelConn) SetDeadline(at time.Time) error {
	return errors.Join(c.SetReadDeadline(at), c.SetWriteDeadline(at))
}

// SetReadDeadline implements net.Conn. In HTTP/2, a read that has come too late is the
// last one.
func (c *tunnelConn) SetReadDeadline(at time.Time) error {
	return c.t.setDeadline((*http.ResponseController).SetReadDeadline, at)
}

// SetWriteDeadline implements net.Conn.
func (c *tunnelConn) SetWriteDeadline(at time.Time) error {
	return c.t.setDeadline((*http.ResponseController).SetWriteDeadline, at)
}

// LocalAddr implements net.Conn.
func (c *tunnelConn) LocalAddr() net.Addr { return c.t.addresses.local }

// RemoteAddr implements net.Conn.
func (c *tunnelConn) RemoteAddr() net.Addr { return c.t.addresses.remote }

type addresses struct{ local, remote net.Addr }

func addressesOf(r *http.Request) (a addresses) {
	a.local, _ = r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	a.remote = textAddr(r.RemoteAddr)
	if a.local == nil {
		a.local = textAddr("")
	}
	return a
}

// textAddr is an address as requests have it.
type textAddr string

// Network implements net.Addr.
func (textAddr) Network() string { return "tcp" }

// String implements net.Addr.
func (a textAddr) String() string { return string(a) }

// serveTunnel passes on a WebSocket over HTTP/2 or HTTP/3 as one over HTTP/1.1.
func serveTunnel(w http.ResponseWriter, r *http.Request, serve func(http.ResponseWriter, *http.Request) error) error {
	t, upgrade := asUpgrade(w, r)
	defer t.finish(r.Context().Done())
	return serve(t, upgrade)
}

// Interface guards
var (
	_ http.Hijacker = (*tunnel)(nil)
	_ net.Conn      = (*tunnelConn)(nil)
	_ net.Addr      = textAddr("")
)
