// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"errors"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/opaengine"
)

// A stream is judged again when other policies decide. Of its request the gateway keeps
// the method, the host, the target, the address of the client and the token, and not
// what takes more memory than all the rest: header fields and the body. A policy that
// looks at those cannot be asked, rather than be shown a request that never was.

// errNotKept says that a policy looks at what was not kept of a stream's request.
var errNotKept = errors.New("the policy looks at a part of the request that is not kept while a stream is open")

// judgesPast reports whether what decides can be asked about a stream again: an engine
// inside the gateway can. A server is not asked about all streams at once, be it by the
// gateway or by the policies of an engine, and dice are not thrown again.
func (p *PEP) judgesPast() bool {
	e, ok := p.decider.(*embedded)
	if !ok {
		return false
	}
	snapshot, err := e.engine.Snapshot()
	return err != nil || !slices.ContainsFunc(snapshot.Nondeterministic(), func(function string) bool {
		return !slices.Contains(steady, function)
	})
}

// steady are functions that depend on more than their arguments, and yet say the same
// about a stream as when it began: the clock is set to that moment.
var steady = []string{"time.now_ns", "io.jwt.decode_verify", "io.jwt.encode_sign", "io.jwt.encode_sign_raw", "opa.runtime"}

// unlessPast guards a part of the document that is not kept.
func unlessPast(build func(*question, *opaengine.Uses) (*ast.Term, error)) func(*question, *opaengine.Uses) (*ast.Term, error) {
	return func(q *question, uses *opaengine.Uses) (*ast.Term, error) {
		if q.isPast {
			return nil, errNotKept
		}
		return build(q, uses)
	}
}

// unlessRuledBefore guards what a handler before this one may have noted about the
// request, unless this one notes it itself.
func unlessRuledBefore(build func(*question, *opaengine.Uses) (*ast.Term, error)) func(*question, *opaengine.Uses) (*ast.Term, error) {
	return func(q *question, uses *opaengine.Uses) (*ast.Term, error) {
		if q.isPast && q.pep.operations == nil {
			return nil, errNotKept
		}
		return build(q, uses)
	}
}

// keepsHeaders reports whether the headers that a policy uses are kept: the host is.
func keepsHeaders(uses *opaengine.Uses) bool {
	if uses.Whole() {
		return false
	}
	for _, name := range uses.Names() {
		if name != "host" {
			return false
		}
	}
	return true
}

// hasPlaceholder reports whether a text of the configuration depends on the request.
func hasPlaceholder(text string) bool { return strings.Contains(text, "{") }

// unknown is the decision about a stream whose request was not kept as a whole.
func unknown(d *explain.Decision) *explain.Decision {
	d.Decision = explain.Unknown
	return d
}
