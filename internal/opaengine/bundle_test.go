// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
)

// signer signs bundles as `opa sign` does.
type signer struct {
	private []byte // PEM
	public  []byte // PEM
	alg     string
}

func newSigner(t testing.TB, key crypto.Signer, alg string) *signer {
	t.Helper()
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return &signer{
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), alg,
	}
}

func p256(t testing.TB) *signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newSigner(t, key, "ES256")
}

// pack makes a bundle; a nil signer leaves it unsigned.
func pack(t testing.TB, s *signer, revision, policy string, roots ...string) []byte {
	t.Helper()
	module, _, err := parseModule("policy.rego", policy)
	if err != nil {
		t.Fatal(err)
	}
	b := bundle.Bundle{
		Manifest: bundle.Manifest{Revision: revision},
		Data:     map[string]any{},
		Modules:  []bundle.ModuleFile{{URL: "/policy.rego", Path: "/policy.rego", RelativePath: "/policy.rego", Raw: []byte(policy), Parsed: module}},
	}
	if len(roots) > 0 {
		b.Manifest.Roots = &roots
	}
	b.Manifest.Init()
	if s != nil {
		if err := b.GenerateSignature(bundle.NewSigningConfig(string(s.private), s.alg, ""), "", false); err != nil {
			t.Fatal(err)
		}
	}
	var packed bytes.Buffer
	if err := bundle.NewWriter(&packed).UseModulePath(true).DisableFormat(true).Write(b); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// bundleServer hands out one bundle.
type bundleServer struct {
	*httptest.Server
	mu     sync.Mutex
	packed []byte
	status int
	asked  int
	not    int // how often nothing had changed
	header http.Header
}

func newBundleServer(t testing.TB) *bundleServer {
	s := &bundleServer{status: 200}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked++
		s.header = r.Header
		etag := fmt.Sprintf(`"%x"`, len(s.packed)) + string(s.packed[len(s.packed)-8:len(s.packed)-4])
		etag = fmt.Sprintf("%q", fmt.Sprintf("%x", etag))
		if s.status != 200 {
			w.WriteHeader(s.status)
			return
		}
		w.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			s.not++
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(s.packed)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *bundleServer) set(status int, packed []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
	if packed != nil {
		s.packed = packed
	}
}

func (s *bundleServer) count() (asked, not int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.not
}

// memory is a storage.
type memory struct {
	mu      sync.Mutex
	content map[string][]byte
}

func (m *memory) Store(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.content == nil {
		m.content = map[string][]byte{}
	}
	m.content[key] = value
	return nil
}

func (m *memory) Load(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if value, ok := m.content[key]; ok {
		return value, nil
	}
	return nil, fs.ErrNotExist
}

func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func following(t testing.TB, address string, s *signer, change func(*Settings)) *Engine {
	t.Helper()
	settings := Settings{
		Bundles: []Bundle{{Name: "authz", URL: address, Key: s.public, MinPoll: time.Millisecond, MaxPoll: 2 * time.Millisecond}},
		// No pause is longer than a moment.
		Clock: func(time.Duration) <-chan time.Time { return time.After(2 * time.Millisecond) },
	}
	if change != nil {
		change(&settings)
	}
	e := mustNew(t, settings)
	e.Start()
	return e
}

func valueOf(t testing.TB, e *Engine) string {
	got, err := decide(t, e, "a/x", `{}`)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(got.Value)
}

// Every kind of key that a bundle can be signed with.
func TestSignedBundles(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*signer{"RS256": newSigner(t, rsaKey, "RS256"), "ES256": p256(t), "EdDSA": newSigner(t, edKey, "EdDSA")} {
		t.Run(name, func(t *testing.T) {
			if got, err := algorithmOf(s.public); err != nil || got != name {
				t.Fatalf("got %s, %v", got, err)
			}
			b := Bundle{Name: "a", Key: s.public}
			if err := b.prepare(); err != nil {
				t.Fatal(err)
			}
			if _, err := b.read(pack(t, s, "1", "package a\n\nx := 1\n")); err != nil {
				t.Errorf("signed: %v", err)
			}
		})
	}
}

// A bundle counts only if it is signed with the key.
func TestSec_S314_OnlySignedBundles(t *testing.T) {
	s, other := p256(t), p256(t)
	good := pack(t, s, "1", "package a\n\nx := 1\n")
	b := Bundle{Name: "a", Key: s.public}
	if err := b.prepare(); err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(good)
	changed[len(changed)/2] ^= 1
	for name, packed := range map[string][]byte{
		"unsigned":         pack(t, nil, "1", "package a\n\nx := 1\n"),
		"another key":      pack(t, other, "1", "package a\n\nx := 1\n"),
		"changed":          changed,
		"cut off":          good[:len(good)/2],
		"empty":            {},
		"not gzip":         []byte("package a"),
		"HTML":             []byte("<html>"),
		"an HMAC of a key": pack(t, &signer{private: s.public, alg: "HS256"}, "1", "package a\n\nx := 1\n"),
	} {
		if _, err := b.read(packed); err == nil {
			t.Errorf("%s: it is accepted", name)
		}
	}
	if _, err := b.read(good); err != nil {
		t.Errorf("the good one: %v", err)
	}
	for name, key := range map[string][]byte{"none": nil, "private": s.private, "nonsense": []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")} {
		if _, err := New(Settings{Bundles: []Bundle{{Name: "a", URL: "http://127.0.0.1/", Key: key}}}); err == nil {
			t.Errorf("key %s: it is accepted", name)
		}
	}
}

// Whatever a bundle is, it cannot fill the memory.
func TestSec_S324_ABundleHasItsSize(t *testing.T) {
	s := p256(t)
	b := Bundle{Name: "a", Key: s.public}
	if err := b.prepare(); err != nil {
		t.Fatal(err)
	}
	bomb := pack(t, s, "1", "package a\n\nx := 1\n\n# "+strings.Repeat("x", MaxBundle)+"\n")
	if len(bomb) > 1<<20 {
		t.Fatalf("it is %d bytes long", len(bomb))
	}
	if _, err := b.read(bomb); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("got %v", err)
	}
}

// Before the first policy nothing is decided, and certainly nothing granted.
func TestSec_S312_NoPolicyNoGrant(t *testing.T) {
	server, s := newBundleServer(t), p256(t)
	server.set(503, []byte("unavailable"))
	e := following(t, server.URL, s, nil)
	await(t, "a few questions", func() bool { asked, _ := server.count(); return asked > 3 })
	if _, err := e.Snapshot(); !errors.Is(err, ErrNotReady) {
		t.Errorf("got %v, want %v", err, ErrNotReady)
	}
	server.set(200, pack(t, s, "1", "package a\n\nx := 1\n"))
	await(t, "the policy", func() bool { return valueOf(t, e) == "1" })
}

// A bundle that cannot be used changes nothing, and the next one is.
func TestBrokenBundlesChangeNothing(t *testing.T) {
	server, s := newBundleServer(t), p256(t)
	server.set(200, pack(t, s, "one", "package a\n\nx := 1\n"))
	e := following(t, server.URL, s, nil)
	await(t, "the first", func() bool { return valueOf(t, e) == "1" })
	await(t, "that nothing has changed", func() bool { _, not := server.count(); return not > 2 })
	for name, packed := range map[string][]byte{
		"unsigned":         pack(t, nil, "two", "package a\n\nx := 2\n"),
		"does not compile": pack(t, s, "two", "package a\n\nx := y\n"),
		"calls out":        pack(t, s, "two", "package a\n\nx := http.send({\"method\": \"get\", \"url\": \"http://a\"})\n"),
	} {
		server.set(200, packed)
		before, _ := server.count()
		await(t, name, func() bool { asked, _ := server.count(); return asked > before+3 })
		if got := valueOf(t, e); got != "1" {
			t.Errorf("%s: got %s, want 1", name, got)
		}
	}
	server.set(200, pack(t, s, "three", "package a\n\nx := 3\n"))
	await(t, "the third", func() bool { return valueOf(t, e) == "3" })
	if snapshot, _ := e.Snapshot(); snapshot.Revision() != "three" {
		t.Errorf("the revision is %q", snapshot.Revision())
	}
}

// What was downloaded is used after a restart, if its signature still holds.
func TestStoredBundles(t *testing.T) {
	server, s := newBundleServer(t), p256(t)
	server.set(200, pack(t, s, "one", "package a\n\nx := 1\n"))
	storage := new(memory)
	stored := func(settings *Settings) { settings.Storage = storage }
	e := following(t, server.URL, s, stored)
	await(t, "the first", func() bool { return valueOf(t, e) == "1" })
	await(t, "that it is stored", func() bool { storage.mu.Lock(); defer storage.mu.Unlock(); return len(storage.content) == 1 })
	_ = e.Destruct()
	server.set(503, nil)

	e = following(t, server.URL, s, stored)
	await(t, "the stored one", func() bool { return valueOf(t, e) == "1" })
	_ = e.Destruct()

	other := following(t, server.URL, p256(t), stored) // another key
	before, _ := server.count()
	await(t, "a few questions", func() bool { asked, _ := server.count(); return asked > before+3 })
	if got := valueOf(t, other); got != ErrNotReady.Error() {
		t.Errorf("a stored bundle of another key decides: %s", got)
	}
	_ = other.Destruct()

	storage.mu.Lock()
	for key, value := range storage.content {
		storage.content[key] = bytes.Replace(value, []byte("etag"), []byte("gate"), 1)[:len(value)-10]
	}
	storage.mu.Unlock()
	server.set(200, nil)
	e = following(t, server.URL, s, stored)
	await(t, "the bundle, although the stored one is broken", func() bool { return valueOf(t, e) == "1" })
}

// Policies whose server is silent are not used for ever, if that is not wanted.
func TestSec_S313_OldPoliciesEnd(t *testing.T) {
	server, s := newBundleServer(t), p256(t)
	server.set(200, pack(t, s, "one", "package a\n\nx := 1\n"))
	var mu sync.Mutex
	now := time.Unix(1_000_000, 0)
	e := following(t, server.URL, s, func(settings *Settings) {
		settings.MaxStale = time.Hour
		settings.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	await(t, "the policy", func() bool { return valueOf(t, e) == "1" })
	server.set(503, nil)
	before, _ := server.count()
	await(t, "a few questions", func() bool { asked, _ := server.count(); return asked > before+2 })
	later := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	later(time.Hour)
	if got := valueOf(t, e); got != "1" || e.Age() != time.Hour {
		t.Errorf("after an hour: got %s, age %s", got, e.Age())
	}
	later(time.Second)
	if _, err := e.Snapshot(); !errors.Is(err, ErrStale) {
		t.Errorf("after more than an hour: got %v, want %v", err, ErrStale)
	}
	server.set(200, nil)
	await(t, "the policy, once the server answers", func() bool { return valueOf(t, e) == "1" })
}

// Two sources cannot both say what one thing is.
func TestRootsDoNotOverlap(t *testing.T) {
	s := p256(t)
	read := func(name, policy string, roots ...string) *source {
		b := Bundle{Name: name, Key: s.public}
		if err := b.prepare(); err != nil {
			t.Fatal(err)
		}
		src, err := b.read(pack(t, s, name, policy, roots...))
		if err != nil {
			t.Fatal(err)
		}
		return src
	}
	files, err := parseFiles([]file{{"f.rego", []byte("package f\n\nx := 1\n")}, {"d.json", []byte(`{"roles": {}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	a, b := read("a", "package a\n\nx := 1\n", "a"), read("b", "package b\n\nx := 1\n", "b", "roles2")
	for name, test := range map[string]struct {
		sources []*source
		ok      bool
	}{
		"apart":                 {[]*source{files, a, b}, true},
		"all":                   {[]*source{a, read("all", "package z\n\nx := 1\n")}, false},
		"below":                 {[]*source{a, read("c", "package a.c\n\nx := 1\n", "a/c")}, false},
		"the same":              {[]*source{a, read("c", "package a\n\ny := 1\n", "a")}, false},
		"the package of a file": {[]*source{files, read("c", "package f\n\ny := 1\n", "f")}, false},
		"the data of a file":    {[]*source{files, read("c", "package roles.c\n\ny := 1\n", "roles")}, false},
		"a longer name":         {[]*source{a, read("c", "package ab\n\ny := 1\n", "ab")}, true},
	} {
		if err := checkRoots(test.sources); (err == nil) != test.ok {
			t.Errorf("%s: got %v, want that they fit: %t", name, err, test.ok)
		}
	}
}

// Activations under load refuse no evaluation, and no evaluation sees half of one.
func TestActivationUnderLoad(t *testing.T) {
	server, s := newBundleServer(t), p256(t)
	policy := func(i int) []byte {
		return pack(t, s, fmt.Sprint(i), fmt.Sprintf("package a\n\nx := {\"a\": %d, \"b\": %[1]d}\n", i))
	}
	server.set(200, policy(0))
	e := following(t, server.URL, s, nil)
	await(t, "the first", func() bool { return valueOf(t, e) == `{"a": 0, "b": 0}` })
	end := make(chan struct{})
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				snapshot, err := e.Snapshot()
				if err != nil {
					t.Error(err)
					return
				}
				got, err := snapshot.Decide(context.Background(), "a/x", ast.NewObject(), 10*time.Second)
				if err != nil || fmt.Sprintf(`{"a": %s, "b": %[1]s}`, got.Revision) != fmt.Sprint(got.Value) {
					t.Errorf("got %v of %s, %v", got.Value, got.Revision, err)
					return
				}
			}
		})
	}
	for i := range 10 {
		server.set(200, policy(i+1))
		want := fmt.Sprintf(`{"a": %d, "b": %[1]d}`, i+1)
		await(t, want, func() bool { return valueOf(t, e) == want })
	}
	close(end)
	running.Wait()
}

// OPA's own configuration brings its bundles.
func TestOPAsOwnConfiguration(t *testing.T) {
	server, s := newBundleServer(t), p256(t)
	server.set(200, pack(t, s, "one", "package a\n\nx := 1\n"))
	config := fmt.Sprintf("services:\n  s:\n    url: %s\nkeys:\n  k:\n    algorithm: ES256\n    key: |\n      %s\nbundles:\n  authz:\n    service: s\n    resource: /bundle.tar.gz\n    signing:\n      keyid: k\n    polling:\n      min_delay_seconds: 1\n      max_delay_seconds: 1\n",
		server.URL, strings.ReplaceAll(strings.TrimSpace(string(s.public)), "\n", "\n      "))
	e := mustNew(t, Settings{OPA: []byte(config)})
	if _, err := e.Snapshot(); !errors.Is(err, ErrNotReady) {
		t.Errorf("before it has started: got %v, want %v", err, ErrNotReady)
	}
	e.Start()
	await(t, "the policy", func() bool { return valueOf(t, e) == "1" })
	server.set(200, pack(t, s, "two", "package a\n\nx := 2\n"))
	await(t, "the next one", func() bool { return valueOf(t, e) == "2" })
	await(t, "its revision", func() bool { snapshot, _ := e.Snapshot(); return snapshot.Revision() == "two" })
	server.set(200, pack(t, s, "three", "package a\n\nx := opa.runtime()\n"))
	await(t, "that a policy which calls out is refused", func() bool { return strings.Contains(valueOf(t, e), "opa.runtime") })
}

func TestOPAsOwnConfigurationIsChecked(t *testing.T) {
	for config, want := range map[string]string{
		"bundles: {a: {service: s}}\nservices: {s: {url: 'http://a.example'}}":       "not signed",
		"bundles: {a: {service: s}}\nservices: [{name: s, url: 'http://a.example'}]": "not signed",
		"bundles: {a: {resource: 'http://a.example/b'}}":                             "not signed",
		"services: {s: {url: 'https://a.example'}}":                                  "neither bundles nor discovery",
		"- a": "not an object",
		"":    "neither",
		"bundles: {a: {service: none, resource: b}}": "none",
	} {
		if _, err := New(Settings{OPA: []byte(config)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", config, err, want)
		}
	}
}
