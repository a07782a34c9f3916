// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// A Relay is a proxy between the gateway and an authorization server. It counts
// the requests for each path and can answer some itself, so that one set of
// faults works with every server.
type Relay struct {
	Addr string // host:port

	server *http.Server
	target *url.URL

	mu     sync.Mutex
	counts map[string]int
	faults map[string]http.HandlerFunc
	bodies map[string][]string // of the answers of recorded paths
	slow   map[string]time.Duration
}

// newRelay listens at once, so that its address is known before the server
// behind it starts.
func newRelay() (*Relay, error) { return newSecureRelay(nil) }

// newSecureRelay makes a relay that speaks TLS, unless the configuration is
// nil.
func newSecureRelay(secure *tls.Config) (*Relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := listener.Addr().String()
	if secure != nil {
		listener = tls.NewListener(listener, secure)
	}
	r := &Relay{
		Addr:   addr,
		counts: map[string]int{},
		faults: map[string]http.HandlerFunc{},
	}
	r.server = &http.Server{Handler: r}
	go r.server.Serve(listener)
	return r, nil
}

// StartRelay starts a relay to a server at addr (host:port).
func StartRelay(t testing.TB, addr string) *Relay {
	t.Helper()
	r, err := newRelay()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	r.ForwardTo(addr)
	return r
}

// StartSecureRelay starts a relay that ends TLS, with a certificate of its own,
// in front of a server at addr (host:port).
func StartSecureRelay(t testing.TB, addr string) *Relay {
	t.Helper()
	certificate, err := tls.X509KeyPair(pemOf(Certificate(t)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := newSecureRelay(&tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	r.ForwardTo(addr)
	return r
}

func pemOf(certificate, key string) (certificatePEM, keyPEM []byte) {
	return []byte(certificate), []byte(key)
}

// ForwardTo makes it forward to the server at addr (host:port) from now on.
func (r *Relay) ForwardTo(addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target = &url.URL{Scheme: "http", Host: addr}
}

func (r *Relay) close() { r.server.Close() }

// ServeHTTP implements http.Handler.
func (r *Relay) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	r.counts[request.URL.Path]++
	fault, target, wait := r.faults[request.URL.Path], r.target, r.slow[request.URL.Path]
	if fault == nil {
		fault = r.faults["*"]
	}
	r.mu.Unlock()
	if fault != nil {
		fault(w, request)
		return
	}
	if target == nil {
		http.Error(w, "this relay has no server behind it yet", http.StatusBadGateway)
		return
	}
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-request.Context().Done():
			return
		}
	}
	// The Host header stays: the server behind names itself by it.
	(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		p.Out.Host = p.In.Host
		p.Out.Header.Del("X-Client-Certificate")
		if p.In.TLS == nil {
			return
		}
		p.Out.Header.Set("X-Forwarded-Proto", "https")
		if certificates := p.In.TLS.PeerCertificates; len(certificates) > 0 {
			p.Out.Header.Set("X-Client-Certificate", base64.StdEncoding.EncodeToString(certificates[0].Raw))
		}
	}, ModifyResponse: r.record}).ServeHTTP(w, request)
}

// Slow makes the server behind it take this much longer for a path.
func (r *Relay) Slow(path string, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.slow == nil {
		r.slow = map[string]time.Duration{}
	}
	r.slow[path] = wait
}

// Record makes it keep the bodies of the answers of a path.
func (r *Relay) Record(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bodies == nil {
		r.bodies = map[string][]string{}
	}
	r.bodies[path] = []string{}
}

// Recorded returns the bodies of the answers of a path since Record.
func (r *Relay) Recorded(path string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bodies[path])
}

func (r *Relay) record(response *http.Response) error {
	path := response.Request.URL.Path
	r.mu.Lock()
	_, recorded := r.bodies[path]
	r.mu.Unlock()
	if !recorded {
		return nil
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies[path] = append(r.bodies[path], string(body))
	return nil
}

// Count returns how many calls of a path there were.
func (r *Relay) Count(path string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[path]
}

// Counts returns the number of calls of each path.
func (r *Relay) Counts() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}

// Fault makes the relay answer a path itself ("*": all that have no fault of
// their own), nil makes it forward again.
func (r *Relay) Fault(path string, answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if answer == nil {
		delete(r.faults, path)
		return
	}
	r.faults[path] = answer
}

// CloseConnection is a fault: the connection is closed without an answer.
func CloseConnection(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// Hang is a fault: no answer until the caller gives up.
func Hang(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() }

// Answer is a fault: this status, content type and body.
func Answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

// Endless is a fault: a body that never ends.
func Endless(w http.ResponseWriter, request *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	chunk := []byte(`{"active": true, "padding": "` + string(make([]byte, 64<<10)))
	for request.Context().Err() == nil {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}
