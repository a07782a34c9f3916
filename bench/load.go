// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A request is what differs between the requests of a scenario.
type request struct {
	path          string
	authorization string // "" for none
	cookie        string // the header field of a session, "" for none
	accept        string // "" for none
	form          string // of a POST; "" for GET
}

// A target is where requests go and what they are. request returns the n-th
// request of the run; it is called by several goroutines.
type target struct {
	addr    string
	request func(n uint64) request
	status  int  // the status that counts as right
	limited bool // 429 is right too: a limit answers most of these requests
	h2      bool // HTTP/2 with prior knowledge instead of HTTP/1.1
	next    atomic.Uint64
}

// A sender sends the target's next request and reads its answer.
type sender interface {
	do() error
	close()
}

func (t *target) connect() (sender, error) {
	if t.h2 {
		return newHTTP2Sender(t), nil
	}
	conn, err := net.DialTimeout("tcp", t.addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &client{target: t, conn: conn, reader: bufio.NewReaderSize(conn, 16<<10)}, nil
}

// client sends one request after another over one connection that it keeps.
type client struct {
	target *target
	conn   net.Conn
	reader *bufio.Reader
	buffer []byte
}

func (c *client) close() { _ = c.conn.Close() }

func (c *client) do() error {
	next := c.target.request(c.target.next.Add(1) - 1)
	method := "GET "
	if next.form != "" {
		method = "POST "
	}
	c.buffer = append(c.buffer[:0], method...)
	c.buffer = append(c.buffer, next.path...)
	c.buffer = append(c.buffer, " HTTP/1.1\r\nHost: "...)
	c.buffer = append(c.buffer, c.target.addr...)
	if next.authorization != "" {
		c.buffer = append(c.buffer, "\r\nAuthorization: "...)
		c.buffer = append(c.buffer, next.authorization...)
	}
	if next.cookie != "" {
		c.buffer = append(c.buffer, "\r\nCookie: "...)
		c.buffer = append(c.buffer, next.cookie...)
	}
	if next.accept != "" {
		c.buffer = append(c.buffer, "\r\nAccept: "...)
		c.buffer = append(c.buffer, next.accept...)
	}
	if next.form != "" {
		c.buffer = append(c.buffer, "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "...)
		c.buffer = strconv.AppendInt(c.buffer, int64(len(next.form)), 10)
	}
	c.buffer = append(c.buffer, "\r\nUser-Agent: bench\r\n\r\n"...)
	c.buffer = append(c.buffer, next.form...)
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.buffer); err != nil {
		return err
	}
	status, err := readAnswer(c.reader)
	if err != nil {
		return err
	}
	return c.target.check(status)
}

func (t *target) check(status int) error {
	if status != t.status && !(t.limited && status == http.StatusTooManyRequests) {
		return fmt.Errorf("status %d where %d was due", status, t.status)
	}
	return nil
}

// http2Sender sends requests over HTTP/2 without TLS. Every sender has its
// own connection, as every HTTP/1.1 client has.
type http2Sender struct {
	target    *target
	transport *http.Transport
}

func newHTTP2Sender(t *target) *http2Sender {
	transport := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	transport.Protocols.SetUnencryptedHTTP2(true)
	return &http2Sender{target: t, transport: transport}
}

func (s *http2Sender) close() { s.transport.CloseIdleConnections() }

func (s *http2Sender) do() error {
	next := s.target.request(s.target.next.Add(1) - 1)
	r, err := http.NewRequest(http.MethodGet, "http://"+s.target.addr+next.path, nil)
	if err != nil {
		return err
	}
	if next.authorization != "" {
		r.Header.Set("Authorization", next.authorization)
	}
	if next.cookie != "" {
		r.Header.Set("Cookie", next.cookie)
	}
	answer, err := s.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	return s.target.check(answer.StatusCode)
}

// readAnswer reads one HTTP/1.1 answer with a Content-Length and returns its
// status. It looks at nothing else: a full parser would cost as much CPU as
// the proxy under test.
func readAnswer(r *bufio.Reader) (status int, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return 0, fmt.Errorf("malformed status line %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, fmt.Errorf("malformed status line %q", line)
	}
	length := -1
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		return 0, errors.New("answer without Content-Length")
	}
	_, err = r.Discard(length)
	return status, err
}

// closedLoop keeps the given number of connections to each target busy until
// the context ends and returns how many requests each target has answered.
// Every worker goes from one target to the next with each request, so that
// all targets get the same number of requests at the same time: how many
// requests a proxy finds waiting when it wakes up changes what one costs.
func closedLoop(ctx context.Context, connections int, targets ...*target) (uint64, error) {
	var answered atomic.Uint64
	var failed atomic.Pointer[error]
	var group sync.WaitGroup
	for worker := range connections * len(targets) {
		group.Go(func() {
			if err := visit(ctx, worker, targets, &answered); err != nil {
				failed.Store(&err)
			}
		})
	}
	group.Wait()
	rounds := answered.Load() / uint64(len(targets))
	if err := failed.Load(); err != nil {
		return rounds, *err
	}
	return rounds, nil
}

// visit is one worker. It ends with as many requests to each target, and
// begins with another target than its neighbour.
func visit(ctx context.Context, worker int, targets []*target, answered *atomic.Uint64) error {
	senders := make([]sender, len(targets))
	for i, t := range targets {
		var err error
		if senders[i], err = t.connect(); err != nil {
			return fmt.Errorf("load on %s: %w", t.addr, err)
		}
		defer senders[i].close()
	}
	for ctx.Err() == nil {
		for i := range senders {
			at := (worker + i) % len(senders)
			if err := senders[at].do(); err != nil {
				return fmt.Errorf("load on %s: %w", targets[at].addr, err)
			}
			answered.Add(1)
		}
	}
	return nil
}

// latencies are sorted durations from when a request was due to its answer.
type latencies []time.Duration

func (l latencies) quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[min(len(l)-1, int(q*float64(len(l))))]
}

// openLoop sends requests at a fixed rate whether or not earlier ones have
// been answered, and measures each from the moment at which it was due. A
// request that finds all connections busy waits, and the wait counts.
func openLoop(ctx context.Context, t *target, perSecond, connections int) (latencies, error) {
	due := make(chan time.Time, perSecond) // a second of backlog before the clock itself would wait
	go func() {
		defer close(due)
		start, interval := time.Now(), time.Second/time.Duration(perSecond)
		for n := 0; ; n++ {
			moment := start.Add(time.Duration(n) * interval)
			if !sleepUntil(ctx, moment) {
				return
			}
			select {
			case due <- moment:
			case <-ctx.Done():
				return
			}
		}
	}()

	var mutex sync.Mutex
	var all latencies
	var failed error
	var group sync.WaitGroup
	for range connections {
		group.Go(func() {
			c, err := t.connect()
			var own latencies
			if err == nil {
				defer c.close()
				for moment := range due {
					if err = c.do(); err != nil {
						break
					}
					own = append(own, time.Since(moment))
				}
			}
			mutex.Lock()
			defer mutex.Unlock()
			all = append(all, own...)
			if err != nil && failed == nil {
				failed = err
			}
		})
	}
	group.Wait()
	for range due { // let the clock end when every connection failed
	}
	slices.Sort(all)
	if failed != nil && !errors.Is(failed, io.EOF) {
		return all, fmt.Errorf("load on %s: %w", t.addr, failed)
	}
	return all, failed
}

func sleepUntil(ctx context.Context, moment time.Time) bool {
	wait := time.Until(moment)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
