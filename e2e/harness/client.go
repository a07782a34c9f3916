// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// A Request is sent byte for byte. Only Host (unless it is among the fields)
// and, with a body, Content-Length are added.
type Request struct {
	Method string // GET if empty
	Target string // the request target, byte for byte
	Fields []Field
	Body   string
}

// Bearer is an Authorization line with a bearer token.
func Bearer(token string) Field { return Field{"Authorization", "Bearer " + token} }

// A Response is an answer, its body read.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// Echo returns what the upstream received, nil if the answer is not the
// upstream's.
func (r *Response) Echo() *Received {
	if r.Status != http.StatusOK || r.Header.Get("Content-Type") != "application/json" {
		return nil
	}
	var received Received
	if json.Unmarshal([]byte(r.Body), &received) != nil || received.Proto == "" {
		return nil
	}
	return &received
}

// Error returns the members "error" and "error_description" of a refusal.
func (r *Response) Error() (code, description string) {
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal([]byte(r.Body), &body) != nil {
		return "", ""
	}
	return body.Error, body.Description
}

// String is for messages of tests.
func (r *Response) String() string {
	return fmt.Sprintf("%d, WWW-Authenticate %q, body %q", r.Status, r.Header.Values("WWW-Authenticate"), r.Body)
}

// A Client sends requests in one version of HTTP.
type Client interface {
	// Protocol is "HTTP/1.1", "HTTP/2" or "HTTP/3".
	Protocol() string
	Do(ctx context.Context, request Request) (*Response, error)
}

// HTTP1 returns a client that writes HTTP/1.1 by hand, each request on a
// connection of its own, so that illegal spellings survive.
func HTTP1(addr string) Client { return http1{addr} }

type http1 struct{ addr string }

func (http1) Protocol() string { return "HTTP/1.1" }

func (c http1) Do(ctx context.Context, request Request) (*Response, error) {
	var wire bytes.Buffer
	method := request.Method
	if method == "" {
		method = http.MethodGet
	}
	fmt.Fprintf(&wire, "%s %s HTTP/1.1\r\n", method, request.Target)
	hasHost := false
	for _, field := range request.Fields {
		hasHost = hasHost || strings.EqualFold(field.Name, "Host")
	}
	if !hasHost {
		fmt.Fprintf(&wire, "Host: %s\r\n", c.addr)
	}
	for _, field := range request.Fields {
		fmt.Fprintf(&wire, "%s: %s\r\n", field.Name, field.Value)
	}
	if request.Body != "" {
		fmt.Fprintf(&wire, "Content-Length: %d\r\n", len(request.Body))
	}
	fmt.Fprintf(&wire, "\r\n%s", request.Body)
	return SendRaw(ctx, c.addr, wire.Bytes())
}

// SendRaw writes the bytes onto a new connection and reads one answer.
// The server must answer or close the connection, whatever the bytes are; a
// timeout is an error.
func SendRaw(ctx context.Context, addr string, request []byte) (*Response, error) {
	return send(ctx, addr, request, false)
}

// SendAndHangUp is SendRaw for bytes that may not be a whole request: it
// closes its sending half, so that the server does not wait for the rest.
func SendAndHangUp(ctx context.Context, addr string, request []byte) (*Response, error) {
	return send(ctx, addr, request, true)
}

func send(ctx context.Context, addr string, request []byte, hangUp bool) (*Response, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	// A server may answer and close before it has read everything; its
	// answer counts, the broken pipe does not.
	_, writeErr := conn.Write(request)
	if hangUp && writeErr == nil {
		writeErr = conn.(*net.TCPConn).CloseWrite()
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), readAs(request))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", errors.Join(err, writeErr, context.Cause(ctx)))
	}
	return readResponse(answer)
}

// readAs tells net/http how to read the answer: one to HEAD has no body.
func readAs(request []byte) *http.Request {
	method, _, _ := bytes.Cut(request, []byte(" "))
	return &http.Request{Method: string(method)}
}

func readResponse(answer *http.Response) (*Response, error) {
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the answer's body: %w", err)
	}
	return &Response{Status: answer.StatusCode, Header: answer.Header, Body: string(body)}, nil
}
