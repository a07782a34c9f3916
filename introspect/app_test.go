// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"

	// Storage and logs in files.
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	_ "github.com/caddyserver/caddy/v2/modules/logging"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// load makes Caddy run a configuration that consists of the app.
func load(t *testing.T, dir, app string) error {
	t.Helper()
	config := fmt.Sprintf(`{
		"admin": {"disabled": true, "config": {"persist": false}},
		"logging": {"logs": {"default": {"level": "DEBUG", "writer": {"output": "file", "filename": %q, "roll": false}, "encoder": {"format": "json"}}}},
		"storage": {"module": "file_system", "root": %q},
		"apps": {"gluu": %s}
	}`, filepath.Join(dir, "log"), dir, app)
	return caddy.Load([]byte(config), true)
}

func mustLoad(t *testing.T, dir, app string) *App {
	t.Helper()
	if err := load(t, dir, app); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	return Running()
}

func logOf(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// providerJSON writes the settings of a provider as JSON.
func providerJSON(config provider.Config, more ...string) string {
	text, err := json.Marshal(config)
	if err != nil {
		panic(err)
	}
	return strings.Join(append([]string{strings.TrimSuffix(string(text), "}")}, more...), ",") + "}"
}

func verify(t *testing.T, app *App, provider, raw string) (*token.Token, error) {
	t.Helper()
	p, err := app.Provider(provider)
	if err != nil {
		t.Fatal(err)
	}
	return p.Verify(t.Context(), raw)
}

// A reload that leaves a provider as it is keeps everything that is known of
// it, whatever else changes; one that changes the provider keeps nothing.
func TestReloadKeepsWhatIsKnown(t *testing.T) {
	server := providertest.NewServer(t)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	dir := t.TempDir()
	config := introspecting(server)
	app := func(provider string, more string) string {
		return fmt.Sprintf(`{"providers": {"default": %s} %s}`, provider, more)
	}
	first := mustLoad(t, dir, app(providerJSON(config), ""))
	firstToken, err := verify(t, first, "", "token")
	if err != nil {
		t.Fatal(err)
	}
	for _, more := range []string{
		``, `, "error_format": "caddy"`,
		`, "consumers": [{"username": "alice", "custom_id": "app"}]`,
	} {
		next := mustLoad(t, dir, app(providerJSON(config), more))
		if next == first || next.Generation() <= first.Generation() {
			t.Errorf("the new app has generation %d, the old one %d", next.Generation(), first.Generation())
		}
		token, err := verify(t, next, "", "token")
		if err != nil || token != firstToken {
			t.Errorf("with %q: got another token after the reload, %v", more, err)
		}
		first = next
	}
	if n := server.Count("/introspect"); n != 1 {
		t.Errorf("%d introspections over reloads, want 1", n)
	}

	config.ClientSecret = "rotated"
	changed := mustLoad(t, dir, app(providerJSON(config), ""))
	if token, err := verify(t, changed, "", "token"); err != nil || token == firstToken {
		t.Errorf("the old token was used for a changed provider, or %v", err)
	}
	if n := server.Count("/introspect"); n != 2 {
		t.Errorf("%d introspections after a change, want 2", n)
	}
}

// What was read from files is read anew with each configuration, and what is
// known stays: a key is rotated by a reload.
func TestReloadReadsFilesAnew(t *testing.T) {
	server := providertest.NewServer(t)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	oldKey, oldPublic := providertest.WriteKey(t)
	newKey, newPublic := providertest.WriteKey(t)
	config := introspecting(server)
	config.ClientAuth, config.ClientSecret, config.ClientKey = provider.PrivateKeyJWT, "", filepath.Join(t.TempDir(), "key.pem")
	rotate := func(file string) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(config.ClientKey, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir, app := t.TempDir(), fmt.Sprintf(`{"providers": {"default": %s}}`, providerJSON(config))
	signedBy := func(public *ecdsa.PublicKey) bool {
		signed, signature := providertest.CutSignature(t, server.LastForm().Get("client_assertion"))
		sum := sha256.Sum256([]byte(signed))
		return ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}

	rotate(oldKey)
	if _, err := verify(t, mustLoad(t, dir, app), "", "token"); err != nil || !signedBy(oldPublic) {
		t.Fatalf("with the old key: %v", err)
	}
	rotate(newKey)
	running := mustLoad(t, dir, app)
	if _, err := verify(t, running, "", "token"); err != nil {
		t.Fatal(err)
	}
	if n := server.Count("/introspect"); n != 1 {
		t.Errorf("%d introspections, want 1", n)
	}
	if _, err := verify(t, running, "", "another token"); err != nil || !signedBy(newPublic) {
		t.Errorf("with the new key: %v", err)
	}
}

// A configuration that cannot be loaded leaves the running one alone.
func TestFailedReloadChangesNothing(t *testing.T) {
	server := providertest.NewServer(t)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	dir := t.TempDir()
	good := fmt.Sprintf(`{"providers": {"default": %s}}`, providerJSON(introspecting(server)))
	app := mustLoad(t, dir, good)
	if _, err := verify(t, app, "", "token"); err != nil {
		t.Fatal(err)
	}
	if err := load(t, dir, fmt.Sprintf(`{"providers": {"default": %s, "other": {"issuer": "http://as.example"}}}`, providerJSON(introspecting(server)))); err == nil {
		t.Fatal("a configuration that cannot be right was loaded")
	}
	if Running() != app {
		t.Error("the running app is another one")
	}
	if _, err := verify(t, app, "", "token"); err != nil {
		t.Error(err)
	}
	if n := server.Count("/introspect"); n != 1 {
		t.Errorf("%d introspections, want 1", n)
	}
}

// refusingApp is another app of a configuration, that does not start.
type refusingApp struct{}

// startedBefore is the gluu app that was running when refusingApp was started.
var startedBefore *App

func (refusingApp) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "refusing", New: func() caddy.Module { return new(refusingApp) }}
}

func (refusingApp) Start() error {
	startedBefore = Running()
	return errors.New("the address is in use")
}

func (refusingApp) Stop() error { return nil }

func init() { caddy.RegisterModule(refusingApp{}) }

// What a configuration brings that was started and refused after all goes with
// it: the servers that it shares with the running one are that one's again.
func TestRefusedConfigurationLeavesNothingBehind(t *testing.T) {
	dir, refusedDir := t.TempDir(), t.TempDir()
	gluu := `{"providers": {"default": {"issuer": "https://as.example", "verify": "jwt"}}}`
	app := mustLoad(t, dir, gluu)
	p, err := app.Provider("")
	if err != nil {
		t.Fatal(err)
	}
	for startedBefore = app; startedBefore == app; { // Caddy starts apps in any order
		if err := load(t, refusedDir, gluu+`, "refusing": {}`); err == nil {
			t.Fatal("the configuration was loaded")
		}
	}
	p.server.Logger().Warn("of the running configuration")
	if !strings.Contains(logOf(t, dir), "of the running configuration") {
		t.Error("the provider logs elsewhere")
	}
	if attached := p.server.Attached(); attached != p.loaded {
		t.Error("the provider has the connections of another configuration")
	}
}

// Requests go on while configurations come and go.
func TestReloadsUnderLoad(t *testing.T) {
	server := providertest.NewServer(t)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	dir := t.TempDir()
	config := fmt.Sprintf(`{"providers": {"default": %s}}`, providerJSON(introspecting(server)))
	mustLoad(t, dir, config)
	stop, done := make(chan struct{}), make(chan error)
	var requests atomic.Int64
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			p, err := Running().Provider("")
			if err == nil {
				_, err = p.Verify(t.Context(), fmt.Sprint("token-", requests.Add(1)%10))
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	for range 20 {
		mustLoad(t, dir, config)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := server.Count("/introspect"); n > 10 {
		t.Errorf("%d introspections of 10 tokens over 20 reloads", n)
	}
	t.Logf("%d requests", requests.Load())
}

func TestProvidersByName(t *testing.T) {
	app := mustLoad(t, t.TempDir(), `{"providers": {
		"b": {"issuer": "https://b.example", "verify": "jwt"},
		"default": {"op_url": "https://as.example", "verify": "jwt"}}}`)
	for name, issuer := range map[string]string{"": "https://as.example", "default": "https://as.example", "b": "https://b.example"} {
		p, err := app.Provider(name)
		if err != nil || p.Issuer() != issuer {
			t.Errorf("%q: got %v, %v", name, p, err)
		}
	}
	if _, err := app.Provider("c"); err == nil || !strings.Contains(err.Error(), "b, default") {
		t.Errorf("got %v, which does not say what there is", err)
	}
	empty := mustLoad(t, t.TempDir(), `{}`)
	if _, err := empty.Provider(""); err == nil || !strings.Contains(err.Error(), "global options") {
		t.Errorf("got %v, which does not say what to write", err)
	}
}

// Handlers that describe the same provider share it, and what is known of it.
func TestProvidersOfHandlers(t *testing.T) {
	server := providertest.NewServer(t)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	app := mustLoad(t, t.TempDir(), `{}`)
	add := func(config provider.Config) *Provider {
		p, err := app.AddProvider(caddy.ActiveContext(), &Provider{Config: config})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	config := introspecting(server)
	a, b := add(config), add(config)
	if a != b {
		t.Error("two handlers with the same settings have two providers")
	}
	config.ClientSecret = "other"
	c := add(config)
	if c == a || c.server == a.server {
		t.Error("two handlers with different secrets have one provider")
	}
	if c.Name() != a.Name() {
		t.Errorf("the name depends on the secret: %s, %s", a.Name(), c.Name())
	}
	config.Audience = []string{"api"}
	if d := add(config); d.Name() == a.Name() || !strings.HasPrefix(d.Name(), "127.0.0.1-") {
		t.Errorf("got the name %s", d.Name())
	}
	for _, p := range []*Provider{a, b, c} {
		if _, err := p.Verify(t.Context(), "token"); err != nil {
			t.Error(err)
		}
	}
	if n := server.Count("/introspect"); n != 2 {
		t.Errorf("%d introspections, want 2", n)
	}
	if _, err := app.AddProvider(caddy.ActiveContext(), &Provider{}); err == nil {
		t.Error("a provider without an issuer was taken")
	}
}

// When nothing refers to a server any more, it and its goroutines are gone:
// TestMain looks for goroutines. What is pooled is looked at here.
func TestNothingIsLeftBehind(t *testing.T) {
	app := mustLoad(t, t.TempDir(), `{"providers": {"default": {"issuer": "http://127.0.0.1:1", "verify": "jwt"}}}`)
	p, _ := app.Provider("")
	server := p.server
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-server.Done():
	default:
		t.Error("the server goes on running")
	}
	if Running() != nil {
		t.Error("the app goes on running")
	}
	settings, err := app.Cache.settings()
	if err != nil {
		t.Fatal(err)
	}
	again, err := tokencache.Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	if again == app.cache {
		t.Error("the cache was not released")
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
	for name, pool := range map[string]*caddy.UsagePool{"verifiers": verifiers, "signing memories": signingMemories} {
		pool.Range(func(key, _ any) bool {
			t.Errorf("%s: %v is left", name, key)
			return true
		})
	}
}

func TestReservedHeadersAreStripped(t *testing.T) {
	app := mustLoad(t, t.TempDir(), `{}`)
	header := func() http.Header {
		return http.Header{"X_custom": {"forged"}, "X-Consumer-Id": {"forged"}, "Accept": {"*/*"}}
	}
	h := header()
	app.Stripper().Strip(h)
	if len(h) != 2 {
		t.Errorf("got %v", h)
	}
	app.ReserveHeaders("X-Custom")
	h = header()
	app.Stripper().Strip(h)
	if len(h) != 1 || h.Get("Accept") == "" {
		t.Errorf("got %v", h)
	}
}
