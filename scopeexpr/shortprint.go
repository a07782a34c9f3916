// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"fmt"
	"slices"
	"strings"
)

// Short returns the expression in the short syntax. ParseShort turns it into an
// expression that decides the same, and into an identical one if ParseShort made
// e. An expression with comparisons, if or constants has no short form, and
// neither has one with a scope that cannot be quoted: the error says why.
func (e *Expression) Short() (string, error) {
	rule, err := parseLogic(e.Rule, len(e.Data))
	if err != nil {
		err.Path = slices.Concat(JSONPath{"rule"}, err.Path)
		return "", err
	}
	var b strings.Builder
	if err := rule.writeShort(&b, e.Data, false); err != nil {
		return "", err
	}
	return b.String(), nil
}

func (n *node) writeShort(b *strings.Builder, data []string, nested bool) error {
	switch {
	case n.ref >= 0:
		scope, err := QuoteScope(data[n.ref])
		b.WriteString(scope)
		return err
	case n.op == "":
		return fmt.Errorf("the expression has no short form: it contains the constant %s", clip(fmt.Sprint(n.constant)))
	}
	switch n.op {
	case "and", "or":
		if len(n.operands) == 1 {
			return n.operands[0].writeShort(b, data, nested)
		}
		return n.writeChain(b, data, nested)
	case "!!": // its operand is a boolean already
		return n.operands[0].writeShort(b, data, nested)
	case "!":
		b.WriteString("not ")
		return n.operands[0].writeShort(b, data, true)
	}
	return fmt.Errorf("the expression has no short form: it uses the operator %s", n.op)
}

func (n *node) writeChain(b *strings.Builder, data []string, nested bool) error {
	if nested {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	for i, o := range n.operands {
		if i > 0 {
			b.WriteString(" " + n.op + " ")
		}
		if err := o.writeShort(b, data, true); err != nil {
			return err
		}
	}
	return nil
}

// QuoteScope returns a scope in the short syntax, in quotes if it needs them.
func QuoteScope(scope string) (string, error) {
	p := &shortParser{text: scope}
	if err := p.advance(); err == nil && p.next == len(scope) && p.token.kind == scopeToken && p.token.scope == scope {
		return scope, nil
	}
	if scope != "" {
		for _, quote := range []string{`"`, "`", "'"} {
			if !strings.Contains(scope, quote) {
				return quote + scope + quote, nil
			}
		}
	}
	return "", fmt.Errorf("the expression has no short form: the scope %q cannot be quoted", clip(scope))
}
