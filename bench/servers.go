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
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
)

// authServer is an authorization server under load, and how a client asks it.
type authServer struct {
	name  string
	proxy *proxy

	token, introspect, authorize string // paths

	elliptic string // a client whose ID tokens are signed with ES256; "": none

	warm time.Duration // how long it warms up; 0: one round
	stop func()
}

const (
	serverClient = "app"
	ellipticApp  = "app-es256"
	serverScope  = "todos:read"
)

var serverAuthorization = basicOf(serverClient)

// basicOf authenticates a client. All have the same secret.
func basicOf(client string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(client+":"+issuerSecret))
}

// authServers measures the gateway's authorization server beside npm's oidc-provider and
// Keycloak, if they are installed. One runs at a time, on the core that the pair has otherwise.
func authServers(ctx context.Context, dir string, cfg settings, store string, wanted *regexp.Regexp) error {
	fmt.Printf("%d rounds of %s with %d connections, one server at a time on one core\n\n", cfg.rounds, cfg.length, cfg.connections)
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight|tabwriter.Debug)
	fmt.Fprintln(out, "server\trequest\tCPU a request\trequests/s\t")
	for _, server := range []struct {
		name    string
		start   func() (*authServer, error)
		install string
	}{
		{"gateway", func() (*authServer, error) { return startGatewayServer(dir, cfg, store) }, ""},
		{"oidc-provider", func() (*authServer, error) { return startOIDCProvider(dir, cfg) }, "npm ci' in e2e"},
		{"Keycloak", func() (*authServer, error) { return startKeycloak(dir, cfg) }, "go test -run Keycloak ./e2e'"},
	} {
		if !wanted.MatchString(server.name) {
			continue
		}
		started, err := server.start()
		if err != nil {
			return err
		}
		if started == nil {
			fmt.Fprintf(os.Stderr, "%s is not installed: run '%s to measure it, too\n", server.name, server.install)
			continue
		}
		err = started.measure(ctx, out, cfg)
		started.stop()
		if err != nil {
			return fmt.Errorf("%s: %w", started.name, err)
		}
	}
	return out.Flush()
}

// serverCaddyfile is a server and, before it, what a handler that has authenticated the
// person says.
const serverCaddyfile = `{
	admin {{admin}}
	log {
		level WARN
	}
}
http://{{addr}} {
	map {path} {http.auth.user.id} {
		default ` + flowPerson + `
	}
	gluu_oauth_server {
		issuer http://{{addr}}
		scopes openid ` + serverScope + `
		token_ttl 5m 5m
		consent_page
		client ` + serverClient + ` {
			secret ` + "`{{hash}}`" + `
			grants client_credentials authorization_code refresh_token
			scopes openid ` + serverScope + `
			redirect_uris ` + flowRedirect + `
		}
		client ` + ellipticApp + ` {
			secret ` + "`{{hash}}`" + `
			grants authorization_code refresh_token
			scopes openid ` + serverScope + `
			redirect_uris ` + flowRedirect + `
			id_token_signed_response_alg ES256
		}
		{{store}}
	}
}
`

// startGatewayServer runs the gateway with a server alone. Its secret is hashed with
// argon2id, and what it answers is on the disk by then.
func startGatewayServer(dir string, cfg settings, store string) (*authServer, error) {
	hash, err := exec.Command(cfg.binary, "gluu", "hash-secret", "--plaintext", issuerSecret).Output()
	if err != nil {
		return nil, fmt.Errorf("hashing the client secret: %w", err)
	}
	option := ""
	if store != "" {
		option = "store " + store + " {\n\t\t\tkey 0123456789abcdef0123456789abcdef\n\t\t}"
	}
	caddyfile := strings.NewReplacer("{{hash}}", strings.TrimSpace(string(hash)), "{{store}}", option).Replace(serverCaddyfile)
	process, err := startProxy(cfg.binary, dir, "server", caddyfile, cfg.core)
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(store, " ")
	if name == "" {
		name = "embedded"
	}
	return &authServer{name: "gateway, " + name, proxy: process, token: "/oauth2/token", introspect: "/oauth2/introspect", authorize: "/oauth2/authorize", elliptic: ellipticApp, stop: process.stop}, nil
}

// startOIDCProvider runs npm's oidc-provider as the end-to-end tests do: what it issues is
// in its memory alone. It returns nil if it is not installed.
func startOIDCProvider(dir string, cfg settings) (*authServer, error) {
	script := filepath.Join("e2e", "oidcprovider", "server.mjs")
	if _, err := os.Stat(filepath.Join("e2e", "node_modules", "oidc-provider")); err != nil {
		return nil, nil
	}
	config, err := json.Marshal(map[string]any{
		"issuer": "http://127.0.0.1", "scopes": []string{"openid", serverScope}, "person": flowPerson, "rotate": true,
		"clients": []map[string]any{{
			"client_id": serverClient, "client_secret": issuerSecret, "scope": "openid " + serverScope,
			"grant_types":    []string{"client_credentials", "authorization_code", "refresh_token"},
			"response_types": []string{"code"}, "redirect_uris": []string{flowRedirect},
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
			return &authServer{name: "oidc-provider, memory", proxy: p, token: "/token", introspect: "/token/introspection", authorize: "/auth", stop: stop}, nil
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
		if err := s.row(ctx, out, cfg, kind.name, func(window context.Context) (uint64, error) { return closedLoop(window, cfg.connections, t) }); err != nil {
			return err
		}
	}
	return s.measureFlows(ctx, out, cfg)
}

// measureFlows prints the rows of what a person takes part in: without an ID token, with one
// signed by RSA, and with one signed by an elliptic curve.
func (s *authServer) measureFlows(ctx context.Context, out io.Writer, cfg settings) error {
	const plain, openid = serverScope, "openid " + serverScope
	for _, row := range []struct{ name, client, scope string }{{plain, serverClient, plain}, {openid, serverClient, openid}, {openid + ", ES256", s.elliptic, openid}} {
		if row.client == "" {
			continue
		}
		flows := make([]*flow, cfg.connections)
		for i := range flows {
			f, err := newFlow(s, row.client, row.scope)
			if err == nil {
				err = f.login()
			}
			if err != nil {
				return fmt.Errorf("logging in: %w", err)
			}
			flows[i] = f
		}
		for _, kind := range []struct {
			name string
			do   func(*flow) error
		}{
			{"authorization code, " + row.name, (*flow).login}, {"refresh, " + row.name, (*flow).renew},
		} {
			if err := s.row(ctx, out, cfg, kind.name, func(window context.Context) (uint64, error) { return repeat(window, flows, kind.do) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *authServer) row(ctx context.Context, out io.Writer, cfg settings, name string, load func(context.Context) (uint64, error)) error {
	cpu, perSecond, err := s.load(ctx, cfg, load)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(out, "%s\t%s\t%.0fµs\t%.0f\t\n", s.name, name, cpu, perSecond)
	return nil
}

// load returns the medians of the rounds, after one that warms up.
func (s *authServer) load(ctx context.Context, cfg settings, load func(context.Context) (uint64, error)) (cpu, perSecond float64, err error) {
	var costs, rates []float64
	for round := range cfg.rounds + 1 {
		length := cfg.length
		if round == 0 {
			length = max(length, s.warm)
		}
		before, err := s.proxy.cpuTime()
		if err != nil {
			return 0, 0, err
		}
		window, cancel := context.WithTimeout(ctx, length)
		answered, err := load(window)
		cancel()
		if err != nil {
			return 0, 0, err
		}
		after, err := s.proxy.cpuTime()
		if err != nil {
			return 0, 0, err
		}
		if answered == 0 {
			return 0, 0, fmt.Errorf("no request was answered in %s", length)
		}
		if round > 0 {
			costs = append(costs, micros(after-before)/float64(answered))
			rates = append(rates, float64(answered)/length.Seconds())
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
