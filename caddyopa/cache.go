// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"cmp"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-gluu/gateway/internal/opaengine"
)

// decisions remembers what was decided. An answer is used again only for the same
// input, all of it, under the same policies; the hash that finds it is compared with
// nothing less than the input itself.
type decisions struct {
	pep        *PEP
	decider    decider
	longest    time.Duration
	entries    *otter.Cache[uint64, *remembered]
	hits, miss prometheus.Counter
	now        func() time.Time
	off        atomic.Pointer[opaengine.Snapshot] // policies that must not be remembered
}

// remembered is a decision with what it was about.
type remembered struct {
	input    ast.Value
	snapshot *opaengine.Snapshot // nil for a server
	answer   answer
	until    time.Time
}

// deniedFor is how long a refusal is remembered.
const deniedFor = time.Second

// volatile are the members of the input that differ with each request. They do not
// count when inputs are compared, so a policy that uses one has no cache.
const volatile = "decision_id"

// newCache returns nil if there is to be none. It refuses policies whose answers
// depend on more than the input.
func (p *PEP) newCache() (*decisions, error) {
	if p.Cache == 0 {
		return nil, nil
	}
	entries, err := otter.New(&otter.Options[uint64, *remembered]{MaximumSize: cmp.Or(p.CacheSize, defaultCacheSize)})
	if err != nil {
		return nil, err
	}
	d := &decisions{
		pep: p, decider: p.decider, longest: time.Duration(p.Cache), entries: entries, now: time.Now,
		hits: p.metrics.lookups.WithLabelValues("hit"), miss: p.metrics.lookups.WithLabelValues("miss"),
	}
	if e, ok := p.decider.(*embedded); ok {
		if snapshot, err := e.engine.Snapshot(); err == nil {
			if err := cacheable(snapshot); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

// cacheable refuses policies whose answers to one input differ.
func cacheable(snapshot *opaengine.Snapshot) error {
	if calls := snapshot.Nondeterministic(); len(calls) > 0 {
		return fmt.Errorf("cache: the policies call %s, so that an answer does not hold for the next request: remove cache", strings.Join(calls, ", "))
	}
	uses := snapshot.Uses()
	if !uses.Whole() && uses.Member(volatile) != nil {
		return fmt.Errorf("cache: the policies use input.%s, which no two requests share: remove cache", volatile)
	}
	return nil
}

// decide answers from memory, or asks.
func (d *decisions) decide(q *question) (answer, error) {
	snapshot, key, err := d.key(q)
	if err != nil {
		return answer{}, err
	}
	if key == nil {
		return d.decider.decide(q.r.Context(), q)
	}
	hash := uint64(key.Hash())
	now := d.now()
	if kept, ok := d.entries.GetIfPresent(hash); ok && kept.snapshot == snapshot && now.Before(kept.until) && kept.input.Compare(key) == 0 {
		d.hits.Inc()
		return kept.answer, nil
	}
	d.miss.Inc()
	a, err := d.decider.decide(q.r.Context(), q)
	if err != nil {
		return a, err
	}
	if until := d.until(q, a, now); now.Before(until) && q.isSmall() {
		d.entries.Set(hash, &remembered{key, snapshot, a, until})
	}
	return a, nil
}

// key returns what a decision depends on, nil if it must not be remembered.
func (d *decisions) key(q *question) (*opaengine.Snapshot, ast.Value, error) {
	uses := opaengine.Everything()
	var snapshot *opaengine.Snapshot
	if e, ok := d.decider.(*embedded); ok {
		var err error
		if snapshot, err = e.engine.Snapshot(); err != nil {
			return nil, nil, err
		}
		if d.off.Load() == snapshot {
			return nil, nil, nil
		}
		if err := cacheable(snapshot); err != nil { // it came later
			d.off.Store(snapshot)
			d.pep.warned.once(d.pep.logger, "decisions are not remembered", err.Error())
			return nil, nil, nil
		}
		uses = snapshot.Uses()
	}
	input, err := q.build(uses)
	if err != nil {
		return nil, nil, err
	}
	object, ok := input.(ast.Object)
	if !ok || object.Get(ast.InternedTerm(volatile)) == nil {
		return snapshot, input, nil
	}
	stable := ast.NewObjectWithCapacity(object.Len())
	object.Foreach(func(name, value *ast.Term) {
		if text, ok := name.Value.(ast.String); !ok || text != volatile {
			stable.Insert(name, value)
		}
	})
	return snapshot, stable, nil
}

// maxRememberedBody bounds what an entry takes: the input is kept with it.
const maxRememberedBody = 4 << 10

func (q *question) isSmall() bool { return q.body == nil || len(q.body.raw) <= maxRememberedBody }

// until is when a decision is no longer remembered: a grant never longer than its
// token lives.
func (d *decisions) until(q *question, a answer, now time.Time) time.Time {
	keep := d.longest
	if v := d.pep.read(a.value); v.outcome != granted {
		keep = min(keep, deniedFor)
	}
	until := now.Add(keep)
	if q.authenticated() {
		if end := q.id.Token.ExpiresAt; !end.IsZero() && end.Before(until) {
			return end
		}
	}
	return until
}
