// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/diegoholiveira/jsonlogic/v3"
)

// A shape is a rule without its scopes: {"and": [{"var": 0}, {"var": 1}]} is one
// shape, shared by all rules that combine two scopes in this way.
//
// Package jsonlogic evaluates JSON Logic in microseconds. Its result for one
// combination of booleans never changes, so a shape evaluates each combination
// once and caches the result. A shape with up to six references has at most 64
// combinations and keeps one bit for each; a wider one, with 2^n combinations,
// keeps only recent ones.
type shape struct {
	refs  int // number of booleans that the rule refers to, from 0
	logic any // the rule as package jsonlogic takes it

	known, value atomic.Uint64                                           // refs <= narrow
	recent       atomic.Pointer[[recentOutcomes]atomic.Pointer[outcome]] // otherwise
}

const (
	narrow         = 6
	recentOutcomes = 32
)

// combination holds the booleans that a rule refers to, as bits.
type combination [maxDataEntries / 64]uint64

func (c *combination) set(i int)      { c[i/64] |= 1 << (i % 64) }
func (c *combination) get(i int) bool { return c[i/64]>>(i%64)&1 != 0 }

type outcome struct {
	when   combination
	grants bool
}

// newShape makes the shape of a rule whose references are 0 to refs-1. It
// evaluates the rule once, to find one that fails while the policy loads.
func newShape(rule *node, refs int) (*shape, error) {
	s := &shape{refs: refs, logic: rule.logic()}
	if _, err := s.evaluate(&combination{}); err != nil {
		return nil, err
	}
	return s, nil
}

// grants evaluates the rule over c. Only true grants: not 1, not "true".
func (s *shape) grants(c *combination) bool {
	if s.refs > narrow {
		return s.grantsWide(c)
	}
	bit := uint64(1) << c[0]
	if s.known.Load()&bit != 0 {
		return s.value.Load()&bit != 0
	}
	grants, _ := s.evaluate(c)
	if grants {
		s.value.Or(bit)
	}
	s.known.Or(bit) // after the value: a reader that sees the bit sees the value
	return grants
}

func (s *shape) grantsWide(c *combination) bool {
	recent := s.recent.Load()
	if recent == nil {
		s.recent.CompareAndSwap(nil, new([recentOutcomes]atomic.Pointer[outcome]))
		recent = s.recent.Load()
	}
	slot := &recent[c.hash()%recentOutcomes]
	if known := slot.Load(); known != nil && known.when == *c {
		return known.grants
	}
	grants, _ := s.evaluate(c)
	slot.Store(&outcome{*c, grants})
	return grants
}

// hash is the FNV hash over words; it only spreads combinations over slots.
func (c *combination) hash() uint64 {
	h := uint64(14695981039346656037)
	for _, word := range c {
		h = (h ^ word) * 1099511628211
	}
	return h ^ h>>32
}

// evaluate calls package jsonlogic. An error never grants.
func (s *shape) evaluate(c *combination) (grants bool, err error) {
	data := make([]any, s.refs)
	for i := range data {
		data[i] = c.get(i)
	}
	result, err := apply(s.logic, data)
	return err == nil && result == true, err
}

// apply is jsonlogic.ApplyInterface, which does not recover panics with values
// that are not errors.
func apply(logic any, data []any) (result any, err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("evaluating the rule: %v", e)
		}
	}()
	return jsonlogic.ApplyInterface(logic, data)
}

// Our own operators for operands that may not be booleans. The "and" of package
// jsonlogic counts null and "text" as true, so that
// {"and": [{"var": 0}, {"if": [{"var": 1}, true]}]} would grant without entry 1.
// In JSON Logic "and" is its first falsy operand or else its last, and "or" its
// first truthy operand or else its last.
const (
	opAnd = "github.com/caddy-gluu/gateway/scopeexpr.and"
	opOr  = "github.com/caddy-gluu/gateway/scopeexpr.or"
)

func init() {
	jsonlogic.AddOperator(opAnd, func(values, _ any) any {
		return firstOrLast(values, func(v any) bool { return !truthy(v) })
	})
	jsonlogic.AddOperator(opOr, func(values, _ any) any { return firstOrLast(values, truthy) })
}

func firstOrLast(values any, stop func(any) bool) any {
	operands, _ := values.([]any)
	if len(operands) == 0 {
		panic(errors.New("an operator without operands"))
	}
	if i := slices.IndexFunc(operands, stop); i >= 0 {
		return operands[i]
	}
	return operands[len(operands)-1]
}

func truthy(v any) bool {
	return v != nil && v != false && v != "" && v != 0.0
}

// logic returns n as package jsonlogic takes it.
func (n *node) logic() any {
	if n.op == "" {
		if n.ref < 0 {
			return n.constant
		}
		return map[string]any{"var": float64(n.ref)}
	}
	op := n.op
	if !allBoolean(n.operands) {
		switch op {
		case "and":
			op = opAnd
		case "or":
			op = opOr
		}
	}
	operands := make([]any, len(n.operands))
	for i, o := range n.operands {
		operands[i] = o.logic()
	}
	return map[string]any{op: operands}
}

// key writes n such that equal rules have equal keys.
func (n *node) key(b *strings.Builder) {
	switch {
	case n.ref >= 0:
		b.WriteString(strconv.Itoa(n.ref))
	case n.op == "":
		fmt.Fprintf(b, "%T:%q", n.constant, fmt.Sprint(n.constant))
	default:
		b.WriteString(n.op)
		b.WriteByte('(')
		for _, o := range n.operands {
			o.key(b)
			b.WriteByte(' ')
		}
		b.WriteByte(')')
	}
}

// renumber returns a copy of n with each reference r replaced by to(r).
func (n *node) renumber(to func(int) int) *node {
	m := &node{op: n.op, ref: n.ref, constant: n.constant}
	if n.ref >= 0 {
		m.ref = to(n.ref)
	}
	for _, o := range n.operands {
		m.operands = append(m.operands, o.renumber(to))
	}
	return m
}
