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
	ref      int // entry of the data, -1 if this is none
	constant any // nil, bool, float64 or string, if op == "" and ref < 0
}

func (n *node) isConstant() bool { return n.op == "" && n.ref < 0 }

// operators are the operators that a rule may use, with how many operands each
// takes. Everything else that JSON Logic has - arithmetic, lists, access to
// data of other shapes - has no meaning over a list of booleans.
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
	mendOperator = "use and, or, !, !!, ==, !=, ===, !==, if (?:) or var"
	mendRule     = `write a JSON Logic object such as {"and": [{"var": 0}, {"var": 1}]}`
	mendVar      = `write {"var": 0} for the first entry of the data`
)

// parseLogic reads a rule over data of n entries. path leads to the rule.
func parseLogic(rule json.RawMessage, n int, path JSONPath) (*node, *Error) {
	if !json.Valid(rule) {
		return nil, &Error{Path: path, Reason: "the rule is no valid JSON", Mend: mendRule}
	}
	p := &logicParser{walker: walker{text: rule}, entries: n}
	if p.kind() != '{' {
		return nil, &Error{Path: path, Reason: "the rule is " + kindNames[p.kind()] + " where an object belongs", Mend: mendRule}
	}
	return p.value(path, 1)
}

type logicParser struct {
	walker
	entries int // of the data
	nodes   int // read so far
}

// value reads a value that stands where the rule needs one.
func (p *logicParser) value(path JSONPath, depth int) (*node, *Error) {
	if p.nodes++; p.nodes > maxRuleNodes {
		return nil, &Error{Path: path, Reason: fmt.Sprintf("the rule has more than %d parts", maxRuleNodes),
			Mend: "let a pattern (^...) stand for many scopes, or split the path"}
	}
	if depth > maxRuleDepth {
		return nil, &Error{Path: path, Reason: fmt.Sprintf("the rule is nested more than %d deep", maxRuleDepth),
			Mend: "and and or take any number of operands: put them side by side"}
	}
	switch p.kind() {
	case '{':
		return p.operation(path, depth)
	case '[':
		return nil, &Error{Path: path, Reason: "a list stands where a value belongs", Mend: "take the brackets away or name an operator"}
	case '"':
		return &node{ref: -1, constant: p.str()}, nil
	}
	var v any
	if err := json.Unmarshal(p.raw(), &v); err != nil {
		return nil, &Error{Path: path, Reason: "the number is out of range", Mend: "write a smaller one"}
	}
	return &node{ref: -1, constant: v}, nil
}

// operation reads an object: one operator and its operands.
func (p *logicParser) operation(path JSONPath, depth int) (*node, *Error) {
	var n *node
	err := p.object(func(op string, _ int) (err *Error) {
		if n != nil {
			return &Error{Path: path, Reason: "the object has several operators",
				Mend: `write one operator an object: {"and": [{"or": [...]}, ...]}`}
		}
		if op == "var" {
			n, err = p.reference(path.child(op))
			return err
		}
		n = &node{op: op, ref: -1}
		return p.operands(n, path.child(op), depth)
	})
	if err == nil && n == nil {
		err = &Error{Path: path, Reason: "the object has no operator", Mend: mendRule}
	}
	return n, err
}

// operands reads what an operator is applied to: a list or, as JSON Logic
// allows, a single operand without one.
func (p *logicParser) operands(n *node, path JSONPath, depth int) *Error {
	arity, known := operators[n.op]
	if !known {
		return &Error{Path: path, Reason: fmt.Sprintf("there is no operator %q", n.op), Mend: mendOperator}
	}
	operand := func(path JSONPath) *Error {
		o, err := p.value(path, depth+1)
		if err != nil {
			return err
		}
		if o.isConstant() && (n.op == "!" || n.op == "!!") {
			return &Error{Path: path, Reason: fmt.Sprintf("%s is applied to a constant", n.op), Mend: mendVar}
		}
		n.operands = append(n.operands, o)
		return nil
	}
	var err *Error
	if p.kind() == '[' {
		err = p.array(func(i int) *Error { return operand(path.child(i)) })
	} else {
		err = operand(path)
	}
	if err != nil {
		return err
	}
	if got := len(n.operands); got < arity.min || got > arity.max {
		return arityError(n.op, got, path)
	}
	return nil
}

func arityError(op string, got int, path JSONPath) *Error {
	e := &Error{Path: path, Reason: fmt.Sprintf("%q has %d operands", op, got)}
	switch op {
	case "and", "or":
		e.Mend = "write one or more"
	case "!", "!!":
		e.Mend = `write exactly one; "none of these" is {"!": {"or": [...]}}`
	default:
		e.Mend = "write exactly two"
	}
	return e
}

// reference reads what a var names: 0, "0" or [0].
func (p *logicParser) reference(path JSONPath) (*node, *Error) {
	raw := strings.TrimSpace(string(p.raw()))
	text := raw
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSpace(strings.TrimSuffix(inner, "]"))
	}
	if len(text) > 2 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	i, err := strconv.Atoi(text)
	if err != nil || strconv.Itoa(i) != text {
		return nil, &Error{Path: path, Reason: fmt.Sprintf("var %s is no entry of the data", clip(raw)), Mend: mendVar}
	}
	if i < 0 || i >= p.entries {
		e := &Error{Path: path, Reason: fmt.Sprintf("var %d is no entry of the data, which has %d", i, p.entries),
			Mend: fmt.Sprintf("write a number from 0 to %d or add the scope to the data", p.entries-1)}
		if p.entries == 0 {
			e.Mend = "add the scope to the data"
		}
		return nil, e
	}
	return &node{ref: i}, nil
}

// clip shortens what an error quotes.
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

// boolean says whether n can be nothing but true or false. For such operands
// "and" and "or" need not care which of their operands they return.
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
