// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
	"github.com/caddyserver/certmagic"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/argon2"

	"github.com/caddy-gluu/gateway/authserver/rfc"
	"github.com/caddy-gluu/gateway/jose"
)

const testIssuer = "https://as.example.com"

// cheapHash is a hash that takes no time, for tests that are not about that.
func cheapHash(secret string) string {
	salt := []byte("salt of " + secret)
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=19$m=8,t=1,p=1$%s$%s", encode(salt), encode(argon2.IDKey([]byte(secret), salt, 1, 8, 1, 16)))
}

// testConfig is a server with clients for everything that is tested: the
// secret of each is its name with "-secret" after it.
func testConfig() *Server {
	return &Server{
		Issuer: testIssuer,
		Scopes: []string{"todos:read", "todos:write", "admin"},
		Clients: map[string]*Client{
			"app":     {Secret: cheapHash("app-secret"), Grants: []string{"client_credentials"}, Scopes: []string{"todos:read", "todos:write"}},
			"jwt-app": {Secret: cheapHash("jwt-app-secret"), Grants: []string{"client_credentials"}, Scopes: []string{"todos:read"}, TokenFormat: "jwt"},
			"plain":   {Secret: cheapHash("plain-secret"), Grants: []string{"client_credentials"}},
			"gateway": {Secret: cheapHash("gateway-secret")},
		},
	}
}

// testLogging is how servers log that are started next; nil: to stderr.
var testLogging *caddy.Logging

// running is a server that has been started, and its files.
type running struct {
	*Server
	t    testing.TB
	stop func()
	next int // requests passed on to the next handler

	registry *prometheus.Registry
}

// start provisions and starts a server as Caddy does, with its storage and
// Caddy's below dir.
func start(t testing.TB, config *Server, dir string) *running {
	t.Helper()
	r, err := tryStart(t, config, dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryStart(t testing.TB, config *Server, dir string) (*running, error) {
	t.Helper()
	if config.StorageRaw == nil && config.StoreRaw == nil {
		config.StorageRaw, _ = json.Marshal(map[string]any{"module": "embedded", "path": filepath.Join(dir, "tokens.db")})
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	root, _ := json.Marshal(map[string]any{"module": "file_system", "root": filepath.Join(dir, "caddy")})
	giveKey(t, filepath.Join(dir, "caddy"), config.Issuer)
	base, err := caddy.ProvisionContext(&caddy.Config{StorageRaw: root, Logging: testLogging})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(base)
	t.Cleanup(cancel)
	module, err := ctx.LoadModuleByID("http.handlers.gluu_oauth_server", text)
	if err != nil {
		return nil, err
	}
	app, err := ctx.App(appName)
	if err != nil {
		return nil, err
	}
	if err := app.(*App).Start(); err != nil {
		cancel() // as Caddy does
		return nil, err
	}
	return &running{Server: module.(*Server), t: t, stop: cancel, registry: ctx.GetMetricsRegistry()}, nil
}

// testKey is the signing key of all test servers: making one takes long.
var testKey = sync.OnceValue(func() []byte {
	key, err := jose.GenerateKey(rfc.SigningAlgorithm)
	if err != nil {
		panic(err)
	}
	pem, err := key.MarshalPEM()
	if err != nil {
		panic(err)
	}
	return pem
})

// giveKey puts the test key into a storage that has none yet.
func giveKey(t testing.TB, root, name string) {
	t.Helper()
	i, err := rfc.ParseIssuer(name, true)
	if err != nil {
		return // the test is about that
	}
	storage := &certmagic.FileStorage{Path: root}
	if storage.Exists(t.Context(), keyName(i, rfc.SigningAlgorithm)) {
		return
	}
	if err := storage.Store(t.Context(), keyName(i, rfc.SigningAlgorithm), testKey()); err != nil {
		t.Fatal(err)
	}
}

// answer is a response, read.
type answer struct {
	*httptest.ResponseRecorder
	text string
	body map[string]any
}

func (r *running) do(request *http.Request) answer {
	r.t.Helper()
	recorder := httptest.NewRecorder()
	err := r.ServeHTTP(recorder, request, nextFunc(func(http.ResponseWriter, *http.Request) error {
		r.next++
		return nil
	}))
	if err != nil {
		r.t.Fatalf("%s %s: %v", request.Method, request.URL, err)
	}
	a := answer{ResponseRecorder: recorder, text: recorder.Body.String()}
	if strings.HasPrefix(recorder.Header().Get("Content-Type"), "application/json") && recorder.Body.Len() > 0 {
		if err := json.Unmarshal(recorder.Body.Bytes(), &a.body); err != nil {
			r.t.Fatalf("%s %s: %v in %q", request.Method, request.URL, err, a.text)
		}
	}
	return a
}

type nextFunc func(http.ResponseWriter, *http.Request) error

func (f nextFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) error { return f(w, r) }

// post sends a form with client_secret_basic as a client whose secret is its
// name with "-secret"; without a client it does not authenticate.
func (r *running) post(e endpoint, client string, form url.Values) answer {
	r.t.Helper()
	request := postForm(e, form.Encode())
	if client != "" {
		request.SetBasicAuth(url.QueryEscape(client), url.QueryEscape(client+"-secret"))
	}
	return r.do(request)
}

func postForm(e endpoint, body string) *http.Request {
	request := httptest.NewRequest(http.MethodPost, string(e), strings.NewReader(body))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request
}

// token gets a token for a client.
func (r *running) token(client string, scopes ...string) string {
	r.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}}
	if scopes != nil {
		form.Set("scope", strings.Join(scopes, " "))
	}
	a := r.post(tokenEndpoint, client, form)
	text, _ := a.body["access_token"].(string)
	if a.Code != http.StatusOK || text == "" {
		r.t.Fatalf("token for %s: %d %s", client, a.Code, a.text)
	}
	return text
}

// introspect asks about a token as the client "gateway".
func (r *running) introspect(token string) answer {
	r.t.Helper()
	a := r.post(introspectEndpoint, "gateway", url.Values{"token": {token}})
	if a.Code != http.StatusOK {
		r.t.Fatalf("introspection: %d %s", a.Code, a.text)
	}
	return a
}

func (r *running) active(token string) bool {
	r.t.Helper()
	active, ok := r.introspect(token).body["active"].(bool)
	if !ok {
		r.t.Fatal("introspection says neither active nor inactive")
	}
	return active
}

func (r *running) revoke(client, token string) answer {
	r.t.Helper()
	return r.post(revokeEndpoint, client, url.Values{"token": {token}})
}

// refusals is how many requests were refused at an endpoint for a reason.
func (r *running) refusals(e endpoint, reason string) float64 {
	return r.counter("gluu_oauth_server_requests_refused_total", e.Label(), reason)
}

// counter adds up what a metric says for label values that contain all of
// those given.
func (r *running) counter(name string, values ...string) (sum float64) {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetValue())
			}
			if !slices.ContainsFunc(values, func(value string) bool { return !slices.Contains(labels, value) }) {
				sum += metric.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// Between the provisioning of a configuration and its start there are servers that do not run
// yet. One that fails, or is only validated, leaves none behind.
func TestServersAreStarting(t *testing.T) {
	if IsStarting() {
		t.Fatal("before the first configuration")
	}
	server := start(t, testConfig(), t.TempDir())
	if IsStarting() || len(Running()) == 0 {
		t.Error("the configuration has started")
	}
	server.stop()
	base, err := caddy.ProvisionContext(&caddy.Config{Logging: testLogging})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(base)
	defer cancel()
	if err := startWith(ctx, new(Server)); err != nil || !IsStarting() {
		t.Errorf("a configuration that is provisioned: %v", err)
	}
	if cancel(); IsStarting() {
		t.Error("a configuration that was only validated")
	}
}
