// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"cmp"
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/routemap"
	"github.com/caddy-gluu/gateway/internal/streams"
)

// Overview is what a gateway does at the moment, on one page.
type Overview struct {
	Time     time.Time         `json:"time"`
	Loaded   time.Time         `json:"configuration_loaded"`
	Versions map[string]string `json:"versions"` // gateway, caddy, go

	// Requests are those of the last 60 to 70 seconds, with the five most frequent
	// reasons.
	Requests decisions.Counts `json:"requests"`

	Providers []ProviderStatus `json:"providers"`
	Cache     CacheStatus      `json:"cache"`
	Streams   int              `json:"streams"`
	Policies  []PolicyStatus   `json:"policies"`
	Missing   []Unready        `json:"missing"` // until the gateway is ready
	Warnings  []Warning        `json:"warnings"`
}

// PolicyStatus says which rules a handler decides by.
type PolicyStatus struct {
	Handler  string    `json:"handler"`
	Hosts    []string  `json:"hosts"` // of its site; none: all
	Rules    int       `json:"rules"`
	Revision string    `json:"revision"` // as decisions have it in policy
	Since    time.Time `json:"since"`    // since when they are in force
	DryRun   bool      `json:"dry_run,omitempty"`
}

// Warning is something that loads but that an operator should know.
type Warning struct {
	Where   string `json:"where"`
	Warning string `json:"warning"`
}

// mostReasons is how many reasons an overview has.
const mostReasons = 5

// minute is as many intervals as a minute has.
const minute = int(time.Minute / decisions.Interval)

// Overview says what this gateway does at the moment.
func (a *App) Overview(ctx context.Context) Overview {
	a.grants.count()
	requests := decisions.Recent.Last(minute)
	requests.Reasons = requests.Reasons[:min(len(requests.Reasons), mostReasons)]
	o := Overview{
		Time: time.Now().UTC(), Loaded: a.started.UTC(), Versions: versions(), Requests: requests,
		Providers: a.ProviderStatuses(), Cache: a.CacheStatus(), Streams: streams.Open.Len(),
		Policies: a.PolicyStatuses(), Missing: a.Unready(ctx), Warnings: a.Warnings(),
	}
	return o
}

// AddPolicy tells, while a handler is provisioned, how to ask it for its rules.
func (a *App) AddPolicy(status func() PolicyStatus) { a.policies.add(status) }

// PolicyStatuses returns the rules of all handlers that decide by rules.
func (a *App) PolicyStatuses() []PolicyStatus { return a.policies.ask() }

// ErrNoRoutes says that the configuration of the HTTP app is not known.
var ErrNoRoutes = errors.New("the configuration of the HTTP app is not known: it has no handler of the gateway that needs the app gluu, or this version of Caddy does not keep it")

// Routes returns the handlers of this configuration, in the order in which they run.
func (a *App) Routes() (*routemap.Map, error) {
	if a.routes == nil {
		return nil, ErrNoRoutes
	}
	return a.routes.Map()
}

// AddWarning tells, while a handler is provisioned, what an operator should know about
// it.
func (a *App) AddWarning(where, warning string) { a.warnings.add(Warning{where, warning}) }

// Warnings returns what an operator should know about this configuration, each thing
// once.
func (a *App) Warnings() []Warning {
	all := []Warning{}
	for _, p := range a.all() {
		all = append(all, p.warnings()...)
	}
	all = append(all, a.warnings.get(func(items []Warning) []Warning { return items })...)
	slices.SortStableFunc(all, func(x, y Warning) int {
		return cmp.Or(cmp.Compare(x.Where, y.Where), cmp.Compare(x.Warning, y.Warning))
	})
	return slices.Compact(all)
}

// warnings are about settings that loosen something.
func (p *Provider) warnings() []Warning {
	where := "provider " + p.name
	var all []Warning
	if !p.Embedded && len(p.Audience) == 0 && p.Config.Verify != provider.VerifyIntrospection {
		all = append(all, Warning{where, "no audience is configured: tokens that this server issued for any other API are accepted too; write 'audience <name>'"})
	}
	if len(p.InsecureHosts) > 0 {
		all = append(all, Warning{where, "plain http is allowed to " + strings.Join(p.InsecureHosts, " ") + ": anyone on the way can read and change what is sent; write the address with https and remove insecure_hosts"})
	}
	return all
}

// grants reads how many requests were granted off the counter of the metrics, so that
// a grant costs nothing for being counted here.
type grants struct {
	mu    sync.Mutex
	read  func() uint64
	taken uint64
}

// CountGrants tells, while a handler is provisioned, which counter has the grants of
// all handlers of this configuration.
func (a *App) CountGrants(read func() uint64) {
	a.grants.mu.Lock()
	defer a.grants.mu.Unlock()
	a.grants.read = read
}

// count adds the grants since the last call to the register of decisions.
func (g *grants) count() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.read == nil {
		return
	}
	if total := g.read(); total > g.taken {
		decisions.Recent.Granted(total - g.taken)
		g.taken = total
	}
}

// watch counts while the configuration is the running one.
func (g *grants) watch(ctx context.Context) {
	defer g.count()
	ticker := time.NewTicker(decisions.Interval / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			g.count()
		case <-ctx.Done():
			return
		}
	}
}

const (
	gatewayModule = "github.com/caddy-gluu/gateway"
	caddyModule   = "github.com/caddyserver/caddy/v2"
)

// versions are those of the modules in this binary.
func versions() map[string]string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return map[string]string{}
	}
	found := map[string]string{"go": info.GoVersion}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Replace != nil {
			m = &debug.Module{Path: m.Path, Version: m.Replace.Version}
		}
		switch m.Path {
		case gatewayModule:
			found["gateway"] = cmp.Or(m.Version, "(devel)")
		case caddyModule:
			found["caddy"] = m.Version
		}
	}
	return found
}
