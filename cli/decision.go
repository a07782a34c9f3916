// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-gluu/gateway/pathmatch"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// The decisions.
const (
	allow       = "allow"
	deny        = "deny"
	unprotected = "unprotected" // no rule, and deny_by_default false
	badRequest  = "bad_request" // a path that can be read in two ways
	refused     = "refused"     // the policy does not load
)

// A request is the part of a request that decisions depend on.
type request struct {
	method, path string // path is canonical
	bad          error  // why the answer is 400
}

// parseRequest reads "GET /todos/hh", the start of a request as a client sends it.
// It fails only for text that is not a request. A request that a server would
// answer with 400 is valid, with bad set.
func parseRequest(text string, paths pathmatch.Options) (request, error) {
	method, target, _ := strings.Cut(strings.TrimSpace(text), " ")
	target = strings.TrimSuffix(strings.TrimSpace(target), " HTTP/1.1")
	if method == "" || target == "" {
		return request{}, fmt.Errorf(`%q is not a request: write a method and a path, for example "GET /todos/hh"`, text)
	}
	r := request{method: method, path: target}
	if method == http.MethodConnect || strings.ContainsAny(target, "\r\n") {
		r.bad = &pathmatch.AmbiguousError{Kind: pathmatch.NotAbsolute}
		return r, nil
	}
	// Parse it as net/http does for a client, including illegal forms.
	wire := method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
	sent, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire)))
	if err != nil {
		r.bad = err
		return r, nil
	}
	path, err := pathmatch.Canonicalize(sent.URL, paths)
	if err != nil {
		r.bad = err
		return r, nil
	}
	r.path = path.Decoded
	return r, nil
}

// String returns the request in canonical form. A kept slash is escaped as it was.
func (r request) String() string {
	return r.method + " " + strings.ReplaceAll(r.path, string(pathmatch.KeptSlash), "%2F")
}

// A caller is who a request is from: a token with these scopes, or none.
type caller struct {
	scopes  []string
	noToken bool
}

// A decision is the decision of a source on a request of a caller.
type decision struct {
	source  *source
	request request
	caller

	what        string
	rule        *scopeexpr.Rule // nil: none
	explanation *scopeexpr.Explanation
	reason      string // what the other fields do not say
}

// decide decides a request as the handlers do.
func (s *source) decide(r request, c caller) *decision {
	d := &decision{source: s, request: r, caller: c, what: badRequest}
	if r.bad != nil {
		d.reason = r.bad.Error()
		return d
	}
	if err := s.policy.CheckMethod(r.method); err != nil {
		d.reason = err.Error()
		return d
	}
	rule, err := s.policy.Lookup(r.method, r.path)
	d.rule = rule
	switch {
	case err != nil:
		d.what, d.reason = deny, err.Error()
		return d
	case d.rule == nil && s.denyByDefault:
		d.what, d.reason = deny, "no rule matches this path and method, and deny_by_default is true"
		return d
	case d.rule == nil:
		d.what, d.reason = unprotected, "no rule matches this path and method, and deny_by_default is false"
		return d
	}
	d.explanation = d.rule.Explain(r.path, c.scopes)
	d.what, d.reason = deny, d.explanation.Failed
	if d.explanation.Granted {
		d.what = allow
	}
	switch d.rule.Access() {
	case scopeexpr.Public:
		d.reason = "the rule is public: no token is needed"
	case scopeexpr.Authenticated:
		d.reason = "any verified token may pass; without one the answer is 401"
	case scopeexpr.Permitted:
		d.reason = "any permission for the resource suffices"
		if len(c.scopes) == 0 {
			d.what, d.reason = deny, "a permission for the resource is required, whatever its scopes"
		}
	case scopeexpr.Denied:
		d.reason = "the OpenAPI document has no security for this operation, and unlisted is deny"
		if d.rule.Operation() == "" {
			d.reason = "the OpenAPI document has an operation only for a last parameter that is not empty"
		}
	}
	if c.noToken && d.rule.Access() != scopeexpr.Public {
		d.what, d.reason = deny, "a caller without a token may pass only where a rule is public"
	}
	return d
}

// captures returns the captures of the path, with nil for an absent group. The
// list itself is never nil, so that JSON has a list.
func (d *decision) captures() []*string {
	captures := []*string{}
	if d.explanation != nil {
		for _, c := range d.explanation.Captures {
			if c.Present {
				captures = append(captures, &c.Value)
			} else {
				captures = append(captures, nil)
			}
		}
	}
	return captures
}

// rulePattern returns the matching pattern, or nil.
func (d *decision) rulePattern() *string {
	if d.rule == nil {
		return nil
	}
	pattern := d.rule.Pattern()
	return &pattern
}

// isRefused reports whether an error says that a policy does not load.
func isRefused(err error) bool {
	_, ok := errors.AsType[refusedError](err)
	return ok
}
