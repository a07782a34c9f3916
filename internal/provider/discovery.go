// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-gluu/gateway/internal/retry"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// Discovery reads the server's metadata (OpenID Connect Discovery 1.0; RFC
// 8414) in the background. A request that meets the first attempt waits for its
// outcome, so that a start costs no request; while later attempts go on, what
// needs an endpoint is told so at once.

const (
	discoveryRetry        = time.Second
	longestDiscoveryRetry = 30 * time.Second

	// Rediscovery is how often metadata is read again. What it said before
	// holds for as long as it cannot be read.
	Rediscovery = 6 * time.Hour
)

// metadata is what the server says about itself.
type metadata struct {
	endpoints map[string]string
	refused   map[string]error // endpoints that are somewhere they must not be
	signed    bool             // it offers signed introspection responses
	document  []byte           // all of it
	flags     map[string]bool  // boolean members that are true

	accessTokenIssuer string // the iss of access tokens, where it is another one
}

type discovery struct {
	once  sync.Once
	first chan struct{} // closed when the first attempt has ended

	mu      sync.Mutex
	found   *metadata
	problem error     // of the last attempt
	next    time.Time // when the next one is due
	changed chan struct{}
}

// needsDiscovery reports whether verifying tokens takes an endpoint that is
// not configured.
func (s *Server) needsDiscovery() bool {
	c := &s.config
	if c.Embedded {
		return false
	}
	return c.Verify != VerifyIntrospection && c.JWKSURI == "" ||
		c.Verify != VerifyJWT && c.IntrospectionEndpoint == "" ||
		c.Register != nil && c.RegistrationEndpoint == ""
}

// Endpoint returns the address of an endpoint: the configured one, else the
// discovered one. The error is an *token.Error: the address may become known.
func (s *Server) Endpoint(name string) (string, error) {
	if address := s.fixed[name]; address != "" {
		return address, nil
	}
	if len(s.places) == 0 {
		return "", token.Unavailable(longestDiscoveryRetry, "%w: the issuer %q is only a name; write '%s <url>' if it has one", &NoEndpointError{name}, s.config.Issuer, name)
	}
	s.startDiscovery()
	d := &s.discovery
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.found == nil {
		return "", token.Unavailable(d.next.Sub(s.Now()), "the metadata of %s is not known yet: %w", s.config.Issuer, cmpErr(d.problem, errNotAskedYet))
	}
	if err := d.found.refused[name]; err != nil {
		return "", token.Unavailable(longestDiscoveryRetry, "%s: %w", name, err)
	}
	address, ok := d.found.endpoints[name]
	if !ok {
		return "", token.Unavailable(longestDiscoveryRetry, "%w: write '%s <url>' if it has one", &NoEndpointError{name}, name)
	}
	return address, nil
}

// AwaitEndpoint is Endpoint for a request, which waits for the first attempt to
// discover the address: within the timeout, and for no longer than its context.
func (s *Server) AwaitEndpoint(ctx context.Context, name string) (string, error) {
	address, err := s.Endpoint(name)
	if err == nil {
		return address, nil
	}
	s.awaitFirst(ctx, s.discovery.first)
	return s.Endpoint(name)
}

// awaitFirst waits for the end of a first attempt: within the timeout, and for no
// longer than the context.
func (s *Server) awaitFirst(ctx context.Context, ended <-chan struct{}) {
	timer := time.NewTimer(time.Duration(s.config.Timeout))
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
}

var errNotAskedYet = errors.New("the first attempt is under way")

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// NoEndpointError says that the server has no such endpoint: its metadata is known
// and names none, or there is no metadata.
type NoEndpointError struct{ name string }

func (e *NoEndpointError) Error() string { return "the server has no known " + e.name }

// OffersSignedIntrospection reports what the metadata says, false if it is
// not known.
func (s *Server) OffersSignedIntrospection() bool {
	s.discovery.mu.Lock()
	defer s.discovery.mu.Unlock()
	return s.discovery.found != nil && s.discovery.found.signed
}

// Promises reports whether the metadata has a boolean member that is true; false
// while the metadata is not known.
func (s *Server) Promises(name string) bool {
	s.discovery.mu.Lock()
	defer s.discovery.mu.Unlock()
	return s.discovery.found != nil && s.discovery.found.flags[name]
}

// startDiscovery begins to discover, once for all times that it is called.
func (s *Server) startDiscovery() {
	if len(s.places) > 0 {
		s.discovery.once.Do(func() { s.run(s.discover) })
	}
}

// discover runs until the server ends.
func (s *Server) discover(ctx context.Context) {
	backoff := retry.Backoff{Min: discoveryRetry, Max: longestDiscoveryRetry}
	var isFirst sync.Once
	for {
		found, err := s.fetchMetadata(ctx)
		wait := Rediscovery
		if err != nil {
			wait = backoff.Next()
		} else {
			backoff.Reset()
		}
		if ctx.Err() != nil {
			return
		}
		s.discovered(found, err, wait)
		isFirst.Do(func() { close(s.discovery.first) })
		if !backoff.Clock.Sleep(ctx, wait) {
			return
		}
	}
}

// discovered keeps the outcome of an attempt.
func (s *Server) discovered(found *metadata, err error, wait time.Duration) {
	d := &s.discovery
	d.mu.Lock()
	defer d.mu.Unlock()
	first := d.found == nil
	isFirst := d.found == nil && d.problem == nil
	d.problem, d.next = err, s.Now().Add(wait)
	if err != nil {
		s.NoteFailure("discovery", err)
		s.Logger().Log(levelOf(err, isFirst), "reading the server's metadata", zap.String("issuer", s.config.Issuer),
			zap.Error(err), zap.Duration("retry_in", wait), zap.Bool("known_from_before", !first))
		return
	}
	d.found = found
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
	for name, problem := range found.refused {
		s.Logger().Error("discovered endpoint is not used", zap.String("endpoint", name), zap.Error(problem))
	}
	if first {
		s.Logger().Info("discovered", zap.String("issuer", s.config.Issuer), zap.Any("endpoints", found.endpoints))
	}
}

// levelOf returns the level at which a failed attempt is logged. That nothing
// listens yet at the first one is not an error: the server may be one that this
// process is about to start, or that starts beside it.
func levelOf(err error, isFirst bool) zapcore.Level {
	if isFirst && errors.Is(err, syscall.ECONNREFUSED) {
		return zapcore.InfoLevel
	}
	return zapcore.ErrorLevel
}

// AwaitMetadata waits for the first success of discovery, where there is anything
// to discover.
func (s *Server) AwaitMetadata(ctx context.Context) {
	if len(s.places) == 0 {
		return
	}
	s.startDiscovery()
	d := &s.discovery
	d.mu.Lock()
	if d.found != nil {
		d.mu.Unlock()
		return
	}
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	changed := d.changed
	d.mu.Unlock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
}

// fetchMetadata asks for the metadata wherever it can be.
func (s *Server) fetchMetadata(ctx context.Context) (*metadata, error) {
	return firstOf(s.places, func(address string) (*metadata, error) {
		return s.fetchMetadataFrom(ctx, address)
	})
}

func (s *Server) fetchMetadataFrom(ctx context.Context, address string) (*metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.config.Timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	// Not under a breaker: discovery has its own back-off.
	a, err := s.exchange(ctx, req, acceptDocument)
	if err != nil {
		return nil, err
	}
	return s.parseMetadata(a.Body)
}

// parseMetadata reads the metadata and leaves out endpoints on other origins.
func (s *Server) parseMetadata(body []byte) (*metadata, error) {
	document, err := s.parseDocument(body)
	if err != nil {
		return nil, err
	}
	found := &metadata{endpoints: map[string]string{}, refused: map[string]error{}, document: body}
	for _, name := range discoverable {
		address, err := s.endpointIn(document, name)
		if err == nil && address != "" {
			err = s.origins.check(address)
		}
		switch {
		case err != nil:
			found.refused[name] = err
		case address != "":
			found.endpoints[name] = address
		}
	}
	// AD FS has an issuer for ID tokens and another one for access tokens.
	if found.accessTokenIssuer, err = document.Text("access_token_issuer"); err != nil {
		return nil, err
	}
	if value, ok := document.Get("introspection_signing_alg_values_supported"); ok && value.IsList() {
		algorithms, err := value.Texts()
		found.signed = err == nil && len(algorithms) > 0
	}
	found.flags = make(map[string]bool)
	for _, name := range promises {
		if value, ok := document.Get(name); ok && value.JSON() == "true" {
			found.flags[name] = true
		}
	}
	return found, nil
}

// promises are the boolean members of the metadata that this gateway minds.
var promises = []string{
	"authorization_response_iss_parameter_supported", // RFC 9207, section 3
	"require_pushed_authorization_requests",          // RFC 9126, section 5
}

// discoverable are the endpoints that this gateway can have use for.
var discoverable = []string{
	"introspection_endpoint",
	"jwks_uri",
	"token_endpoint",
	"revocation_endpoint",
	"registration_endpoint",
	"authorization_endpoint",
	"userinfo_endpoint",
	"end_session_endpoint",
	"pushed_authorization_request_endpoint",
}

// endpointIn returns an endpoint of the metadata, "" if it has none. A server
// may have others for clients that show a certificate (RFC 8705, section 5).
func (s *Server) endpointIn(document jose.Object, name string) (string, error) {
	if s.config.ClientCertificate != "" {
		if value, ok := document.Get("mtls_endpoint_aliases"); ok {
			aliases, err := value.Object()
			if err != nil {
				return "", fmt.Errorf("mtls_endpoint_aliases: %w", err)
			}
			if aliases.Has(name) {
				return aliases.Text(name)
			}
		}
	}
	return document.Text(name)
}

// knownEndpoints returns the endpoints that requests can go to at present.
func (s *Server) knownEndpoints() map[string]string {
	known := map[string]string{}
	s.discovery.mu.Lock()
	if s.discovery.found != nil {
		maps.Copy(known, s.discovery.found.endpoints)
	}
	s.discovery.mu.Unlock()
	for name, address := range s.fixed {
		if address != "" {
			known[name] = address
		}
	}
	return known
}
