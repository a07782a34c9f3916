// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A node is one value of a rule: an operator with its operands, a reference
// to an entry of the data, or a constant.
type node struct {
	op       string // "" for a reference or a constant
	operands []*node
	ref      int // entry of the data, or -1
	constant any // nil, bool, float64 or string, if op == "" and ref < 0
}

func (n *node) isConstant() bool { return n.op == "" && n.ref < 0 }

// mayStandIn reports whether n makes sense as an operand of op. A text in an "or"
// is usually a scope that should have been an entry of the data: as a constant it
// counts as true, and would let every token pass.
func (n *node) mayStandIn(op string) bool {
	_, isBool := n.constant.(bool)
	switch op {
	case "!", "!!":
		return !n.isConstant()
	case "and", "or":
		return !n.isConstant() || isBool
	}
	return true
}

// operators are the operators that a rule may use, with their numbers of
// operands. The rest of JSON Logic (arithmetic, lists, access to other data) has
// no meaning over a list of booleans.
var operators = map[string]struct{ min, max int }{
	"and": {1, math.MaxInt},
	"or":  {1, math.MaxInt},
	"!":   {1, 1},
	"!!":  {1, 1},
	"==":  {2, 2},
	"!=":  {2, 2},
	"===": {2, 2},
	"!==": {2, 2},
	"if":  {0, math.MaxInt},
	"?:":  {0, math.MaxInt},
}

const (
	hintOperator = "use and, or, !, !!, ==, !=, ===, !==, if (?:) or var"
	hintRule     = `write a JSON Logic object such as {"and": [{"var": 0}, {"var": 1}]}`
	hintVar      = `write {"var": 0} for the first entry of the data`
)

// parseLogic reads a rule over data of n entries. The paths of its errors start
// at the rule.
func parseLogic(rule json.RawMessage, n int) (*node, *Error) {
	if !json.Valid(rule) {
		return nil, &Error{Reason: "the rule is not valid JSON", Hint: hintRule}
	}
	p := &logicParser{walker: newWalker(string(rule)), entries: n}
	if p.Kind() != '{' {
		return nil, p.errorf(nil, hintRule, "the rule must be an object, not %s", kindNames[p.Kind()])
	}
	return p.value(1)
}

type logicParser struct {
	walker
	trail
	entries int // of the data
	nodes   int // read so far
}

// value reads an operand, or the rule itself.
func (p *logicParser) value(depth int) (*node, *Error) {
	if p.nodes++; p.nodes > maxRuleNodes {
		return nil, p.errorf(nil, "use a pattern (^...) that covers many scopes, or split the path",
			"the rule has more than %d parts", maxRuleNodes)
	}
	if depth > maxRuleDepth {
		return nil, p.errorf(nil, `"and" and "or" take any number of operands: write them side by side`,
			"the rule is nested more than %d levels deep", maxRuleDepth)
	}
	switch p.Kind() {
	case '{':
		return p.operation(depth)
	case '[':
		return nil, p.errorf(nil, "remove the brackets or name an operator", "a list cannot be a value")
	case '"':
		return &node{ref: -1, constant: p.str()}, nil
	}
	var v any
	if err := json.Unmarshal([]byte(p.Skip()), &v); err != nil {
		return nil, p.errorf(nil, "write a smaller number", "the number is out of range")
	}
	return &node{ref: -1, constant: v}, nil
}

// operation reads an object: one operator and its operands.
func (p *logicParser) operation(depth int) (*node, *Error) {
	var n *node
	err := p.object(func(op string, _ int) *Error {
		if n != nil {
			return p.errorf(nil, `write one operator per object: {"and": [{"or": [...]}, ...]}`, "the object has more than one operator")
		}
		return p.at(op, func() (err *Error) {
			if op == "var" {
				n, err = p.reference()
				return err
			}
			n = &node{op: op, ref: -1}
			return p.operands(n, depth)
		})
	})
	if err == nil && n == nil {
		err = p.errorf(nil, hintRule, "the object has no operator")
	}
	return n, err
}

// operands reads the operands of an operator: a list or, as JSON Logic allows, a
// single operand without a list.
func (p *logicParser) operands(n *node, depth int) *Error {
	arity, known := operators[n.op]
	if !known {
		return p.errorf(nil, hintOperator, "unknown operator %q", n.op)
	}
	operand := func() *Error {
		o, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		if !o.mayStandIn(n.op) {
			return p.errorf(nil, hintVar, "%q is applied to a constant", n.op)
		}
		n.operands = append(n.operands, o)
		return nil
	}
	var err *Error
	if p.Kind() == '[' {
		err = p.array(func(i int) *Error { return p.at(i, operand) })
	} else {
		err = operand()
	}
	if err != nil {
		return err
	}
	if got := len(n.operands); got < arity.min || got > arity.max {
		return p.errorf(nil, hintArity(n.op), "%q has %d operands", n.op, got)
	}
	return nil
}

func hintArity(op string) string {
	switch op {
	case "and", "or":
		return "write at least one"
	case "!", "!!":
		return `write exactly one; "none of these" is {"!": {"or": [...]}}`
	}
	return "write exactly two"
}

// reference reads the operand of a var: 0, "0" or [0].
func (p *logicParser) reference() (*node, *Error) {
	raw := p.Skip()
	text := raw
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSpace(strings.TrimSuffix(inner, "]"))
	}
	if len(text) > 2 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	i, err := strconv.Atoi(text)
	if err != nil || strconv.Itoa(i) != text {
		return nil, p.errorf(nil, hintVar, "var %s does not name an entry of the data", clip(raw))
	}
	if i < 0 || i >= p.entries {
		hint := "add the scope to the data"
		if p.entries > 0 {
			hint = fmt.Sprintf("write a number from 0 to %d or add the scope to the data", p.entries-1)
		}
		return nil, p.errorf(nil, hint, "var %d does not name an entry of the data, which has %d", i, p.entries)
	}
	return &node{ref: i}, nil
}

// clip shortens a value for an error.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// walk calls visit for n and everything below it.
func (n *node) walk(visit func(*node)) {
	visit(n)
	for _, o := range n.operands {
		o.walk(visit)
	}
}

// boolean reports whether n is always true or false. With such operands it does
// not matter which of them "and" and "or" return.
func (n *node) boolean() bool {
	switch n.op {
	case "":
		_, isBool := n.constant.(bool)
		return n.ref >= 0 || isBool
	case "and", "or":
		return allBoolean(n.operands)
	case "if", "?:":
		if len(n.operands)%2 == 0 {
			return false // null if no condition holds
		}
		for i, o := range n.operands {
			result := i%2 == 1 || i == len(n.operands)-1
			if result && !o.boolean() {
				return false
			}
		}
		return true
	}
	return true // !, !!, and the comparisons
}

func allBoolean(nodes []*node) bool {
	for _, n := range nodes {
		if !n.boolean() {
			return false
		}
	}
	return true
}
