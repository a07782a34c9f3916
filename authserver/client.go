// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/caddy-gluu/gateway/directive"
)

// Client is a client of the authorization server, or a resource server (an API
// gateway, say) that asks it about tokens. Its name in the configuration is
// its client_id.
type Client struct {
	// The hash of the client's secret, as `caddy gluu hash-secret` prints
	// it (argon2id), or a bcrypt hash. Load-time placeholders ({env.X},
	// {file./path}) may stand for it; the secret itself is refused.
	// Required.
	Secret string `json:"secret,omitempty"`

	// The grants by which this client can get tokens. This version serves
	// `client_credentials`. Without any the client gets no tokens: it can
	// introspect them, which is all that a resource server needs.
	Grants []string `json:"grants,omitempty"`

	// The scopes that this client can have, all of them among the server's.
	// They are also what it gets when it asks for none in particular.
	Scopes []string `json:"scopes,omitempty"`

	// What this client's access tokens are: `opaque`, a random text to be
	// introspected, or `jwt`, a signed token that anyone can verify and that
	// stays valid until it expires for those who do. Default: the server's.
	TokenFormat string `json:"token_format,omitempty"`

	// For the grant `authorization_code`, which this version does not serve:
	// setting it is refused, so that it is not mistaken for being in force.
	RedirectURIs []string `json:"redirect_uris,omitempty"`
}

const (
	opaqueFormat = "opaque"
	jwtFormat    = "jwt"
)

// served are the grants of this version, in the order in which they are
// listed.
var served = []oidc.GrantType{oidc.GrantTypeClientCredentials}

func servedGrants() string {
	names := make([]string, len(served))
	for i, grant := range served {
		names[i] = string(grant)
	}
	return strings.Join(names, ", ")
}

// client is a client ready for use: what a request needs to know about it is
// looked up, not computed.
type client struct {
	id     string
	secret *secretHash
	grants []oidc.GrantType
	scopes []string
	jwt    bool
}

// compile checks a client against the server that it belongs to.
func (c *Client) compile(id, serverFormat string, serverScopes []string) (*client, error) {
	if err := checkClientID(id); err != nil {
		return nil, err
	}
	if len(c.RedirectURIs) > 0 {
		return nil, errRedirectURIs
	}
	compiled := &client{id: id}
	for _, grant := range c.Grants {
		if err := checkGrant(grant); err != nil {
			return nil, err
		}
		compiled.grants = append(compiled.grants, oidc.GrantType(grant))
	}
	if err := c.checkScopes(serverScopes); err != nil {
		return nil, err
	}
	compiled.scopes = c.Scopes
	format := c.TokenFormat
	if format == "" {
		format = serverFormat
	}
	if err := checkFormat(format); err != nil {
		return nil, err
	}
	compiled.jwt = format == jwtFormat

	if c.Secret == "" {
		return nil, errNoSecret
	}
	hash, err := directive.Resolve(c.Secret)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	compiled.secret, err = parseSecretHash(hash)
	return compiled, err
}

var (
	errRedirectURIs = fmt.Errorf("redirect_uris belongs to the grant authorization_code; this version serves %s", servedGrants())
	errNoSecret     = errors.New("the client has no secret; run: caddy gluu hash-secret, and write 'secret <hash>' with what it prints")
)

// checkScopes checks the client's scopes against those of the server.
func (c *Client) checkScopes(serverScopes []string) error {
	for i, scope := range c.Scopes {
		if err := checkScope(scope); err != nil {
			return err
		}
		if !slices.Contains(serverScopes, scope) {
			return fmt.Errorf("scope %q is not among the scopes of the server: add it there, or remove it here", scope)
		}
		if slices.Contains(c.Scopes[:i], scope) {
			return fmt.Errorf("scope %q is given twice: keep one of them", scope)
		}
	}
	if len(c.Scopes) > 0 && len(c.Grants) == 0 {
		return fmt.Errorf("the client has scopes and no grant to get them by: add 'grants %s', or remove the scopes", servedGrants())
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
	return nil
}

func checkGrant(grant string) error {
	if !slices.Contains(served, oidc.GrantType(grant)) {
		return fmt.Errorf("grant %q is not served: this version serves %s", grant, servedGrants())
	}
	return nil
}

// checkScope refuses anything but a scope-token of RFC 6749 section 3.3.
func checkScope(scope string) error {
	if scope == "" {
		return errors.New("a scope is empty")
	}
	for _, c := range []byte(scope) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return fmt.Errorf("scope %q has a character that no scope can have (RFC 6749 section 3.3)", scope)
		}
	}
	return nil
}

func checkFormat(format string) error {
	if format != opaqueFormat && format != jwtFormat {
		return fmt.Errorf("token_format is %s or %s, not %q", opaqueFormat, jwtFormat, format)
	}
	return nil
}

// What follows makes a client one of the op package. Most of it describes
// logins, which no client of this server can ask for.

func (c *client) GetID() string                       { return c.id }
func (c *client) GrantTypes() []oidc.GrantType        { return c.grants }
func (c *client) IsScopeAllowed(scope string) bool    { return slices.Contains(c.scopes, scope) }
func (c *client) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodBasic }
func (c *client) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }

func (c *client) AccessTokenType() op.AccessTokenType {
	if c.jwt {
		return op.AccessTokenTypeJWT
	}
	return op.AccessTokenTypeBearer
}

func (c *client) RedirectURIs() []string               { return nil }
func (c *client) PostLogoutRedirectURIs() []string     { return nil }
func (c *client) ResponseTypes() []oidc.ResponseType   { return nil }
func (c *client) LoginURL(string) string               { return "" }
func (c *client) IDTokenLifetime() time.Duration       { return 0 }
func (c *client) DevMode() bool                        { return false }
func (c *client) IDTokenUserinfoClaimsAssertion() bool { return false }
func (c *client) ClockSkew() time.Duration             { return 0 }
func (c *client) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func([]string) []string { return nil }
}

func (c *client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

// Interface guard
var _ op.Client = (*client)(nil)
