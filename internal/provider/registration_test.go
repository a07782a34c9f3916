// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
)

// registrar is an authorization server with dynamic client registration.
type registrar struct {
	mu       sync.Mutex
	requests []map[string]any
	tokens   []string // initial access tokens that came
	known    map[string]string
	lifetime time.Duration // of secrets; 0: without end
	broken   bool
}

func (r *registrar) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch req.URL.Path {
	case "/register":
		if r.broken {
			providertest.RespondWith(400, "application/json", `{"error":"invalid_client_metadata","error_description":"s3cret detail"}`)(w, req)
			return
		}
		var metadata map[string]any
		_ = json.NewDecoder(req.Body).Decode(&metadata)
		r.requests = append(r.requests, metadata)
		r.tokens = append(r.tokens, req.Header.Get("Authorization"))
		if r.known == nil {
			r.known = map[string]string{}
		}
		n := len(r.requests)
		id, secret := fmt.Sprint("client-", n), fmt.Sprint("secret-", n)
		r.known[id] = secret
		expires := int64(0)
		if r.lifetime != 0 {
			expires = time.Now().Add(r.lifetime).Unix()
		}
		providertest.RespondWith(201, "application/json", fmt.Sprintf(`{"client_id":%q,"client_secret":%q,"client_secret_expires_at":%d}`, id, secret, expires))(w, req)
	case "/introspect":
		id, secret, _ := req.BasicAuth()
		if known, ok := r.known[id]; !ok || known != secret {
			providertest.RespondWith(401, "application/json", `{"error":"invalid_client"}`)(w, req)
			return
		}
		providertest.Respond(providertest.Active(""))(w, req)
	default:
		http.NotFound(w, req)
	}
}

func (r *registrar) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.requests)
}

func registering() Config {
	return Config{
		Issuer: "https://as.example", Verify: VerifyIntrospection,
		IntrospectionEndpoint: "https://as.example/introspect", RegistrationEndpoint: "https://as.example/register",
		Register: &Registration{InitialAccessToken: "initial", ClientName: "my gateway", Scopes: []string{"uma_protection", "openid"}},
	}
}

// inStorage makes a provider that keeps its client in a storage.
func inStorage(t *testing.T, r *registrar, config Config, storage certmagic.Storage) *testProvider {
	t.Helper()
	// A lock of FileStorage is kept fresh until it is found gone.
	t.Cleanup(func() { time.Sleep(time.Minute) })
	config.SetDefaults()
	p := connectTo(providerFor(t, config), r)
	p.loaded.Storage = storage
	p.start()
	return p
}

func TestGatewayRegistersOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registrar{}
		storage := &certmagic.FileStorage{Path: t.TempDir()}
		first := inStorage(t, r, registering(), storage)
		second := inStorage(t, r, registering(), storage)
		time.Sleep(10 * time.Second)
		for _, p := range []*testProvider{first, second} {
			if _, err := p.Verify(t.Context(), "token"); err != nil {
				t.Fatal(err)
			}
			if got := p.ClientID(); got != "client-1" {
				t.Errorf("got client %q", got)
			}
		}
		// After a restart the storage still knows.
		third := inStorage(t, r, registering(), storage)
		time.Sleep(10 * time.Second)
		if _, err := third.Verify(t.Context(), "token"); err != nil {
			t.Fatal(err)
		}
		if n := r.count(); n != 1 {
			t.Fatalf("%d registrations, want 1", n)
		}
		m := r.requests[0]
		if m["client_name"] != "my gateway" || m["scope"] != "uma_protection openid" || m["token_endpoint_auth_method"] != "client_secret_basic" {
			t.Errorf("registered with %v", m)
		}
		if r.tokens[0] != "Bearer initial" {
			t.Errorf("registered with Authorization %q", r.tokens[0])
		}
	})
}

func TestRegistrationThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registrar{broken: true}
		p := inStorage(t, r, registering(), &certmagic.FileStorage{Path: t.TempDir()})
		synctest.Wait()
		if _, err := p.Verify(t.Context(), "token"); reasonOf(t, err) != token.ProviderUnavailable {
			t.Errorf("got %v, want %s", err, token.ProviderUnavailable)
		}
		got := p.lastFailure.Load()
		if want := "status 400 (invalid_client_metadata)"; got == nil || got.Error != want {
			t.Errorf("the operator reads %v, want %q", got, want)
		}
		r.mu.Lock()
		r.broken = false
		r.mu.Unlock()
		time.Sleep(5 * time.Second)
		if _, err := p.Verify(t.Context(), "token"); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

func TestExpiringSecretIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registrar{lifetime: 10 * time.Hour}
		p := inStorage(t, r, registering(), &certmagic.FileStorage{Path: t.TempDir()})
		time.Sleep(8 * time.Hour)
		if n := r.count(); n != 1 {
			t.Fatalf("%d registrations after 8 hours, want 1", n)
		}
		time.Sleep(90 * time.Minute)
		if n := r.count(); n != 2 {
			t.Fatalf("%d registrations half an hour before the end, want 2", n)
		}
		if _, err := p.Verify(t.Context(), "token"); err != nil || p.ClientID() != "client-2" {
			t.Errorf("got client %q, %v", p.ClientID(), err)
		}
	})
}

// The server has lost its clients, as test servers do: the gateway registers
// anew, once, and not in a loop.
func TestForgottenClientRegistersAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registrar{}
		p := inStorage(t, r, registering(), &certmagic.FileStorage{Path: t.TempDir()})
		time.Sleep(2 * registrationPause)
		r.mu.Lock()
		r.known = nil
		r.mu.Unlock()
		for range 3 {
			if _, err := p.Verify(t.Context(), "token"); reasonOf(t, err) != token.ProviderUnavailable {
				break
			}
			time.Sleep(time.Second)
		}
		if _, err := p.Verify(t.Context(), "token"); err != nil {
			t.Errorf("got %v after the registration", err)
		}
		if n := r.count(); n != 2 {
			t.Errorf("%d registrations, want 2", n)
		}
		time.Sleep(10 * registrationPause)
		if n := r.count(); n != 2 {
			t.Errorf("%d registrations in the end, want 2", n)
		}
	})
}

// A storage that takes no credentials must not make the gateway register again
// and again.
func TestRegistrationThatCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registrar{}
		p := inStorage(t, r, registering(), &fullStorage{certmagic.FileStorage{Path: t.TempDir()}})
		time.Sleep(time.Hour)
		if _, err := p.Verify(t.Context(), "token"); err != nil {
			t.Error(err)
		}
		if n := r.count(); n != 1 {
			t.Errorf("%d registrations, want 1", n)
		}
	})
}

type fullStorage struct{ certmagic.FileStorage }

func (*fullStorage) Store(context.Context, string, []byte) error { return errors.New("no space left") }

// closableStorage is one whose module closes its client when the configuration
// goes that opened it.
type closableStorage struct {
	certmagic.FileStorage
	closed atomic.Bool
}

func (s *closableStorage) Lock(ctx context.Context, name string) error {
	if s.closed.Load() {
		return errors.New("client is closed")
	}
	return s.FileStorage.Lock(ctx, name)
}

// A reload that leaves the provider alone brings a new storage all the same, and
// closes the old one.
func TestRegistrationUsesTheStorageOfTheRunningConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registrar{broken: true}
		dir := t.TempDir()
		before := &closableStorage{FileStorage: certmagic.FileStorage{Path: dir}}
		p := inStorage(t, r, registering(), before)
		synctest.Wait()
		next := *p
		next.loaded = new(*p.loaded)
		next.loaded.Storage = &closableStorage{FileStorage: certmagic.FileStorage{Path: dir}}
		next.start()
		before.closed.Store(true)
		r.mu.Lock()
		r.broken = false
		r.mu.Unlock()
		time.Sleep(time.Minute)
		if _, err := next.Verify(t.Context(), "token"); err != nil || r.count() != 1 {
			t.Errorf("got %v after %d registrations, want one", err, r.count())
		}
	})
}

// A gateway that waits for the server does not keep another one, which reaches
// it, from registering.
func TestWaitingForTheServerHoldsNoLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := &certmagic.FileStorage{Path: t.TempDir()}
		config := registering()
		config.RegistrationEndpoint = ""
		cutOff := inStorage(t, &registrar{}, config, storage) // it serves no metadata
		time.Sleep(time.Minute)
		r := &registrar{}
		connected := inStorage(t, r, registering(), storage)
		time.Sleep(10 * time.Second)
		if _, err := connected.Verify(t.Context(), "token"); err != nil {
			t.Error(err)
		}
		if _, err := cutOff.Verify(t.Context(), "token"); reasonOf(t, err) != token.ProviderUnavailable {
			t.Errorf("got %v", err)
		}
	})
}

func TestRegistrationOfKeys(t *testing.T) {
	keyFile, _ := providertest.WriteKey(t)
	config := registering()
	config.ClientAuth, config.ClientKey = PrivateKeyJWT, keyFile
	p := providerFor(t, config)
	a, err := LoadConnection(caddy.Context{}, &config, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	p.Attach(a)
	text, err := p.clientMetadata()
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Method string `json:"token_endpoint_auth_method"`
		JWKS   struct{ Keys []map[string]any }
	}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if m.Method != PrivateKeyJWT || len(m.JWKS.Keys) != 1 {
		t.Fatalf("got %s", text)
	}
	if m.JWKS.Keys[0]["d"] != nil {
		t.Error("the private key is sent")
	}
}

func TestRegistrationAnswers(t *testing.T) {
	for answer, ok := range map[string]bool{
		`{"client_id":"a","client_secret":"b"}`:                                   true,
		`{"client_id":"a","client_secret":"b","client_secret_expires_at":0}`:      true,
		`{"client_id":"a","client_secret":"b","client_secret_expires_at":1}`:      false,
		`{"client_id":"a","client_secret":"b","client_secret_expires_at":"soon"}`: false,
		`{"client_id":"a"}`:                                     false,
		`{"client_secret":"b"}`:                                 false,
		`{"client_id":1,"client_secret":"b"}`:                   false,
		`{"client_id":"a","client_id":"c","client_secret":"b"}`: false,
		`[]`: false,
		``:   false,
	} {
		config := registering()
		p := providerFor(t, config)
		if client, err := p.parseRegistration([]byte(answer)); (err == nil) != ok {
			t.Errorf("%s: got %v, %v", answer, client, err)
		}
	}
}
