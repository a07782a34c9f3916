// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/clientauth"
	"github.com/caddy-gluu/gateway/jose"
)

// Client is a client of the authorization server, or a resource server (an API
// gateway, say) that asks it about tokens. Its name in the configuration is
// its client_id.
type Client struct {
	// What people read on the consent page. Default: the client_id.
	Name string `json:"name,omitempty"`

	// The consumer that the client is, by username or id; several clients can be the same one. Once that consumer is
	// deleted, the client is unknown and its tokens are inactive. Default: the consumer whose
	// `custom_id` is the client_id, if there is one.
	Consumer string `json:"consumer,omitempty"`

	// `confidential`, a client that can keep a secret, or `public`, such as an app or
	// a page, which cannot: it has no secret and needs PKCE. Default: confidential.
	Type string `json:"type,omitempty"`

	// The hash of the client's secret, as `caddy gluu hash-secret` prints
	// it (argon2id), a bcrypt hash, or the PBKDF2 hash that Kong makes. Load-time placeholders ({env.X},
	// {file./path}) may stand for it; the secret itself is refused.
	// Required, unless the client is public or has a key.
	Secret string `json:"secret,omitempty"`

	// The hash of another secret that is good as well, while one is replaced.
	SecondSecret string `json:"second_secret,omitempty"`

	// How the client authenticates, and in no other way: `basic`, `post`,
	// `private_key_jwt` or `none`. Default: `basic` or `post`, as the client likes;
	// `private_key_jwt` with `jwks`, and `none` for a public client.
	Auth string `json:"auth,omitempty"`

	// The client's public keys for `private_key_jwt`: a file with a JWK Set, or an
	// https address, which is fetched every five minutes.
	JWKS string `json:"jwks,omitempty"`

	// The grants by which this client can get tokens: `authorization_code`,
	// `refresh_token`, `client_credentials`, and `implicit` with `legacy`. Without any the client gets no tokens: it can
	// introspect them, which is all that a resource server needs.
	Grants []string `json:"grants,omitempty"`

	// The scopes that this client can have, all of them among the server's.
	// They are also what it gets when it asks for none in particular.
	Scopes []string `json:"scopes,omitempty"`

	// The resources that this client can have tokens for, all of them among the
	// server's. Default: all of them.
	Resources []string `json:"resources,omitempty"`

	// What this client's access tokens are: `opaque`, a random text to be
	// introspected, or `jwt`, a signed token that anyone can verify and that
	// stays valid until it expires for those who do. Default: the server's.
	TokenFormat string `json:"token_format,omitempty"`

	// Where people are sent back with a code. They are compared character by
	// character; a literal loopback address may have another port. Required with
	// `authorization_code` and `implicit`.
	RedirectURIs []string `json:"redirect_uris,omitempty"`

	// How this client's ID tokens are signed: `RS256`, which every client knows, or
	// `ES256`, which costs the server much less. Default: RS256.
	IDTokenAlg string `json:"id_token_signed_response_alg,omitempty"`

	// Where people may be sent after a logout. Default: nowhere.
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`
}

const (
	opaqueFormat = "opaque"
	jwtFormat    = "jwt"

	publicType       = "public"
	confidentialType = "confidential"
)

// authMethods are the words of the option auth.
var authMethods = map[string]string{
	"basic": authcore.AuthBasic, "post": authcore.AuthPost, authcore.AuthPrivateKeyJWT: authcore.AuthPrivateKeyJWT, "none": authcore.AuthNone,
}

// compile checks a client against the server that it belongs to.
func (c *Client) compile(id string, s *Server) (*authcore.Client, error) {
	if err := checkClientID(id); err != nil {
		return nil, err
	}
	for _, check := range []func(*Server) error{c.checkGrants, c.checkScopes, c.checkResources, c.checkRedirects} {
		if err := check(s); err != nil {
			return nil, err
		}
	}
	if c.TokenFormat != "" {
		if err := checkFormat(c.TokenFormat); err != nil {
			return nil, err
		}
	}
	if err := authcore.CheckIDTokenAlg(c.IDTokenAlg); err != nil {
		return nil, err
	}
	compiled := &authcore.Client{
		ID: id, ClientID: id, Name: c.Name, Consumer: c.Consumer, Grants: c.Grants, Scopes: c.Scopes, Resources: c.Resources,
		TokenFormat: c.TokenFormat, IDTokenAlg: c.IDTokenAlg, RedirectURIs: c.RedirectURIs, PostLogoutRedirectURIs: c.PostLogoutRedirectURIs, Configured: true,
	}
	return compiled, c.compileAuthentication(compiled)
}

var (
	errNoSecret     = errors.New("the client has no secret; run: caddy gluu hash-secret, and write 'secret <hash>' with what it prints; or write 'type public' for an app that cannot keep one")
	errPublicSecret = errors.New("the client is public, so everyone knows its secret: remove 'secret', or write 'type confidential'")
	errNoJWKS       = errors.New("private_key_jwt needs the client's public keys: write 'jwks <file>' or 'jwks https://...'")
)

// compileAuthentication decides how a client authenticates: in one way.
func (c *Client) compileAuthentication(compiled *authcore.Client) error {
	auth, known := authMethods[c.Auth]
	switch {
	case c.Type != "" && c.Type != publicType && c.Type != confidentialType:
		return fmt.Errorf("type is %s or %s, not %q", confidentialType, publicType, c.Type)
	case c.Auth != "" && !known:
		return fmt.Errorf("auth is basic, post, private_key_jwt or none, not %q", c.Auth)
	}
	compiled.Public = c.Type == publicType || auth == authcore.AuthNone
	switch {
	case compiled.Public && (c.Type == confidentialType || known && auth != authcore.AuthNone):
		return errors.New("auth none is for public clients, and they have no other: write 'type public' and remove 'auth', or choose one of basic, post and private_key_jwt")
	case compiled.Public && (c.Secret != "" || c.SecondSecret != "" || c.JWKS != ""):
		return errPublicSecret
	case compiled.Public:
		compiled.Auth = authcore.AuthNone
		return nil
	case auth == authcore.AuthPrivateKeyJWT || !known && c.JWKS != "":
		return c.compileKeys(compiled)
	case c.JWKS != "":
		return fmt.Errorf("jwks has no effect with 'auth %s': remove one of them", c.Auth)
	}
	compiled.Auth = auth
	return c.compileSecrets(compiled)
}

func (c *Client) compileSecrets(compiled *authcore.Client) error {
	if c.Secret == "" {
		return errNoSecret
	}
	for _, text := range []string{c.Secret, c.SecondSecret} {
		if text == "" {
			continue
		}
		hash, err := directive.Resolve(text)
		if err != nil {
			return fmt.Errorf("secret: %w", err)
		}
		if _, err := clientauth.Parse(hash); err != nil {
			return err
		}
		compiled.Secrets = append(compiled.Secrets, authcore.Secret{Hash: hash})
	}
	return nil
}

// compileKeys reads the keys of a file. Those at an address are fetched when they are
// needed.
func (c *Client) compileKeys(compiled *authcore.Client) error {
	compiled.Auth = authcore.AuthPrivateKeyJWT
	if c.JWKS == "" {
		return errNoJWKS
	}
	if c.Secret != "" || c.SecondSecret != "" {
		return errors.New("a client authenticates in one way: remove 'secret', or 'jwks' and 'auth private_key_jwt'")
	}
	place, err := directive.Resolve(c.JWKS)
	if err != nil {
		return fmt.Errorf("jwks: %w", err)
	}
	if u, err := url.Parse(place); err == nil && (u.Scheme == "https" || u.Scheme == "http" && directive.IsLoopback(u.Hostname())) {
		compiled.JWKSURI = place
		return nil
	}
	if strings.Contains(place, "://") {
		return fmt.Errorf("jwks: %q is neither a file nor an https address (http is for loopback addresses only)", place)
	}
	text, err := os.ReadFile(place)
	if err != nil {
		return fmt.Errorf("jwks: %w", err)
	}
	set, err := jose.ParseKeySet(text)
	if err != nil || len(set.Keys) == 0 {
		return fmt.Errorf("jwks: %q has no public key for signatures (%w)", place, errors.Join(append(set.Ignored, err)...))
	}
	compiled.JWKS = text
	return nil
}

// checkGrants checks that the server serves the grants.
func (c *Client) checkGrants(s *Server) error {
	for _, grant := range c.Grants {
		if err := s.checkGrant(grant); err != nil {
			return err
		}
	}
	if s.Profile != nil {
		return nil // a client that names none has all, and needs a redirect URI for some
	}
	asks := slices.Contains(c.Grants, authcore.GrantAuthorizationCode) || slices.Contains(c.Grants, authcore.GrantImplicit)
	if slices.Contains(c.Grants, authcore.GrantRefreshToken) && !slices.Contains(c.Grants, authcore.GrantAuthorizationCode) {
		return errors.New("the grant refresh_token comes with authorization_code: add that, or remove it")
	}
	switch {
	case asks && len(c.RedirectURIs) == 0:
		return errors.New("a client that people allow something needs an address to send them back to: add 'redirect_uris <uri>...'")
	case !asks && len(c.RedirectURIs) > 0:
		return errors.New("redirect_uris belongs to the grant authorization_code: add it, or remove redirect_uris")
	case c.Type == publicType && slices.Contains(c.Grants, authcore.GrantClientCredentials):
		return errors.New("a public client cannot authenticate, so it cannot have the grant client_credentials: remove it, or write 'type confidential'")
	}
	return nil
}

func (c *Client) checkRedirects(s *Server) error {
	for _, uri := range slices.Concat(c.RedirectURIs, c.PostLogoutRedirectURIs) {
		if err := authcore.CheckRedirectURI(uri, s.hasLegacy(legacyHTTPRedirects)); err != nil {
			return err
		}
	}
	return nil
}

// checkScopes checks the client's scopes against those of the server.
func (c *Client) checkScopes(s *Server) error {
	for i, scope := range c.Scopes {
		if err := authcore.CheckScope(scope); err != nil {
			return err
		}
		if !slices.Contains(s.Scopes, scope) {
			return fmt.Errorf("scope %q is not among the scopes of the server: add it there, or remove it here", scope)
		}
		if slices.Contains(c.Scopes[:i], scope) {
			return fmt.Errorf("scope %q is given twice: keep one of them", scope)
		}
	}
	if len(c.Scopes) > 0 && len(c.Grants) == 0 && s.Profile == nil {
		return errors.New("the client has scopes and no grant to get them by: add 'grants client_credentials', or remove the scopes")
	}
	return nil
}

func (c *Client) checkResources(s *Server) error {
	for _, resource := range c.Resources {
		if !slices.Contains(s.Resources, resource) {
			return fmt.Errorf("resource %q is not among the resources of the server: add it there, or remove it here", resource)
		}
	}
	return nil
}

// checkClientID refuses what could not be sent as a client_id (RFC 6749
// appendix A.1), or not without surprise.
func checkClientID(id string) error {
	if id == "" || len(id) > 255 {
		return errors.New("a client_id has 1 to 255 characters")
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return fmt.Errorf("the client_id %q has a character that is not printable ASCII", id)
		}
	}
	if strings.HasPrefix(id, "https://") {
		return fmt.Errorf("the client_id %q is an address, as those of clients with a metadata document are: choose another", id)
	}
	return nil
}

func checkFormat(format string) error {
	if format != opaqueFormat && format != jwtFormat {
		return fmt.Errorf("token_format is %s or %s, not %q", opaqueFormat, jwtFormat, format)
	}
	return nil
}
