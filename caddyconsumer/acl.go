// SPDX-License-Identifier: Apache-2.0

package caddyconsumer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/events"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/internal/siteorder"
	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(new(ACL))
}

// ACL is a middleware that lets a request pass by the groups of its consumer:
// an access control list. It needs an authentication handler before it, such as
// `gluu_oauth_auth`.
//
// With `allow`, a consumer in one of the groups passes. With `deny`, everyone
// passes but a consumer in one of the groups. A caller with a credential that
// may not pass is answered 403, a caller without one 401.
type ACL struct {
	// The address of this handler in Caddy's admin API: `/id/<name>`. In a Caddyfile
	// the option is called `id`. Default: none, the handler is found by its place.
	ID string `json:"@id,omitempty"`

	// The groups whose consumers may pass. Cannot be combined with `deny`.
	Allow []string `json:"allow,omitempty"`

	// The groups whose consumers may not pass. A caller without a consumer is in
	// no group, so it passes. Cannot be combined with `allow`.
	Deny []string `json:"deny,omitempty"`

	// Do not tell the upstream the groups of the consumer in X-Consumer-Groups.
	// What a client sends under this name is removed in any case. Default: false.
	HideGroupsHeader bool `json:"hide_groups_header,omitempty"`

	// Decide and record, but refuse nothing, to try out groups on real traffic.
	// Default: false.
	DryRun bool `json:"dry_run,omitempty"`

	app      *introspect.App
	answerer identity.Answerer
	reported atomic.Bool // groups that no header can hold
}

// UnmarshalJSON implements json.Unmarshaler, for errors that name the option.
func (a *ACL) UnmarshalJSON(text []byte) error {
	type plain ACL
	return directive.UnmarshalJSON("gluu_acl", text, (*plain)(a))
}

// CaddyModule returns the Caddy module information.
func (*ACL) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_acl",
		New: func() caddy.Module { return new(ACL) },
	}
}

// Provision sets up the handler.
func (a *ACL) Provision(ctx caddy.Context) (err error) {
	if err := a.check(); err != nil {
		return err
	}
	if a.app, err = introspect.FromContext(ctx); err != nil {
		return err
	}
	if err := siteguard.Protect(ctx, a.app); err != nil {
		return err
	}
	metrics, err := identity.NewMetrics(ctx, identity.OAuth)
	if err != nil {
		return err
	}
	emitter, err := events.NewEmitter(ctx)
	if err != nil {
		return err
	}
	a.answerer = identity.Answerer{JSON: a.app.ErrorJSON(), Stripper: a.app.Stripper, Logger: ctx.Logger(), Metrics: metrics, Events: emitter,
		Handler: identity.HandlerOf(ctx, false)}
	if err := identity.ProtectSite(ctx, a.app, &a.answerer, identity.SiteRules{RefuseNothing: a.DryRun}); err != nil {
		return err
	}
	if len(a.Allow) > 0 {
		a.app.NoteEnforcement(siteguard.Site(ctx)) // no caller without a token gets further
	}
	a.warn(ctx)
	a.offerExplanations(ctx)
	return nil
}

// warn warns of what loads and can hardly be meant.
func (a *ACL) warn(ctx caddy.Context) {
	logger := ctx.Logger()
	if a.DryRun {
		logger.Warn("dry_run is on: requests are not refused")
		a.app.AddWarning(identity.Where(ctx), "dry_run is on: requests are not refused")
	}
	if siteorder.LacksAuthentication(ctx) {
		logger.Warn("no handler of the site authenticates callers, so that every request is refused: add gluu_oauth_auth")
	}
	a.app.Background(func(context.Context) {
		directory := a.app.Directory()
		if !directory.Ready() {
			return
		}
		for _, group := range a.groups() {
			if !directory.HasGroup(group) {
				logger.Warn("no consumer is in a group that gluu_acl names: write 'groups' into a consumer, or correct the name", zap.String("group", group))
			}
		}
	})
}

// groups are those that the configuration names.
func (a *ACL) groups() []string { return slices.Concat(a.Allow, a.Deny) }

// check refuses what cannot be right.
func (a *ACL) check() error {
	switch {
	case len(a.Allow) > 0 && len(a.Deny) > 0:
		return errors.New("allow and deny exclude each other: with allow, every other group is denied; keep one of the two")
	case len(a.Allow) == 0 && len(a.Deny) == 0:
		return errors.New("gluu_acl needs groups: write 'allow <group>...' or 'deny <group>...' into its block")
	}
	return a.checkValues()
}

// checkValues refuses what is wrong with an option by itself. The Caddyfile
// parser calls it after each, to name its line.
func (a *ACL) checkValues() error {
	for option, groups := range map[string][]string{"allow": a.Allow, "deny": a.Deny} {
		for i, group := range groups {
			if err := consumer.CheckGroup(group); err != nil {
				return fmt.Errorf("%s: %w", option, err)
			}
			if strings.ContainsAny(group, "{}") {
				return fmt.Errorf("%s: placeholders are not replaced in groups, got %q: name a group", option, group)
			}
			if slices.Contains(groups[:i], group) {
				return fmt.Errorf("%s: the group %q is named twice: keep one of them", option, group)
			}
		}
	}
	return nil
}

// ServeHTTP lets the request pass or answers it.
func (a *ACL) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	id := identity.Of(r)
	if id == nil {
		a.app.Stripper().StripRequest(r) // no authentication handler has done so
	}
	if refusal := a.decide(id); refusal != nil {
		if !a.DryRun {
			return a.answerer.Refuse(w, r, *refusal)
		}
		a.answerer.Record(r, id, *refusal, identity.WouldRefuse)
	} else {
		a.answerer.Passed(id)
	}
	a.tellGroups(r, id)
	return next.ServeHTTP(w, r)
}

// decide returns nil if a caller may pass. The groups of the anonymous consumer
// count like any others: an operator has given them to it.
func (a *ACL) decide(id *identity.Identity) *identity.Refusal {
	if id == nil {
		return notAuthenticated()
	}
	listed := a.isListed(id.Consumer)
	switch {
	case len(a.Allow) > 0 && listed, len(a.Deny) > 0 && !listed:
		return nil
	case id.Token == nil:
		return unauthorized()
	case listed:
		return forbidden(identity.ReasonGroupDenied)
	}
	return forbidden(identity.ReasonGroupMissing)
}

// isListed reports whether a consumer is in one of the groups that the
// configuration names.
func (a *ACL) isListed(c *consumer.Consumer) bool {
	if c == nil {
		return false
	}
	return slices.ContainsFunc(c.Groups, func(group string) bool {
		return slices.Contains(a.Allow, group) || slices.Contains(a.Deny, group)
	})
}

// tellGroups sets the header with the groups of the consumer.
func (a *ACL) tellGroups(r *http.Request, id *identity.Identity) {
	if a.HideGroupsHeader || id == nil || id.Consumer == nil || len(id.Consumer.Groups) == 0 {
		return
	}
	groups := strings.Join(id.Consumer.Groups, ", ")
	if headers.Sendable(groups) {
		r.Header[groupsHeader] = []string{groups}
		return
	}
	delete(r.Header, groupsHeader) // one that custom headers have set is not about all groups either
	if a.reported.CompareAndSwap(false, true) {
		a.answerer.Logger.Warn("X-Consumer-Groups was not sent to the upstream: the groups of a consumer are too long together", zap.String("consumer", id.Consumer.Name()))
	}
}

const groupsHeader = "X-Consumer-Groups"

// Texts of Kong's plugin, which clients may look for.
const (
	cannotConsume = "You cannot consume this service"
	unauthorised  = "Unauthorized"
)

// forbidden refuses a caller whose groups do not suffice. Another credential of
// the same client would not change that, so there is no challenge.
func forbidden(reason string) *identity.Refusal {
	return &identity.Refusal{
		Status: http.StatusForbidden, Error: "access_denied", Reason: reason,
		Description: cannotConsume, Message: cannotConsume,
	}
}

// unauthorized refuses a caller without a credential.
func unauthorized() *identity.Refusal {
	refusal := identity.NoToken()
	refusal.Message = unauthorised
	return &refusal
}

// notAuthenticated refuses what no authentication handler has looked at.
func notAuthenticated() *identity.Refusal {
	refusal := unauthorized()
	refusal.Reason = identity.ReasonNotAuthenticated
	refusal.Cause = errors.New("no authentication handler ran before this one: add gluu_oauth_auth, or check its matcher and the order in a route block")
	return refusal
}

// Interface guards
var (
	_ caddy.Provisioner           = (*ACL)(nil)
	_ caddyhttp.MiddlewareHandler = (*ACL)(nil)
)
