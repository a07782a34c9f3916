// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/retry"
	"github.com/caddy-gluu/gateway/internal/storagelock"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// Dynamic client registration (RFC 7591): the gateway makes itself known to
// the authorization server and keeps what it gets in Caddy's storage. All
// gateways that share the storage are one client; a lock there sees to it that
// only one of them registers.

const (
	// renewBefore is how long before its end a client secret is replaced.
	renewBefore = time.Hour

	// registrationPause is the least time between two registrations, if the
	// server does not know its own clients.
	registrationPause = time.Minute
)

type registration struct {
	once     sync.Once
	first    chan struct{} // closed when the first attempt has ended
	rejected chan struct{} // the server does not accept the credentials

	mu      sync.Mutex
	current *registeredClient
	problem error
}

// registeredClient is the server's answer, as far as it matters, and the form
// in which it is stored.
type registeredClient struct {
	credentials
	SecretExpiresAt int64 `json:"client_secret_expires_at,omitempty"` // 0: never
	RegisteredAt    int64 `json:"registered_at,omitempty"`
}

func (c *registeredClient) usable(now time.Time) bool {
	return c.SecretExpiresAt == 0 || now.Unix() < c.SecretExpiresAt
}

// dueAt returns when the client should be registered anew, zero for never.
func (c *registeredClient) dueAt() time.Time {
	if c.SecretExpiresAt == 0 {
		return time.Time{}
	}
	end := time.Unix(c.SecretExpiresAt, 0)
	lifetime := end.Sub(time.Unix(c.RegisteredAt, 0))
	return end.Add(-min(renewBefore, lifetime/4))
}

func (r *registration) credentials(now time.Time) (credentials, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == nil || !r.current.usable(now) {
		return credentials{}, token.Unavailable(token.DefaultRetryAfter, "the gateway is not registered as a client yet: %w", cmpErr(r.problem, errNotAskedYet))
	}
	return r.current.credentials, nil
}

// startRegistration begins to register, once for all times that it is called.
func (s *Server) startRegistration() {
	s.registration.once.Do(func() { s.run(s.register) })
}

// AwaitCredentials waits for the first attempt to register the gateway, if it has
// to be registered: within the timeout, and for no longer than the context.
func (s *Server) AwaitCredentials(ctx context.Context) {
	if s.config.Register == nil {
		return
	}
	if _, err := s.credentials(); err != nil {
		s.awaitFirst(ctx, s.registration.first)
	}
}

// CredentialsRejected says that the server does not accept who the gateway is: it
// may have forgotten its client.
func (s *Server) CredentialsRejected() {
	s.rejected.Store(true)
	select {
	case s.registration.rejected <- struct{}{}:
	default: // not registered dynamically, or it is known already
	}
}

// register runs until the server ends.
func (s *Server) register(ctx context.Context) {
	backoff := retry.Backoff{Min: discoveryRetry, Max: longestDiscoveryRetry}
	var forget *registeredClient
	var isFirst sync.Once
	for {
		client, err := s.obtainClient(ctx, forget)
		if ctx.Err() != nil {
			return
		}
		s.registered(client, err)
		isFirst.Do(func() { close(s.registration.first) })
		if err != nil {
			if !backoff.Wait(ctx) {
				return
			}
			continue
		}
		backoff.Reset()
		forget = nil
		if rejected := s.awaitRenewal(ctx, client); rejected {
			forget = client
		}
		if ctx.Err() != nil {
			return
		}
	}
}

func (s *Server) registered(client *registeredClient, err error) {
	r := &s.registration
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problem = err
	if err != nil {
		// Requests have been recorded as what they failed with already.
		if !errors.As(err, new(*token.Error)) {
			s.NoteFailure("registration_endpoint", err)
		}
		s.Logger().Error("registering the gateway as a client", zap.Error(err))
		return
	}
	if r.current == nil || r.current.ID != client.ID {
		s.Logger().Info("the gateway is a registered client", zap.String("client_id", client.ID))
	}
	r.current = client
}

// awaitRenewal waits until the client should be registered anew, and reports
// whether that is because the server does not accept it.
func (s *Server) awaitRenewal(ctx context.Context, client *registeredClient) (rejected bool) {
	if !retry.Sleep(ctx, registrationPause) {
		return false
	}
	var due <-chan time.Time
	if at := client.dueAt(); !at.IsZero() {
		timer := time.NewTimer(at.Sub(s.Now()))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
	case <-due:
	case <-s.registration.rejected:
		return true
	}
	return false
}

// obtainClient returns the stored client, or registers one and stores it. A
// client to forget is not taken from the storage again.
func (s *Server) obtainClient(ctx context.Context, forget *registeredClient) (*registeredClient, error) {
	key := s.registrationKey()
	// The same one to the end, so that what is locked is unlocked.
	storage := s.attached.Load().Storage
	stored, err := loadClient(ctx, storage, key)
	if err != nil {
		return nil, err
	}
	if stored != nil && !s.obsolete(stored, forget) {
		return stored, nil
	}
	// Before the lock is taken: another gateway that holds it up to wait for
	// the server may be the one that the server answers.
	address, err := s.registrationEndpoint(ctx)
	if err != nil {
		return nil, err
	}
	release, err := storagelock.Acquire(ctx, storage, key, s.Logger())
	if err != nil {
		return nil, err
	}
	defer release()
	stored, err = loadClient(ctx, storage, key)
	if err != nil {
		return nil, err
	}
	if stored != nil && !s.obsolete(stored, forget) {
		return stored, nil // another gateway was faster
	}
	client, err := s.registerAt(ctx, address)
	if err != nil {
		return nil, err
	}
	s.storeClient(ctx, storage, key, client)
	return client, nil
}

// storeClient keeps a client for the next start. A failure must not lead to
// another registration.
func (s *Server) storeClient(ctx context.Context, storage certmagic.Storage, key string, client *registeredClient) {
	text, err := json.Marshal(client)
	if err == nil {
		err = storage.Store(ctx, key, text)
	}
	if err != nil {
		s.Logger().Error("storing the gateway's credentials; after a restart it will register again", zap.Error(err))
	}
}

// obsolete reports whether a stored client should be replaced. One that
// another gateway has registered since is not.
func (s *Server) obsolete(stored, forget *registeredClient) bool {
	if forget != nil && stored.ID == forget.ID && stored.Secret == forget.Secret {
		return true
	}
	due := stored.dueAt()
	return !due.IsZero() && !s.Now().Before(due)
}

// registrationKey is where the client is stored. Whatever goes into the
// registration goes into its name.
func (s *Server) registrationKey() string {
	r := s.config.Register
	parts := []string{s.config.Issuer, s.config.ClientAuth, r.ClientName, strings.Join(r.Scopes, " ")}
	if s.config.ClientAuth == PrivateKeyJWT {
		parts = append(parts, s.attached.Load().Key.Public().Thumbprint())
	}
	text, _ := json.Marshal(parts) // a list of strings always has a JSON form
	sum := sha256.Sum256(text)
	return "gluu/clients/" + hex.EncodeToString(sum[:16]) + ".json"
}

func loadClient(ctx context.Context, storage certmagic.Storage, key string) (*registeredClient, error) {
	text, err := storage.Load(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the stored credentials: %w", err)
	}
	var client registeredClient
	if err := json.Unmarshal(text, &client); err != nil || client.ID == "" {
		return nil, fmt.Errorf("the stored credentials (%s) cannot be read; delete them to register anew", key)
	}
	return &client, nil
}

func (s *Server) registrationEndpoint(ctx context.Context) (string, error) {
	if s.config.RegistrationEndpoint == "" {
		s.AwaitMetadata(ctx)
	}
	return s.Endpoint("registration_endpoint")
}

// registerAt registers the gateway.
func (s *Server) registerAt(ctx context.Context, address string) (*registeredClient, error) {
	body, err := s.clientMetadata()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if token := s.config.Register.InitialAccessToken; token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	var client *registeredClient
	_, err = s.Do(ctx, "registration_endpoint", req, func(a *Answer) error {
		if a.Status != http.StatusCreated && a.Status != http.StatusOK {
			return fmt.Errorf("%w%s", &StatusError{a.Status}, errorCode(a.Body))
		}
		var err error
		client, err = s.parseRegistration(a.Body)
		return err
	})
	return client, err
}

// clientMetadata is what the gateway says about itself (RFC 7591, section 2).
// It acts for itself only: no user is ever sent to it.
func (s *Server) clientMetadata() ([]byte, error) {
	r := s.config.Register
	name := r.ClientName
	if name == "" {
		name = "Gluu Gateway"
	}
	m := map[string]any{
		"client_name":                name,
		"token_endpoint_auth_method": strings.TrimSuffix(s.config.ClientAuth, "_raw"),
		"grant_types":                []string{"client_credentials"},
		"response_types":             []string{},
		"redirect_uris":              []string{},
	}
	if len(r.Scopes) > 0 {
		m["scope"] = strings.Join(r.Scopes, " ")
	}
	switch s.config.ClientAuth {
	case PrivateKeyJWT:
		key := s.attached.Load().Key
		public := key.Public()
		if kid := keyID(s.config.ClientKeyID, key); kid != "" {
			public = public.WithID(kid)
		}
		keys, err := jose.PublicKeySet(public)
		if err != nil {
			return nil, err
		}
		m["jwks"] = json.RawMessage(keys)
	case TLSClientAuth:
		subject, err := subjectOf(s.config.ClientCertificate, s.config.ClientCertificateKey)
		if err != nil {
			return nil, err
		}
		m["tls_client_auth_subject_dn"] = subject
	}
	return json.Marshal(m)
}

func subjectOf(certificateFile, keyFile string) (string, error) {
	pair, err := tls.LoadX509KeyPair(certificateFile, keyFile)
	if err != nil {
		return "", err
	}
	certificate, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return "", err
	}
	return certificate.Subject.String(), nil
}

func (s *Server) parseRegistration(body []byte) (*registeredClient, error) {
	document, err := jose.ParseObject(body)
	if err != nil {
		return nil, err
	}
	client := &registeredClient{RegisteredAt: s.Now().Unix()}
	if client.ID, err = document.Text("client_id"); err != nil {
		return nil, err
	}
	if client.ID == "" {
		return nil, errors.New("the answer has no client_id")
	}
	if client.Secret, err = document.Text("client_secret"); err != nil {
		return nil, err
	}
	if client.Secret == "" && strings.HasPrefix(s.config.ClientAuth, "client_secret_") {
		return nil, fmt.Errorf("the answer has no client_secret, which %s needs", s.config.ClientAuth)
	}
	expires, err := document.Time("client_secret_expires_at")
	if err != nil {
		return nil, err
	}
	if !expires.IsZero() {
		client.SecretExpiresAt = expires.Unix()
	}
	if !client.usable(s.Now()) {
		return nil, errors.New("the client_secret has expired already")
	}
	return client, nil
}

// errorCode returns the `error` of an OAuth error answer, for the log. Anything
// but a plain word is left out.
func errorCode(body []byte) string {
	document, err := jose.ParseObject(body)
	if err != nil {
		return ""
	}
	code, err := document.Text("error")
	if err != nil || code == "" || len(code) > 60 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	return " (" + code + ")"
}
