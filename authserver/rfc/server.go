// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/clientauth"
	"github.com/caddy-gluu/gateway/internal/events"
	"github.com/caddy-gluu/gateway/jose"
)

// SigningAlgorithm is the one that every resource server has to know (RFC 9068
// section 2.1), and the cheapest to verify, which happens far more often than
// signing.
const SigningAlgorithm = "RS256"

// IDTokenAlgorithm is the other one for ID tokens. A signature costs a fiftieth of what one
// with RSA does.
const IDTokenAlgorithm = "ES256"

// Scope is one that the server can grant, and what it means in words.
type Scope struct{ Name, Text string }

// Refresh says what refresh tokens are like.
type Refresh struct {
	Idle, Absolute, Grace time.Duration

	// Keep leaves the refresh token of a confidential client as it is.
	Keep bool
}

// Legacy is what only clients of old need.
type Legacy struct {
	Implicit         bool // response_type=token
	QueryCredentials bool // client credentials in the URL of the token endpoint
	QueryToken       bool // the token in the URL of introspection and revocation
	HTTPRedirects    bool // redirect URIs with http
	PlainHTTP        bool // an issuer with http
}

// Server is an authorization server, ready for use after [Server.Start]. The fields do not
// change from then on.
type Server struct {
	Issuer       Issuer
	Service      string
	OwnService   bool // whether tokens for every service ("*") are not for this one
	Scopes       []Scope
	Resources    []string
	TokenTTL     time.Duration
	UserTokenTTL time.Duration
	CodeTTL      time.Duration
	JWT          bool // the format of access tokens
	Refresh      Refresh
	MaxTokens    int // that one client can hold

	// PKCE says that confidential clients need it too.
	PKCE bool

	// Login and Consent are the ways in which a person is asked; both nil: there
	// is no grant that needs one.
	Login   *Login
	Consent *ConsentPage

	PushedRequired bool
	Registration   *Registration
	Documents      *Documents
	Legacy         Legacy
	Limits         *Limits

	// Served are the grants that another codec serves in the place of this one; nil:
	// there is none.
	Served []string

	// ClientDefaults are what clients can have that name none.
	ClientDefaults ClientDefaults

	// Clients are those of the configuration, by client_id.
	Clients map[string]*authcore.Client

	// HasConsumer reports whether the consumer that a client names exists.
	HasConsumer func(usernameOrID string) bool

	Auth  *clientauth.Authenticator
	Store *authcore.Store
	Key   jose.PrivateKey // RS256
	IDKey jose.PrivateKey // ES256, for ID tokens of clients that ask for it; if HasIDKey

	// HasIDKey says that some server of the issuer signs ID tokens. Each of them publishes
	// the keys of all: an issuer has one key set, whichever of its servers is asked.
	HasIDKey bool
	Logger   *zap.Logger
	Metrics  *Metrics
	Events   *events.Emitter
	Now      func() time.Time

	routes   map[string]Endpoint
	offered  []Endpoint
	public   jose.Key
	publicID jose.Key
	keySet   json.RawMessage
	metadata json.RawMessage
	keys     keySets
}

// Route computes where the server answers. It needs no store.
func (s *Server) Route() {
	s.offered = []Endpoint{TokenEndpoint, IntrospectEndpoint, RevokeEndpoint, JWKSEndpoint}
	if s.asksPeople() {
		s.offered = append(s.offered, AuthorizeEndpoint, ChallengeEndpoint, PushedEndpoint)
		if s.isOpenID() {
			s.offered = append(s.offered, UserinfoEndpoint, LogoutEndpoint)
		}
	}
	if s.Registration != nil {
		s.offered = append(s.offered, RegisterEndpoint, ClientEndpoint)
	}
	s.routes = s.Issuer.routes(s.offered)
}

// Start computes what follows from the fields and never changes.
func (s *Server) Start() (err error) {
	if s.public, err = s.Key.Public().WithAlgorithm(SigningAlgorithm); err != nil {
		return err
	}
	keys := []jose.Key{s.public}
	if s.HasIDKey {
		if s.publicID, err = s.IDKey.Public().WithAlgorithm(IDTokenAlgorithm); err != nil {
			return err
		}
		keys = append(keys, s.publicID)
	}
	if s.keySet, err = jose.PublicKeySet(keys...); err != nil {
		return err
	}
	s.Auth.Find, s.Auth.Now = s.FindClient, s.Now
	s.Auth.Audiences = []string{s.Issuer.Name, s.Issuer.URL(TokenEndpoint), s.Issuer.URL(PushedEndpoint), s.Issuer.URL(IntrospectEndpoint), s.Issuer.URL(RevokeEndpoint)}
	s.Auth.Keys = s.keysOf
	s.Auth.UseOnce = func(ctx context.Context, clientID, jti string, until time.Time) error {
		return s.Store.UseOnce(ctx, "assertion", s.Issuer.Name+"\x00"+clientID, jti, until)
	}
	s.metadata, err = json.Marshal(s.describe())
	return err
}

// asksPeople reports whether there is a way to ask a person.
func (s *Server) asksPeople() bool { return s.Login != nil || s.Consent != nil }

// isOpenID reports whether clients can learn who a person is.
func (s *Server) isOpenID() bool {
	return s.asksPeople() && slices.Contains(s.scopeNames(), openIDScope)
}

// SignsIDTokens reports whether there are ID tokens, which can be signed with a second key.
func (s *Server) SignsIDTokens() bool { return s.isOpenID() }

func (s *Server) scopeNames() []string {
	names := make([]string, len(s.Scopes))
	for i, scope := range s.Scopes {
		names[i] = scope.Name
	}
	return names
}

// grants are those that the server serves, in the order in which they are listed.
func (s *Server) grants() []string {
	if s.Served != nil {
		return s.Served
	}
	var grants []string
	if s.asksPeople() {
		grants = append(grants, authcore.GrantAuthorizationCode)
		if s.Legacy.Implicit {
			grants = append(grants, authcore.GrantImplicit)
		}
		grants = append(grants, authcore.GrantRefreshToken)
	}
	return append(grants, authcore.GrantClientCredentials)
}

// Answers reports whether a request is for this server.
func (s *Server) Answers(r *http.Request) bool {
	_, _, ok := s.endpointOf(r)
	return ok
}

// ServeHTTP answers a request that is for this server.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := s.call(w, r)
	if err := c.serve(); err != nil {
		c.fail(err)
	}
}

// ServeStarting answers a request that could not wait until the server has started.
func (s *Server) ServeStarting(w http.ResponseWriter, r *http.Request, err error) {
	s.call(w, r).fail(unavailable(reasonStarting, err))
}

func (s *Server) call(w http.ResponseWriter, r *http.Request) *call {
	e, rest, _ := s.endpointOf(r)
	c := &call{Server: s, w: &answerWriter{ResponseWriter: w, issuer: s.Issuer.Name}, r: r, endpoint: e, rest: rest}
	if e != JWKSEndpoint && e != MetadataEndpoint {
		noStore(w.Header()) // an introspection, too, is true for now only
	}
	return c
}

// methods are those that the endpoint answers. A challenge is read and answered by the login
// application, or its form is sent by the page that is built in.
func (c *call) methods() []string {
	switch {
	case c.endpoint != ChallengeEndpoint:
		return c.endpoint.methods()
	case c.Login != nil:
		return []string{http.MethodGet, http.MethodPut}
	}
	return []string{http.MethodPost}
}

func (c *call) serve() error {
	if methods := c.methods(); !slices.Contains(methods, c.r.Method) {
		c.w.Header().Set("Allow", strings.Join(methods, ", "))
		return refuse(http.StatusMethodNotAllowed, authcore.InvalidRequest, reasonMethod, "this endpoint answers "+strings.Join(methods, ", "))
	}
	switch c.endpoint {
	case TokenEndpoint:
		return c.token()
	case IntrospectEndpoint:
		return c.introspect()
	case RevokeEndpoint:
		return c.revoke()
	case AuthorizeEndpoint:
		return c.authorize()
	case ChallengeEndpoint:
		return c.challenge()
	case PushedEndpoint:
		return c.pushed()
	case UserinfoEndpoint:
		return c.userinfo()
	case LogoutEndpoint:
		return c.logout()
	case RegisterEndpoint, ClientEndpoint:
		return c.registration()
	case JWKSEndpoint:
		c.raw(http.StatusOK, c.keySet)
	case MetadataEndpoint:
		c.raw(http.StatusOK, c.metadata)
	}
	return nil
}

// FindClient returns the client of an id: of the configuration, of the store, or as its
// metadata document describes it. authcore.ErrNotFound says that there is none, or that it is
// of another server, or that its consumer was deleted.
func (s *Server) FindClient(ctx context.Context, id string) (*authcore.Client, error) {
	client, ok := s.Clients[id]
	if !ok {
		var err error
		if client, err = s.storedClient(ctx, id); err != nil {
			return nil, err
		}
	}
	if client.Consumer != "" && s.HasConsumer != nil && !s.HasConsumer(client.Consumer) {
		return nil, authcore.ErrNotFound
	}
	return s.ClientDefaults.complete(client), nil
}

func (s *Server) storedClient(ctx context.Context, id string) (*authcore.Client, error) {
	if s.Documents != nil && isDocument(id) {
		return s.Documents.client(ctx, s, id)
	}
	client, err := s.Store.Client(ctx, id)
	if err != nil {
		return nil, err
	}
	if r := client.Registration; r != nil && (r.Issuer != s.Issuer.Name || s.Registration == nil) {
		return nil, authcore.ErrNotFound
	}
	return client, nil
}

func isUnknown(err error) bool { return errors.Is(err, authcore.ErrNotFound) }

// scopesOf are the scopes that a client can have.
func (s *Server) scopesOf(client *authcore.Client) []string {
	names := s.scopeNames()
	return slices.DeleteFunc(slices.Clone(client.Scopes), func(scope string) bool { return !slices.Contains(names, scope) })
}

// resourcesOf are the resources that a client can have tokens for. Without any in the
// configuration the server itself is the only one.
func (s *Server) resourcesOf(client *authcore.Client) []string {
	all := s.Resources
	if len(all) == 0 {
		all = []string{s.Issuer.Name}
	}
	if len(client.Resources) == 0 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(client.Resources), func(resource string) bool { return !slices.Contains(all, resource) })
}

// isJWT reports whether a client's access tokens are JWTs.
func (s *Server) isJWT(client *authcore.Client) bool {
	if client.TokenFormat == "" {
		return s.JWT
	}
	return client.TokenFormat == "jwt"
}

// terms are those of tokens that a person has granted a client.
func (s *Server) terms(client *authcore.Client) authcore.Terms {
	terms := authcore.Terms{
		AccessTTL: s.UserTokenTTL,
		Refresh:   client.HasGrant(authcore.GrantRefreshToken),
		Idle:      s.Refresh.Idle, Absolute: s.Refresh.Absolute,
		Keep: s.Refresh.Keep && !client.Public,
	}
	if s.isJWT(client) {
		terms.Sign = s.sign
	}
	return terms
}
