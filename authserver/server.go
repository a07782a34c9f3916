// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/events"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/internal/store"
)

func init() {
	caddy.RegisterModule(Server{})
}

// defaultTokenTTL is how long a token is good for if nothing else is said.
const defaultTokenTTL = time.Hour

// Server is an authorization server that runs inside Caddy. It issues access
// tokens to the clients of its configuration, and answers resource servers
// that ask about them, at
//
//   - `POST /oauth2/token`: the client credentials grant (RFC 6749 section 4.4)
//   - `POST /oauth2/introspect`: is this token good, and whose is it (RFC 7662)
//   - `POST /oauth2/revoke`: a client takes its own token back (RFC 7009)
//   - `GET /oauth2/jwks`: the public half of the key that signs JWTs
//   - the discovery addresses of its issuer, `/.well-known/openid-configuration`
//     and `/.well-known/oauth-authorization-server`
//
// and passes everything else on to the next handler. Of an issuer with a path
// the endpoints stand below that path, too.
//
// Clients authenticate with client_secret_basic or client_secret_post. A client
// whose id is a consumer's custom_id is that consumer to the gateway.
type Server struct {
	// The issuer identifier: the address at which clients reach this server,
	// https, or http on a loopback address. Every token contains it. Required.
	Issuer string `json:"issuer,omitempty"`

	// All scopes that this server can grant; each client has its own among
	// them.
	Scopes []string `json:"scopes,omitempty"`

	// How long an access token is good for, at least a second. Default: 1h.
	TokenTTL caddy.Duration `json:"token_ttl,omitempty"`

	// What access tokens are: `opaque`, a random text to be introspected, or
	// `jwt`, a signed token (RFC 9068). Clients can have their own.
	// Default: opaque.
	TokenFormat string `json:"token_format,omitempty"`

	// The clients and resource servers, by client_id.
	Clients map[string]*Client `json:"clients,omitempty"`

	// Where issued tokens are remembered. Default: `embedded`, a file in
	// Caddy's data directory.
	StorageRaw json.RawMessage `json:"storage,omitempty" caddy:"namespace=gluu.oauth_server.storage inline_key=module"`

	// Where issued tokens are remembered instead, so that several gateways are
	// one authorization server: `postgres` or `redis`. Default: none, each
	// gateway has its own storage.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=gluu.store inline_key=engine"`

	issuer   issuer
	routes   map[string]endpoint
	protocol *protocol
	open     func() (Storage, error) // the storage
	keys     certmagic.Storage
	logger   *zap.Logger

	// ready is closed when the configuration has started; handler is set
	// before.
	ready   chan struct{}
	handler http.Handler
	opened  Storage
	pooled  bool // whether the verifier is taken from the pool
}

// CaddyModule returns the Caddy module information.
func (Server) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_oauth_server",
		New: func() caddy.Module { return new(Server) },
	}
}

// Provision compiles the configuration. It opens nothing: that is done when
// the configuration starts, so that one can be validated beside a gateway that
// runs with it.
func (s *Server) Provision(ctx caddy.Context) error {
	s.logger = ctx.Logger()
	s.ready = make(chan struct{})
	s.keys = ctx.Storage()
	if err := protectSite(ctx); err != nil {
		return err
	}

	name, err := directive.Resolve(s.Issuer)
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if s.issuer, err = parseIssuer(name); err != nil {
		return err
	}
	s.routes = s.issuer.routes()
	if s.TokenFormat == "" {
		s.TokenFormat = opaqueFormat
	}
	if s.TokenTTL == 0 {
		s.TokenTTL = caddy.Duration(defaultTokenTTL)
	}
	if err := s.checkServer(); err != nil {
		return err
	}
	clients, err := s.compileClients()
	if err != nil {
		return err
	}
	if s.open, err = s.loadStorage(ctx); err != nil {
		return err
	}
	counters, err := newMetrics(ctx.GetMetricsRegistry())
	if err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	emitter, err := events.NewEmitter(ctx)
	if err != nil {
		return err
	}
	s.protocol = &protocol{
		issuer:  s.issuer,
		scopes:  s.Scopes,
		ttl:     time.Duration(s.TokenTTL).Truncate(time.Second),
		clients: clients,
		metrics: counters,
		events:  emitter,
		now:     time.Now,
	}
	return startWith(ctx, s)
}

// protectSite strips forged identity headers from the requests that this
// handler passes on: its upstreams may be those of protected sites, which
// believe such headers. Without the app `gluu` there are no protected sites.
func protectSite(ctx caddy.Context) error {
	app, err := ctx.AppIfConfigured("gluu")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil
	}
	if err != nil {
		return err
	}
	guard, ok := app.(siteguard.Guard)
	if !ok {
		return fmt.Errorf("the app gluu is a %T, which cannot strip forged headers", app)
	}
	return siteguard.Protect(ctx, guard)
}

// checkServer checks the server's own settings.
func (s *Server) checkServer() error {
	for i, scope := range s.Scopes {
		if err := checkScope(scope); err != nil {
			return err
		}
		if slices.Contains(s.Scopes[:i], scope) {
			return fmt.Errorf("scope %q is given twice: keep one of them", scope)
		}
	}
	if err := checkFormat(s.TokenFormat); err != nil {
		return err
	}
	if time.Duration(s.TokenTTL) < time.Second {
		return fmt.Errorf("token_ttl is %s; a token has to last at least 1s", time.Duration(s.TokenTTL))
	}
	if len(s.Clients) == 0 {
		return errors.New("no client is configured, so no token could be issued: add 'client <client_id> { secret <hash> ... }'")
	}
	return nil
}

// compileClients compiles the clients in the order of their ids, so that of
// several mistakes the same one is always reported.
func (s *Server) compileClients() (map[string]*client, error) {
	clients := make(map[string]*client, len(s.Clients))
	for _, id := range slices.Sorted(maps.Keys(s.Clients)) {
		config := s.Clients[id]
		if config == nil {
			config = new(Client)
		}
		compiled, err := config.compile(id, s.TokenFormat, s.Scopes)
		if err != nil {
			return nil, fmt.Errorf("client %q: %w", id, err)
		}
		clients[id] = compiled
	}
	return clients, nil
}

// loadStorage returns how to open the storage.
func (s *Server) loadStorage(ctx caddy.Context) (func() (Storage, error), error) {
	if s.StoreRaw != nil {
		return s.loadStore(ctx)
	}
	if s.StorageRaw == nil {
		s.StorageRaw = json.RawMessage(`{"module": "embedded"}`)
	}
	module, err := ctx.LoadModule(s, "StorageRaw")
	if err != nil {
		return nil, fmt.Errorf("loading the storage: %w", err)
	}
	storage, ok := module.(StorageModule)
	if !ok {
		return nil, fmt.Errorf("module %T is not a storage of gluu_oauth_server", module)
	}
	return storage.OpenStorage, nil
}

// loadStore is loadStorage for a store that is shared.
func (s *Server) loadStore(ctx caddy.Context) (func() (Storage, error), error) {
	if s.StorageRaw != nil {
		return nil, errors.New("storage and store are both given: tokens are in one place; leave one of them out")
	}
	module, err := ctx.LoadModule(s, "StoreRaw")
	if err != nil {
		return nil, fmt.Errorf("loading the store: %w", err)
	}
	opener, ok := module.(store.Opener)
	if !ok {
		return nil, fmt.Errorf("module %T is not a store", module)
	}
	return func() (Storage, error) { return openStoreTokens(opener) }, nil
}

// start opens the storage and the key. An error refuses the configuration.
func (s *Server) start(ctx caddy.Context) (err error) {
	pooled, _ := verifiers.LoadOrStore(s.issuer.name, newSecretVerifier())
	s.pooled = true
	s.protocol.verifier = pooled.(*secretVerifier)
	s.protocol.verifier.keepOnly(s.protocol.clients)
	if s.opened, err = s.open(); err != nil {
		return err
	}
	s.protocol.storage = s.opened
	if s.protocol.key, err = signingKey(ctx, s.keys, s.issuer, s.logger); err != nil {
		return err
	}
	if err := s.protocol.complete(); err != nil {
		return err
	}
	s.handler = s.protocol.handler()
	close(s.ready)
	return nil
}

// Cleanup gives back what start has taken, as far as it came.
func (s *Server) Cleanup() error {
	var err error
	if s.opened != nil {
		err = s.opened.Close()
		s.opened = nil
	}
	if s.pooled {
		_, err2 := verifiers.Delete(s.issuer.name)
		err = errors.Join(err, err2)
		s.pooled = false
	}
	return err
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Server)(nil)
	_ caddy.CleanerUpper          = (*Server)(nil)
	_ caddyhttp.MiddlewareHandler = (*Server)(nil)
)
