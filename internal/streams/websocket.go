// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// hijackable hands out a connection that can be ended.
type hijackable struct {
	http.ResponseWriter
	stream *Stream
	cancel context.CancelCauseFunc
}

// Unwrap is for http.ResponseController.
func (h *hijackable) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// Hijack takes the client's connection over, as a proxy does after 101.
func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	c := &clientConn{Conn: conn, stream: h.stream, cancel: h.cancel}
	if early, err := buffered.Peek(buffered.Reader.Buffered()); err == nil {
		pass(&c.fromClient, early)
	}
	h.stream.arm(WebSocket, c)
	return c, buffered, nil
}

// clientConn is the client's side of a WebSocket. A proxy reads from it in one
// goroutine and writes to it in another; a third one may end it.
//
// The end goes like this. The client is sent a Close frame at a border between
// frames, and after that nothing. What it still sends is read and dropped, so
// that the kernel does not reset the connection before the frame has arrived. The
// backend gets a Close frame of its own at a border of what the client has sent,
// as if the client had gone away.
type clientConn struct {
	net.Conn
	stream *Stream
	cancel context.CancelCauseFunc

	writing  sync.Mutex // held while something is written
	toClient frames
	isClosed bool // the Close frame was sent

	mu         sync.Mutex
	isEnding   bool
	deadline   time.Time // when the end is no longer waited for
	farewell   []byte    // what the client would send next
	closing    []byte    // the Close frame that it gets
	isLeaving  bool      // the backend gets the farewell
	fromClient frames    // what was passed on of what the client sends
}

func (c *clientConn) end(reason Reason) {
	c.mu.Lock()
	c.isEnding = true
	c.deadline = time.Now().Add(borderWait)
	c.closing = closeFrame(c.stream.code(reason), string(reason), false)
	c.farewell = closeFrame(codeGoingAway, "", true)
	deadline, readUntil := c.deadline, c.deadline
	if c.fromClient.atBorder() {
		readUntil = time.Now() // so that a pending read returns
	}
	c.mu.Unlock()

	time.AfterFunc(borderWait, c.cut)
	// A client that does not read holds up its writer for a second.
	_ = c.Conn.SetWriteDeadline(deadline)
	_ = c.Conn.SetReadDeadline(readUntil)
	go func() {
		c.writing.Lock()
		defer c.writing.Unlock()
		c.closeAtBorder()
	}()
}

// closeAtBorder sends the Close frame if no frame is under way. c.writing is held.
func (c *clientConn) closeAtBorder() {
	if !c.isClosed && c.toClient.atBorder() {
		c.isClosed = true
		_, _ = c.Conn.Write(c.closing)
	}
}

// cut is for ends that did not come by themselves.
func (c *clientConn) cut() {
	c.cancel(errEnded) // the proxy closes the backend's connection
	_ = c.Conn.Close()
}

func (c *clientConn) ending() (isEnding bool, deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isEnding, c.deadline
}

// Write sends what comes from the backend, as long as the stream goes on, and
// the rest of a frame after that.
func (c *clientConn) Write(p []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.isClosed {
		return len(p), nil // the backend's answer to the Close frame is not for the client
	}
	isEnding, _ := c.ending()
	if !isEnding {
		n, err = c.Conn.Write(p)
		pass(&c.toClient, p[:n])
	}
	if isEnding, _ = c.ending(); isEnding && err == nil {
		err = c.writeLast(p[n:])
		n = len(p)
		c.closeAtBorder()
	}
	return n, err
}

// writeLast writes up to the next border.
func (c *clientConn) writeLast(p []byte) error {
	if c.toClient.atBorder() {
		return nil
	}
	n := c.toClient.toBorder(p)
	_, err := c.Conn.Write(p[:n])
	return err
}

// Read returns what the client sends to the backend, and after the end a Close
// frame in the client's place.
func (c *clientConn) Read(p []byte) (n int, err error) {
	if n, isLeaving := c.leave(p); isLeaving {
		return orEOF(n)
	}
	n, err = c.Conn.Read(p)
	if n, isEnding := c.passOn(p[:n]); !isEnding || n > 0 {
		return n, err
	}
	if n, isLeaving := c.leave(p); isLeaving {
		return orEOF(n)
	}
	return 0, err // the client has not sent the rest of its frame in time
}

func orEOF(n int) (int, error) {
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// passOn returns how much of what the client has sent the backend gets: all of it,
// and after the end the rest of a frame.
func (c *clientConn) passOn(p []byte) (n int, isEnding bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isEnding {
		pass(&c.fromClient, p)
		return len(p), false
	}
	if c.fromClient.atBorder() {
		return 0, true
	}
	return c.fromClient.toBorder(p), true
}

// leave returns the next bytes of the farewell if the stream is ending and
// the client's last frame was passed on whole.
func (c *clientConn) leave(p []byte) (n int, isLeaving bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isEnding || !c.isLeaving && !c.fromClient.atBorder() {
		return 0, false
	}
	if !c.isLeaving {
		c.isLeaving = true
		go c.drain(c.fromClient)
	}
	n = copy(p, c.farewell)
	c.farewell = c.farewell[n:]
	return n, true
}

// drain reads what the client sends after its last frame, until its own Close
// frame, which is the end of the closing handshake: a client waits for the server
// to close the connection (RFC 6455, section 7.1.1). It takes a second at most.
func (c *clientConn) drain(rest frames) {
	_, deadline := c.ending()
	_ = c.Conn.SetReadDeadline(deadline)
	buffer := make([]byte, 512)
	for isClosed := false; !isClosed; {
		n, err := c.Conn.Read(buffer)
		for p := buffer[:n]; len(p) > 0 && !isClosed; {
			p = p[rest.toBorder(p):]
			isClosed = rest.atBorder() && rest.isClose()
		}
		if err != nil {
			break
		}
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.closeAtBorder() // it may not have got its turn yet
	_ = c.Conn.Close()
}

// CloseWrite passes on that the backend sends nothing more.
func (c *clientConn) CloseWrite() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if isEnding, _ := c.ending(); isEnding {
		c.closeAtBorder() // nothing can follow
	}
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close closes the connection, after the client had time to read the Close frame.
func (c *clientConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isEnding {
		return c.Conn.Close()
	}
	if !c.isLeaving {
		c.isLeaving = true
		go c.drain(c.fromClient)
	}
	return nil
}
