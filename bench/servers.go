// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// authServer is an authorization server under load, and how a client asks it.
type authServer struct {
	name              string
	proxy             *proxy
	token, introspect string // paths
	stop              func()
}

const (
	serverClient = "app"
	serverScope  = "todos:read"
)

var serverAuthorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(serverClient+":"+issuerSecret))

// authServers measures the gateway's authorization server beside npm's oidc-provider, if
// that is installed. One runs at a time, on the core that the pair has otherwise.
func authServers(ctx context.Context, dir string, cfg settings, store string) error {
	fmt.Printf("%d rounds of %s with %d connections, one server at a time on one core\n\n", cfg.rounds, cfg.length, cfg.connections)
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight|tabwriter.Debug)
	fmt.Fprintln(out, "server\trequest\tCPU a request\trequests/s\t")
	for _, start := range []func() (*authServer, error){
		func() (*authServer, error) { return startGatewayServer(dir, cfg, store) },
		func() (*authServer, error) { return startOIDCProvider(dir, cfg) },
	} {
		server, err := start()
		if err != nil {
			return err
		}
		if server == nil {
			fmt.Fprintln(os.Stderr, "oidc-provider is not installed: run 'npm ci' in e2e to measure it, too")
			continue
		}
		err = server.measure(ctx, out, cfg)
		server.stop()
		if err != nil {
			return fmt.Errorf("%s: %w", server.name, err)
		}
	}
	return out.Flush()
}

// startGatewayServer runs the gateway with a server alone. Its secret is hashed with
// argon2id, and what it answers is on the disk by then.
func startGatewayServer(dir string, cfg settings, store string) (*authServer, error) {
	hash, err := exec.Command(cfg.binary, "gluu", "hash-secret", "--plaintext", issuerSecret).Output()
	if err != nil {
		return nil, fmt.Errorf("hashing the client secret: %w", err)
	}
	option := ""
	if store != "" {
		option = "\t\tstore " + store + " {\n\t\t\tkey 0123456789abcdef0123456789abcdef\n\t\t}\n"
	}
	caddyfile := fmt.Sprintf("{\n\tadmin {{admin}}\n\tlog {\n\t\tlevel WARN\n\t}\n}\nhttp://{{addr}} {\n\tgluu_oauth_server {\n\t\tissuer http://{{addr}}\n\t\tscopes %s\n\t\ttoken_ttl 5m\n"+
		"\t\tclient %s {\n\t\t\tsecret `%s`\n\t\t\tgrants client_credentials\n\t\t\tscopes %[1]s\n\t\t}\n%[4]s\t}\n}\n", serverScope, serverClient, strings.TrimSpace(string(hash)), option)
	process, err := startProxy(cfg.binary, dir, "server", caddyfile, cfg.core)
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(store, " ")
	if name == "" {
		name = "embedded"
	}
	return &authServer{"gateway, " + name, process, "/oauth2/token", "/oauth2/introspect", process.stop}, nil
}

// startOIDCProvider runs npm's oidc-provider as the end-to-end tests do: what it issues is
// in its memory alone. It returns nil if it is not installed.
func startOIDCProvider(dir string, cfg settings) (*authServer, error) {
	script := filepath.Join("e2e", "oidcprovider", "server.mjs")
	if _, err := os.Stat(filepath.Join("e2e", "node_modules", "oidc-provider")); err != nil {
		return nil, nil
	}
	config, err := json.Marshal(map[string]any{
		"issuer": "http://127.0.0.1", "scopes": []string{serverScope},
		"clients": []map[string]any{{
			"client_id": serverClient, "client_secret": issuerSecret, "scope": serverScope,
			"grant_types": []string{"client_credentials"}, "response_types": []string{}, "redirect_uris": []string{},
		}},
	})
	if err != nil {
		return nil, err
	}
	cmd := pinned(cfg.core, "node", script)
	cmd.Env = append(os.Environ(), "OIDC_CONFIG="+string(config), "NODE_ENV=production")
	input, err := cmd.StdinPipe() // it ends when this is closed
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "oidc-provider.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting node: %w", err)
	}
	p := &proxy{cmd: cmd}
	stop := func() {
		_ = input.Close()
		p.stop()
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		var ready struct{ Port int }
		if json.Unmarshal(lines.Bytes(), &ready) == nil && ready.Port > 0 {
			p.addr = fmt.Sprint("127.0.0.1:", ready.Port)
			return &authServer{"oidc-provider, memory", p, "/token", "/token/introspection", stop}, nil
		}
	}
	stop()
	return nil, fmt.Errorf("oidc-provider has ended before it was ready: see its messages with 'node %s'", script)
}

// measure prints a row for each kind of request.
func (s *authServer) measure(ctx context.Context, out io.Writer, cfg settings) error {
	credentials := url.Values{"grant_type": {"client_credentials"}, "scope": {serverScope}}
	var token string
	if err := waitFor(20*time.Second, func() (ok bool) {
		token, _ = s.issue(credentials)
		return token != ""
	}); err != nil {
		return fmt.Errorf("no token was issued: %w", err)
	}
	for _, kind := range []struct {
		name, path string
		form       url.Values
	}{
		{"token, client credentials", s.token, credentials},
		{"introspection", s.introspect, url.Values{"token": {token}}},
	} {
		r := request{path: kind.path, authorization: serverAuthorization, form: kind.form.Encode()}
		t := &target{addr: s.proxy.addr, status: http.StatusOK, request: func(uint64) request { return r }}
		cpu, perSecond, err := s.load(ctx, t, cfg)
		if err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		fmt.Fprintf(out, "%s\t%s\t%.0fµs\t%.0f\t\n", s.name, kind.name, cpu, perSecond)
	}
	return nil
}

// load returns the medians of the rounds, after one that warms up.
func (s *authServer) load(ctx context.Context, t *target, cfg settings) (cpu, perSecond float64, err error) {
	var costs, rates []float64
	for round := range cfg.rounds + 1 {
		before, err := s.proxy.cpuTime()
		if err != nil {
			return 0, 0, err
		}
		window, cancel := context.WithTimeout(ctx, cfg.length)
		answered, err := closedLoop(window, cfg.connections, t)
		cancel()
		if err != nil {
			return 0, 0, err
		}
		after, err := s.proxy.cpuTime()
		if err != nil {
			return 0, 0, err
		}
		if answered == 0 {
			return 0, 0, fmt.Errorf("no request was answered in %s", cfg.length)
		}
		if round > 0 {
			costs = append(costs, micros(after-before)/float64(answered))
			rates = append(rates, float64(answered)/cfg.length.Seconds())
		}
	}
	return median(costs), median(rates), nil
}

// issue asks for a token once.
func (s *authServer) issue(form url.Values) (string, error) {
	r, err := http.NewRequest(http.MethodPost, "http://"+s.proxy.addr+s.token, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", serverAuthorization)
	response, err := (&http.Client{Timeout: 10 * time.Second}).Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var granted struct {
		AccessToken string `json:"access_token"`
	}
	err = json.NewDecoder(response.Body).Decode(&granted)
	return granted.AccessToken, err
}
