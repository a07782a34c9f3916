// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/retry"
	"github.com/caddy-gluu/gateway/internal/status"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// resources are what the rules of one handler protect, as the authorization
// server knows it: one resource for each condition of a rule. They become known
// in the background; a rule whose resource is not known yet refuses all
// requests.
type resources struct {
	policy     *scopeexpr.Policy
	mode       string
	authority  *authority
	generation uint64 // of the configuration
	storage    certmagic.Storage
	logger     *zap.Logger

	all    []*resource
	byRule []*resource   // by the index of the rule; nil for one with an access
	wake   chan struct{} // something has to be looked up anew

	first     chan struct{} // closed when they were made known, or that failed, for the first time
	firstOnce sync.Once

	failed atomic.Pointer[failure] // why the last attempt failed; nil if it did not
}

// failure is why resources could not be made known, and when the next attempt is.
type failure struct {
	status.Problem
	next time.Time
}

// resource is one of them.
type resource struct {
	name   string   // "" if the rule gives the id
	scopes []string // that it has to have
	given  bool     // the rule takes it as it is, so it exists and is not this gateway's to change
	id     atomic.Pointer[string]

	forgotten atomic.Bool // the server has said that it is not what it was
}

func newResources(policy *scopeexpr.Policy, prefix, mode string, a *authority, generation uint64, storage certmagic.Storage, logger *zap.Logger) *resources {
	r := &resources{
		policy: policy, mode: mode, authority: a, generation: generation, storage: storage, logger: logger,
		byRule: make([]*resource, policy.NumRules()), wake: make(chan struct{}, 1), first: make(chan struct{}),
	}
	byCondition := make(map[*scopeexpr.Condition]*resource)
	for _, rule := range policy.Rules() {
		if !rule.HasResource() {
			continue
		}
		condition := rule.Condition()
		each := byCondition[condition]
		if each == nil {
			each = &resource{
				name: rule.ResourceName(prefix), scopes: rule.Scopes(),
				given: condition.ResourceID != "" || condition.ResourceName != "" || rule.Access() == scopeexpr.Permitted,
			}
			if condition.ResourceID != "" {
				each.id.Store(&condition.ResourceID)
			} else if known, ok := a.known(each.name); ok {
				each.id.Store(&known.ID) // from the configuration before this one
			}
			byCondition[condition] = each
			r.all = append(r.all, each)
		}
		r.byRule[rule.Index()] = each
	}
	return r
}

// of returns the id of the resource that a rule protects, "" as long as it is
// not known.
func (r *resources) of(rule *scopeexpr.Rule) string {
	if id := r.byRule[rule.Index()].id.Load(); id != nil {
		return *id
	}
	return ""
}

// scopes returns what a ticket for a rule asks for: the scopes of the rule, or all
// that its resource has if any of them will do.
func (r *resources) scopes(rule *scopeexpr.Rule) []string {
	if rule.Access() != scopeexpr.Permitted {
		return rule.Scopes()
	}
	known, _ := r.authority.known(r.byRule[rule.Index()].name)
	return known.Scopes
}

// await is of for a request, which waits for the first attempt to make the
// resources known: within the timeout of the provider, and for no longer than its
// context.
func (r *resources) await(ctx context.Context, rule *scopeexpr.Rule) string {
	if id := r.of(rule); id != "" {
		return id
	}
	timer := time.NewTimer(time.Duration(r.authority.provider.Load().Timeout))
	defer timer.Stop()
	select {
	case <-r.first:
	case <-timer.C:
	case <-ctx.Done():
	}
	return r.of(rule)
}

// longestProblem bounds what a refusal says about the registration: it may have
// failed for many resources.
const longestProblem = 300

// unknown is the cause of a refusal for a resource that is not known, with what the
// last attempt to make it known met with.
func (r *resources) unknown() error {
	const text = "the resource is not registered at the authorization server yet"
	if failed := r.failed.Load(); failed != nil {
		return fmt.Errorf("%s: %.*s", text, longestProblem, failed.Error)
	}
	return errors.New(text)
}

// forget is called when the authorization server does not know the resource of
// a rule, or not with these scopes: it was deleted or changed there.
func (r *resources) forget(rule *scopeexpr.Rule) {
	each := r.byRule[rule.Index()]
	if each.name == "" {
		return // the id is what the configuration says
	}
	each.forgotten.Store(true)
	each.id.Store(nil)
	r.authority.unlearn(each.name)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

const (
	registrationRetry        = time.Second
	longestRegistrationRetry = 30 * time.Second
)

// keep makes the resources known and keeps them so until the context ends.
func (r *resources) keep(ctx context.Context) {
	backoff := retry.Backoff{Min: registrationRetry, Max: longestRegistrationRetry}
	for ctx.Err() == nil {
		var wait <-chan time.Time
		retired := r.authority.retirement()
		err := r.authority.reconcile(ctx, r)
		pause := r.note(err, &backoff)
		r.firstOnce.Do(func() { close(r.first) })
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.logger.Warn("registering resources at the authorization server",
				zap.String("provider", r.authority.provider.Load().Name()), zap.Error(err), zap.Duration("retry_in", pause))
			wait = backoff.Clock.After(pause)
		}
		if !r.rest(ctx, wait, retired) {
			return
		}
	}
}

// note keeps what an attempt to make the resources known met with, and returns the
// pause until the next one. The time is that of the first of several that met with the
// same.
func (r *resources) note(err error, backoff *retry.Backoff) (pause time.Duration) {
	if err == nil {
		r.failed.Store(nil)
		backoff.Reset()
		return 0
	}
	pause = backoff.Next()
	now := time.Now()
	failed := &failure{status.Problem{Time: now, Error: err.Error()}, now.Add(pause)}
	if before := r.failed.Load(); before != nil && before.Error == failed.Error {
		failed.Time = before.Time
	}
	r.failed.Store(failed)
	return pause
}

// rest waits until there is something to do: the pause is over, a configuration
// has retired or, without a pause, a resource was forgotten. It reports whether
// the context goes on.
func (r *resources) rest(ctx context.Context, pause <-chan time.Time, retired <-chan struct{}) bool {
	wake := r.wake
	if pause != nil {
		wake = nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-pause:
		return true
	case <-retired: // what it alone had is gone now
		return true
	case <-wake:
	}
	// A server that knows a resource at one endpoint and not at another must
	// not be asked without end.
	return retry.Sleep(ctx, registrationRetry)
}

// missing returns the resources whose id is not known, or which are not known
// to have their scopes.
func (r *resources) missing() []*resource {
	var missing []*resource
	for _, each := range r.all {
		if each.name == "" {
			continue
		}
		known, ok := r.authority.known(each.name)
		switch {
		case !ok:
			missing = append(missing, each)
		case !each.given && r.registers() && !sameScopes(known.Scopes, r.authority.wanted(r, each)):
			each.id.Store(&known.ID)
			missing = append(missing, each)
		default:
			each.id.Store(&known.ID)
		}
	}
	return missing
}

func (r *resources) registers() bool { return r.mode != registrationOff }

func sameScopes(a, b []string) bool {
	return slices.Equal(slices.Compact(slices.Sorted(slices.Values(a))), slices.Compact(slices.Sorted(slices.Values(b))))
}
