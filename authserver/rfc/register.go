// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/clientauth"
	"github.com/caddy-gluu/gateway/jose"
)

// Registration says which clients can register themselves (RFC 7591).
type Registration struct {
	// Tokens are initial access tokens, one of which is needed unless it is open.
	Tokens []*clientauth.Secret
	Open   bool

	// RedirectHosts are the hosts that redirect URIs may have; none: any. A pattern
	// that begins with "*." stands for all hosts below it.
	RedirectHosts []string

	// Scopes are those that such clients can have.
	Scopes []string

	Unused time.Duration // until a client that is not used is forgotten
	Max    int           // how many there can be
}

// Reasons of the registration endpoint.
const (
	reasonMetadata          = "client_metadata_invalid"
	reasonRegistrationToken = "registration_token_wrong"
)

// Error codes of RFC 7591 section 3.2.2.
const (
	codeInvalidRedirectURI = "invalid_redirect_uri"
	codeInvalidMetadata    = "invalid_client_metadata"
)

// maxMetadata is how large client metadata may be.
const maxMetadata = 16 << 10

// clientMetadata is what a client says about itself, as far as it matters here. Other
// members are ignored, as RFC 7591 section 2 has it.
type clientMetadata struct {
	RedirectURIs           []string        `json:"redirect_uris,omitempty"`
	AuthMethod             string          `json:"token_endpoint_auth_method,omitempty"`
	GrantTypes             []string        `json:"grant_types,omitempty"`
	ResponseTypes          []string        `json:"response_types,omitempty"`
	Name                   string          `json:"client_name,omitempty"`
	Scope                  string          `json:"scope,omitempty"`
	JWKS                   json.RawMessage `json:"jwks,omitempty"`
	JWKSURI                string          `json:"jwks_uri,omitempty"`
	PostLogoutRedirectURIs []string        `json:"post_logout_redirect_uris,omitempty"`
	IDTokenAlg             string          `json:"id_token_signed_response_alg,omitempty"`
}

// registered is the answer (RFC 7591 section 3.2.1).
type registered struct {
	ClientID      string `json:"client_id"`
	IssuedAt      int64  `json:"client_id_issued_at"`
	Secret        string `json:"client_secret,omitempty"`
	SecretExpires *int64 `json:"client_secret_expires_at,omitempty"`
	AccessToken   string `json:"registration_access_token,omitempty"`
	URI           string `json:"registration_client_uri,omitempty"`
	clientMetadata
}

func (c *call) registration() error {
	if c.r.URL.RawQuery != "" {
		return malformed("parameters belong in the body, not in the URL")
	}
	if c.endpoint == RegisterEndpoint {
		return c.register()
	}
	return c.manage()
}

// register takes a client that registers itself.
func (c *call) register() error {
	if err := c.mayRegister(); err != nil {
		return err
	}
	metadata, err := c.readMetadata()
	if err != nil {
		return err
	}
	client, err := c.clientOfMetadata(metadata)
	if err != nil {
		return err
	}
	if client.Public {
		// Who registers the same again is the same client, so that this costs no
		// further row. It was registered by another, who alone can change it.
		client.Registration.Digest = digestOf(metadata)
		known, err := c.Store.ClientByDigest(c.r.Context(), c.Issuer.Name, client.Registration.Digest)
		if err == nil {
			c.clientID = known.ClientID
			c.json(http.StatusCreated, registered{ClientID: known.ClientID, IssuedAt: known.Created.Unix(), clientMetadata: *metadata})
			return nil
		}
		if !isUnknown(err) {
			return err
		}
	}
	return c.create(client, metadata)
}

func (c *call) create(client *authcore.Client, metadata *clientMetadata) error {
	answer := registered{AccessToken: authcore.RandomText(authcore.TokenBytes), clientMetadata: *metadata}
	if client.Auth == authcore.AuthBasic || client.Auth == authcore.AuthPost {
		answer.Secret, answer.SecretExpires = authcore.RandomText(authcore.TokenBytes), new(int64)
		client.Secrets = []authcore.Secret{{Hash: clientauth.HashRandom(answer.Secret)}}
	}
	client.Registration.AccessToken = c.registrationID(answer.AccessToken)
	client.Expires = c.Now().Add(c.Registration.Unused)
	if err := c.Store.RegisterClient(c.r.Context(), client, c.Registration.Max); err != nil {
		return err
	}
	c.clientID = client.ClientID
	answer.ClientID, answer.IssuedAt = client.ClientID, client.Created.Unix()
	answer.URI = c.Issuer.URL(ClientEndpoint) + url.PathEscape(client.ClientID)
	c.json(http.StatusCreated, answer)
	return nil
}

// mayRegister checks the initial access token, if one is needed.
func (c *call) mayRegister() error {
	if c.Registration.Open {
		return nil
	}
	token, err := c.bearer()
	if err != nil {
		return err
	}
	return c.limitedSource(func() error {
		right, err := c.Auth.Verifier.Bearer(c.r.Context(), "registration", c.r.RemoteAddr, c.Registration.Tokens, token)
		if err == nil && !right {
			return c.wrongToken()
		}
		return err
	})
}

func (c *call) bearer() (string, error) {
	scheme, token, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(c.r.Header["Authorization"]) != 1 {
		return "", c.wrongToken()
	}
	return token, nil
}

func (c *call) wrongToken() *refusal {
	c.w.Header().Set("WWW-Authenticate", `Bearer realm="`+c.Issuer.Name+`", error="invalid_token"`)
	return refuse(http.StatusUnauthorized, "invalid_token", reasonRegistrationToken, "the token for registration is missing or wrong")
}

func (c *call) registrationID(token string) authcore.TokenID {
	return authcore.NewTokenID("registration", c.Issuer.Name, token)
}

func (c *call) readMetadata() (*clientMetadata, error) {
	body, err := c.readBody("application/json", maxMetadata)
	if err != nil {
		return nil, err
	}
	return parseMetadata(body)
}

func parseMetadata(body []byte) (*clientMetadata, error) {
	if _, err := jose.ParseObject(body); err != nil { // no member twice
		return nil, invalidMetadata("the metadata are not a JSON object with each member once")
	}
	metadata := new(clientMetadata)
	if err := json.Unmarshal(body, metadata); err != nil {
		return nil, invalidMetadata(typeProblem(err))
	}
	return metadata, nil
}

func invalidMetadata(description string) *refusal {
	return refuse(http.StatusBadRequest, codeInvalidMetadata, reasonMetadata, description)
}

// clientOfMetadata checks what a client says about itself, fills in what it left out, and
// returns the client.
func (c *call) clientOfMetadata(m *clientMetadata) (*authcore.Client, error) {
	if err := c.checkRedirects(m); err != nil {
		return nil, err
	}
	if err := completeMetadata(m); err != nil {
		return nil, err
	}
	scopes := within(c.Registration.Scopes, c.scopeNames())
	asked, err := authcore.ParseScopes(m.Scope)
	if err != nil {
		return nil, invalidMetadata("scope is not a list of scopes with spaces in between")
	}
	if len(asked) > 0 {
		if scopes = within(asked, scopes); len(scopes) == 0 {
			return nil, invalidMetadata("none of the scopes can be had by registration")
		}
	}
	m.Scope = strings.Join(scopes, " ")
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return &authcore.Client{
		Name: m.Name, Public: m.AuthMethod == authcore.AuthNone, Auth: m.AuthMethod, JWKS: m.JWKS, Grants: m.GrantTypes, Scopes: scopes,
		RedirectURIs: m.RedirectURIs, PostLogoutRedirectURIs: m.PostLogoutRedirectURIs, IDTokenAlg: m.IDTokenAlg,
		Registration: &authcore.Registration{Issuer: c.Issuer.Name, Metadata: text},
	}, nil
}

// maxRedirectURIs is how many redirect URIs a client may have.
const maxRedirectURIs = 20

func (c *call) checkRedirects(m *clientMetadata) error {
	if len(m.RedirectURIs) == 0 || len(m.RedirectURIs) > maxRedirectURIs || len(m.PostLogoutRedirectURIs) > maxRedirectURIs {
		return refuse(http.StatusBadRequest, codeInvalidRedirectURI, reasonMetadata, "1 to 20 redirect_uris are needed")
	}
	for _, uri := range slices.Concat(m.RedirectURIs, m.PostLogoutRedirectURIs) {
		if err := authcore.CheckRedirectURI(uri, c.Legacy.HTTPRedirects); err != nil {
			return refuse(http.StatusBadRequest, codeInvalidRedirectURI, reasonMetadata, err.Error())
		}
		if !c.isAllowedHost(uri) {
			return refuse(http.StatusBadRequest, codeInvalidRedirectURI, reasonMetadata, "redirect URIs of this host cannot be registered here")
		}
	}
	return nil
}

func (c *call) isAllowedHost(uri string) bool {
	if c.Registration == nil || len(c.Registration.RedirectHosts) == 0 {
		return true
	}
	u, err := url.Parse(uri)
	return err == nil && slices.ContainsFunc(c.Registration.RedirectHosts, func(pattern string) bool { return pattern == "*" || MatchHost(pattern, u.Hostname()) })
}

// MatchHost reports whether a host is the one of a pattern, or below it if the pattern
// begins with "*.".
func MatchHost(pattern, host string) bool {
	pattern, host = strings.ToLower(pattern), strings.ToLower(host)
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok && strings.HasPrefix(suffix, ".") {
		return strings.HasSuffix(host, suffix) && len(host) > len(suffix)
	}
	return pattern == host
}

// completeMetadata fills in the defaults of RFC 7591 section 2.
func completeMetadata(m *clientMetadata) error {
	if m.AuthMethod == "" {
		m.AuthMethod = authcore.AuthBasic
	}
	if len(m.GrantTypes) == 0 {
		m.GrantTypes = []string{authcore.GrantAuthorizationCode}
	}
	if len(m.ResponseTypes) == 0 {
		m.ResponseTypes = []string{"code"}
	}
	switch {
	case !slices.Contains([]string{authcore.AuthNone, authcore.AuthBasic, authcore.AuthPost, authcore.AuthPrivateKeyJWT}, m.AuthMethod):
		return invalidMetadata("token_endpoint_auth_method must be none, client_secret_basic, client_secret_post or private_key_jwt")
	case len(within(m.GrantTypes, []string{authcore.GrantAuthorizationCode, authcore.GrantRefreshToken})) != len(m.GrantTypes):
		return invalidMetadata("grant_types must be authorization_code and refresh_token")
	case !slices.Contains(m.GrantTypes, authcore.GrantAuthorizationCode) || !slices.Equal(m.ResponseTypes, []string{"code"}):
		return invalidMetadata("response_types must be code, with the grant type authorization_code")
	case len(m.Name) > 200 || strings.ContainsFunc(m.Name, isOddCharacter):
		return invalidMetadata("client_name has up to 200 bytes, and no control or formatting characters")
	case m.JWKSURI != "":
		return invalidMetadata("jwks_uri is not read by this server: send the keys as jwks")
	}
	if err := authcore.CheckIDTokenAlg(m.IDTokenAlg); err != nil {
		return invalidMetadata(err.Error())
	}
	slices.Sort(m.GrantTypes)
	m.GrantTypes = slices.Compact(m.GrantTypes)
	return checkKeys(m)
}

// isOddCharacter reports whether a character could make a name look like another one.
func isOddCharacter(c rune) bool {
	return unicode.IsControl(c) || unicode.Is(unicode.Cf, c) || c == unicode.ReplacementChar
}

func checkKeys(m *clientMetadata) error {
	if m.AuthMethod != authcore.AuthPrivateKeyJWT {
		m.JWKS = nil
		return nil
	}
	if set, err := jose.ParseKeySet(m.JWKS); err != nil || len(set.Keys) == 0 {
		return invalidMetadata("private_key_jwt needs jwks with a public key for signatures")
	}
	return nil
}

// digestOf names metadata: the same ones have the same name.
func digestOf(m *clientMetadata) string {
	text, err := json.Marshal(m)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// manage lets a client read, change or delete its registration (RFC 7592). A client that
// does not exist is refused like a wrong token.
func (c *call) manage() error {
	token, err := c.bearer()
	if err != nil {
		return err
	}
	id, err := url.PathUnescape(c.rest)
	if err != nil {
		return c.wrongToken()
	}
	client, err := c.Store.Client(c.r.Context(), id)
	if err != nil && !isUnknown(err) {
		return err
	}
	if err != nil || client.Registration == nil || client.Registration.Issuer != c.Issuer.Name || client.Registration.AccessToken != c.registrationID(token) {
		return c.wrongToken()
	}
	c.clientID = client.ClientID
	switch c.r.Method {
	case http.MethodDelete:
		if err := c.Store.DeleteClient(c.r.Context(), client); err != nil {
			return err
		}
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	case http.MethodPut:
		return c.change(client, token)
	}
	return c.showRegistration(client, token)
}

// showRegistration answers with all that is known about a client. The token is the one
// that it has shown (RFC 7592 section 3); its secret is kept as a hash, and not shown again.
func (c *call) showRegistration(client *authcore.Client, token string) error {
	answer := registered{AccessToken: token, ClientID: client.ClientID, IssuedAt: client.Created.Unix(), URI: c.Issuer.URL(ClientEndpoint) + url.PathEscape(client.ClientID)}
	if err := json.Unmarshal(client.Registration.Metadata, &answer.clientMetadata); err != nil {
		return unavailable(reasonInternal, err)
	}
	c.json(http.StatusOK, answer)
	return nil
}

// change replaces the metadata of a client (RFC 7592 section 2.2). How it authenticates
// stays: it has no secret for another way.
func (c *call) change(client *authcore.Client, token string) error {
	body, err := c.readBody("application/json", maxMetadata)
	if err != nil {
		return err
	}
	metadata, err := parseMetadata(body)
	if err != nil {
		return err
	}
	if err := checkChange(body, client); err != nil {
		return err
	}
	next, err := c.clientOfMetadata(metadata)
	if err != nil {
		return err
	}
	if next.Auth != client.Auth {
		return invalidMetadata("token_endpoint_auth_method cannot be changed: register anew")
	}
	next.ID, next.ClientID, next.Secrets, next.Created, next.Expires = client.ID, client.ClientID, client.Secrets, client.Created, client.Expires
	next.Registration.AccessToken = client.Registration.AccessToken
	err = c.Store.ReplaceClient(c.r.Context(), client, next)
	if errors.Is(err, authcore.ErrChanged) {
		return refuse(http.StatusConflict, codeInvalidMetadata, reasonMetadata, "the registration was changed meanwhile")
	}
	if err != nil {
		return err
	}
	return c.showRegistration(next, token)
}

// checkChange refuses metadata of another client, and what only the server says (RFC 7592
// section 2.2).
func checkChange(body []byte, client *authcore.Client) error {
	var sent struct {
		ClientID      *string         `json:"client_id"`
		AccessToken   json.RawMessage `json:"registration_access_token"`
		URI           json.RawMessage `json:"registration_client_uri"`
		SecretExpires json.RawMessage `json:"client_secret_expires_at"`
		IssuedAt      json.RawMessage `json:"client_id_issued_at"`
	}
	if json.Unmarshal(body, &sent) != nil {
		return invalidMetadata("client_id is not a string")
	}
	if sent.ClientID != nil && *sent.ClientID != client.ClientID {
		return invalidMetadata("client_id is not that of this registration")
	}
	if sent.AccessToken != nil || sent.URI != nil || sent.SecretExpires != nil || sent.IssuedAt != nil {
		return invalidMetadata("registration_access_token, registration_client_uri, client_secret_expires_at and client_id_issued_at are said by the server: leave them out")
	}
	return nil
}

// touch keeps a client that has registered itself, because it is used.
func (s *Server) touch(ctx context.Context, client *authcore.Client) {
	if client.Registration == nil || s.Registration == nil || client.Expires.IsZero() {
		return
	}
	expires := s.Now().Add(s.Registration.Unused)
	if expires.Sub(client.Expires) < min(24*time.Hour, s.Registration.Unused/2) {
		return
	}
	if err := s.Store.TouchClient(ctx, client, expires); err != nil {
		s.Logger.Warn("a registered client could not be marked as used: " + err.Error())
	}
}
