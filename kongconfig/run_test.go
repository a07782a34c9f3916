// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gluu/gateway"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/kongconfig"
)

// environment is a set of variables.
type environment map[string]string

// adapt adapts a file.
func adapt(t testing.TB, source string, env environment) ([]byte, []caddyconfig.Warning, error) {
	t.Helper()
	adapter := kongconfig.Adapter{Getenv: func(name string) string { return env[name] }}
	return adapter.Adapt([]byte(source), map[string]any{"filename": "kong.yml"})
}

// gateway is a running gateway with an upstream that says what it has received.
type gateway struct {
	t       testing.TB
	address string
}

// run adapts a file, in which UPSTREAM stands for the address of an upstream,
// and runs it.
func run(t testing.TB, source string, env environment) *gateway {
	t.Helper()
	return runAt(t, source, func(string) environment { return env })
}

// runAt is run with variables that depend on the gateway's address.
func runAt(t testing.TB, source string, env func(address string) environment) *gateway {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(upstream.Close)
	address := caddytest.FreeAddress(t)
	withListen := environment{"KONG_PROXY_LISTEN": address}
	maps.Copy(withListen, env(address))
	config, _, err := adapt(t, strings.ReplaceAll(source, "UPSTREAM", upstream.Listener.Addr().String()), withListen)
	if err != nil {
		t.Fatal(err)
	}
	load(t, config, address)
	return &gateway{t: t, address: address}
}

// load runs a configuration without an admin endpoint.
func load(t testing.TB, config []byte, address string) {
	t.Helper()
	loadWith(t, config, address, map[string]any{"disabled": true, "config": map[string]any{"persist": false}})
}

// loadWithAdmin runs a configuration with an admin endpoint.
func loadWithAdmin(t testing.TB, config []byte, address, admin string) {
	t.Helper()
	loadWith(t, config, address, map[string]any{"listen": admin, "config": map[string]any{"persist": false}})
}

func loadWith(t testing.TB, config []byte, address string, admin map[string]any) {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", t.TempDir()) // where stores are by default
	var members map[string]any
	if err := json.Unmarshal(config, &members); err != nil {
		t.Fatal(err)
	}
	members["admin"] = admin
	members["storage"] = map[string]any{"module": "file_system", "root": storage(t)}
	config, _ = json.Marshal(members)
	if err := caddytest.Load(config, address); err != nil {
		t.Fatal(err)
	}
	caddytest.StopAfter(t)
}

// storage returns a directory for Caddy's storage. Certificates are written to it in
// the background, also while it is being removed.
func storage(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kong")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// echo says what the upstream has received.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Upstream", "yes")
	_ = json.NewEncoder(w).Encode(received{r.Method, r.RequestURI, r.Host, r.Header, string(body)})
}

type received struct {
	Method, URI, Host string
	Header            http.Header
	Body              string
}

// response is an answer, and what the upstream has received if it got that far.
type response struct {
	status   int
	header   http.Header
	body     string
	upstream *received
}

// ask sends a request that is written as its first line and headers, such as
// "GET h /path" and "Name: value".
func (g *gateway) ask(request string, headers ...string) response {
	g.t.Helper()
	parts := strings.Fields(request)
	conn, err := net.Dial("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n", parts[0], parts[2], parts[1], strings.Join(append(headers, ""), "\r\n"))
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: parts[0]})
	if err != nil {
		g.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	got := response{status: res.StatusCode, header: res.Header, body: string(body)}
	if res.Header.Get("X-Upstream") != "" {
		got.upstream = new(received)
		if err := json.Unmarshal(body, got.upstream); err != nil {
			g.t.Fatal(err)
		}
	}
	return got
}

// said is the answer in one line: the path at the upstream, or status and text.
func (r response) said() string {
	if r.upstream != nil {
		return r.upstream.URI
	}
	var message struct{ Message string }
	_ = json.Unmarshal([]byte(r.body), &message)
	return strings.TrimSpace(fmt.Sprintf("%d %s", r.status, message.Message))
}
