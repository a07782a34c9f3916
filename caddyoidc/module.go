// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	_ "github.com/caddy-gluu/gateway/caddystore" // where sessions are kept
	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/events"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/sessionpool"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(new(OpenIDConnect))
}

// OpenIDConnect is a middleware that logs people in at an OpenID Provider, keeps
// their session, renews it, asks for a stronger login where a path wants one,
// and logs them out.
//
// The handlers that follow find the person in the same placeholders as after
// `gluu_oauth_auth`, with the claims of the ID token in `{gluu.token.<claim>}`,
// and in `{gluu.userinfo.<claim>}`, `{gluu.acr}`, `{gluu.auth_time}` and
// `{gluu.session}`; the upstream in headers. What a client sends under the names
// of these headers never gets through, and the gateway's cookies stay here.
//
// A person without a session is sent to the OpenID Provider. Requests that are
// not a person opening a page get 401.
type OpenIDConnect struct {
	Config

	visitor *visitor
	bearer  *identity.Authenticator // nil unless accept_bearer is on
	app     *introspect.App
	people  *people
}

// CaddyModule returns the Caddy module information.
func (*OpenIDConnect) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_openid_connect",
		New: func() caddy.Module { return new(OpenIDConnect) },
	}
}

// UnmarshalJSON implements json.Unmarshaler, for errors that name the option.
func (o *OpenIDConnect) UnmarshalJSON(text []byte) error {
	type plain OpenIDConnect
	return directive.UnmarshalJSON("gluu_openid_connect", text, (*plain)(o))
}

// Provision sets up the handler.
func (o *OpenIDConnect) Provision(ctx caddy.Context) error {
	if err := o.check(); err != nil {
		return err
	}
	app, err := introspect.FromContext(ctx)
	if err != nil {
		return err
	}
	if err := siteguard.Protect(ctx, app); err != nil {
		return err
	}
	siteguard.KeepNoStore(ctx)
	o.app = app
	provider, err := o.findProvider(ctx)
	if err != nil {
		return err
	}
	if provider.Embedded {
		return errors.New("embedded: browsers are sent to the OpenID Provider, so it needs an address; write 'issuer <url>' and 'client_id <id>'")
	}
	sessions, err := app.OpenSessions(ctx)
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	site, err := o.siteOf(ctx)
	if err != nil {
		return err
	}
	o.visitor, err = o.newVisitor(ctx, provider, sessions, site)
	if err != nil {
		return err
	}
	if o.people, err = o.newPeople(ctx, provider); err != nil {
		return err
	}
	if err := o.reservePaths(siteguard.Site(ctx)); err != nil {
		return err
	}
	if err := o.reserveCookie(siteguard.Site(ctx), o.visitor.rp.op); err != nil {
		return err
	}
	// A rule that lets some paths pass without a login leaves them to the PEP.
	app.NoteAuthentication(siteguard.Site(ctx), o.visitor.mode != unauthenticatedPass && o.visitor.rules == nil)
	app.Sessions().Note(sessionpool.Keeper{Issuers: o.visitor.rp.verifier.issuers, Ended: o.visitor.endedByOperator})
	o.visitor.admitted = o.people.admit
	o.visitor.answerer.name, o.visitor.answerer.owns = o.people.identityOf, o.visitor.jar.names.owns
	return o.provisionBearer(ctx)
}

func (o *OpenIDConnect) findProvider(ctx caddy.Context) (*introspect.Provider, error) {
	if o.hasOwnProvider() {
		return o.app.AddProvider(ctx, &introspect.Provider{Config: o.Config.Config})
	}
	return o.app.Provider(o.Config.Provider)
}

// provisionBearer sets up what authenticates requests with a token.
func (o *OpenIDConnect) provisionBearer(ctx caddy.Context) error {
	if !o.AcceptBearer {
		return nil
	}
	o.bearer = &identity.Authenticator{Config: identity.Config{
		Provider: o.Config.Provider, Config: o.Config.Config, UpstreamHeaders: o.UpstreamHeaders,
		ConsumerMapping: &o.ConsumerMapping, Realm: o.Realm,
	}}
	if err := o.bearer.Provision(ctx, identity.OAuth); err != nil {
		return fmt.Errorf("accept_bearer: %w", err)
	}
	return nil
}

func (o *OpenIDConnect) newVisitor(ctx caddy.Context, provider *introspect.Provider, sessions *session.Manager, site *site) (*visitor, error) {
	rules, err := o.compileRules()
	if err != nil {
		return nil, err
	}
	rp := o.relyingParty(provider)
	registry := ctx.GetMetricsRegistry()
	metrics, err := newMetrics(registry, provider.Name())
	if err != nil {
		return nil, err
	}
	records, err := identity.NewMetrics(ctx, identity.OpenIDConnect)
	if err != nil {
		return nil, err
	}
	emitter, err := events.NewEmitter(ctx)
	if err != nil {
		return nil, err
	}
	v := &visitor{
		rp: rp, sessions: sessions, sealer: sessions.Sealer, jar: o.cookieJar(site), site: site, lifetimes: o.lifetimes(), rules: rules,
		mode: unauthenticated(either(o.Unauthenticated, string(unauthenticatedAuto))), refresh: enabled(o.Refresh), askUserinfo: enabled(o.Userinfo),
		keepFragment: o.KeepFragment, authTime: !o.MaxIDTokenAuthAgeOptional, id: provider.Name() + " " + provider.ClientID(), metrics: metrics,
		answerer: &answerer{Answerer: identity.Answerer{JSON: o.app.ErrorJSON(), Realm: either(o.Realm, identity.DefaultRealm), Logger: ctx.Logger(), Metrics: records, Events: emitter, Stripper: o.app.Stripper,
			Handler: identity.HandlerOf(ctx, true)}},
		events: emitter,
		logger: ctx.Logger(), now: time.Now, background: func(work func()) { go work() },
	}
	if o.RestoreOriginalAuthParams {
		v.restore = &restorer{keeper: sessions, sealer: sessions.Sealer, maxBody: o.RestoreMaxBody, now: time.Now}
		if v.restore.maxBody == 0 {
			v.restore.maxBody = defaultRestoreBody
		}
	}
	o.addEndpoints(v)
	return v, nil
}

func (o *OpenIDConnect) addEndpoints(v *visitor) {
	v.paths = paths{
		callback:   either(o.AuthorizationRedirectPath, defaultRedirectPath),
		logout:     o.LogoutPath,
		postLogout: either(o.PostLogoutRedirectPathOrURL, defaultPostLogout),
		landing:    escaped(either(o.LandingPath, defaultLanding)),
	}
	v.endpoints = map[string]endpoint{v.paths.callback: v.callback}
	for path, answer := range map[string]endpoint{
		o.LogoutPath: v.logout, o.BackchannelLogoutPath: v.backchannelLogout,
		o.FrontchannelLogoutPath: v.frontchannelLogout, o.InitiateLoginPath: v.initiateLogin,
	} {
		if path != "" {
			v.endpoints[path] = answer
		}
	}
	if path := o.PostLogoutRedirectPathOrURL; strings.HasPrefix(path, "/") {
		v.paths.withoutLogin = path
	}
}

// reservePaths takes the handler's own paths, and learns where people come back to
// whom other handlers of the site have sent away.
func (o *OpenIDConnect) reservePaths(site string) error {
	for _, p := range o.protocolPaths() {
		if p.path == "" {
			continue
		}
		if err := o.app.ReservePath(site, p.path, p.option); err != nil {
			return err
		}
	}
	o.visitor.isReturnPath = func(path string) bool { return o.app.IsReturnPath(site, path) }
	return nil
}

// reserveCookie takes the name of the session cookie at the origins that the handler
// answers. The cookies of the other handlers of the site are not the upstream's either.
func (o *OpenIDConnect) reserveCookie(site string, op openIDProvider) error {
	jar := o.visitor.jar
	jar.names.others = func(name string) bool { return o.app.IsSessionCookie(site, name) }
	cookie := introspect.SessionCookie{Site: site, Base: o.visitor.site.base, Name: jar.names.session}
	if jar.domain != "" {
		cookie.Base = "" // it goes to all of them
	}
	return o.app.ReserveCookie(cookie, op.Issuer(), op.ClientID())
}

func (o *OpenIDConnect) relyingParty(provider *introspect.Provider) *relyingParty {
	server := provider.Server()
	settings := server.Config()
	rp := &relyingParty{
		op: newOPServer(server), scopes: o.RequestedScopes, resources: o.Resources,
		pushed: pushedAuthorization(either(o.PAR, string(pushedAuto))), acrEssential: o.ACR != "voluntary", now: time.Now,
		verifier: &idTokenVerifier{
			issuers: settings.ConfiguredIssuers(), clientID: provider.ClientID, audiences: settings.Audience, algorithms: settings.Algorithms, keys: opKeys{server},
			leeway: duration(o.ClockLeeway, defaultLeeway), maxAge: positive(o.MaxIDTokenAge, defaultIDTokenAge), maxLength: maxIDToken, now: time.Now,
		},
	}
	if len(rp.scopes) == 0 {
		rp.scopes = []string{"openid", "email", "profile"}
	}
	for _, p := range o.AuthorizationParams {
		rp.params = append(rp.params, param{p.Name, p.Value})
	}
	return rp
}

// maxIDToken bounds an ID token. One with many groups is large; one that is
// larger than this does not fit into a session either.
const maxIDToken = 48 << 10

func (o *OpenIDConnect) lifetimes() *lifetimes {
	return &lifetimes{
		idle: duration(o.IdleTimeout, defaultIdleTimeout), whole: positive(o.SessionMaxAge, defaultSessionMaxAge),
		auth: positive(o.MaxIDTokenAuthAge, defaultAuthAge), idToken: positive(o.MaxIDTokenAge, defaultIDTokenAge),
		userinfo: time.Duration(o.UserinfoInterval),
	}
}

// cookieJar names the cookies: with the prefix that browsers enforce, wherever
// it can be.
func (o *OpenIDConnect) cookieJar(site *site) *cookieJar {
	prefix := ""
	switch {
	case site.secure && o.CookieDomain == "":
		prefix = securePrefix
	case site.secure:
		prefix = domainPrefix
	}
	jar := &cookieJar{domain: o.CookieDomain, secure: site.secure, sameSite: http.SameSiteLaxMode}
	jar.names = cookieNames{session: either(o.CookieName, prefix+defaultSessionCookie), login: prefix + loginCookie, restore: prefix + restoreCookie}
	switch o.CookieSameSite {
	case "strict":
		jar.sameSite = http.SameSiteStrictMode
	case "none":
		jar.sameSite = http.SameSiteNoneMode
	}
	return jar
}

// siteOf finds out where people come to, and refuses a site that addresses
// cannot be made of, or whose cookies would travel in clear.
func (o *OpenIDConnect) siteOf(ctx caddy.Context) (*site, error) {
	hosts, secure := siteguard.Address(ctx)
	s := &site{base: strings.ToLower(o.BaseURL), hosts: hosts, secure: secure || strings.HasPrefix(strings.ToLower(o.BaseURL), "https://")}
	switch {
	case s.base == "" && len(hosts) == 0:
		return nil, errors.New("the site names no host, so that a request would choose the address that people come back to: name the site's hosts, or write base_url https://<host>")
	case !s.secure && !s.isLoopback():
		return nil, errors.New("the site has no TLS, so that cookies would travel in clear: serve it with https, or write 'base_url https://<host>' if TLS ends in front of it")
	case !s.secure && o.CookieSameSite == "none":
		return nil, errors.New("cookie_same_site none needs https: browsers refuse the cookie otherwise")
	case !s.secure && strings.HasPrefix(o.CookieName, "__"):
		return nil, fmt.Errorf("cookie_name %q needs https: browsers refuse the cookie otherwise", o.CookieName)
	case !s.secure:
		ctx.Logger().Warn("the site has no TLS: its cookies have no protection by their name, and are for loopback only")
	}
	if o.CookieDomain != "" {
		if err := s.checkDomain(o.CookieDomain); err != nil {
			return nil, err
		}
		ctx.Logger().Warn("cookie_domain shares the session with all sites of the domain: each of them can read it, and set another one")
	}
	return s, nil
}

// ServeHTTP lets people who are logged in pass, and sends others to log in.
func (o *OpenIDConnect) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// Strip first, so that no forged identity header survives, whatever happens
	// next.
	o.app.Stripper().StripRequest(r)
	if o.bearer != nil && hasBearer(r.Header) && o.visitor.endpointOf(r) == nil {
		removeCookies(r.Header, o.visitor.jar.names.owns)
		return o.bearer.ServeHTTP(w, r, next)
	}
	return o.visitor.serve(w, r, next)
}

// hasBearer reports whether a request brings a token, valid or not. What is not
// valid is refused: the session does not make up for it.
func hasBearer(h http.Header) bool {
	return slices.ContainsFunc(h.Values("Authorization"), func(value string) bool {
		scheme, _, _ := strings.Cut(value, " ")
		return strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "DPoP")
	})
}

func either(configured, otherwise string) string {
	if configured != "" {
		return configured
	}
	return otherwise
}

func enabled(option *bool) bool { return option == nil || *option }

func positive(configured caddy.Duration, otherwise time.Duration) time.Duration {
	if configured > 0 {
		return time.Duration(configured)
	}
	return otherwise
}

func duration(configured *caddy.Duration, otherwise time.Duration) time.Duration {
	if configured != nil {
		return time.Duration(*configured)
	}
	return otherwise
}

// Interface guards
var (
	_ caddy.Provisioner           = (*OpenIDConnect)(nil)
	_ caddyhttp.MiddlewareHandler = (*OpenIDConnect)(nil)
)
