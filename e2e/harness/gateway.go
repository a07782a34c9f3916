// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/testenv"
)

// GatewayConfig says how a gateway is started.
type GatewayConfig struct {
	// Caddyfile is the configuration. It can use {$SITE}, an http:// address
	// with a free loopback port, {$PORT}, that port, {$TLS_SITE}, an https://
	// address with another (see Certificate), and whatever Env defines.
	// The admin endpoint needs no option: it gets a free port of its own.
	Caddyfile string

	// Kong is a file of Kong that is the configuration instead. It is served at
	// {$SITE}'s address.
	Kong string

	// Env is added to the environment of the process.
	Env map[string]string

	// Files are written beside the configuration, by name, which can have folders.
	Files map[string]string

	// Binary is what to run; harness.Binary if empty.
	Binary string

	// Home is where it keeps what it stores; a folder of its own if empty.
	// Two gateways, or one before and after a restart, can share it.
	Home string
}

// A Gateway is the binary under test, running.
type Gateway struct {
	*Process
	Addr  string // host:port of {$SITE}
	TLS   string // host:port of {$TLS_SITE}
	Admin string // host:port of the admin endpoint

	t       testing.TB
	mu      sync.Mutex
	secrets map[string]bool
}

// StartGateway starts a gateway for the life of the test and waits until it
// serves.
func StartGateway(t testing.TB, config GatewayConfig) *Gateway {
	t.Helper()
	if config.Binary == "" {
		config.Binary = Binary(t)
	}
	if config.Home == "" {
		config.Home = t.TempDir()
	}
	dir := writeFiles(t, config)
	var err error
	// A port that was free a moment ago may be taken; then others are tried.
	for range 5 {
		var g *Gateway
		if g, err = startGateway(t, config, dir); err == nil {
			t.Cleanup(func() { g.finish() })
			return g
		}
		if !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	t.Fatal(err)
	return nil
}

func startGateway(t testing.TB, config GatewayConfig, dir string) (*Gateway, error) {
	site, err := testenv.FreeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := testenv.FreeAddress()
	if err != nil {
		return nil, err
	}
	overTLS, err := testenv.FreeAddress()
	if err != nil {
		return nil, err
	}
	g := &Gateway{Addr: site, TLS: overTLS, Admin: admin, t: t, secrets: map[string]bool{}}
	args := []string{"run", "--config", "Caddyfile"}
	if config.Kong != "" {
		args = []string{"run", "--config", "kong.yml", "--adapter", "kong"}
	}
	cmd := exec.Command(config.Binary, args...)
	cmd.Dir = dir
	_, port, _ := net.SplitHostPort(site)
	cmd.Env = environment(config, map[string]string{
		"SITE": "http://" + site, "PORT": port, "TLS_SITE": "https://" + overTLS, "CADDY_ADMIN": admin, "KONG_PROXY_LISTEN": site,
	})
	if g.Process, err = startProcess("the gateway", cmd); err != nil {
		return nil, err
	}
	if _, err := g.waitLine(func(line string) bool {
		return parseEntry(line).Text("msg") == "serving initial configuration"
	}); err != nil {
		g.Process.Kill()
		return nil, err
	}
	return g, nil
}

func writeFiles(t testing.TB, config GatewayConfig) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"Caddyfile": config.Caddyfile, "kong.yml": config.Kong}
	maps.Copy(files, config.Files)
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// environment is what the gateway sees: the test's own, without anything
// that points to the files of the person who runs the test.
func environment(config GatewayConfig, more map[string]string) []string {
	env := append(os.Environ(),
		"HOME="+config.Home,
		"XDG_DATA_HOME="+filepath.Join(config.Home, "data"),
		"XDG_CONFIG_HOME="+filepath.Join(config.Home, "config"),
	)
	for _, set := range []map[string]string{config.Env, more} {
		for name, value := range set {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// RunCaddy runs a sub-command (adapt, validate, ...) beside the Caddyfile
// and returns what it printed, and whether it succeeded.
func RunCaddy(t testing.TB, config GatewayConfig, args ...string) (output string, ok bool) {
	t.Helper()
	return RunCaddyWithInput(t, config, "", args...)
}

// RunCaddyWithInput is RunCaddy of a command that reads its standard input.
func RunCaddyWithInput(t testing.TB, config GatewayConfig, input string, args ...string) (output string, ok bool) {
	t.Helper()
	if config.Binary == "" {
		config.Binary = Binary(t)
	}
	if config.Home == "" {
		config.Home = t.TempDir()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, config.Binary, args...)
	cmd.Dir = writeFiles(t, config)
	cmd.Env = environment(config, map[string]string{"SITE": "http://127.0.0.1:9", "PORT": "9", "TLS_SITE": "https://127.0.0.1:10", "CADDY_ADMIN": "127.0.0.1:0"})
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out), err == nil
}

// Clients returns a client for each version of HTTP. The site must offer
// HTTP/2 without TLS: servers { protocols h1 h2c } among the global options.
func (g *Gateway) Clients() []Client {
	return []Client{HTTP1(g.Addr), HTTP2(g.Addr)}
}

// Get sends a GET over HTTP/1.1.
func (g *Gateway) Get(target string, fields ...Field) *Response {
	g.t.Helper()
	return g.Send(Request{Target: target, Fields: fields})
}

// Send sends a request over HTTP/1.1.
func (g *Gateway) Send(request Request) *Response {
	g.t.Helper()
	return g.SendOver(HTTP1(g.Addr), request)
}

// SendOver sends a request and fails the test if no answer comes. Its
// credential must not turn up in the log.
func (g *Gateway) SendOver(client Client, request Request) *Response {
	g.t.Helper()
	g.forbidCredentials(request)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	response, err := client.Do(ctx, request)
	if err != nil {
		g.t.Fatalf("%s %s over %s: %v", request.Method, request.Target, client.Protocol(), err)
	}
	return response
}

// Forbid names secrets that must not turn up in the log.
func (g *Gateway) Forbid(secrets ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, secret := range secrets {
		// What is shorter could stand in a log by accident.
		if len(secret) >= 12 {
			g.secrets[secret] = true
		}
	}
}

func (g *Gateway) forbidCredentials(request Request) {
	for _, field := range request.Fields {
		if !strings.EqualFold(field.Name, "Authorization") {
			continue
		}
		_, credential, _ := strings.Cut(field.Value, " ")
		g.Forbid(strings.TrimSpace(credential))
		// The signature of a JWT is as secret as the whole.
		if parts := strings.Split(credential, "."); len(parts) == 3 {
			g.Forbid(parts[2])
		}
	}
}

// WaitReady waits until the gateway no longer answers 503, which it does until
// it has found its authorization server.
func (g *Gateway) WaitReady(target string, fields ...Field) *Gateway {
	g.t.Helper()
	Eventually(g.t, patience, func() string {
		if response := g.Get(target, fields...); response.Status == http.StatusServiceUnavailable {
			return response.String()
		}
		return ""
	})
	return g
}

// WaitReason waits for a refusal with this reason code in the log, after a
// mark (see Log.Mark).
func (g *Gateway) WaitReason(mark int, reason string) Entry {
	g.t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Second,
		fmt.Errorf("no line of the log has the reason %q", reason))
	defer cancel()
	line, err := g.Log.wait(ctx, mark, func(line string) bool { return parseEntry(line).Text("reason") == reason })
	if err != nil {
		g.t.Fatal(err)
	}
	return parseEntry(line)
}

// broken matches what a gateway must never print.
var broken = regexp.MustCompile(`(?m)^.*(WARNING: DATA RACE|panic|goroutine \d+ \[|fatal error:).*$`)

// finish ends the gateway and reads its whole log once.
func (g *Gateway) finish() {
	g.t.Helper()
	if err := g.Stop(); err != nil {
		g.t.Error(err)
	}
	text := g.Log.String()
	if line := broken.FindString(text); line != "" {
		g.t.Errorf("the gateway's log says %q", line)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for secret := range g.secrets {
		for line := range strings.Lines(text) {
			if strings.Contains(line, secret) {
				g.t.Errorf("the gateway's log contains a credential: %.500s", line)
				break
			}
		}
	}
	if g.t.Failed() {
		g.t.Logf("the end of the gateway's log (the whole: %s):\n%s", keepLog(g.t, text), excerpt(text))
	}
}

// keepLog writes a log where a person can read it after the test.
func keepLog(t testing.TB, text string) string {
	file := filepath.Join(Root(), ".cache", "e2e", "log", strings.ReplaceAll(t.Name(), "/", "_")+".log")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err.Error()
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err.Error()
	}
	return file
}

// excerpt is the last lines of a log that are not about details, cut to a
// readable length.
func excerpt(text string) string {
	const lines, length = 20, 500
	var kept []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, `"level":"debug"`) {
			continue
		}
		if len(line) > length {
			line = line[:length] + "...\n"
		}
		kept = append(kept, line)
	}
	return strings.Join(kept[max(0, len(kept)-lines):], "")
}
