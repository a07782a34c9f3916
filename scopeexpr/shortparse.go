// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The short syntax is for a line of configuration:
//
//	expression = conjunction { ("or" | "||") conjunction }
//	conjunction = negation { ("and" | "&&") negation }
//	negation = ("not" | "!") negation | "(" expression ")" | scope
//
// A scope ends at white space or at a closing parenthesis that it did not open:
// a pattern may contain balanced parentheses.
//
//	(admin or ^todos:(?<PC1>.+)$)
//
// Any other scope that contains a parenthesis or white space, or reads like an
// operator, needs quotes: double, single or backticks. Everything between them
// is literal.
//
// Probable typos are refused although they could be read: admin&&user would be
// one scope that no token has, and !admin&&user would allow every token.

// ParseShort reads an expression in the short syntax. The error is an *Error
// whose line and column point into text.
func ParseShort(text string) (*Expression, error) {
	p := &shortParser{text: text, entries: make(map[string]int)}
	rule, err := p.whole()
	if err != nil {
		src := &source{text}
		err.Line, err.Column = src.position(p.token.at)
		return nil, err
	}
	var b strings.Builder
	rule.writeJSON(&b)
	return &Expression{Rule: json.RawMessage(b.String()), Data: p.data}, nil
}

type tokenKind int

const (
	endToken tokenKind = iota
	scopeToken
	andToken
	orToken
	notToken
	openToken
	closeToken
)

type token struct {
	kind  tokenKind
	scope string
	at    int // its offset
}

func (t token) String() string {
	switch t.kind {
	case endToken:
		return "the end"
	case scopeToken:
		return strconv.Quote(clip(t.scope))
	}
	return map[tokenKind]string{
		andToken: `"and"`, orToken: `"or"`, notToken: `"not"`, openToken: `"("`, closeToken: `")"`,
	}[t.kind]
}

type shortParser struct {
	text    string
	next    int   // offset after the current token
	token   token // the current one
	data    []string
	entries map[string]int
	nodes   int
}

// maxShortDepth keeps the rule within maxRuleDepth: a parenthesis may contain an
// "or" of "and"s, which is two levels of the rule.
const maxShortDepth = maxRuleDepth/2 - 2

const hintShort = `write scopes joined by "and", "or", "not" and parentheses`

func (p *shortParser) whole() (*node, *Error) {
	if !utf8.ValidString(p.text) {
		p.token.at = validPrefix([]byte(p.text))
		return nil, &Error{Reason: "the text is not valid UTF-8", Hint: "save the file as UTF-8"}
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.token.kind == endToken {
		return nil, &Error{Reason: "there is no scope", Hint: hintShort}
	}
	rule, err := p.chain(orToken, 1)
	if err != nil {
		return nil, err
	}
	switch p.token.kind {
	case endToken:
		return rule, nil
	case closeToken:
		return nil, &Error{Reason: "this parenthesis was never opened", Hint: "remove it, or put a scope that contains one in quotes"}
	}
	return nil, &Error{Reason: p.token.String() + " follows a scope", Hint: `write "and" or "or" between two scopes`}
}

// chain reads operands joined by "or" or, one level down, by "and".
func (p *shortParser) chain(joint tokenKind, depth int) (*node, *Error) {
	operand := func() (*node, *Error) {
		if joint == orToken {
			return p.chain(andToken, depth)
		}
		return p.negation(depth)
	}
	first, err := operand()
	if err != nil || p.token.kind != joint {
		return first, err
	}
	n := &node{op: "and", ref: -1, operands: []*node{first}}
	if joint == orToken {
		n.op = "or"
	}
	for p.token.kind == joint {
		if err := p.advance(); err != nil {
			return nil, err
		}
		o, err := operand()
		if err != nil {
			return nil, err
		}
		n.operands = append(n.operands, o)
	}
	return n, p.count()
}

func (p *shortParser) negation(depth int) (*node, *Error) {
	if depth > maxShortDepth {
		return nil, &Error{Reason: fmt.Sprintf("the expression is nested more than %d levels deep", maxShortDepth),
			Hint: `"and" and "or" take any number of scopes: write them side by side`}
	}
	switch t := p.token; t.kind {
	case notToken:
		if err := p.advance(); err != nil {
			return nil, err
		}
		o, err := p.negation(depth + 1)
		if err != nil {
			return nil, err
		}
		return &node{op: "!", ref: -1, operands: []*node{o}}, p.count()
	case openToken:
		if err := p.advance(); err != nil {
			return nil, err
		}
		n, err := p.chain(orToken, depth+1)
		if err != nil {
			return nil, err
		}
		if p.token.kind == scopeToken || p.token.kind == notToken || p.token.kind == openToken {
			return nil, &Error{Reason: p.token.String() + " follows a scope", Hint: `write "and" or "or" between two scopes`}
		}
		if p.token.kind != closeToken {
			p.token.at = t.at
			return nil, &Error{Reason: "this parenthesis is never closed", Hint: "add the closing parenthesis"}
		}
		return n, p.advance()
	case scopeToken:
		n, err := p.reference(t.scope)
		if err != nil {
			return nil, err
		}
		return n, p.advance()
	}
	return nil, &Error{Reason: "expected a scope, found " + p.token.String(), Hint: hintShort}
}

func (p *shortParser) reference(scope string) (*node, *Error) {
	i, known := p.entries[scope]
	if !known {
		if i = len(p.data); i == maxDataEntries {
			return nil, &Error{Reason: fmt.Sprintf("the expression names more than %d scopes", maxDataEntries),
				Hint: "use a pattern (^...) that covers many scopes"}
		}
		p.entries[scope] = i
		p.data = append(p.data, scope)
	}
	return &node{ref: i}, p.count()
}

func (p *shortParser) count() *Error {
	if p.nodes++; p.nodes > maxRuleNodes {
		return &Error{Reason: fmt.Sprintf("the expression has more than %d parts", maxRuleNodes),
			Hint: "use a pattern (^...) that covers many scopes, or split the path"}
	}
	return nil
}

// advance reads the next token.
func (p *shortParser) advance() *Error {
	for p.next < len(p.text) && isSpace(p.text[p.next]) {
		p.next++
	}
	at := p.next
	p.token = token{at: at}
	if at == len(p.text) {
		return nil
	}
	switch c := p.text[at]; c {
	case '(', ')', '!':
		p.next++
		p.token.kind = map[byte]tokenKind{'(': openToken, ')': closeToken, '!': notToken}[c]
		return nil
	case '"', '\'', '`':
		return p.quoted(c)
	case '^':
		return p.pattern()
	}
	return p.word()
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// quoted reads a scope up to the next quote of the same kind.
func (p *shortParser) quoted(quote byte) *Error {
	start := p.next + 1
	n := strings.IndexByte(p.text[start:], quote)
	switch {
	case n < 0:
		return &Error{Reason: "this quote is never closed", Hint: "close it; put a scope that contains one kind of quote in another kind"}
	case n == 0:
		return &Error{Reason: "there is nothing between the quotes", Hint: "write a scope, and check whether a variable is unset"}
	}
	p.token.kind, p.token.scope = scopeToken, p.text[start:start+n]
	p.next = start + n + 1
	if p.next < len(p.text) && !isSpace(p.text[p.next]) && p.text[p.next] != ')' {
		p.token.at = p.next
		return &Error{Reason: "text follows the closing quote", Hint: "put the whole scope in quotes, and white space after them"}
	}
	return nil
}

// pattern reads a scope that starts with ^, up to white space or a closing
// parenthesis that it did not open. Escaped parentheses do not count.
func (p *shortParser) pattern() *Error {
	open, i := 0, p.next
scan:
	for ; i < len(p.text) && !isSpace(p.text[i]); i++ {
		switch p.text[i] {
		case '\\':
			if i+1 < len(p.text) && !isSpace(p.text[i+1]) {
				i++
			}
		case '(':
			open++
		case ')':
			if open == 0 {
				break scan
			}
			open--
		}
	}
	if open > 0 {
		return &Error{Reason: "the pattern has a parenthesis that is not closed, or white space",
			Hint: "if it is meant, put the pattern in quotes"}
	}
	p.token.kind, p.token.scope = scopeToken, p.text[p.next:i]
	p.next = i
	return nil
}

// word reads an operator, or a scope that is not a pattern.
func (p *shortParser) word() *Error {
	rest := p.text[p.next:]
	n := strings.IndexAny(rest, " \t\n\r)(")
	if n < 0 {
		n = len(rest)
	}
	word := rest[:n]
	p.next += n
	switch word {
	case "and", "&&":
		p.token.kind = andToken
		return nil
	case "or", "||":
		p.token.kind = orToken
		return nil
	case "not":
		p.token.kind = notToken
		return nil
	}
	if strings.HasPrefix(rest[n:], "(") {
		return &Error{Reason: fmt.Sprintf("a parenthesis follows %q", clip(word)),
			Hint: "put a scope that contains one in quotes, and an operator between a scope and a parenthesis"}
	}
	if strings.Contains(word, "&&") || strings.Contains(word, "||") {
		return &Error{Reason: fmt.Sprintf("%q would be one scope", clip(word)),
			Hint: "put white space around && and ||, or put the scope in quotes"}
	}
	p.token.kind, p.token.scope = scopeToken, word
	return nil
}

// writeJSON writes n as JSON Logic.
func (n *node) writeJSON(b *strings.Builder) {
	if n.ref >= 0 {
		fmt.Fprintf(b, `{"var":%d}`, n.ref)
		return
	}
	if n.op == "" {
		constant, err := json.Marshal(n.constant)
		if err != nil {
			panic("scopeexpr: a constant that is not JSON: " + err.Error())
		}
		b.Write(constant)
		return
	}
	fmt.Fprintf(b, `{%q:[`, n.op)
	for i, o := range n.operands {
		if i > 0 {
			b.WriteByte(',')
		}
		o.writeJSON(b)
	}
	b.WriteString("]}")
}
