// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/scopeexpr"
)

// Overlapping templates: GET /{shop}/latest and GET /books/{id} both match
// /books/latest, and OpenAPI leaves open which of them such a request is. The gateway
// takes the one that is more exact from the left. If the API takes the other one, it
// serves a request that was held to the requirements of the wrong operation.
//
// The templates of each method form a tree, in which pairs of places are visited that
// one path could reach. So 5,000 operations are not compared 12 million times.

// What comparing the templates of one document may cost.
const (
	maxVisits   = 500_000 // pairs of places in a tree
	maxOverlaps = 100     // warnings
)

// overlaps finds operations of one method that match the same paths and require
// different things.
type overlaps struct {
	policy *scopeexpr.Policy
	names  bool // it is the name of the operation that matters, not what it requires
	root   place
	others []*templated // with a ??, which fits no tree
	all    []*templated
	visits int
	found  []overlap
}

// templated is a rule with the operation that it was made of.
type templated struct {
	rule     *scopeexpr.Rule
	op       *operation
	elements []string // of its pattern
}

// overlap is a path of two operations, of which the gateway takes the first.
type overlap struct {
	taken, other *templated
	path         string
}

// place is where the elements that lead to it end.
type place struct {
	literals []branch
	known    map[string]*place // the same by their text
	params   []branch
	end      *templated
}

type branch struct {
	element string
	next    *place
}

// warnOfOverlaps warns of the overlapping templates of a document.
func (b *builder) warnOfOverlaps(l *loader, policy *scopeexpr.Policy) {
	methods := make(map[string]*overlaps)
	for _, rule := range policy.Rules() {
		op := b.seen[rule.Method()+" "+rule.Pattern()]
		if op == nil {
			continue // says that a parameter is not empty
		}
		of := methods[op.method]
		if of == nil {
			of = &overlaps{policy: policy, names: l.opts.OperationsOnly}
			methods[op.method] = of
		}
		of.add(&templated{rule, op, strings.Split(rule.Pattern(), "/")[1:]})
	}
	for _, method := range slices.Sorted(maps.Keys(methods)) {
		for _, o := range methods[method].find() {
			l.warn(o.other.op, o.other.op.node, "make sure that the API does too, or tell the two apart by the pattern of a parameter",
				"%q is a path of both %q and %q in line %d, %s; the gateway takes it for the latter",
				o.path, o.other.op.template, o.taken.op.template, lineOf(o.taken.op.node), l.difference())
		}
	}
}

// difference says why it matters which operation a request is.
func (l *loader) difference() string {
	if l.opts.OperationsOnly {
		return "which are different operations"
	}
	return "which require different things"
}

// find compares all templates.
func (o *overlaps) find() []overlap {
	o.visit(&o.root, &o.root)
	for i, t := range o.others {
		for _, u := range o.all {
			if j := slices.Index(o.others, u); o.visits < maxVisits && (j < 0 || j > i) {
				o.compare(t, u)
			}
		}
	}
	return o.found
}

// visit looks at two places that one path may reach, and at all such places below.
func (o *overlaps) visit(a, b *place) {
	if o.visits++; o.visits > maxVisits {
		return
	}
	if a != b && a.end != nil && b.end != nil {
		o.compare(a.end, b.end)
	}
	for _, x := range a.literals {
		if next := b.known[x.element]; next != nil {
			o.visit(x.next, next)
		}
		for _, y := range b.params {
			o.visit(x.next, y.next)
		}
	}
	for i, x := range a.params {
		for j, y := range b.params {
			if a != b || i <= j {
				o.visit(x.next, y.next)
			}
		}
		for _, y := range b.literals {
			if a != b { // else seen the other way round
				o.visit(x.next, y.next)
			}
		}
	}
}

// compare notes two operations if it matters which of them a path is, and the standard
// does not say it.
func (o *overlaps) compare(a, b *templated) {
	o.visits++
	if len(o.found) >= maxOverlaps || !o.names && a.rule.DecidesLike(b.rule) || moreConcrete(a.elements, b.elements) || moreConcrete(b.elements, a.elements) {
		return
	}
	path, ok := a.rule.PathPattern().Common(b.rule.PathPattern())
	if !ok {
		return
	}
	switch o.policy.Find(a.op.method, path) {
	case a.rule:
		o.found = append(o.found, overlap{a, b, path})
	case b.rule:
		o.found = append(o.found, overlap{b, a, path})
	}
}

// moreConcrete reports whether a is b with literal text in place of parameters. Such a
// path is matched first (OpenAPI 3.1.1, section 4.8.8.2).
func moreConcrete(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && (!isLiteral(a[i]) || isLiteral(b[i])) {
			return false
		}
	}
	return true
}

// anyElements is ?? in a pattern.
const anyElements = "??"

func isLiteral(element string) bool {
	return element != "?" && element != anyElements && !strings.HasPrefix(element, "{")
}

// add puts a template into the tree.
func (o *overlaps) add(t *templated) {
	o.all = append(o.all, t)
	if slices.Contains(t.elements, anyElements) {
		o.others = append(o.others, t)
		return
	}
	at := &o.root
	for _, element := range t.elements {
		at = at.next(element)
	}
	at.end = t
}

// next returns the place after an element.
func (p *place) next(element string) *place {
	if isLiteral(element) {
		next := p.known[element]
		if next == nil {
			if p.known == nil {
				p.known = make(map[string]*place)
			}
			next = new(place)
			p.known[element] = next
			p.literals = append(p.literals, branch{element, next})
		}
		return next
	}
	for _, b := range p.params {
		if b.element == element {
			return b.next
		}
	}
	b := branch{element, new(place)}
	p.params = append(p.params, b)
	return b.next
}
