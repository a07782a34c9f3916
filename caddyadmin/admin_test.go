// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/goleak"

	// Storage and logs in files.
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	_ "github.com/caddyserver/caddy/v2/modules/logging"

	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/introspect"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Caddy and certmagic run these for as long as the process lives.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*Cache).maintainAssets"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/caddy/v2/modules/caddytls.(*TLS).keepStorageClean.func1"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"), // notices within seconds that the lock is gone
		goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
	)
}

// load makes Caddy run a configuration that consists of the app, and returns
// the file that it logs to.
func load(t *testing.T, app string) (logFile string) {
	t.Helper()
	dir := t.TempDir()
	logFile = filepath.Join(dir, "log")
	config := fmt.Sprintf(`{
		"admin": {"disabled": true, "config": {"persist": false}},
		"logging": {"logs": {"default": {"level": "DEBUG", "writer": {"output": "file", "filename": %q, "roll": false}, "encoder": {"format": "json"}}}},
		"storage": {"module": "file_system", "root": %q},
		"apps": {"gluu": %s}
	}`, logFile, dir, app)
	if err := caddy.Load([]byte(config), true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	return logFile
}

// introspector is an authorization server that only introspects.
type introspector struct {
	*httptest.Server

	mu     sync.Mutex
	answer http.HandlerFunc
	asked  map[string]int // by token
}

func newIntrospector(t *testing.T, answer http.HandlerFunc) *introspector {
	s := &introspector{answer: answer, asked: make(map[string]int)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *introspector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/introspect" {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"issuer":"http://%[1]s","introspection_endpoint":"http://%[1]s/introspect","jwks_uri":"http://%[1]s/jwks"}`, r.Host)
		return
	}
	s.mu.Lock()
	s.asked[r.PostFormValue("token")]++
	answer := s.answer
	s.mu.Unlock()
	answer(w, r)
}

func (s *introspector) answerWith(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *introspector) timesAsked(token string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[token]
}

func respond(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func (s *introspector) provider(more string) string {
	return fmt.Sprintf(`{"issuer": %[1]q, "client_id": "gateway", "verify": "introspection" %[2]s}`, s.URL, more)
}

const testSecret = "s3cret-client-0123456789"

// loadWith runs a gateway that introspects there and knows where.
func loadWith(t *testing.T, s *introspector) (p *introspect.Provider, logFile string) {
	t.Helper()
	provider := s.provider(fmt.Sprintf(`, "client_secret": %q, "introspection_endpoint": "%s/introspect"`, testSecret, s.URL))
	logFile = load(t, `{"providers": {"default": `+provider+`}}`)
	return defaultProvider(t), logFile
}

func defaultProvider(t *testing.T) *introspect.Provider {
	t.Helper()
	p, err := introspect.Running().Provider("")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// S-15: a prefix of a route, or another spelling, is not the route.
func TestSec_S15_AdminRoutesAreExact(t *testing.T) {
	load(t, `{}`)
	for _, request := range []struct {
		method, target string
		want           int
	}{
		{"GET", "/gluu/provider", 404},
		{"GET", "/gluu/providersx", 404},
		{"GET", "/gluu/Providers", 404},
		{"GET", "/gluu/providers/", 404},
		{"GET", "/gluu/providers/default", 404},
		{"GET", "/gluu/providers%2Fx", 404},
		{"GET", "/gluu/%70roviders", 200},
		{"GET", "/gluu/cachex", 404},
		{"GET", "/gluu/cache/x", 404},
		{"GET", "/gluu/tokens", 405},
		{"POST", "/gluu/tokens", 405},
		{"POST", "/gluu/providers", 405},
		{"DELETE", "/gluu/providers", 405},
		{"HEAD", "/gluu/providers", 405},
		{"DELETE", "/gluu/cache", 405},
		{"DELETE", "/gluu/tokens/", 404},
		{"DELETE", "/gluu/tokens/client", 404},
		{"DELETE", "/gluu/tokens/client/", 404},
		{"DELETE", "/gluu/tokens/subject/", 404},
		{"DELETE", "/gluu/tokens/client/a/b", 404},
		{"DELETE", "/gluu/tokens/clients/a", 404},
		{"DELETE", "/gluu/tokens/token/abc", 404},
		{"DELETE", "/gluu/tokens/token", 400},
		{"GET", "/gluu/consumersx", 404},
		{"GET", "/gluu/consumers/", 404},
		{"GET", "/gluu/consumers/a/b", 404},
		{"GET", "/gluu/consumers", 200},
		{"GET", "/gluu/signing-keys/", 404},
		{"GET", "/gluu/signing-keys/rotate", 405},
	} {
		if status, body := caddytest.Admin(t, request.method, request.target, ""); status != request.want {
			t.Errorf("%s %s: got %d %s, want %d", request.method, request.target, status, body, request.want)
		}
	}
	if status, _ := caddytest.Admin(t, "DELETE", "/gluu/tokens/token", strings.Repeat("x", 16<<10+1)); status != 400 {
		t.Errorf("a token that is too long: got %d", status)
	}
	_ = caddy.Stop()
	for _, target := range []string{"/gluu/providers", "/gluu/cache", "/gluu/consumers", "/gluu/signing-keys"} {
		if status, _ := caddytest.Admin(t, "GET", target, ""); status != 503 {
			t.Errorf("%s without a running app: got %d", target, status)
		}
	}
}

// S-54: neither logs at DEBUG nor the admin API nor errors show a token or a
// secret.
func TestSec_S54_NoSecretIsShown(t *testing.T) {
	const token, badToken = "s3cret-token-0123456789", "s3cret-bad-token-0123456789"
	s := newIntrospector(t, nil)
	logFile := load(t, `{"providers": {"default": `+s.provider(fmt.Sprintf(`, "client_secret": %q`, testSecret))+`}}`)
	awaitDiscovery(t)
	p := defaultProvider(t)
	var shown strings.Builder
	note := func(err error) { fmt.Fprintf(&shown, "%v %+v\n", err, err) }
	for name, answer := range map[string]http.HandlerFunc{
		"active":   respond(200, "application/json", `{"active":true,"client_id":"app","sub":"alice"}`),
		"inactive": respond(200, "application/json", `{"active":false}`),
		"echoing": func(w http.ResponseWriter, r *http.Request) {
			respond(400, "text/plain", r.PostForm.Encode()+r.Header.Get("Authorization"))(w, r)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/x?"+r.PostForm.Encode(), http.StatusFound)
		},
		"garbage": respond(200, "application/json", token+testSecret),
		"hung up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		s.answerWith(answer)
		for range 3 {
			_, err := p.Verify(t.Context(), badToken+name)
			note(err)
		}
		_, err := p.Verify(t.Context(), token)
		note(err)
	}
	for _, request := range [][3]string{
		{"GET", "/gluu/providers"}, {"GET", "/gluu/cache"}, {"DELETE", "/gluu/tokens/token", token}, {"DELETE", "/gluu/tokens"},
		{"DELETE", "/gluu/tokens/token", token + strings.Repeat("x", 16<<10)},
	} {
		_, body := caddytest.Admin(t, request[0], request[1], request[2])
		shown.WriteString(body)
	}
	log, err := os.ReadFile(logFile)
	if err != nil {
		t.Fatal(err)
	}
	shown.Write(log)
	if !strings.Contains(shown.String(), "introspection_endpoint") {
		t.Error("no status was shown, so the test proves nothing")
	}
	if strings.Contains(shown.String(), "s3cret") {
		t.Errorf("a secret is shown in:\n%s", shown.String())
	}
}

// awaitDiscovery waits until the metadata of the only provider is found.
func awaitDiscovery(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if status := introspect.Running().ProviderStatuses()[0]; status.Discovery.Done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the metadata was not found in time")
		}
	}
}
