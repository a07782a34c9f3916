// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// Provider is an authorization server, as one loaded configuration describes
// it. What is known about the server itself is in the server that it refers
// to and shares with the configurations before and after.
type Provider struct {
	ProviderConfig

	name     string
	verifier *verifier
	server   *server // of the verifier
	cache    *tokencache.Cache
	loaded   *attachment
	poolID   digest
	held     bool // the verifier has not been released
}

// digest identifies settings.
type digest [sha256.Size]byte

// verifiers holds everything that was learned about authorization servers and
// their tokens, for as long as any configuration has a provider with the same
// settings. A reload provisions the new configuration before it cleans up the old
// one, so what both have in common never leaves the pool.
var verifiers = caddy.NewUsagePool()

// isServerName reports whether there is a server of this name: one whose
// settings changed has a namesake for as long as both configurations are there.
func isServerName(name string) (found bool) {
	verifiers.Range(func(_, v any) bool {
		found = v.(*verifier).server.name == name
		return !found
	})
	return found
}

var providerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func checkProviderName(name string) error {
	if !providerName.MatchString(name) {
		return fmt.Errorf("a provider's name is made of letters, digits, '.', '_' and '-', not '%s'", name)
	}
	return nil
}

// provision checks the settings and finds or makes the server. It opens no
// connection: a configuration loads whatever its servers do. A provider
// without a name stands in a handler.
func (p *Provider) provision(ctx caddy.Context, app *App, name string) error {
	if err := p.resolve(); err != nil {
		return err
	}
	if err := p.check(isNeverOpen); err != nil {
		return err
	}
	p.setDefaults()
	if name == "" {
		name = p.inlineName()
	}
	p.name = name
	p.cache = app.cache

	// Before the modules are loaded, which takes their settings away.
	p.poolID = p.settings()
	var err error
	p.loaded, err = newAttachment(ctx, &p.ProviderConfig, app.logger.With(zap.String("provider", name)))
	if err != nil {
		return err
	}
	p.loaded.storage = ctx.Storage()
	if len(p.Audience) == 0 && p.ProviderConfig.Verify != verifyIntrospection {
		p.loaded.logger.Warn("no audience is configured: tokens that this server issued for any other API are accepted too; write 'audience <name>'")
	}
	shared, _, err := verifiers.LoadOrNew(p.poolID, func() (caddy.Destructor, error) {
		return newVerifier(newServer(name, p.ProviderConfig, p.loaded)), nil
	})
	if err != nil {
		return err
	}
	p.verifier = shared.(*verifier)
	p.server = p.verifier.server
	p.held = true
	return nil
}

// resolve replaces the placeholders that Caddy knows when a configuration
// loads. Others are refused, so no request can choose an address or a secret.
func (p *Provider) resolve() error {
	type setting struct {
		name  string
		value *string
	}
	settings := []setting{
		{"issuer", &p.ProviderConfig.Issuer},
		{"op_url", &p.OPURL},
		{"client_id", &p.ProviderConfig.ClientID},
		{"client_secret", &p.ClientSecret},
		{"client_key", &p.ClientKey},
		{"client_key_id", &p.ClientKeyID},
		{"client_certificate", &p.ClientCertificate},
		{"client_certificate_key", &p.ClientCertificateKey},
		{"introspection_endpoint", &p.IntrospectionEndpoint},
		{"jwks_uri", &p.JWKSURI},
		{"token_endpoint", &p.TokenEndpoint},
		{"revocation_endpoint", &p.RevocationEndpoint},
		{"registration_endpoint", &p.RegistrationEndpoint},
		{"uma_configuration", &p.UMAConfiguration},
		{"permission_endpoint", &p.PermissionEndpoint},
		{"resource_registration_endpoint", &p.ResourceRegistrationEndpoint},
	}
	if p.Register != nil {
		settings = append(settings,
			setting{"register: initial_access_token", &p.Register.InitialAccessToken},
			setting{"register: client_name", &p.Register.ClientName})
	}
	for i := range p.Audience {
		settings = append(settings, setting{"audience", &p.Audience[i]})
	}
	for i := range p.EndpointHosts {
		settings = append(settings, setting{"endpoint_hosts", &p.EndpointHosts[i]})
	}
	for _, s := range settings {
		resolved, err := directive.Resolve(*s.value)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		*s.value = resolved
	}
	return nil
}

// settings identifies everything that was configured, secrets included.
func (p *Provider) settings() digest {
	return digestOf(p.name, p.ProviderConfig)
}

// inlineName names a provider that stands in a handler, for logs and metrics:
// its host, and a digest because several can be on one host. Secrets do not go
// into it, since a digest of something that can be guessed gives it away.
func (p *Provider) inlineName() string {
	public := p.ProviderConfig
	public.ClientSecret = ""
	public.Register = nil
	sum := digestOf("", public)
	host := "provider"
	if u, err := url.Parse(p.ProviderConfig.Issuer); err == nil && providerName.MatchString(u.Hostname()) {
		host = u.Hostname()[:min(len(u.Hostname()), 48)]
	}
	return host + "-" + hex.EncodeToString(sum[:4])
}

func digestOf(name string, config ProviderConfig) digest {
	text, err := json.Marshal(struct {
		Name   string
		Config ProviderConfig
	}{name, config})
	if err != nil {
		// Only an invalid trust_pool can do that, and it was loaded before.
		panic(fmt.Sprintf("settings of provider %s: %v", name, err))
	}
	return sha256.Sum256(text)
}

// start lets the server use what this configuration brings: the connection
// settings with certificates read just now, the storage and the logger.
func (p *Provider) start() {
	p.server.attach(p.loaded)
	p.server.begin()
}

// release lets go of the server, which ends if no other configuration has it.
// The provider can be used all the same: a request may outlast its
// configuration.
func (p *Provider) release() error {
	if p.loaded != nil {
		p.loaded.http.CloseIdleConnections()
	}
	if !p.held {
		return nil
	}
	p.held = false
	_, err := verifiers.Delete(p.poolID)
	return err
}

// Name returns the name that the configuration gives the provider.
func (p *Provider) Name() string { return p.name }

// Issuer returns the issuer identifier of the authorization server.
func (p *Provider) Issuer() string { return p.ProviderConfig.Issuer }

// Endpoint returns the address of the endpoint of this name, as authorization
// server metadata calls it (token_endpoint, revocation_endpoint, ...): the
// configured one, else the discovered one. The error is an *Error.
func (p *Provider) Endpoint(name string) (string, error) {
	return p.server.endpoint(name)
}

// CheckEndpoint returns an error for an address that requests to this server
// must not be sent to: none of the issuer's origin, of a configured endpoint's
// origin, or of endpoint_hosts. Whoever reads addresses from what the server
// says asks here before it believes them.
func (p *Provider) CheckEndpoint(address string) error {
	return p.server.origins.check(address)
}

// Call sends a request to the authorization server and returns its answer,
// whatever its status. The connection is the provider's, with its trust and
// client certificate, timeout and size limit; redirects are not followed. Each
// endpoint, by the name given here, has its circuit breaker: a failed
// connection, an oversized answer and the statuses 429 and 5xx count as
// failures. The error is always an *Error with ProviderUnavailable.
//
// The request is not authenticated: see AuthenticateClient.
func (p *Provider) Call(ctx context.Context, endpoint string, req *http.Request) (body []byte, status int, err error) {
	a, err := p.server.do(ctx, endpoint, req, acceptStatus)
	if err != nil {
		return nil, 0, asError(err)
	}
	return a.body, a.status, nil
}

// AuthenticateClient adds the gateway's client authentication to a request
// and to the form that the caller will send as its body.
func (p *Provider) AuthenticateClient(req *http.Request, form url.Values) error {
	return p.server.authenticate(req, form)
}

// ClientID returns the client id of the gateway at this server, empty as long
// as it is not registered.
func (p *Provider) ClientID() string {
	return p.server.clientID()
}
