// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// What the tests of this package run against: Caddy in this process with a
// configuration in a Caddyfile, an authorization server and an upstream on
// loopback. Requests are written by hand where a client library would correct
// them.

// authServer is an authorization server with discovery and introspection. Its
// answers are those of tokens; any other token is inactive.
type authServer struct {
	*httptest.Server

	mu     sync.Mutex
	tokens map[string]map[string]any
	down   bool
	asked  int
}

func newAuthServer(t testing.TB) *authServer {
	s := &authServer{tokens: make(map[string]map[string]any)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": s.URL, "introspection_endpoint": s.URL + "/introspect", "jwks_uri": s.URL + "/jwks",
		})
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, `{"keys":[]}`) })
	mux.HandleFunc("POST /introspect", s.introspect)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *authServer) introspect(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if id, secret, ok := r.BasicAuth(); !ok || id != "gateway" || secret != "secret" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if s.down {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	answer := map[string]any{"active": false}
	if claims, ok := s.tokens[r.PostFormValue("token")]; ok {
		answer = maps.Clone(claims)
		answer["active"] = true
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// issue makes a token valid.
func (s *authServer) issue(token string, claims map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = claims
}

func (s *authServer) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// upstream answers every request with what it received, byte by byte.
type upstream struct {
	net.Listener
	mu    sync.Mutex
	count int
}

func newUpstream(t testing.TB) *upstream {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{Listener: l}
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { u.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); connections.Wait() })
	return u
}

func (u *upstream) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(conn)
	var raw bytes.Buffer
	chunked := false
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		raw.WriteString(line)
		chunked = chunked || strings.HasPrefix(strings.ToLower(line), "transfer-encoding: chunked")
		if line == "\r\n" {
			break
		}
	}
	for last := false; chunked; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		raw.WriteString(line)
		last = last || line == "0\r\n"
		if last && line == "\r\n" {
			break
		}
	}
	u.mu.Lock()
	u.count++
	u.mu.Unlock()
	fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", raw.Len(), raw.String())
}

func (u *upstream) requests() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.count
}

// gateway is Caddy with a configuration.
type gateway struct {
	testing.TB
	address  string
	auth     *authServer
	upstream *upstream
	dir      string

	adminAddress string // "" for no admin endpoint
	bare         bool   // the site has no host in its address
}

// skeleton is the Caddyfile that the tests fill: options of the app `gluu`
// and the site.
const skeleton = `{
	%[1]s
	gluu {
		%[2]s
	}
}
http://%[3]s {
	%[4]s
}
`

// provider describes the authorization server of the test in the app. The
// endpoint is named so that no request has to wait for the discovery.
const provider = `provider {
	issuer %[1]s
	introspection_endpoint %[1]s/introspect
	client_id gateway
	client_secret secret
	audience api
	verify introspection
}
`

// start runs a gateway. In app and site {upstream} and {issuer} are replaced.
func start(t testing.TB, app, site string) *gateway {
	t.Helper()
	g := &gateway{TB: t, dir: t.TempDir(), auth: newAuthServer(t), upstream: newUpstream(t), address: caddytest.FreeAddress(t)}
	caddytest.StopAfter(t)
	g.load(app, site)
	return g
}

// load runs another configuration in the place of the present one.
func (g *gateway) load(app, site string) {
	g.Helper()
	if err := g.tryLoad(app, site); err != nil {
		g.Fatal(err)
	}
}

func (g *gateway) tryLoad(app, site string) error {
	if !strings.Contains(app, "provider ") {
		app = fmt.Sprintf(provider, g.auth.URL) + app
	}
	fill := strings.NewReplacer("{upstream}", g.upstream.Addr().String(), "{issuer}", g.auth.URL).Replace
	address := g.address
	if g.bare {
		address = address[strings.LastIndexByte(address, ':'):]
	}
	return caddytest.Run(fmt.Sprintf(skeleton, caddytest.Options(g.dir, g.adminAddress), fill(app), address, fill(site)), address)
}

// answer is what a client gets.
type answer struct {
	status int
	header http.Header
	body   string
}

// send writes a request as it is, with \n for the ends of lines, and without
// the ones at its end.
func (g *gateway) send(request string) answer {
	g.Helper()
	got, err := g.trySend(request)
	for range 10 {
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		// Right after a reload the kernel may give a connection to the socket
		// of the old configuration, which Caddy closes.
		got, err = g.trySend(request)
	}
	if err != nil {
		g.Fatalf("%v, after the request\n%s", err, request)
	}
	return got
}

func (g *gateway) trySend(request string) (answer, error) {
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", g.address)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	raw := strings.ReplaceAll(request, "\n", "\r\n")
	if !strings.Contains(raw, "\r\n\r\n") {
		raw += "\r\n\r\n"
	}
	if _, err := io.WriteString(conn, raw); err != nil {
		return answer{}, err
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body)}, err
}

// get sends a request for a target with a bearer token, if it is not "", and
// further lines of its head.
func (g *gateway) get(target, token string, lines ...string) answer {
	g.Helper()
	return g.request("GET", target, token, lines...)
}

func (g *gateway) request(method, target, token string, lines ...string) answer {
	g.Helper()
	head := []string{method + " " + target + " HTTP/1.1", "Host: " + g.address}
	if token != "" {
		head = append(head, "Authorization: Bearer "+token)
	}
	return g.send(strings.Join(append(head, lines...), "\n"))
}

// received returns what the upstream received under a name, in any spelling
// that is one to CGI.
func (a answer) received(name string) []string {
	fold := strings.NewReplacer("_", "-", ".", "-").Replace
	var values []string
	for line := range strings.SplitSeq(a.body, "\r\n") {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(fold(key), fold(name)) {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

// receivedTarget returns the request target that the upstream received.
func (a answer) receivedTarget() string {
	fields := strings.Fields(a.body)
	if len(fields) < 2 {
		return ""
	}
	return fields[1]
}

// code returns the error code of a refusal's body.
func (a answer) code() string {
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal([]byte(a.body), &body) != nil {
		return ""
	}
	return body.Error
}

// records returns the log lines with a message.
func (g *gateway) records(message string) []map[string]any {
	g.Helper()
	return caddytest.Records(g, g.dir, message)
}

// lastReason returns the reason code of the last refusal on record.
func (g *gateway) lastReason() string {
	g.Helper()
	records := g.records("request refused")
	if len(records) == 0 {
		return ""
	}
	reason, _ := records[len(records)-1]["reason"].(string)
	return reason
}

func claims(clientID, scope string, more ...any) map[string]any {
	c := map[string]any{
		"client_id": clientID, "scope": scope, "sub": "user-" + clientID, "aud": "api",
		"exp": time.Now().Add(time.Hour).Unix(),
	}
	for pair := range slices.Chunk(more, 2) {
		c[pair[0].(string)] = pair[1]
	}
	return c
}

func stop() error { return caddy.Stop() }
