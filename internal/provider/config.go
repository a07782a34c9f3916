// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/directive"
)

// Config describes an authorization server and this gateway's
// standing with it.
type Config struct {
	// The issuer identifier of the authorization server: an https URL without
	// query and fragment, or http on a loopback address. Its metadata is read
	// from `/.well-known/openid-configuration`, else from
	// `/.well-known/oauth-authorization-server`, and must name the same issuer.
	// With `discovery_url`, or where `jwks_uri` makes metadata unnecessary, it is
	// only the name that tokens have in `iss`: a word, a URN or an http address
	// will do. In `https://login.example.com/{tid}/v2.0` the braces name the claim
	// that must stand there; `tenants` says which values it may have.
	Issuer string `json:"issuer,omitempty"`

	// Another name for `issuer`, as the systems before called it. Only one of
	// the two can be given.
	OPURL string `json:"op_url,omitempty"`

	// The authorization server is the `gluu_oauth_server` of this process, which is
	// asked without HTTP. A revocation holds from the next request on. `issuer`
	// says which one it is, where there are several; of the other settings only
	// `audience`, `dpop_nonce` and `timeout` have a meaning. Default: false.
	Embedded bool `json:"embedded,omitempty"`

	// With `embedded`, which of several `gluu_oauth_server` with one issuer it is: the
	// one with this `service`. Default: there is only one.
	Service string `json:"service,omitempty"`

	// Further values of `iss` that are this server's, such as those of tokens of
	// an older version. They are names: nothing is fetched from them.
	Issuers []string `json:"issuers,omitempty"`

	// The tenants whose tokens are accepted, where an issuer has a claim in
	// braces. `*` accepts all of them, which is logged.
	Tenants []string `json:"tenants,omitempty"`

	// The address of the metadata document, where it is not at the issuer: a
	// server may have one address for clients and another one within a cluster.
	// The document must name `issuer` all the same. Endpoints may be on its
	// origin too.
	DiscoveryURL string `json:"discovery_url,omitempty"`

	// Hosts to which plain http is allowed, such as `keycloak` within a cluster;
	// without a port, it is allowed to any port. What is sent there, credentials
	// and tokens included, can be read and changed on the way. Default: none but
	// loopback addresses.
	InsecureHosts []string `json:"insecure_hosts,omitempty"`

	// The client id of this gateway at the authorization server. Required for
	// introspection, unless `register` is given.
	ClientID string `json:"client_id,omitempty"`

	// The client secret. Placeholders that are known when the configuration
	// loads are allowed: `{env.NAME}`, `{file./path}`.
	ClientSecret string `json:"client_secret,omitempty"`

	// How the gateway authenticates itself: `client_secret_basic`,
	// `client_secret_basic_raw` (the same for servers that do not decode what
	// RFC 6749, section 2.3.1 has clients encode, such as WSO2),
	// `client_secret_post`, `client_secret_jwt`, `private_key_jwt`,
	// `tls_client_auth` or `none`. Default: `client_secret_basic`.
	ClientAuth string `json:"client_auth,omitempty"`

	// A file with the private key for `private_key_jwt`, PEM or JWK.
	ClientKey string `json:"client_key,omitempty"`

	// The `kid` that the authorization server knows the client key by.
	// Default: the key's own `kid` if it is a JWK, else none.
	ClientKeyID string `json:"client_key_id,omitempty"`

	// A PEM file with the certificate that the gateway shows to this server.
	// It is used on every connection to it. Required for `tls_client_auth`.
	ClientCertificate string `json:"client_certificate,omitempty"`

	// The PEM file with the certificate's private key.
	ClientCertificateKey string `json:"client_certificate_key,omitempty"`

	// Register this gateway as a client (RFC 7591) instead of naming a
	// `client_id`. The credentials are kept in Caddy's storage, where all
	// instances that share it find them.
	Register *Registration `json:"register,omitempty"`

	// How tokens are verified. `jwt`: only as JWTs, by their signature;
	// `introspection`: by asking the server for each new token; `auto`: what
	// is a JWT of this issuer locally, everything else by introspection.
	// Default: `auto`.
	Verify string `json:"verify,omitempty"`

	// The signature algorithms that a JWT may have. Never `none`, never an
	// HMAC one. Default: RS256, RS384, RS512, PS256, PS384, PS512, ES256,
	// ES384, ES512, EdDSA.
	Algorithms []string `json:"algorithms,omitempty"`

	// The audiences this gateway accepts: a token must name one of them.
	// Without it a token that was issued for any other API of the same
	// server is accepted too.
	Audience []string `json:"audience,omitempty"`

	// The claims that name the client which a token was issued to; the first one
	// that is there counts. WSO2 needs `consumerKey`, for example. Default:
	// `client_id`, `azp`, `cid`, `appid`.
	ClientIDClaims []string `json:"client_id_claims,omitempty"`

	// The claims whose values rules ask for. Once any is given, `scope` counts
	// only if it is given too. Default: `scope`, or `scp` where there is no
	// `scope`.
	Grants []Grant `json:"grants,omitempty"`

	// The introspection endpoint (RFC 7662), instead of the discovered one.
	IntrospectionEndpoint string `json:"introspection_endpoint,omitempty"`

	// Where the server's keys are (JWK Set), instead of the discovered place.
	JWKSURI string `json:"jwks_uri,omitempty"`

	// The token endpoint, instead of the discovered one.
	TokenEndpoint string `json:"token_endpoint,omitempty"`

	// The revocation endpoint (RFC 7009), instead of the discovered one.
	RevocationEndpoint string `json:"revocation_endpoint,omitempty"`

	// The client registration endpoint (RFC 7591), instead of the discovered
	// one.
	RegistrationEndpoint string `json:"registration_endpoint,omitempty"`

	// Where the server's UMA 2.0 metadata is, instead of
	// `/.well-known/uma2-configuration` below or beside the issuer.
	UMAConfiguration string `json:"uma_configuration,omitempty"`

	// The permission endpoint of UMA 2.0, instead of the discovered one.
	PermissionEndpoint string `json:"permission_endpoint,omitempty"`

	// The resource registration endpoint of UMA 2.0, instead of the discovered
	// one.
	ResourceRegistrationEndpoint string `json:"resource_registration_endpoint,omitempty"`

	// Hosts, with port where it is not the default one, that the endpoints of
	// this server may be on. By default a discovered endpoint must be on the
	// issuer's own origin, so that write access to the metadata does not allow
	// redirecting the gateway's credentials.
	EndpointHosts []string `json:"endpoint_hosts,omitempty"`

	// Ask for signed introspection responses (RFC 9701) and accept no other.
	// Default: they are asked for where the server's metadata offers them, and
	// an unsigned one is accepted too.
	IntrospectionSigned *bool `json:"introspection_signed,omitempty"`

	// Demand that DPoP proofs (RFC 9449) contain a nonce that this gateway gave
	// out within the last minutes, so that a proof cannot be made in advance.
	// Clients without one are challenged once. A nonce is good only where it
	// was given out: behind a load balancer that changes between gateways
	// clients are challenged at each of them, and a proof cannot be used again
	// at another. Default: false.
	DPoPNonce bool `json:"dpop_nonce,omitempty"`

	// The certificate authorities to trust for this server, instead of the
	// system's.
	TrustPoolRaw json.RawMessage `json:"trust_pool,omitempty" caddy:"namespace=tls.ca_pool.source inline_key=provider"`

	// How long a request to this server may take, from the connection to the
	// last byte of the answer. Time in the gateway's own queue comes before that.
	// Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How many bytes a token of this server may have, from 1 KiB to 1 MiB: longer
	// ones are answered 400. Caddy's own limit for all headers (`max_header_size`)
	// must leave room for it. Default: 16 KiB.
	MaxToken int64 `json:"max_token,omitempty"`

	// How much longer than `max_age` of the cache, but never beyond its own
	// expiry, a verified token may go on being used while the server fails to
	// answer about it: no answer comes, or one with a 5xx status. A token that is
	// revoked in the meantime goes on working for this long. Default: 0, off.
	StaleIfError caddy.Duration `json:"stale_if_error,omitempty"`
}

// Registration is how the gateway registers itself as a client.
type Registration struct {
	// The initial access token, where the server wants one.
	InitialAccessToken string `json:"initial_access_token,omitempty"`

	// The name that the server shows for this client. Default: Gluu Gateway.
	ClientName string `json:"client_name,omitempty"`

	// The scopes to register for.
	Scopes []string `json:"scopes,omitempty"`
}

// Client authentication methods, in the words of the registry of RFC 7591.
const (
	ClientSecretBasic = "client_secret_basic"
	ClientSecretPost  = "client_secret_post"

	// ClientSecretBasicRaw is client_secret_basic for servers that do not decode
	// the two halves (WSO2, for example).
	ClientSecretBasicRaw = "client_secret_basic_raw"

	ClientSecretJWT = "client_secret_jwt"
	PrivateKeyJWT   = "private_key_jwt"
	TLSClientAuth   = "tls_client_auth"
	ClientAuthNone  = "none"
)

var clientAuthMethods = []string{
	ClientSecretBasic, ClientSecretBasicRaw, ClientSecretPost, ClientSecretJWT, PrivateKeyJWT, TLSClientAuth, ClientAuthNone,
}

// How tokens are verified.
const (
	VerifyAuto          = "auto"
	VerifyJWT           = "jwt"
	VerifyIntrospection = "introspection"

	verifyEmbedded = "embedded" // only for an operator to read: see Config.Embedded
)

var verifyModes = []string{VerifyAuto, VerifyJWT, VerifyIntrospection}

// signatureAlgorithms are all that a token can be signed with, and the default.
// HMAC is not among them: a party that can verify such a token can also forge
// one.
var signatureAlgorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// minHMACSecret is how long a secret has to be to sign with HS256.
const minHMACSecret = 32

const defaultTimeout = 5 * time.Second

// DefaultMaxToken is how many bytes a token may have where nothing else is
// configured. Real ones with many claims have 2 to 4 KiB.
const DefaultMaxToken = 16 << 10

// What can be configured instead.
const (
	leastMaxToken   = 1 << 10
	largestMaxToken = 1 << 20
)

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	if c.Issuer == "" {
		c.Issuer, c.OPURL = c.OPURL, ""
	}
	if c.ClientAuth == "" {
		c.ClientAuth = ClientSecretBasic
	}
	if c.Verify == "" {
		c.Verify = VerifyAuto
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = signatureAlgorithms
	}
	if c.MaxToken == 0 {
		c.MaxToken = DefaultMaxToken
	}
	if c.Timeout == 0 {
		c.Timeout = caddy.Duration(defaultTimeout)
	}
	if c.Embedded {
		c.Verify = verifyEmbedded
	}
}

// Check refuses what cannot be right, whatever the placeholders in it will
// stand for. It is what a Caddyfile parser calls at the end of a block, to
// name the line.
func (c Config) Check() error { return c.check(directive.HasPlaceholder) }

// CheckResolved is Check for settings whose placeholders have been replaced.
func (c Config) CheckResolved() error { return c.check(isNeverOpen) }

// check is Check for values of which some may be open: an open one will only be
// known when the configuration loads. Then it is called again with none open.
func (c Config) check(open func(value string) bool) error {
	if err := c.checkValues(open); err != nil {
		return err
	}
	if c.Embedded {
		return c.checkEmbedded()
	}
	if c.Service != "" {
		return wrong("service", errors.New("service has no effect: it tells the servers of this process apart; write 'provider embedded <issuer> <service>'"))
	}
	if c.Issuer != "" && c.OPURL != "" {
		return errors.New("issuer and op_url are two names of one setting: write only issuer")
	}
	issuer := "issuer"
	if c.OPURL != "" {
		issuer = "op_url"
	}
	c.SetDefaults()
	if err := c.checkAddresses(issuer, open); err != nil {
		return err
	}
	if err := c.checkTenants(open); err != nil {
		return err
	}
	if c.Issuer == "" {
		return errors.New("a provider needs an issuer: write 'issuer <url>', the address that the server's tokens name as 'iss'")
	}
	if c.Verify != VerifyJWT && c.ClientID == "" && c.Register == nil {
		return fmt.Errorf("introspection needs a client_id: write 'client_id <id>', or 'verify jwt' if all tokens are JWTs (verify is %s)", c.Verify)
	}
	return c.checkClient(open)
}

// checkValues refuses what is wrong with a setting by itself, whatever the
// others are. The Caddyfile parser calls it after each, to name its line.
func (c *Config) checkValues(open func(value string) bool) error {
	for _, check := range []func(open func(string) bool) error{c.checkIssuers, c.checkWords, c.checkClaims, c.checkHosts} {
		if err := check(open); err != nil {
			return err
		}
	}
	if c.Timeout < 0 {
		return fmt.Errorf("timeout cannot be negative, got %s", time.Duration(c.Timeout))
	}
	if c.MaxToken != 0 && (c.MaxToken < leastMaxToken || c.MaxToken > largestMaxToken) {
		return fmt.Errorf("max_token is a size from 1KiB to 1MiB, not %d bytes", c.MaxToken)
	}
	if c.StaleIfError < 0 {
		return fmt.Errorf("stale_if_error cannot be negative, got %s", time.Duration(c.StaleIfError))
	}
	return nil
}

// checkWords refuses words that a setting does not have.
func (c *Config) checkWords(func(string) bool) error {
	if c.Verify != "" && !slices.Contains(verifyModes, c.Verify) {
		return fmt.Errorf("verify is %s, not %q", directive.Either(verifyModes), c.Verify)
	}
	if c.ClientAuth != "" && !slices.Contains(clientAuthMethods, c.ClientAuth) {
		return fmt.Errorf("client_auth is %s, not %q", directive.Either(clientAuthMethods), c.ClientAuth)
	}
	for _, alg := range c.Algorithms {
		if !slices.Contains(signatureAlgorithms, alg) {
			return fmt.Errorf("algorithm %q cannot be accepted: a token's signature is one of %s", alg, directive.Either(signatureAlgorithms))
		}
	}
	if slices.Contains(c.Audience, "") {
		return errors.New("an audience cannot be empty")
	}
	return nil
}

// checkClient refuses client authentication that lacks something, and
// anything that the chosen method would ignore: an operator who gave a key
// and gets a password sent instead should know.
func (c *Config) checkClient(open func(string) bool) error {
	if c.Register != nil && (c.ClientID != "" || c.ClientSecret != "") {
		return errors.New("register obtains a client_id and client_secret: leave those two out, or leave out register")
	}
	if c.ClientSecret != "" && c.ClientID == "" {
		return errors.New("a client_secret needs a client_id")
	}
	usesSecret := strings.HasPrefix(c.ClientAuth, "client_secret_")
	if usesSecret && c.ClientID != "" && c.ClientSecret == "" {
		return fmt.Errorf("client_auth %s needs a client_secret; for a client without one write 'client_auth none'", c.ClientAuth)
	}
	// RFC 7518, section 3.2.
	if c.ClientAuth == ClientSecretJWT && c.ClientSecret != "" && len(c.ClientSecret) < minHMACSecret && !open(c.ClientSecret) {
		return fmt.Errorf("client_auth client_secret_jwt needs a client_secret of %d bytes or more, this one has %d: use a longer one, or client_secret_basic", minHMACSecret, len(c.ClientSecret))
	}
	if !usesSecret && c.ClientSecret != "" {
		return fmt.Errorf("client_auth %s does not use a client_secret: leave out one of the two", c.ClientAuth)
	}
	if c.ClientAuth == PrivateKeyJWT && c.ClientKey == "" {
		return errors.New("client_auth private_key_jwt needs a client_key: write 'client_key <file>'")
	}
	if c.ClientAuth != PrivateKeyJWT && c.ClientKey != "" {
		return fmt.Errorf("client_key is for private_key_jwt, but client_auth is %s", c.ClientAuth)
	}
	if c.ClientAuth == ClientSecretBasicRaw && strings.Contains(c.ClientID, ":") {
		return errors.New("client_auth client_secret_basic_raw cannot send a client_id with a colon, which would end it: use client_secret_basic")
	}
	if c.ClientKeyID != "" && c.ClientKey == "" {
		return errors.New("client_key_id needs a client_key")
	}
	if (c.ClientCertificate == "") != (c.ClientCertificateKey == "") {
		return errors.New("a client certificate needs its key: write 'client_certificate <certificate file> <key file>'")
	}
	if c.ClientAuth == TLSClientAuth && c.ClientCertificate == "" {
		return errors.New("client_auth tls_client_auth needs a client_certificate: write 'client_certificate <certificate file> <key file>'")
	}
	return nil
}

// checkHosts refuses what is not a host.
func (c *Config) checkHosts(open func(string) bool) error {
	for _, host := range c.EndpointHosts {
		if open(host) {
			continue
		}
		if err := checkHost("endpoint_hosts", host); err != nil {
			return err
		}
	}
	return nil
}

// endpoints are the configured endpoints under the names that the metadata
// has for them.
func (c *Config) endpoints() map[string]string {
	return map[string]string{
		"introspection_endpoint": c.IntrospectionEndpoint,
		"jwks_uri":               c.JWKSURI,
		"token_endpoint":         c.TokenEndpoint,
		"revocation_endpoint":    c.RevocationEndpoint,
		"registration_endpoint":  c.RegistrationEndpoint,

		"uma_configuration":              c.UMAConfiguration,
		"permission_endpoint":            c.PermissionEndpoint,
		"resource_registration_endpoint": c.ResourceRegistrationEndpoint,
	}
}

func isNeverOpen(string) bool { return false }
