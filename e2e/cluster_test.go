// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// A cluster is three gateways of examples/cluster behind a load balancer.
type cluster struct {
	t        *testing.T
	postgres *harness.Postgres
	front    string // what people and applications know
	config   harness.GatewayConfig
	client   *http.Client

	mu       sync.Mutex
	gateways []*harness.Gateway
	ready    []string // addresses of those that say so
	next     int
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	return startClusterOf(t, "")
}

// startClusterOf starts gateways that run a binary, "" for the one under test.
func startClusterOf(t *testing.T, binary string) *cluster {
	t.Helper()
	c := &cluster{t: t, postgres: harness.StartPostgres(t), client: &http.Client{Timeout: 20 * time.Second}}
	redis := harness.StartRedis(t)
	balancer := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", c.choose()
			r.Out.Host = r.In.Host
		},
		// What a load balancer cannot deliver is a failed request.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	})
	t.Cleanup(balancer.Close)
	c.front = balancer.URL
	hash, err := bcrypt.GenerateFromPassword([]byte("ada-password"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	// The three share one folder, as they would a network storage.
	c.config = harness.GatewayConfig{
		Caddyfile: clusterCaddyfile(t), Home: t.TempDir(), Binary: binary,
		Env: map[string]string{
			"FRONT": c.front, "POSTGRES": c.postgres.URL(), "REDIS": "redis://" + redis.Addr,
			"STATE": t.TempDir(), "PASSWORD_HASH": string(hash), "SHUTDOWN_DELAY": "1s",
			"UPSTREAM": harness.StartUpstream(t).Addr,
		},
	}
	for range 3 {
		c.gateways = append(c.gateways, harness.StartGateway(t, c.config))
	}
	go c.watch()
	c.waitReady(3)
	return c
}

// clusterCaddyfile is the example, but for its stand-in of an API, and at the
// ports of the harness.
func clusterCaddyfile(t *testing.T) string {
	t.Helper()
	text := exampleAPI.ReplaceAllString(readFile(t, "examples/cluster/Caddyfile"), "")
	for old, replacement := range map[string]string{
		"{$SITE_PORT:18891}": "{$PORT}", "127.0.0.1:{$API_PORT:18899}": "{$UPSTREAM}",
		"admin {$CADDY_ADMIN:127.0.0.1:8198}": "", // the harness names one
	} {
		if !strings.Contains(text, old) {
			t.Fatalf("examples/cluster/Caddyfile has no %q", old)
		}
		text = strings.ReplaceAll(text, old, replacement)
	}
	return text
}

// watch asks each gateway ten times a second whether it is ready, as a load
// balancer does.
func (c *cluster) watch() {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		c.mu.Lock()
		gateways := slices.Clone(c.gateways)
		c.mu.Unlock()
		var ready []string
		for _, g := range gateways {
			response, err := client.Get("http://" + g.Addr + "/ready")
			if err != nil {
				continue
			}
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				ready = append(ready, g.Addr)
			}
		}
		c.mu.Lock()
		c.ready = ready
		c.mu.Unlock()
		select {
		case <-c.t.Context().Done():
			return
		case <-ticker.C:
		}
	}
}

// choose is the load balancer's choice: one after the other.
func (c *cluster) choose() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ready) == 0 {
		return "127.0.0.1:9"
	}
	c.next++
	return c.ready[c.next%len(c.ready)]
}

func (c *cluster) waitReady(count int) {
	c.t.Helper()
	harness.Eventually(c.t, 30*time.Second, func() string {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.ready) != count {
			return fmt.Sprintf("%d gateways are ready, want %d", len(c.ready), count)
		}
		return ""
	})
}

// replace starts a new gateway in the place of one that has ended.
func (c *cluster) replace(i int) {
	c.t.Helper()
	g := harness.StartGateway(c.t, c.config)
	c.mu.Lock()
	c.gateways[i] = g
	c.mu.Unlock()
	c.waitReady(3)
}

// only runs something while the load balancer has no other gateway than one.
func (c *cluster) only(g *harness.Gateway, do func()) {
	set := func(gateways []*harness.Gateway) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.gateways, c.ready = gateways, nil
		for _, g := range gateways {
			c.ready = append(c.ready, g.Addr)
		}
	}
	all := c.gateways
	set([]*harness.Gateway{g})
	defer set(all)
	do()
}

// status asks a gateway, or the front, and returns the status.
func (c *cluster) status(base, path string, header http.Header) int {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, base+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	response, err := c.client.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// everywhere waits until all gateways answer with a status, for a time at most, and
// returns how long that took.
func (c *cluster) everywhere(path string, header http.Header, want int, within time.Duration) time.Duration {
	c.t.Helper()
	began := time.Now()
	for _, g := range c.gateways {
		harness.Eventually(c.t, within-time.Since(began), func() string {
			if got := c.status("http://"+g.Addr, path, header); got != want {
				return fmt.Sprintf("%s answers %s with %d, want %d", g.Addr, path, got, want)
			}
			return ""
		})
	}
	return time.Since(began)
}

// post sends a form to an endpoint of one gateway, as a client.
func (c *cluster) post(g *harness.Gateway, path, client, secret string, form url.Values) (int, map[string]any) {
	c.t.Helper()
	status, body, err := c.postTo("http://"+g.Addr, path, client, secret, form)
	if err != nil {
		c.t.Fatal(err)
	}
	return status, body
}

func (c *cluster) postTo(base, path, client, secret string, form url.Values) (status int, body map[string]any, err error) {
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(client, secret)
	response, err := c.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	_ = json.NewDecoder(response.Body).Decode(&body)
	return response.StatusCode, body, nil
}

// anotherToken has the front issue a token, and use it. It returns the first status that
// is not 200.
func (c *cluster) anotherToken() int {
	status, body, err := c.postTo(c.front, "/oauth2/token", "todo-app-client", "todo-app-secret", clientCredentials)
	token, _ := body["access_token"].(string)
	if err != nil || status != http.StatusOK || token == "" {
		return status
	}
	return c.status(c.front, "/todos", bearer(token))
}

var clientCredentials = url.Values{"grant_type": {"client_credentials"}, "scope": {"todos:read"}}

// token gets a token of the application from one gateway.
func (c *cluster) token(g *harness.Gateway) string {
	c.t.Helper()
	status, body := c.post(g, "/oauth2/token", "todo-app-client", "todo-app-secret", clientCredentials)
	token, _ := body["access_token"].(string)
	if status != http.StatusOK || token == "" {
		c.t.Fatalf("no token: %d %v", status, body)
	}
	for _, g := range c.gateways {
		g.Forbid(token)
	}
	return token
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// A person has a browser: cookies, a password, and a finger on "Allow".
type person struct {
	c      *cluster
	client *http.Client
}

func (c *cluster) person() *person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		next.Header.Del("Referer")
		if next.URL.Path == "/callback" {
			return http.ErrUseLastResponse // the application's own address
		}
		authenticate(next)
		return nil
	}}
	return &person{c, client}
}

func authenticate(request *http.Request) {
	request.Header.Del("Authorization")
	if strings.HasPrefix(request.URL.Path, "/oauth2/authorize") {
		request.SetBasicAuth("ada", "ada-password")
	}
}

// visit opens an address and allows what it is asked to.
func (p *person) visit(address string) (*http.Response, string) {
	p.c.t.Helper()
	response, body := p.send(http.MethodGet, address, nil)
	action, token := consentAction.FindStringSubmatch(body), consentToken.FindStringSubmatch(body)
	if action == nil || token == nil {
		return response, body
	}
	return p.send(http.MethodPost, p.c.front+action[1], url.Values{"token": {token[1]}, "decision": {"allow"}})
}

func (p *person) send(method, address string, form url.Values) (*http.Response, string) {
	p.c.t.Helper()
	request, err := http.NewRequestWithContext(p.c.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		p.c.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html")
	if form != nil {
		request.Header.Set("Sec-Fetch-Site", "same-origin")
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", p.c.front)
	}
	authenticate(request)
	response, err := p.client.Do(request)
	if err != nil {
		p.c.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.c.t.Fatal(err)
	}
	return response, string(body)
}

// cookies are what the browser sends to the front, for asking one gateway.
func (p *person) cookies() http.Header {
	home, err := url.Parse(p.c.front + "/portal")
	if err != nil {
		p.c.t.Fatal(err)
	}
	var pairs []string
	for _, cookie := range p.client.Jar.Cookies(home) {
		pairs = append(pairs, cookie.Name+"="+cookie.Value)
	}
	return http.Header{"Cookie": {strings.Join(pairs, "; ")}, "Accept": {"application/json"}}
}
