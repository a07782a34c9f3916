// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/internal/apps"
	"github.com/caddy-gluu/gateway/internal/collected"
	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/routemap"
	"github.com/caddy-gluu/gateway/internal/sessionpool"
	"github.com/caddy-gluu/gateway/internal/status"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App is the Caddy app `gluu`: what the gateway's handlers on all sites
// share. It holds the providers, which are authorization servers, the
// consumers, which are the parties that their clients stand for, and the
// cache of verified tokens.
//
// A configuration always loads, whatever the state of its authorization servers:
// what is needed from them is fetched in the background, and requests that need
// it earlier are answered 503.
type App struct {
	// The authorization servers, by name. A handler that names none uses the
	// one called `default`.
	Providers map[string]*Provider `json:"providers,omitempty"`

	// The parties that OAuth clients stand for.
	Consumers []consumer.Consumer `json:"consumers,omitempty"`

	// How many tokens are cached, and for how long.
	Cache *CacheConfig `json:"cache,omitempty"`

	// Where records that outlive a request are kept, for all that name no store of
	// their own: `embedded`, a file in Caddy's data directory, or a store that
	// several gateways share. Default: `embedded`.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=gluu.store inline_key=engine"`

	// Where the sessions of people who log in are kept, and how.
	Session *sessionpool.Config `json:"session,omitempty"`

	// Policy engines (Open Policy Agent) inside the gateway, by name. A handler that
	// names none uses the one called `default`.
	OPA map[string]json.RawMessage `json:"opa,omitempty"`

	// A file with the private key, PEM or JWK, that the gateway signs phantom
	// tokens and headers with. Default: keys are generated and kept in Caddy's
	// storage.
	SigningKey string `json:"signing_key,omitempty"`

	// The `iss` of phantom tokens and signed headers: a name or an address by
	// which upstreams know this gateway. Default: `gluu-gateway`
	SigningIssuer string `json:"signing_issuer,omitempty"`

	// How long a generated key is used before another one takes its place. At
	// least a day. Default: until the admin API is asked to rotate keys.
	SigningRotation caddy.Duration `json:"signing_rotation,omitempty"`

	// How refused clients are answered: `json`, with a JSON body, or `caddy`,
	// by the error routes of the site (`handle_errors`). Default: `json`.
	ErrorFormat string `json:"error_format,omitempty"`

	logger       *zap.Logger
	generation   uint64
	started      time.Time
	cache        *tokencache.Cache
	directory    *consumer.Directory
	reserved     collected.Items[string, *headers.Stripper]
	scopes       collected.Items[announcedScopes, []string]
	noted        sync.Map // ids of consumers that handlers name
	public       collected.Items[publicPath, map[publicPath]bool]
	enforcing    collected.Items[string, []string] // sites
	ready        collected.Items[readiness, []readiness]
	demands      collected.Items[demand, []demand]
	explained    collected.Items[explain.Part, []explain.Part]
	rulesChanged chan struct{} // holds a value while streams are to be judged again
	returns      collected.Items[returnPath, map[returnPath]bool]
	cookieNames  collected.Items[SessionCookie, map[SessionCookie]bool]
	policies     reports[PolicyStatus]
	uma          reports[status.UMA]
	deciders     reports[status.Decider]
	warnings     collected.Items[Warning, []Warning]
	grants       decisions.Grants
	routes       *routemap.Snapshot // nil if Caddy does not say
	signer       *headers.Signer
	releases     []func() error // of what outlives configurations
	background   background

	engines  map[string]PolicyEngine
	sessions sessionpool.Sessions

	mu      sync.Mutex
	inline  map[digest]*Provider     // providers of handlers, by settings
	paths   map[returnPath]string    // of protocols, with the option that names each
	cookies map[SessionCookie]string // with the provider and the client of the sessions
	sites   map[string]any           // what the handlers of a site share, by siteguard.Key
}

const (
	errorFormatJSON  = "json"
	errorFormatCaddy = "caddy"

	// DefaultProvider is the name of the provider that a handler uses which
	// names none.
	DefaultProvider = "default"
)

var generations atomic.Uint64

// CaddyModule implements caddy.Module.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "gluu",
		New: func() caddy.Module { return new(App) },
	}
}

// FromContext returns the app of the configuration that is being loaded.
func FromContext(ctx caddy.Context) (*App, error) {
	app, err := ctx.App("gluu")
	if err != nil {
		return nil, err
	}
	return app.(*App), nil
}

// UnmarshalJSON implements json.Unmarshaler, for errors that name the option.
func (a *App) UnmarshalJSON(text []byte) error {
	type plain App
	return directive.UnmarshalJSON("gluu", text, (*plain)(a))
}

// Provision implements caddy.Provisioner.
func (a *App) Provision(ctx caddy.Context) error {
	a.logger = ctx.Logger()
	a.generation = generations.Add(1)
	a.inline = make(map[digest]*Provider)
	a.routes = routemap.Read(ctx)

	if err := a.check(); err != nil {
		return err
	}
	settings, err := a.Cache.settings()
	if err != nil {
		return err
	}
	if a.cache, err = tokencache.Open(settings); err != nil {
		return err
	}
	a.cache.OnRevoked(endStreams)
	a.releases = append(a.releases, a.cache.Release)
	if err := registerMetrics(ctx.GetMetricsRegistry(), a.cache); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	warnOfTinyDurations(a.logger, a.Cache)
	for _, name := range slices.Sorted(maps.Keys(a.Providers)) {
		if err := provider.CheckName(name); err != nil {
			return err
		}
		if a.Providers[name] == nil {
			return fmt.Errorf("provider %s: there is nothing in it; a provider has an issuer at least", name)
		}
		if err := a.Providers[name].provision(ctx, a, name); err != nil {
			return fmt.Errorf("provider %s: %w", name, err)
		}
	}
	live := consumer.Open(ctx.Storage(), a.logger.Named("consumers"))
	a.releases = append(a.releases, live.Close)
	if a.directory, err = consumer.NewDirectory(a.Consumers, live); err != nil {
		return err
	}
	a.directory.CheckProvider = a.checkProvider
	for _, c := range a.Consumers {
		if c.Provider == "" {
			continue
		}
		if err := a.checkProvider(c.Provider); err != nil {
			return fmt.Errorf("consumer %q: custom_id %q: %w", c.Name(), c.CustomID, err)
		}
	}
	if err := a.provisionEngines(ctx); err != nil {
		return err
	}
	return a.provisionSigner(ctx.Storage())
}

// checkProvider refuses the name of a provider that does not exist.
func (a *App) checkProvider(name string) error {
	_, err := a.Provider(name)
	return err
}

// check refuses impossible settings. A Caddyfile was checked when it was parsed,
// with the line; JSON is checked only here.
func (a *App) check() error {
	switch a.ErrorFormat {
	case "", errorFormatJSON, errorFormatCaddy:
	default:
		return fmt.Errorf("error_format is json or caddy, not %q", a.ErrorFormat)
	}
	if a.SigningRotation != 0 && time.Duration(a.SigningRotation) < minSigningRotation {
		return fmt.Errorf("signing_rotation is %s at least, got %s: each key goes on being published for more than an hour", minSigningRotation, time.Duration(a.SigningRotation))
	}
	if a.SigningRotation != 0 && a.SigningKey != "" {
		return errors.New("signing_rotation makes new keys, but signing_key names one: leave out one of the two")
	}
	if err := a.Session.Check(); err != nil {
		return err
	}
	return a.Cache.Check()
}

const minSigningRotation = 24 * time.Hour

// running are the apps that run.
var running apps.Running[*App]

// Running returns the app of the running configuration, nil if it has none.
func Running() *App { return running.Current() }

// Start implements caddy.App.
func (a *App) Start() error {
	for _, p := range a.all() {
		if err := p.checkEmbedded(); err != nil {
			return err
		}
	}
	for _, p := range a.all() {
		p.start()
	}
	a.warnOfUnusedConsumers()
	a.signer.Start()
	a.Background(a.watchStreams)
	a.rulesChanged = make(chan struct{}, 1)
	a.Background(a.judgeStreams)
	a.Background(a.grants.Watch)
	a.started = time.Now()
	a.background.start()
	running.Add(a)
	return nil
}

// Stop implements caddy.App.
func (a *App) Stop() error {
	running.Remove(a)
	// If Caddy rejected this one after it had started, the previous one continues.
	if current := running.Current(); current != nil {
		current.attach()
	}
	a.background.stop()
	a.signer.Stop()
	return nil
}

// attach lets the servers use what this configuration brings.
func (a *App) attach() {
	for _, p := range a.all() {
		p.server.Attach(p.loaded)
	}
}

// Cleanup implements caddy.CleanerUpper. What requests use stays in place: a
// request that started before a reload may end after it.
func (a *App) Cleanup() error {
	var errs []error
	for _, p := range a.all() {
		errs = append(errs, p.release())
	}
	for _, release := range a.releases {
		errs = append(errs, release())
	}
	a.releases = nil
	return errors.Join(errs...)
}

// all returns the providers of the app and of the handlers, by name.
func (a *App) all() []*Provider {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := slices.Collect(maps.Values(a.inline))
	for _, p := range a.Providers {
		if p != nil {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(x, y *Provider) int { return strings.Compare(x.name, y.name) })
	return all
}

// isIssuer reports whether a provider of this configuration has this issuer.
func (a *App) isIssuer(issuer string) bool {
	return slices.ContainsFunc(a.all(), func(p *Provider) bool { return p.issuers().Claim(issuer) })
}

// Provider returns the provider of this name, the one called `default` for "".
func (a *App) Provider(name string) (*Provider, error) {
	if name == "" {
		name = DefaultProvider
	}
	if p, ok := a.Providers[name]; ok {
		return p, nil
	}
	return nil, unknownProvider(name, slices.Sorted(maps.Keys(a.Providers)))
}

// AddProvider provisions the provider of a handler. Handlers with the same
// settings share one: the handler must use the returned one.
func (a *App) AddProvider(ctx caddy.Context, p *Provider) (*Provider, error) {
	if err := p.provision(ctx, a, ""); err != nil {
		_ = p.release()
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if same, ok := a.inline[p.poolID]; ok {
		return same, p.release()
	}
	a.inline[p.poolID] = p
	return p, nil
}

// Directory returns the consumers.
func (a *App) Directory() *consumer.Directory { return a.directory }

// Generation returns the number of this configuration in this process; a
// later one has a greater number.
func (a *App) Generation() uint64 { return a.generation }

// ErrorJSON reports whether refused clients are answered with a JSON body,
// rather than by the site's error routes.
func (a *App) ErrorJSON() bool { return a.ErrorFormat != errorFormatCaddy }

// Issuers returns the issuers of all providers that clients can find by them, those of handlers included,
// each once: that of the provider called `default` first, then by the
// providers' names. They are complete when all handlers are provisioned.
func (a *App) Issuers() []string {
	var issuers []string
	if p, ok := a.Providers[DefaultProvider]; ok {
		issuers = append(issuers, p.PublicIssuer())
	}
	for _, p := range a.all() {
		if !slices.Contains(issuers, p.PublicIssuer()) {
			issuers = append(issuers, p.PublicIssuer())
		}
	}
	return slices.DeleteFunc(issuers, func(issuer string) bool { return issuer == "" })
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
