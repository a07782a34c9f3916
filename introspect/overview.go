// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/routemap"
	"github.com/caddy-gluu/gateway/internal/streams"
	"github.com/caddy-gluu/gateway/internal/version"
)

// Overview is what a gateway does at the moment, on one page.
type Overview struct {
	Time     time.Time        `json:"time"`
	Loaded   time.Time        `json:"configuration_loaded"`
	Versions version.Versions `json:"versions"`

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
	a.grants.Count()
	requests := decisions.Recent.Last(minute)
	requests.Reasons = requests.Reasons[:min(len(requests.Reasons), mostReasons)]
	o := Overview{
		Time: time.Now().UTC(), Loaded: a.started.UTC(), Versions: version.Read(), Requests: requests,
		Providers: a.ProviderStatuses(), Cache: a.CacheStatus(), Streams: streams.Open.Len(),
		Policies: a.PolicyStatuses(), Missing: a.Unready(ctx), Warnings: a.Warnings(),
	}
	return o
}

// AddPolicy tells, while a handler is provisioned, how to ask it for its rules.
func (a *App) AddPolicy(status func() PolicyStatus) { a.policies.Add(status) }

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
func (a *App) AddWarning(where, warning string) { a.warnings.Add(Warning{where, warning}) }

// Warnings returns what an operator should know about this configuration, each thing
// once.
func (a *App) Warnings() []Warning {
	all := []Warning{}
	for _, p := range a.all() {
		all = append(all, p.warnings()...)
	}
	all = append(all, a.warnings.Get(func(items []Warning) []Warning { return items })...)
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

// CountGrants tells, while a handler is provisioned, which counter has the grants of
// all handlers of this configuration.
func (a *App) CountGrants(read func() uint64) { a.grants.From(read) }
