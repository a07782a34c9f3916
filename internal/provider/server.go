// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/token"
)

// A configuration comes and goes with each reload; what was learned about an
// authorization server stays. So there are two halves:
//
//   - Server: discovered endpoints, keys, breakers, calls under way. Its owner
//     keeps it for as long as any configuration has the same settings.
//   - Connection: what has to be fresh with each configuration although the
//     settings are the same, because it was read from files or belongs to
//     Caddy: certificates, keys, the storage, the logger. The configuration
//     that started last attaches its own to the server.

// Server is what this process knows about one authorization server.
type Server struct {
	name    string
	config  Config            // resolved, with defaults, never changed
	places  []string          // of the metadata, none if the issuer is only a name
	fixed   map[string]string // the endpoints that are configured
	origins origins
	issuers Issuers // without what the metadata adds
	mapping token.Mapping
	Now     func() time.Time // the clock; only tests set another

	attached atomic.Pointer[Connection]
	metrics  *serverMetrics

	keys         *RemoteKeySet
	discovery    discovery
	registration registration
	endpoints    endpoints
	accepted     atomic.Pointer[Proof]
	rejected     atomic.Bool // the server refused the gateway's credentials last
	lastFailure  atomic.Pointer[Failure]

	ctx    context.Context // ends with the server
	cancel context.CancelFunc
	mu     sync.Mutex // guards tasks against being added to an ended server
	tasks  sync.WaitGroup
}

// New returns a server that does nothing in the background before Start. The
// settings must be resolved, checked and have their defaults.
func New(name string, config Config, a *Connection) *Server {
	s := &Server{
		name:    name,
		config:  config,
		places:  config.metadataPlaces(),
		fixed:   config.endpoints(),
		origins: originsOf(&config),
		issuers: config.ConfiguredIssuers(),
		mapping: config.mapping(),
		Now:     time.Now,
		metrics: newServerMetrics(name),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.discovery.first = make(chan struct{})
	if len(s.places) == 0 {
		close(s.discovery.first)
	}
	s.registration.first = make(chan struct{})
	if config.Register != nil {
		s.registration.rejected = make(chan struct{}, 1)
	}
	s.Attach(a)
	s.keys = s.newKeys()
	return s
}

// Name returns the name that the configuration gives the server.
func (s *Server) Name() string { return s.name }

// Config returns the settings, resolved and with defaults. They never change.
func (s *Server) Config() *Config { return &s.config }

// Mapping returns which claims of the server's tokens name the client and what
// they grant.
func (s *Server) Mapping() token.Mapping { return s.mapping }

// Attach has the server use a connection from now on.
func (s *Server) Attach(a *Connection) { s.attached.Store(a) }

// Attached returns the connection that was attached last.
func (s *Server) Attached() *Connection { return s.attached.Load() }

// CheckEndpoint returns an error for an address that requests to this server
// must not be sent to: one that is on none of the issuer's origin, the configured
// endpoints' origins and endpoint_hosts. Addresses that come from what the server
// says are checked before they are used.
func (s *Server) CheckEndpoint(address string) error { return s.origins.check(address) }

// Logger returns the logger of the configuration that runs.
func (s *Server) Logger() *zap.Logger { return s.attached.Load().Logger }

// Start starts in the background what tokens will need.
func (s *Server) Start() {
	if s.needsDiscovery() {
		s.startDiscovery()
	}
	if s.config.Register != nil {
		s.startRegistration()
	}
}

// run runs a background task of the server, unless it has ended.
func (s *Server) run(task func(ctx context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() == nil {
		s.tasks.Go(func() { task(s.ctx) })
	}
}

// Close ends what the server does in the background. Requests that are still
// under way can use it all the same.
func (s *Server) Close() {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.tasks.Wait()
	s.keys.Close()
	s.metrics.end()
}

// Done returns a channel that is closed when the server has been told to end.
func (s *Server) Done() <-chan struct{} { return s.ctx.Done() }

// NoteFailure keeps what went wrong last, for the operator.
func (s *Server) NoteFailure(endpoint string, err error) {
	s.lastFailure.Store(&Failure{Time: s.Now(), Endpoint: endpoint, Error: err.Error()})
}
