// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// bundles is a server of one bundle.
type bundles struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	packed []byte
	asked  int
}

func startBundles(t *testing.T) *bundles {
	b := &bundles{status: http.StatusServiceUnavailable}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

// ServeHTTP implements http.Handler.
func (b *bundles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	etag := fmt.Sprintf(`"%x"`, sha256.Sum256(b.packed))
	switch {
	case b.status != http.StatusOK:
		w.WriteHeader(b.status)
	case r.Header.Get("If-None-Match") == etag:
		w.WriteHeader(http.StatusNotModified)
	default:
		w.Header().Set("ETag", etag)
		_, _ = w.Write(b.packed)
	}
}

func (b *bundles) serve(status int, packed []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status, b.packed, b.asked = status, packed, 0
}

// waitAsked waits until what is served now has been asked for and dealt with: a
// gateway asks again after that.
func (b *bundles) waitAsked(t *testing.T) {
	t.Helper()
	harness.Eventually(t, patience, func() string {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.asked < 2 {
			return fmt.Sprintf("the server of the bundle was asked %d times", b.asked)
		}
		return ""
	})
}

// writeKeys writes a key pair and returns the names of its files.
func writeKeys(t *testing.T, dir, name string) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	open, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	private, public = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".pub.pem")
	for file, block := range map[string]*pem.Block{private: {Type: "EC PRIVATE KEY", Bytes: secret}, public: {Type: "PUBLIC KEY", Bytes: open}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return private, public
}

// buildBundle has OPA itself build a bundle, signed if there is a key.
func buildBundle(t *testing.T, revision, key, condition string) []byte {
	t.Helper()
	dir := t.TempDir()
	policy := "package httpapi.authz\n\ndefault allow := false\n\nallow if " + condition + "\n"
	if err := os.WriteFile(filepath.Join(dir, "policy.rego"), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"build", "--bundle", ".", "--revision", revision, "--output", "bundle.tar.gz"}
	if key != "" {
		args = append(args, "--signing-key", key, "--signing-alg", "ES256")
	}
	harness.RunOPA(t, dir, args...)
	packed, err := os.ReadFile(filepath.Join(dir, "bundle.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// revisions counts the revisions in lines of the log.
func (e *opaExample) revisions(message string) map[string]int {
	counts := map[string]int{}
	for _, entry := range e.Log.Entries(func(entry harness.Entry) bool {
		return entry.Text("msg") == message && entry.Text("logger") == "http.handlers.gluu_opa_pep"
	}) {
		counts[entry.Text("revision")]++
	}
	return counts
}

// Bundles as OPA builds and signs them: until the first good one nothing passes; a new
// one comes into force under load without a refused request; a broken one and one of
// another key change nothing; after a restart without their server the last good one
// decides. Each line of the log names the revision that decided.
func TestBundlesOfPolicies(t *testing.T) {
	t.Parallel()
	keys, state := t.TempDir(), t.TempDir()
	private, public := writeKeys(t, keys, "ours")
	foreign, _ := writeKeys(t, keys, "foreign")
	server := startBundles(t)
	caddyfile := regexp.MustCompile(`url \{\$OPA_URL:[^}]*\}`).ReplaceAllString(readFile(t, "examples/opa-server/Caddyfile"), "log_grants")
	caddyfile = strings.Replace(caddyfile, "\tgluu {\n", "\tgluu {\n\t\topa {\n\t\t\tbundle authz {$BUNDLE} {\n\t\t\t\tkey {$BUNDLE_KEY}\n\t\t\t\tpoll 1s 1s\n\t\t\t}\n\t\t}\n", 1)
	env := map[string]string{"BUNDLE": server.URL + "/authz.tar.gz", "BUNDLE_KEY": public, "STATE": state}
	e := startOPAExample(t, caddyfile, env, nil)
	token := e.token(t, "reports", "reports-secret")
	want := func(what, path string, status int) {
		t.Helper()
		if answer := e.status(t, "GET", path, token); answer.StatusCode != status {
			t.Errorf("%s: GET %s: got %s, want %d", what, path, answer.Status, status)
		}
	}
	until := func(path string, status int) {
		t.Helper()
		harness.Eventually(t, patience, func() string {
			if answer := e.status(t, "GET", path, token); answer.StatusCode != status {
				return answer.Status
			}
			return ""
		})
	}

	want("no bundle", "/reports", 503)
	server.serve(200, buildBundle(t, "foreign", foreign, "true"))
	server.waitAsked(t)
	want("a bundle of another key", "/reports", 503)
	one := buildBundle(t, "one", private, `input.path[0] == "reports"`)
	server.serve(200, one)
	until("/reports", 200)
	want("the first bundle", "/news", 403)

	// A new bundle under load.
	done := make(chan struct{})
	var workers sync.WaitGroup
	var sent atomic.Int64
	for range 4 {
		workers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if answer := e.status(t, "GET", "/reports/2026", token); answer.StatusCode != 200 {
					t.Errorf("under load: got %s", answer.Status)
					return
				}
				sent.Add(1)
			}
		})
	}
	two := buildBundle(t, "two", private, `input.path[0] in {"reports", "news"}`)
	server.serve(200, two)
	until("/news", 200)
	before := sent.Load()
	harness.Eventually(t, patience, func() string {
		if sent.Load() < before+20 {
			return "few requests were sent"
		}
		return ""
	})
	close(done)
	workers.Wait()

	for what, packed := range map[string][]byte{
		"broken": one[:len(one)/2], "another key": buildBundle(t, "foreign", foreign, "true"),
		"no signature": buildBundle(t, "unsigned", "", "true"), "no bundle at all": []byte("<html>"),
	} {
		server.serve(200, packed)
		server.waitAsked(t)
		want(what, "/news", 200)
		want(what, "/other", 403)
		server.serve(200, two) // so that the gateway does not ask less and less
		server.waitAsked(t)
	}
	granted, refused := e.revisions("request granted"), e.revisions("request refused")
	if granted["one"] == 0 || granted["two"] == 0 || len(granted) != 2 {
		t.Errorf("grants have the revisions %v, want one and two alone", granted)
	}
	if refused["one"] == 0 || refused["two"] == 0 || refused["foreign"]+refused["unsigned"] > 0 {
		t.Errorf("refusals have the revisions %v, want one and two, and none before them", refused)
	}

	// A restart without the server.
	if err := e.Stop(); err != nil {
		t.Error(err)
	}
	server.serve(http.StatusServiceUnavailable, nil)
	e = startOPAExample(t, caddyfile, env, nil)
	token = e.token(t, "reports", "reports-secret")
	want("a restart without the server", "/news", 200)
	want("a restart without the server", "/other", 403)
	if granted := e.revisions("request granted"); granted["two"] != 1 || len(granted) != 1 {
		t.Errorf("after the restart grants have the revisions %v, want two", granted)
	}
}
