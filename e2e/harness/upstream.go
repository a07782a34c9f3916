// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A Field is one header line, spelled as it was sent.
type Field struct{ Name, Value string }

// Received is a request as the upstream read it from the wire.
type Received struct {
	Method string
	Target string // the request target, never decoded
	Proto  string
	Fields []Field // in order, in their spelling
	Body   string

	Trailers http.Header
}

// Values returns the values of all header lines of that name, compared as
// HTTP does: without regard to case.
func (r *Received) Values(name string) []string {
	var values []string
	for _, field := range r.Fields {
		if strings.EqualFold(field.Name, name) {
			values = append(values, field.Value)
		}
	}
	return values
}

// Value returns the value of the only header line of that name, or "". Several
// lines are joined, so that no comparison passes by accident.
func (r *Received) Value(name string) string {
	return strings.Join(r.Values(name), " || ")
}

// An Upstream is a server that answers every request with a JSON object of
// what it received, byte for byte. It parses requests by hand, because
// net/http would put their headers in order and their paths right.
type Upstream struct {
	Addr string // host:port

	listener net.Listener
	mu       sync.Mutex
	received []*Received
	conns    map[net.Conn]bool
}

// StartUpstream starts an upstream for the life of the test.
func StartUpstream(t testing.TB) *Upstream {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &Upstream{Addr: listener.Addr().String(), listener: listener, conns: map[net.Conn]bool{}}
	go u.accept()
	t.Cleanup(u.close)
	return u
}

// Received returns all requests so far.
func (u *Upstream) Received() []*Received {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.received)
}

// Count returns how many requests have arrived.
func (u *Upstream) Count() int { return len(u.Received()) }

func (u *Upstream) accept() {
	for {
		conn, err := u.listener.Accept()
		if err != nil {
			return
		}
		u.mu.Lock()
		u.conns[conn] = true
		u.mu.Unlock()
		go u.serve(conn)
	}
}

func (u *Upstream) close() {
	u.listener.Close()
	u.mu.Lock()
	defer u.mu.Unlock()
	for conn := range u.conns {
		conn.Close()
	}
}

func (u *Upstream) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		u.mu.Lock()
		delete(u.conns, conn)
		u.mu.Unlock()
	}()
	reader := bufio.NewReader(conn)
	for {
		request, err := readRequest(reader)
		if request != nil {
			u.mu.Lock()
			u.received = append(u.received, request)
			u.mu.Unlock()
		}
		if err != nil {
			return
		}
		body, err := json.Marshal(request)
		if err != nil {
			return
		}
		head := len(body)
		if request.Method == http.MethodHead {
			body = nil
		}
		if _, err := fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", head, body); err != nil {
			return
		}
	}
}

// readRequest reads the head line by line as it is, and leaves only the body
// to net/http, which knows its encodings. A head that net/http does not like
// is returned beside the error.
func readRequest(reader *bufio.Reader) (*Received, error) {
	var head bytes.Buffer
	request := new(Received)
	for n := 0; ; n++ {
		line, err := reader.ReadString('\n')
		if err != nil {
			return nil, err
		}
		head.WriteString(line)
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line == "" {
			break
		}
		if n == 0 {
			request.Method, line, _ = strings.Cut(line, " ")
			space := strings.LastIndex(line, " ")
			if space < 0 {
				return nil, fmt.Errorf("no request line: %q", head.String())
			}
			request.Target, request.Proto = line[:space], line[space+1:]
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		request.Fields = append(request.Fields, Field{name, strings.TrimLeft(value, " \t")})
	}
	parsed, err := http.ReadRequest(bufio.NewReader(io.MultiReader(&head, reader)))
	if err != nil {
		return request, err
	}
	body, err := io.ReadAll(parsed.Body)
	request.Body, request.Trailers = string(body), parsed.Trailer
	return request, err
}
