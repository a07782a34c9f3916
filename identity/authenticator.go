// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/internal/events"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/internal/siteorder"
	"github.com/caddy-gluu/gateway/internal/streams"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/introspect"
)

// Authenticator is what all authentication handlers that read a token from the
// Authorization header have in common: everything but their names.
type Authenticator struct {
	Config

	app       *introspect.App
	provider  *introspect.Provider // the one that verifies tokens; nil if there are several
	several   introspect.Providers // nil if there is one
	consumers *consumer.Directory
	answerer  Answerer
	logger    *zap.Logger
	stateKey  token.ValueKey
	upstream  *HeaderWriter
	streams   *streams.Guard
	takeout   *takeout // nil: the token is in the Authorization header
	maxToken  int      // bytes of a token
	vary      []string // what answers depend on, where some are for callers without a token

	renderings singleflight.Group

	// The headers of the anonymous consumer, as long as it does not change.
	anonymous atomic.Pointer[HeaderSet]
}

// Provision sets up an authentication handler of a kind.
func (a *Authenticator) Provision(ctx caddy.Context, kind Kind) error {
	if a.Embedded && kind == UMA {
		return errors.New("provider embedded: the gluu_oauth_server of this process issues no requesting party tokens; name the provider that does")
	}
	if err := a.check(); err != nil {
		return err
	}
	app, err := introspect.FromContext(ctx)
	if err != nil {
		return err
	}
	if err := siteguard.Protect(ctx, app); err != nil {
		return err
	}
	a.app, a.logger, a.consumers = app, ctx.Logger(), app.Directory()
	if err := a.findProviders(ctx); err != nil {
		return err
	}
	if err := a.checkAnonymous(); err != nil {
		return err
	}
	a.offerExplanations(ctx)
	app.NoteAuthentication(siteguard.Site(ctx), a.Anonymous == "" && !a.Optional)
	a.provisionPlaces()
	if a.Optional {
		a.warnUnlessEnforced(siteguard.Site(ctx))
	}
	if a.DryRun {
		a.logger.Warn("dry_run is on: requests are not refused")
		app.AddWarning(Where(ctx), "dry_run is on: requests are not refused")
	}
	if siteorder.HasEarlyLimit(ctx) {
		a.logger.Warn("rate_limit runs before authentication, so that its key with {gluu. is empty: write 'order rate_limit after gluu_opa_pep' into the global options")
	}
	if a.streams, err = app.NewStreamGuard(ctx, a.Streams); err != nil {
		return err
	}
	metrics, err := NewMetrics(ctx, kind)
	if err != nil {
		return err
	}
	a.stateKey = token.ValueKey{Generation: app.Generation(), Handler: token.NextHandlerID()}
	emitter, err := events.NewEmitter(ctx)
	if err != nil {
		return err
	}
	a.answerer = Answerer{JSON: app.ErrorJSON(), Stripper: app.Stripper, Realm: a.realm(), Logger: a.logger, Metrics: metrics, Events: emitter, takeout: a.takeout,
		Handler: HandlerOf(ctx, true)}
	if err := ProtectSite(ctx, app, &a.answerer, SiteRules{}); err != nil {
		return err
	}
	return a.provisionUpstream(kind, metrics)
}

// checkAnonymous refuses the name of a consumer that does not exist. While the
// live consumers cannot be read, this is unknown.
func (a *Authenticator) checkAnonymous() error {
	if a.Anonymous == "" {
		return nil
	}
	if c := a.consumers.Find(a.Anonymous); c != nil {
		a.app.NoteConsumer(c)
		return nil
	}
	if a.consumers.Ready() {
		return fmt.Errorf("anonymous: unknown consumer %q: define it in the app ('consumer %s') or name another one by username or id", a.Anonymous, a.Anonymous)
	}
	a.logger.Warn("the live consumers cannot be read yet, so the anonymous consumer is not known either", zap.String("anonymous", a.Anonymous))
	return nil
}

// warnUnlessEnforced warns when the configuration runs if no handler of the site
// enforces rules: then callers without a token reach the upstream.
func (a *Authenticator) warnUnlessEnforced(site string) {
	a.app.Background(func(context.Context) {
		if site != "" && !a.app.Enforces(site) {
			a.logger.Warn("optional is on, and no handler of the site enforces rules: requests without a token reach the upstream; add gluu_oauth_pep, or remove optional")
		}
	})
}

func (a *Authenticator) provisionUpstream(kind Kind, metrics *Metrics) (err error) {
	options := HeaderOptions{
		Standard: enabled(a.UpstreamHeaders), Expiration: "X-OAuth-Expiration", Custom: a.CustomHeaders, Vars: expressionVars,
		PhantomToken: a.PassCredentials == phantomToken, SigningAlg: a.PhantomTokenAlg,
	}
	if kind == UMA {
		options.Expiration = "X-RPT-Expiration"
	}
	a.upstream, err = NewHeaderWriter(a.app, options, metrics, a.logger)
	return err
}

func (a *Authenticator) realm() string {
	if a.Realm != "" {
		return a.Realm
	}
	return DefaultRealm
}

// ServeHTTP finds out who is calling and passes the request on, or answers it.
func (a *Authenticator) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if a.DryRun {
		return a.observe(w, r, next)
	}
	return a.authenticate(w, r, next)
}

func (a *Authenticator) authenticate(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// Strip first, so that no forged identity header survives, whatever happens
	// next.
	a.app.Stripper().StripRequest(r)
	for _, name := range a.vary {
		w.Header().Add("Vary", name)
	}

	credential, elsewhere, err := a.credential(r)
	if err != nil {
		return a.refuse(w, r, a.caller(a.provider, nil), Malformed(err))
	}
	if credential.Token == "" && a.Optional {
		// No handler has verified a credential of another scheme.
		removeCredential(r.Header)
		stranger := a.caller(a.provider, nil)
		a.answerer.Passed(stranger)
		Attach(r, stranger)
		return next.ServeHTTP(w, r)
	}
	if credential.Token == "" {
		return a.withoutToken(w, r, next, a.caller(a.provider, nil), NoToken())
	}
	provider, token, err, known := a.cached(credential.Token)
	if !known {
		if err := credential.CheckToken(); err != nil {
			return a.refuse(w, r, a.caller(provider, nil), Malformed(err))
		}
		token, err = provider.Verify(r.Context(), credential.Token)
	}
	if err == nil {
		err = provider.CheckBinding(r, token, string(credential.Scheme), credential.Token)
	}
	if err != nil {
		return a.withoutToken(w, r, next, a.caller(provider, nil), InvalidToken(asProviderError(err)))
	}
	c := a.consumerOf(token)
	if c == nil && (enabled(a.ConsumerMapping) || token.Consumer != "") {
		if !a.consumers.Ready() {
			return a.refuse(w, r, a.caller(provider, token), NotReady(errors.New("the live consumers cannot be read yet")))
		}
		return a.withoutToken(w, r, next, a.caller(provider, token), UnknownConsumer())
	}
	rendered, err := a.rendering(provider, credential.Token, token, c)
	if err != nil {
		return a.refuse(w, r, a.caller(provider, token), unrendered(err))
	}
	if credential.Scheme == DPoP {
		// RFC 9449, section 8.2: a client that has the next nonce in time needs
		// no refusal to get it.
		if nonce := provider.NextNonce(); nonce != "" {
			w.Header().Set("DPoP-Nonce", nonce)
		}
	}
	a.applyPassCredentials(r.Header, token)
	if elsewhere {
		// A cache does not know that the request had a credential (RFC 9111,
		// section 3.5): RFC 6750, section 2.3, has the answer say so.
		w.Header().Add("Cache-Control", "private")
	}
	rendered.Apply(r.Header)
	rendered.authenticated.Inc()
	id := &Identity{Token: token, Consumer: c, Provider: provider.Name(), Realm: a.realm()}
	a.answerer.Passed(id)
	Attach(r, id)
	if streams.IsStream(r) {
		return a.streams.ServeHTTP(w, r, streamOf(id, provider, credential.Token), next)
	}
	return next.ServeHTTP(w, r)
}

// consumerOf returns the consumer that a token's client belongs to, nil if there is
// none. A server of this process may know it by name; then the client id is not
// looked up.
func (a *Authenticator) consumerOf(token *token.Token) *consumer.Consumer {
	if token.Consumer != "" {
		return a.consumers.Find(token.Consumer)
	}
	return a.consumers.ByClient(token.Provider, token.ClientID)
}

// streamOf says whose stream a request is that may become one. The provider is the
// one that verified the token, nil if there is none.
func streamOf(id *Identity, provider *introspect.Provider, raw string) streams.Caller {
	caller := streams.Caller{Token: id.Token, Raw: raw, Provider: id.Provider}
	if c := id.Consumer; c != nil {
		caller.ConsumerID, caller.Consumer = c.ID, c.Name()
	}
	if provider != nil && provider.AsksServer(raw) {
		caller.Source = provider
	}
	return caller
}

// mayBeAnonymous reports whether a caller that would be refused for this is the
// anonymous consumer instead.
func (a *Authenticator) mayBeAnonymous(refusal Refusal) bool {
	if a.AnonymousOn == onMissing && refusal.Reason != ReasonNoToken {
		return false
	}
	return a.Anonymous != "" && refusal.isAboutToken()
}

// withoutToken goes on as the anonymous consumer, or answers with the refusal
// where there is none.
func (a *Authenticator) withoutToken(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, id *Identity, refusal Refusal) error {
	if !a.mayBeAnonymous(refusal) {
		return a.refuse(w, r, id, refusal)
	}
	c := a.consumers.Find(a.Anonymous)
	if c == nil {
		// It was a live one and has been deleted.
		return a.refuse(w, r, id, refusal)
	}
	rendered := a.anonymous.Load()
	if !a.upstream.IsCurrent(rendered, c) {
		var err error
		if rendered, err = a.upstream.render(id.Provider, nil, c); err != nil {
			return a.refuse(w, r, id, unrendered(err))
		}
		a.anonymous.Store(rendered)
	}
	if entry := a.logger.Check(zap.DebugLevel, "request goes on as the anonymous consumer"); entry != nil {
		entry.Write(zap.String("reason", refusal.Reason), zap.String("consumer", c.Name()), zap.String("provider", id.Provider))
	}
	removeCredential(r.Header)
	rendered.Apply(r.Header)
	anonymous := &Identity{Consumer: c, Anonymous: true, Provider: id.Provider, Realm: a.realm()}
	a.answerer.Passed(anonymous)
	Attach(r, anonymous)
	if streams.IsStream(r) {
		return a.streams.ServeHTTP(w, r, streamOf(anonymous, nil, ""), next)
	}
	return next.ServeHTTP(w, r)
}

// rendering returns the headers for a token, as a rule those that are kept with it.
func (a *Authenticator) rendering(provider *introspect.Provider, raw string, token *token.Token, c *consumer.Consumer) (*HeaderSet, error) {
	if kept, ok := token.Value(a.stateKey).(*HeaderSet); ok && a.upstream.IsCurrent(kept, c) {
		return kept, nil
	}
	if !a.upstream.signs() {
		return a.render(provider, raw, token, c)
	}
	// Requests that come with a new token at the same time share one signature.
	rendered, err, _ := a.renderings.Do(fmt.Sprintf("%p %p", token, c), func() (any, error) {
		if kept, ok := token.Value(a.stateKey).(*HeaderSet); ok && a.upstream.IsCurrent(kept, c) {
			return kept, nil
		}
		return a.render(provider, raw, token, c)
	})
	if err != nil {
		return nil, err
	}
	return rendered.(*HeaderSet), nil
}

// render makes the headers for a token and keeps them with it.
func (a *Authenticator) render(provider *introspect.Provider, raw string, token *token.Token, c *consumer.Consumer) (*HeaderSet, error) {
	rendered, err := a.upstream.render(provider.Name(), token, c)
	if err == nil {
		token.SetValue(a.stateKey, rendered)
		provider.Grown(raw, token)
	}
	return rendered, err
}

// applyPassCredentials does with the credential of a verified caller what is
// configured. A phantom token is set with the other headers.
func (a *Authenticator) applyPassCredentials(h http.Header, token *token.Token) {
	if a.PassCredentials == hideCredentials || (a.PassCredentials == phantomToken && !token.JWT) {
		removeCredential(h)
	}
}

// removeCredential removes the token, and the proof that goes with it.
func removeCredential(h http.Header) {
	delete(h, "Authorization")
	delete(h, "Dpop")
}

// refuse answers a request without an authenticated caller. The record still
// says what is known.
func (a *Authenticator) refuse(w http.ResponseWriter, r *http.Request, id *Identity, refusal Refusal) error {
	if a.DryRun {
		return a.observed(r, id, refusal)
	}
	return a.answerer.RefuseAs(w, r, id, refusal)
}

// asProviderError returns the error of a provider, which always is an
// *token.Error. Any other error says nothing about the token: it must
// neither refuse a caller as unauthenticated nor let one in.
func asProviderError(err error) *token.Error {
	if e, ok := errors.AsType[*token.Error](err); ok {
		return e
	}
	return &token.Error{Reason: token.ProviderUnavailable, Err: err}
}

// unrendered refuses a request whose upstream cannot be told who is calling.
func unrendered(err error) Refusal {
	switch {
	case errors.Is(err, headers.ErrNotReady):
		return NotReady(err)
	case errors.Is(err, headers.ErrExpired):
		return InvalidToken(&token.Error{Reason: token.Expired, Err: err})
	}
	return Internal(err)
}
