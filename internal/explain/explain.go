// SPDX-License-Identifier: Apache-2.0

// Package explain says what the handlers of a running gateway would do with a
// token and a request. Nothing is sent to an upstream, logged or counted.
//
// Handlers register their [Part] while they are provisioned; the admin API asks
// them ([Ask]).
package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/pathmatch"
)

// Part is a handler of a site that can be asked. One of Authenticator, Enforcer and
// Gate is set.
type Part struct {
	Site  string   // of siteguard
	Hosts []string // of the site; a leading `*.` stands for one label; none: all

	Authenticator Authenticator
	Enforcer      Enforcer
	Gate          Gate
}

// Authenticator finds out who is calling.
type Authenticator interface {
	// ExplainToken says what becomes of a caller with a token, "" for none.
	ExplainToken(ctx context.Context, raw string) *Caller
}

// Enforcer decides whether a request may pass.
type Enforcer interface {
	// ExplainRequest decides about a request of a caller, nil if no authentication
	// handler has seen it. With why, a policy in Rego also says what failed.
	ExplainRequest(r *http.Request, caller *Caller, why bool) *Decision
}

// Ruler is an Enforcer that notes which rule it decides by, for those after it.
type Ruler interface {
	Enforcer

	// RuleFor returns the rule for a request. What is not there leaves that of the
	// handlers before.
	RuleFor(r *http.Request, before Ruled) Ruled
}

// Gate lets callers pass by who they are, whatever they ask for.
type Gate interface {
	// ExplainCaller decides about a caller, nil if no authentication handler has seen
	// it.
	ExplainCaller(caller *Caller) AccessList
}

// AccessList is what a gate decides by, and what it decides.
type AccessList struct {
	Allow   []string `json:"allow,omitempty"`
	Deny    []string `json:"deny,omitempty"`
	DryRun  bool     `json:"dry_run,omitempty"`
	Refused *Refusal `json:"refused,omitempty"`
}

// Caller is what an authentication handler makes of a token.
type Caller struct {
	Provider  string    `json:"provider,omitempty"`
	Issuer    string    `json:"issuer,omitempty"`
	Audience  []string  `json:"audience,omitempty"`
	Subject   string    `json:"subject,omitempty"`
	ClientID  string    `json:"client_id,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	Consumer  string    `json:"consumer,omitempty"`
	Anonymous bool      `json:"anonymous,omitempty"`
	Grants    []string  `json:"grants,omitempty"`
	JWT       bool      `json:"jwt,omitempty"`

	// Bound says how the caller must prove possession of a key, which is not checked
	// here: `DPoP` or `mutual TLS`.
	Bound string `json:"bound,omitempty"`

	// Refused says why there is no verified token, nil if there is one. A caller who
	// goes on all the same has Continues.
	Refused   *Refusal `json:"refused,omitempty"`
	Continues bool     `json:"-"`

	Token      *token.Token `json:"-"` // the verified one, nil if there is none
	ConsumerID string       `json:"-"` // of Consumer

	// AdmittedAt is when a stream began that is judged by rules that have changed since.
	// Only a part of its request was kept. Zero for a request of now.
	AdmittedAt time.Time `json:"-"`

	// Ruled is the rule of the handlers before the one that is asked, which its policy
	// sees.
	Ruled Ruled `json:"-"`

	// LoggedIn is a person whose session knows how they have authenticated. The token
	// need not say so.
	LoggedIn bool `json:"-"`
}

// Ruled is a rule that a handler has decided by, and the operation that it is of. The
// zero value is none.
type Ruled struct {
	Operation string
	Pattern   *pathmatch.Pattern
	Path      string // that the pattern has matched, canonical
}

// Refusal is an answer to a refused client with what the log says.
type Refusal struct {
	Status int    `json:"status"`
	Reason string `json:"reason"`
	Error  string `json:"error,omitempty"`
}

// String returns the refusal on one line.
func (r *Refusal) String() string {
	text := fmt.Sprintf("%d %s", r.Status, r.Reason)
	if r.Error != "" {
		text += ": " + r.Error
	}
	return text
}

// Decision is what a handler decides about a request.
type Decision struct {
	Decision  string   `json:"decision"` // one of those below
	Method    string   `json:"method,omitempty"`
	Rule      string   `json:"rule,omitempty"`
	Operation string   `json:"operation,omitempty"`
	Captures  []string `json:"captures,omitempty"`
	Access    string   `json:"access,omitempty"`
	Required  string   `json:"required,omitempty"`
	DryRun    bool     `json:"dry_run,omitempty"`
	Refused   *Refusal `json:"refused,omitempty"`

	// Of gluu_opa_pep: what decides, what it answers, which policies it has, and the
	// expressions that failed.
	DecidedBy string          `json:"decided_by,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Revision  string          `json:"revision,omitempty"`
	Why       []string        `json:"why,omitempty"`

	// Of gluu_uma_pep: the resource that the rule protects. A refusal would come with a
	// ticket for its scopes, or be redeemed by the gateway for a person who has logged in.
	Resource *Resource `json:"resource,omitempty"`

	// Of each gluu_acl of the site.
	AccessLists []AccessList `json:"access_lists,omitempty"`
}

// Resource is a resource at an authorization server for UMA.
type Resource struct {
	ID        string   `json:"id,omitempty"` // "" while it is not registered
	Name      string   `json:"name,omitempty"`
	Scopes    []string `json:"scopes"`
	ObtainRPT bool     `json:"obtain_rpt,omitempty"`
}

// The decisions, as `caddy gluu explain` has them without a running gateway.
const (
	Allow       = "allow"
	Deny        = "deny"
	Unprotected = "unprotected" // no rule, and deny_by_default false
	BadRequest  = "bad_request"
	Unknown     = "unknown" // of a stream: the policy looks at what was not kept of its request
)

// Question is a request to explain.
type Question struct {
	Token   string `json:"token"`   // "" for a caller without one
	Request string `json:"request"` // such as "GET /todos"
	Host    string `json:"host"`    // "" if one site alone has rules
	Handler int    `json:"handler"` // which of several, counting from 1; 0 if there is one
	Why     bool   `json:"why"`     // for the expressions of a policy in Rego that failed
}

// Answer says what the gateway would do.
type Answer struct {
	Hosts    []string  `json:"hosts"`
	Request  string    `json:"request"`
	Caller   *Caller   `json:"caller"` // null if no handler authenticates here
	Decision *Decision `json:"decision"`
}

// Ask asks the parts of a running configuration. An error says what is wrong with
// the question.
func Ask(ctx context.Context, parts []Part, q Question) (*Answer, error) {
	method, target, _ := strings.Cut(strings.TrimSpace(q.Request), " ")
	r, err := newRequest(ctx, method, strings.TrimSpace(target))
	if err != nil {
		return nil, err
	}
	rules, err := enforcerFor(parts, q)
	if err != nil {
		return nil, err
	}
	answer := &Answer{Hosts: rules.Hosts, Request: method + " " + r.RequestURI}
	answer.Caller = callerAt(ctx, parts, rules.Site, q.Token)
	if c := answer.Caller; c != nil && c.Refused != nil && !c.Continues {
		answer.Decision = &Decision{Decision: Deny, Refused: c.Refused}
		return answer, nil
	}
	answer.Decision = &Decision{Decision: Allow} // of a site with nothing but gates
	if rules.Enforcer != nil {
		answer.Decision = rules.Enforcer.ExplainRequest(r, ruledBefore(answer.Caller, r, parts, rules), q.Why)
	}
	passGates(answer, parts, rules.Site)
	return answer, nil
}

// ruledBefore returns a caller with the rule that the handlers of the same site have
// noted which stand before one, taken as if the request met them all.
func ruledBefore(caller *Caller, r *http.Request, parts []Part, asked *Part) *Caller {
	if caller == nil || asked.Site == "" {
		return caller
	}
	ruled := *caller
	for i := range parts {
		if &parts[i] == asked {
			break
		}
		if ruler, ok := parts[i].Enforcer.(Ruler); ok && parts[i].Site == asked.Site {
			ruled.Ruled = ruler.RuleFor(r, ruled.Ruled)
		}
	}
	return &ruled
}

// passGates asks the gates of a site. The first refusal is the answer, that of the
// rules before all others.
func passGates(answer *Answer, parts []Part, site string) {
	d := answer.Decision
	for _, p := range parts {
		if p.Gate == nil || !p.isOn(site) {
			continue
		}
		list := p.Gate.ExplainCaller(answer.Caller)
		d.AccessLists = append(d.AccessLists, list)
		if list.Refused != nil && !list.DryRun && (d.Decision == Allow || d.Decision == Unprotected) {
			d.Decision, d.Refused = Deny, list.Refused
		}
	}
}

// isOn reports whether a part is a handler of a site.
func (p *Part) isOn(site string) bool { return p.Site == site || p.Site == "" || site == "" }

// newRequest returns a request as a client sends it.
func newRequest(ctx context.Context, method, target string) (*http.Request, error) {
	if method == "" || !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \r\n") {
		return nil, errors.New(`write a method and a path, for example "GET /todos"`)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://localhost"+target, nil)
	if err != nil {
		return nil, fmt.Errorf("the request cannot be read: %w", err)
	}
	r.RequestURI = target
	return r, nil
}

// enforcerFor returns the handler with rules that a question is about.
func enforcerFor(parts []Part, q Question) (*Part, error) {
	found := candidates(parts, q.Host, func(p *Part) bool { return p.Enforcer != nil })
	if len(found) == 0 { // a site without rules, where groups alone decide
		found = slices.CompactFunc(candidates(parts, q.Host, func(p *Part) bool { return p.Gate != nil }),
			func(a, b *Part) bool { return a.Site == b.Site })
	}
	switch {
	case len(found) == 0 && q.Host != "":
		return nil, fmt.Errorf("no site with rules has the host %q", q.Host)
	case len(found) == 0:
		return nil, errors.New("the running configuration has no handler with rules")
	case q.Handler < 0 || q.Handler > len(found):
		return nil, fmt.Errorf("there is no handler %d; choose one of:%s", q.Handler, list(found))
	case q.Handler > 0:
		return found[q.Handler-1], nil
	case len(found) > 1:
		return nil, fmt.Errorf("several handlers have rules; choose one by its site with host, or by its number with handler:%s", list(found))
	}
	return found[0], nil
}

// candidates are the parts of a kind whose site is reached under a host, "" for any.
func candidates(parts []Part, host string, isKind func(*Part) bool) (found []*Part) {
	for i := range parts {
		if isKind(&parts[i]) && (host == "" || parts[i].serves(host)) {
			found = append(found, &parts[i])
		}
	}
	return found
}

func list(parts []*Part) string {
	var b strings.Builder
	for i, p := range parts {
		hosts := strings.Join(p.Hosts, ", ")
		if hosts == "" {
			hosts = "all hosts"
		}
		fmt.Fprintf(&b, "\n\t%d  %s", i+1, hosts)
	}
	return b.String()
}

// serves reports whether the site of a part is reached under a host.
func (p *Part) serves(host string) bool {
	if len(p.Hosts) == 0 {
		return true
	}
	_, parent, _ := strings.Cut(host, ".")
	for _, own := range p.Hosts {
		if strings.EqualFold(own, host) || strings.EqualFold(own, "*."+parent) {
			return true
		}
	}
	return false
}

// callerAt returns who is calling, as the first authentication handler of a site
// says that accepts the token, or else the first one; nil if there is none.
func callerAt(ctx context.Context, parts []Part, site, raw string) (caller *Caller) {
	for _, p := range parts {
		if p.Authenticator == nil || !p.isOn(site) {
			continue
		}
		c := p.Authenticator.ExplainToken(ctx, raw)
		if c.Refused == nil {
			return c
		}
		if caller == nil {
			caller = c
		}
	}
	return caller
}
