// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/openapi"
	"github.com/caddy-gluu/gateway/introspect"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// A ruleset is a policy with what is kept about its rules. A request uses one from
// beginning to end, while another one may take its place.
type ruleset struct {
	policy   *scopeexpr.Policy
	counters counters
	memos    memos
	stepsUp  bool // a rule requires a certain authentication (RFC 9470)

	// revision says which rules these are. It is made when it is asked for, since
	// there may be ten thousand.
	revision func() string
	since    time.Time
}

// revisionOf returns the beginning of a digest of rules. Rules that decide differently
// have different ones.
func revisionOf(policy *scopeexpr.Policy) string {
	digest := sha256.New()
	encoder := json.NewEncoder(digest)
	for _, rule := range policy.Rules() {
		_ = encoder.Encode([]any{rule.Method(), rule.Pattern(), rule.Condition()}) // of plain values, to a hash
	}
	return hex.EncodeToString(digest.Sum(nil)[:6])
}

// InForce returns the rules that are in force.
func (e *Enforcer) InForce() *scopeexpr.Policy { return e.current.Load().policy }

// use puts rules into force, for the requests that begin from now on.
func (e *Enforcer) use(policy *scopeexpr.Policy) {
	rules := &ruleset{policy: policy, counters: newCounters(e.answerer.Metrics, policy.NumRules()), since: e.now()}
	rules.revision = sync.OnceValue(func() string { return revisionOf(policy) })
	for _, rule := range policy.Rules() {
		rules.stepsUp = rules.stepsUp || asksForAuthentication(rule)
	}
	if e.uniform {
		e.app.AnnounceScopes(e, policy.AllScopes()) // for the metadata of the resource
	}
	e.current.Store(rules)
	e.app.RulesChanged()
}

// status says which rules are in force.
func (e *Enforcer) status(handler string, hosts []string) introspect.PolicyStatus {
	rules := e.current.Load()
	return introspect.PolicyStatus{
		Handler: handler, Hosts: hosts, Rules: rules.policy.NumRules(), Revision: rules.revision(), Since: rules.since.UTC(), DryRun: e.DryRun,
	}
}

// ProvisionRules sets up the enforcer of a handler with rules that may come from an
// OpenAPI document.
func (e *Enforcer) ProvisionRules(ctx caddy.Context, kind identity.Kind, source *RuleSource) error {
	watches := source.OpenAPI != nil && source.OpenAPI.Watch
	if watches && source.UMA {
		return errUMAWatch
	}
	policy, api, err := source.Compile()
	if err != nil {
		return err
	}
	if err := e.Provision(ctx, kind, policy); err != nil {
		return err
	}
	if api == nil {
		return nil
	}
	warnOfDocument(e.answerer.Logger, api)
	if watches {
		w := &documentWatch{
			file: source.OpenAPI.File, watcher: openapi.NewWatcher(api, source.OpenAPI.File, source.OpenAPI.options(source.UMA)), logger: e.answerer.Logger,
			use:  func(api *openapi.API) error { return e.useDocument(source, api) },
			done: "the rules of the changed OpenAPI document are in force",
		}
		e.app.Background(w.run)
	}
	return nil
}

// useDocument puts the rules of a changed document into force.
func (e *Enforcer) useDocument(source *RuleSource, api *openapi.API) error {
	policy, err := source.compileWith(api)
	if err == nil {
		e.use(policy)
	}
	return err
}
