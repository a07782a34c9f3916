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

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/dpop"
	"github.com/caddy-gluu/gateway/internal/localserver"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/internal/verifier"
)

// Provider is an authorization server, as one loaded configuration describes
// it. What is known about the server itself is in the server that it refers
// to and shares with the configurations before and after.
type Provider struct {
	provider.Config

	// What verifies its tokens. Its verifier is shared.
	*verifier.Lookup `json:"-"`

	name     string
	source   digest           // of its metadata and keys
	server   *provider.Server // of the verifier
	loaded   *provider.Connection
	poolID   digest
	held     bool                               // the verifier has not been released
	embedded func() (localserver.Server, error) // nil: the server is another process
}

// digest identifies settings.
type digest [sha256.Size]byte

// pooledVerifier is a verifier with the source of its metadata and keys.
type pooledVerifier struct {
	*verifier.Verifier
	source digest
}

// verifiers holds everything that was learned about authorization servers and
// their tokens, for as long as any configuration has a provider with the same
// settings. A reload provisions the new configuration before it cleans up the old
// one, so what both have in common never leaves the pool.
var verifiers = caddy.NewUsagePool()

// provision checks the settings and finds or makes the server. It opens no
// connection: a configuration loads whatever its servers do. A provider without
// a name is part of a handler.
func (p *Provider) provision(ctx caddy.Context, app *App, name string) error {
	if err := p.Resolve(); err != nil {
		return err
	}
	if err := p.CheckResolved(); err != nil {
		return err
	}
	p.SetDefaults()
	if name == "" {
		name = p.inlineName()
	}
	p.name = name

	if err := p.findHost(ctx); err != nil {
		return err
	}

	// Before the modules are loaded, which removes their settings.
	p.poolID = p.settings()
	var err error
	if p.source, err = sourceOf(&p.Config); err != nil {
		return err
	}
	p.loaded, err = provider.LoadConnection(ctx, &p.Config, app.logger.With(zap.String("provider", name)))
	if err != nil {
		return err
	}
	p.loaded.Storage = ctx.Storage()
	warnOfTinyDurations(p.loaded.Logger, p.Config)
	p.LogNotes(p.loaded.Logger)
	before := verifierOf(p.source)
	shared, _, err := verifiers.LoadOrNew(p.poolID, func() (caddy.Destructor, error) {
		server := provider.New(name, p.Config, p.loaded)
		if before != nil {
			server.TakeOver(before.Server())
		}
		return pooledVerifier{verifier.New(server), p.source}, nil
	})
	if err != nil {
		return err
	}
	v := shared.(pooledVerifier)
	p.server = v.Server()
	p.Lookup = v.Under(verifier.Terms{
		Cache: app.cache, MaxToken: int(p.MaxToken), Local: p.embedded, IsForeign: app.isIssuer,
	})
	p.held = true
	return nil
}

// sourceOf identifies where a provider's metadata and keys come from.
func sourceOf(config *provider.Config) (digest, error) {
	source, err := config.Source()
	return sha256.Sum256(source), err
}

// IsSameClient reports whether two providers are the same client of the same
// authorization server, which they reach under the same terms. Their credentials
// may differ.
func (p *Provider) IsSameClient(other *Provider) bool {
	return p.source == other.source && p.ClientID() != "" && p.ClientID() == other.ClientID()
}

// verifierOf returns a verifier with this source of metadata and keys, nil if
// there is none: as a rule that of the configuration which is being replaced.
func verifierOf(source digest) (found *verifier.Verifier) {
	verifiers.Range(func(_, value any) bool {
		if v := value.(pooledVerifier); v.source == source {
			found = v.Verifier
		}
		return found == nil || !found.Server().KnowsMetadata()
	})
	return found
}

// settings identifies everything that was configured, secrets included.
func (p *Provider) settings() digest {
	return digestOf(p.name, p.Config)
}

// inlineName names a provider of a handler for logs and metrics: its host, and
// a digest because several can be on one host. Secrets do not go into it, since
// a digest reveals what can be guessed.
func (p *Provider) inlineName() string {
	public := p.Config
	public.ClientSecret = ""
	public.Register = nil
	sum := digestOf("", public)
	host := "provider"
	if p.Embedded {
		host = "embedded"
	}
	if u, err := url.Parse(p.Config.Issuer); err == nil && provider.CheckName(u.Hostname()) == nil {
		host = u.Hostname()[:min(len(u.Hostname()), 48)]
	}
	return host + "-" + hex.EncodeToString(sum[:4])
}

func digestOf(name string, config provider.Config) digest {
	text, err := json.Marshal(struct {
		Name   string
		Config provider.Config
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
	p.server.Attach(p.loaded)
	p.server.Start()
}

// release lets go of the server, which ends if no other configuration has it.
// The provider can be used all the same: a request may outlast its
// configuration.
func (p *Provider) release() error {
	if p.loaded != nil {
		p.loaded.HTTP.CloseIdleConnections()
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

// MaxTokenLength returns how many bytes a token may have.
func (p *Provider) MaxTokenLength() int { return int(p.MaxToken) }

// Issuer returns the issuer identifier of the authorization server.
func (p *Provider) Issuer() string { return p.Config.Issuer }

// Endpoint returns the address of the endpoint of this name, as authorization
// server metadata calls it (token_endpoint, revocation_endpoint, ...): the
// configured one, else the discovered one. The error is a *token.Error.
func (p *Provider) Endpoint(name string) (string, error) {
	return p.server.Endpoint(name)
}

// CheckEndpoint returns an error for an address that requests to this server
// must not be sent to: none of the issuer's origin, of a configured endpoint's
// origin, or of endpoint_hosts. Call it for each address that comes from the
// server, before using it.
func (p *Provider) CheckEndpoint(address string) error {
	return p.server.CheckEndpoint(address)
}

// Call sends a request to the authorization server: see [provider.Server.Call].
func (p *Provider) Call(ctx context.Context, endpoint string, req *http.Request) (body []byte, status int, err error) {
	return p.server.Call(ctx, endpoint, req)
}

// CallAbout is Call for a request that depends on what a client sent: see
// [provider.Question].
func (p *Provider) CallAbout(ctx context.Context, q provider.Question, req *http.Request) (body []byte, status int, err error) {
	return p.server.CallAbout(ctx, q, req)
}

// AuthenticateClient adds the gateway's client authentication to a request
// and to the form that the caller will send as its body.
func (p *Provider) AuthenticateClient(req *http.Request, form url.Values) error {
	return p.server.Authenticate(req, form)
}

// ClientID returns the client id of the gateway at this server, empty as long
// as it is not registered.
func (p *Provider) ClientID() string {
	return p.server.ClientID()
}

// Verify returns the verified token that raw is: see [verifier.Lookup.Verify].
func (p *Provider) Verify(ctx context.Context, raw string) (*token.Token, error) {
	return p.Lookup.Verify(ctx, raw)
}

// DPoPAlgorithms returns the algorithms that proofs may be signed with, for the
// `algs` of a challenge (RFC 9449, section 7.1).
func DPoPAlgorithms() string { return dpop.Algorithms() }
