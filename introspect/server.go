// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/jose"
)

// A configuration comes and goes with each reload; what was learned about an
// authorization server stays. So there are two halves:
//
//   - server: discovered endpoints, keys, breakers, calls under way. The
//     verifier that has it lives in a pool under a digest of the provider's
//     settings and is shared by all configurations that have the same.
//   - attachment: what has to be fresh with each configuration although the
//     settings are the same, because it was read from files or belongs to
//     Caddy: certificates, keys, the storage, the logger. The configuration
//     that started last attaches its own to the server.

// server is what this process knows about one authorization server.
type server struct {
	name    string
	config  ProviderConfig // resolved, with defaults, never changed
	origins origins
	now     func() time.Time

	attached atomic.Pointer[attachment]
	metrics  *serverMetrics

	keys         *remoteKeySet
	discovery    discovery
	registration registration
	breakers     breakers
	limiter      limiter
	lastFailure  atomic.Pointer[Failure]

	ctx    context.Context // ends with the server
	cancel context.CancelFunc
	mu     sync.Mutex // guards tasks against being added to an ended server
	tasks  sync.WaitGroup
}

// attachment is what the running configuration lends to a server.
type attachment struct {
	http    *http.Client
	key     jose.PrivateKey // for private_key_jwt
	storage certmagic.Storage
	logger  *zap.Logger
}

// Failure is the last thing that went wrong with a server, for the operator.
type Failure struct {
	Time     time.Time `json:"time"`
	Endpoint string    `json:"endpoint"`
	Error    string    `json:"error"`
}

func newServer(name string, config ProviderConfig, a *attachment) *server {
	s := &server{
		name:    name,
		config:  config,
		origins: originsOf(&config),
		now:     time.Now,
		metrics: newServerMetrics(name),
		limiter: newLimiter(maxInFlight),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if config.Register != nil {
		s.registration.rejected = make(chan struct{}, 1)
	}
	s.attach(a)
	s.keys = s.newKeys()
	return s
}

func (s *server) attach(a *attachment) { s.attached.Store(a) }

func (s *server) logger() *zap.Logger { return s.attached.Load().logger }

// begin starts in the background what tokens will need.
func (s *server) begin() {
	if s.needsDiscovery() {
		s.startDiscovery()
	}
	if s.config.Register != nil {
		s.startRegistration()
	}
}

// run runs a background task of the server, unless it has ended.
func (s *server) run(task func(ctx context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() == nil {
		s.tasks.Go(func() { task(s.ctx) })
	}
}

// close ends what the server does in the background. Requests that are still
// under way can use it all the same.
func (s *server) close() {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.tasks.Wait()
	s.keys.Close()
	s.metrics.end()
}

// noteFailure keeps what went wrong last, for the operator.
func (s *server) noteFailure(endpoint string, err error) {
	s.lastFailure.Store(&Failure{Time: s.now(), Endpoint: endpoint, Error: err.Error()})
}

// newAttachment reads the files that the settings name.
func newAttachment(ctx caddy.Context, config *ProviderConfig, logger *zap.Logger) (*attachment, error) {
	a := &attachment{logger: logger}
	var err error
	if config.ClientKey != "" {
		if a.key, err = jose.ReadPrivateKey(config.ClientKey); err != nil {
			return nil, fmt.Errorf("client_key: %w", err)
		}
		if err := checkClientKey(a.key); err != nil {
			return nil, err
		}
	}
	tlsConfig, err := tlsConfigOf(ctx, config)
	if err != nil {
		return nil, err
	}
	a.http = newHTTPClient(tlsConfig)
	return a, nil
}

func tlsConfigOf(ctx caddy.Context, config *ProviderConfig) (*tls.Config, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if config.TrustPoolRaw != nil {
		pool, err := trustPool(ctx, config)
		if err != nil {
			return nil, fmt.Errorf("trust_pool: %w", err)
		}
		tlsConfig.RootCAs = pool
	}
	if config.ClientCertificate != "" {
		certificate, err := tls.LoadX509KeyPair(config.ClientCertificate, config.ClientCertificateKey)
		if err != nil {
			return nil, fmt.Errorf("client_certificate: %w", err)
		}
		tlsConfig.Certificates = []tls.Certificate{certificate}
	}
	return tlsConfig, nil
}

func trustPool(ctx caddy.Context, config *ProviderConfig) (*x509.CertPool, error) {
	module, err := ctx.LoadModule(config, "TrustPoolRaw")
	if err != nil {
		return nil, err
	}
	ca, ok := module.(caddytls.CA)
	if !ok {
		return nil, fmt.Errorf("%T is no source of certificate authorities", module)
	}
	pool := ca.CertPool()
	if pool == nil {
		return nil, fmt.Errorf("%T has no certificates", module)
	}
	return pool, nil
}
