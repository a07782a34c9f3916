// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gluu/gateway/caddyoauth"
	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// What the tests run against: Caddy in this process, an authorization server that
// knows the tokens of the test, and an upstream that keeps what it receives.

// peerPolicy is the sample policy of Gluu Gateway 4, unchanged but for the comments.
const peerPolicy = `package httpapi.authz

import input

default allow = false

allow {
  input.method = "GET"
  input.path = ["folder", "command"]
  input.request_token_data.client_id = "0123456789"
}
`

type world struct {
	testing.TB
	address  string
	dir      string
	issuer   *httptest.Server
	upstream *httptest.Server

	mu       sync.Mutex
	tokens   map[string]map[string]any
	received []*received
}

// received is a request as the upstream has received it.
type received struct {
	*http.Request
	body []byte
}

func newWorld(t testing.TB) *world {
	w := &world{TB: t, dir: tempDir(t), address: caddytest.FreeAddress(t), tokens: map[string]map[string]any{}}
	w.issuer = httptest.NewServer(http.HandlerFunc(w.introspect))
	w.upstream = httptest.NewServer(http.HandlerFunc(w.receive))
	t.Cleanup(w.issuer.Close)
	t.Cleanup(w.upstream.Close)
	caddytest.StopAfter(t)
	w.issue("good", map[string]any{"client_id": "0123456789", "scope": "todos:read todos:write", "sub": "ann", "aud": "api", "big": json.Number("12345678901234567890")})
	w.issue("other", map[string]any{"client_id": "other", "aud": "api"})
	return w
}

func (w *world) issue(token string, claims map[string]any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tokens[token] = claims
}

func (w *world) introspect(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	answer := map[string]any{"active": false}
	if claims, ok := w.tokens[r.PostFormValue("token")]; ok {
		answer = maps.Clone(claims)
		answer["active"] = true
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(answer)
}

func (w *world) receive(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	w.received = append(w.received, &received{r, body})
	w.mu.Unlock()
	_, _ = io.WriteString(rw, "upstream")
}

// last is what the upstream received last, nil if nothing.
func (w *world) last() *received {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.received) == 0 {
		return nil
	}
	return w.received[len(w.received)-1]
}

func (w *world) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.received)
}

// file writes a file and returns its name.
func (w *world) file(name, content string) string {
	w.Helper()
	name = filepath.Join(w.dir, name)
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		w.Fatal(err)
	}
	return name
}

// site is a site with a token of the world in front of gluu_opa_pep.
func (w *world) config(app, handlers string) string {
	return fmt.Sprintf(`{
	%s
	gluu {
		provider {
			issuer %[2]s
			introspection_endpoint %[2]s/introspect
			client_id gateway
			client_secret secret
			audience api
			verify introspection
		}
		consumer partner {
			custom_id 0123456789
			tags gold
		}
		consumer nobody
		%[3]s
	}
}
http://%[4]s {
	%[5]s
	reverse_proxy %[6]s
}
`, caddytest.Options(w.dir, ""), w.issuer.URL, app, w.address, handlers, strings.TrimPrefix(w.upstream.URL, "http://"))
}

const authenticate = "gluu_oauth_auth {\n consumer_mapping false\n}\n"

// start runs a gateway whose engine has a policy. It has all the time that a busy
// machine may need, unless the options say otherwise.
func (w *world) start(policy, options string) *world {
	w.Helper()
	if !strings.Contains(options, "timeout ") {
		options += "\ntimeout 10s"
	}
	return w.run(w.config("opa {\n policy "+w.file("policy.rego", policy)+"\n}", authenticate+"gluu_opa_pep {\n"+options+"\n}"))
}

func (w *world) run(source string) *world {
	w.Helper()
	if err := caddytest.Run(source, w.address); err != nil {
		w.Fatalf("%v\n%s", err, source)
	}
	return w
}

// refused returns the error of a configuration that must not load.
func (w *world) refused(source string) string {
	w.Helper()
	err := caddytest.Run(source, w.address)
	if err == nil {
		w.Fatalf("the configuration loads:\n%s", source)
	}
	return err.Error()
}

// answerOf is what a client got.
type answerOf struct {
	*http.Response
	text string
}

func (a answerOf) member(name string) string {
	var members map[string]any
	_ = json.Unmarshal([]byte(a.text), &members)
	text, _ := members[name].(string)
	return text
}

var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       10 * time.Second,
}

// send sends a request; change may be nil.
func (w *world) send(method, target, token, body string, change func(*http.Request)) answerOf {
	w.Helper()
	r, err := http.NewRequest(method, "http://"+w.address+target, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if body == "" {
		r.Body = http.NoBody
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if change != nil {
		change(r)
	}
	res, err := client.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answerOf{res, string(text)}
}

func (w *world) get(target, token string) answerOf {
	w.Helper()
	return w.send("GET", target, token, "", nil)
}

// wantReason checks the last refusal in the log.
func (w *world) wantReason(status int, reason string, got answerOf) {
	w.Helper()
	records := caddytest.Records(w, w.dir, "request refused")
	last := map[string]any{}
	if len(records) > 0 {
		last = records[len(records)-1]
	}
	if got.StatusCode != status || last["reason"] != reason {
		w.Errorf("got %d %s, reason %v (%v), want %d %s", got.StatusCode, got.text, last["reason"], last["error"], status, reason)
	}
}

// await waits for a condition, with a limit.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// logged is all that the gateway has logged.
func (w *world) logged() []byte {
	content, err := os.ReadFile(filepath.Join(w.dir, "log.json"))
	if err != nil {
		w.Fatal(err)
	}
	return bytes.ToValidUTF8(content, nil)
}

// tempDir is a folder whose name has none of a test's special characters: Caddy would
// take braces for a placeholder.
func tempDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "opa")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
