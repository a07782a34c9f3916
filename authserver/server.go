// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/authserver/kong"
	"github.com/caddy-gluu/gateway/authserver/rfc"
	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/clientauth"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/internal/store"
)

func init() {
	caddy.RegisterModule(Server{})
}

// Server is an authorization server that runs inside Caddy. It issues access
// tokens to clients, by itself or because a person allows it, and answers resource servers
// that ask about them, at
//
//   - `POST /oauth2/token`: the grants client_credentials, authorization_code and
//     refresh_token (RFC 6749)
//   - `GET, POST /oauth2/authorize`: a person allows a client something (RFC 6749 with PKCE
//     and RFC 9207); `POST /oauth2/par`: the same, pushed by the client (RFC 9126)
//   - `POST /oauth2/introspect`: is this token good, and whose is it (RFC 7662)
//   - `POST /oauth2/revoke`: a client takes its own token back (RFC 7009)
//   - `POST /oauth2/register`: a client registers itself (RFC 7591, RFC 7592)
//   - `GET /oauth2/userinfo`, `/oauth2/logout`: with the scope openid (OpenID Connect)
//   - `GET /oauth2/jwks`: the public half of the key that signs JWTs
//   - the discovery addresses of its issuer, `/.well-known/openid-configuration`
//     and `/.well-known/oauth-authorization-server`
//
// as far as the configuration offers them, and passes everything else on to the next
// handler. Of an issuer with a path the endpoints are below that path, too.
//
// A client whose id is a consumer's custom_id is that consumer to the gateway.
type Server struct {
	// The address of this handler in Caddy's admin API: `/id/<name>`. In a Caddyfile
	// the option is called `id`. Default: none, the handler is found by its place.
	ID string `json:"@id,omitempty"`

	// The issuer identifier: the address at which clients reach this server,
	// https, or http on a loopback address. Every token contains it. Required.
	Issuer string `json:"issuer,omitempty"`

	// All scopes that this server can grant; each client has its own among
	// them. With `openid` among them clients can learn who a person is.
	Scopes []string `json:"scopes,omitempty"`

	// What scopes mean in words, for people who are asked. Default: their names.
	ScopeTexts map[string]string `json:"scope_texts,omitempty"`

	// What tokens may be for (RFC 8707), as URIs: the `aud` of a token. The first is
	// that of a token for which no other is asked. Default: the issuer.
	Resources []string `json:"resources,omitempty"`

	// How long an access token of a client itself is good for, at least a second. Default: 1h.
	TokenTTL caddy.Duration `json:"token_ttl,omitempty"`

	// The same for an access token that a person has granted. Default: 10m.
	UserTokenTTL caddy.Duration `json:"user_token_ttl,omitempty"`

	// What access tokens are: `opaque`, a random text to be introspected, or
	// `jwt`, a signed token (RFC 9068). Clients can have their own.
	// Default: opaque.
	TokenFormat string `json:"token_format,omitempty"`

	// How long an authorization code is good for, 10m at most. Default: 60s.
	CodeTTL caddy.Duration `json:"code_ttl,omitempty"`

	// What refresh tokens are like.
	RefreshToken *RefreshToken `json:"refresh_token,omitempty"`

	// Which clients need PKCE (RFC 7636) with S256: `all`, or only `public` ones.
	// Default: all.
	PKCE string `json:"pkce,omitempty"`

	// An application of yours that logs people in and asks them.
	Login *Login `json:"login,omitempty"`

	// A page that is built in and asks people whom a handler in front has
	// authenticated, instead of `login`.
	ConsentPage *ConsentPage `json:"consent_page,omitempty"`

	// Whether clients may push their authorization requests first (RFC 9126),
	// `optional`, or have to, `required`. Default: optional.
	PushedAuthorization string `json:"pushed_authorization,omitempty"`

	// Lets clients register themselves. Default: they cannot.
	Registration *Registration `json:"registration,omitempty"`

	// Hosts that metadata documents of clients may be on, whose client_id is their
	// address: exact, `*.example.com`, or `*` for any. Default: none.
	ClientMetadataDocuments []string `json:"client_metadata_documents,omitempty"`

	// What only old clients need, and what weakens the server: `implicit`,
	// `query_credentials`, `query_token`, `http_redirects`, `plain_http`. Each is warned about. Default: none.
	Legacy []string `json:"legacy,omitempty"`

	// When those who fail to authenticate are turned away. Default: never.
	Limit *Limit `json:"limit,omitempty"`

	// The clients and resource servers, by client_id.
	Clients map[string]*Client `json:"clients,omitempty"`

	// A name for what the tokens of this server are good for: another gluu_oauth_server with
	// the same issuer and another service does not take them. `*`: every service, but with
	// `profile kong` only those that have `*` too. Without clients, such a server has those of
	// the first one with its issuer and a service. Default: none.
	Service string `json:"service,omitempty"`

	// Answers as another authorization server, `kong`, in its paths, texts and status codes.
	// Default: none.
	Profile *kong.Profile `json:"profile,omitempty"`

	// Where issued tokens are remembered. Default: the store of the app `gluu`, else
	// `embedded`, a file in Caddy's data directory.
	StorageRaw json.RawMessage `json:"storage,omitempty" caddy:"namespace=gluu.oauth_server.storage inline_key=module"`

	// Where issued tokens are remembered instead, so that several gateways are
	// one authorization server: `postgres` or `redis`. Default: the store of the
	// app `gluu`.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=gluu.store inline_key=engine"`

	issuer rfc.Issuer
	rfc    *rfc.Server
	kong   *kong.Server // nil without profile kong
	open   func() (*store.Store, func() error, error)
	isFile bool // the store is a file of this machine
	keys   certmagic.Storage
	logger *zap.Logger

	// ready is closed when the configuration has started.
	ready    chan struct{}
	release  func() error         // of the store
	settings []byte               // what its clients may depend on, once another server has asked
	storeAt  *caddyfile.Dispenser // of the option, where the configuration is a Caddyfile
	borrows  bool                 // whether its clients are those of another server
	pooled   bool                 // whether the verifier is taken from the pool
}

// CaddyModule returns the Caddy module information.
func (Server) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_oauth_server",
		New: func() caddy.Module { return new(Server) },
	}
}

// UnmarshalJSON implements json.Unmarshaler, for errors that name the option.
func (s *Server) UnmarshalJSON(text []byte) error {
	type plain Server
	return directive.UnmarshalJSON("gluu_oauth_server", text, (*plain)(s))
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
	if s.issuer, err = rfc.ParseIssuer(name, s.hasLegacy(legacyPlainHTTP)); err != nil {
		return err
	}
	s.setDefaults()
	if err := s.checkServer(); err != nil {
		return err
	}
	if s.rfc, err = s.compile(ctx); err != nil {
		return err
	}
	if s.open, err = s.loadStorage(ctx); err != nil {
		return err
	}
	if s.kong, err = s.compileProfile(); err != nil {
		return err
	}
	s.rfc.Route()
	s.warn()
	if err := s.warnIfAlone(ctx); err != nil {
		return err
	}
	return startWith(ctx, s)
}

func (s *Server) setDefaults() {
	if s.TokenFormat == "" {
		s.TokenFormat = opaqueFormat
	}
	for field, value := range map[*caddy.Duration]time.Duration{
		&s.TokenTTL: defaultTokenTTL, &s.UserTokenTTL: defaultUserTokenTTL, &s.CodeTTL: defaultCodeTTL,
	} {
		if *field == 0 {
			*field = caddy.Duration(value)
		}
	}
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

// compileClients compiles the clients in the order of their ids, so that of
// several mistakes the same one is always reported.
func (s *Server) compileClients() (map[string]*authcore.Client, error) {
	clients := make(map[string]*authcore.Client, len(s.Clients))
	for _, id := range slices.Sorted(maps.Keys(s.Clients)) {
		config := s.Clients[id]
		if config == nil {
			config = new(Client)
		}
		compiled, err := config.compile(id, s)
		if err != nil {
			return nil, fmt.Errorf("client %q: %w", id, err)
		}
		clients[id] = compiled
	}
	return clients, nil
}

// loadStorage returns how to open the store.
func (s *Server) loadStorage(ctx caddy.Context) (func() (*store.Store, func() error, error), error) {
	if s.StoreRaw != nil && s.StorageRaw != nil {
		return nil, errors.New("storage and store are both given: tokens are in one place; leave one of them out")
	}
	if s.StoreRaw == nil && s.StorageRaw == nil {
		if err := s.setDefaultStore(ctx); err != nil {
			return nil, err
		}
	}
	name := "StorageRaw"
	if s.StoreRaw != nil {
		name = "StoreRaw"
	}
	module, err := ctx.LoadModule(s, name)
	if err != nil {
		return nil, fmt.Errorf("loading the store: %w", err)
	}
	if file, ok := module.(*EmbeddedStorage); ok {
		s.rfc.MaxTokens, s.isFile = file.MaxTokensPerClient, true
	}
	opener, ok := module.(store.Opener)
	if !ok {
		return nil, fmt.Errorf("module %T is not a store", module)
	}
	return opener.OpenStore, nil
}

// start opens the store and the key. An error refuses the configuration.
func (s *Server) start(ctx caddy.Context) error {
	pooled, _ := verifiers.LoadOrStore(s.issuer.Name, pooledVerifier{clientauth.NewVerifier()})
	s.pooled = true
	s.rfc.Auth.Verifier = pooled.(pooledVerifier).Verifier
	records, release, err := s.open()
	if err != nil {
		return err
	}
	s.rfc.Store = authcore.New(records, time.Now)
	stop := s.rfc.Store.Watch(noteChange)
	s.release = func() error { stop(); return release() }
	if s.rfc.Key, err = signingKey(ctx, s.keys, s.issuer, rfc.SigningAlgorithm, s.logger); err != nil {
		return err
	}
	if s.rfc.HasIDKey {
		if s.rfc.IDKey, err = signingKey(ctx, s.keys, s.issuer, rfc.IDTokenAlgorithm, s.logger); err != nil {
			return err
		}
	}
	if err := s.rfc.Start(); err != nil {
		return err
	}
	if s.kong != nil {
		s.kong.Store = s.rfc.Store
	}
	close(s.ready)
	return nil
}

// Cleanup gives back what start has taken, as far as it came.
func (s *Server) Cleanup() error {
	var err error
	if s.release != nil {
		err = s.release()
		s.release = nil
	}
	if s.pooled {
		_, err2 := verifiers.Delete(s.issuer.Name)
		err = errors.Join(err, err2)
		s.pooled = false
	}
	return err
}

// startTimeout bounds how long a request waits that came in while its
// configuration was still starting.
const startTimeout = 10 * time.Second

// ServeHTTP answers at the endpoints of the server and passes everything else
// on.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	answering := s.endpoints(r)
	if answering == nil {
		return next.ServeHTTP(w, r)
	}
	if err := s.awaitReady(r.Context()); err != nil {
		answering.ServeStarting(w, r, err)
		return nil
	}
	answering.ServeHTTP(w, r)
	return nil
}

// awaitReady returns when the configuration has started. Caddy starts its
// servers in no particular order, and the first request may be faster.
func (s *Server) awaitReady(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the start: %w", ctx.Err())
	}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Server)(nil)
	_ caddy.CleanerUpper          = (*Server)(nil)
	_ caddyhttp.MiddlewareHandler = (*Server)(nil)
)
