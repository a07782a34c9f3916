// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// ParseDocument reads a document: the JSON list, or a JSON string that holds
// it. It refuses what is not of the right shape - members that are unknown,
// missing, twice there or of the wrong type - with an *Error that says where.
// What the parts mean is Compile's to judge.
func ParseDocument(b []byte) (Document, error) {
	if err := checkText(b); err != nil {
		return nil, err
	}
	w := &walker{text: b}
	if w.kind() == '"' {
		b = []byte(w.str())
		if err := checkText(b); err != nil {
			err.Reason = "in the string that holds the document: " + err.Reason
			return nil, err
		}
		w = &walker{text: b}
	}
	p := &documentParser{walker: w, src: &source{text: b}}
	doc, err := p.document()
	if err != nil {
		return nil, err
	}
	return doc, nil
}

// checkText makes sure that b is one JSON value, which a walker relies on.
func checkText(b []byte) *Error {
	if len(b) > maxDocumentBytes {
		return &Error{Reason: fmt.Sprintf("the document has %d bytes, more than %d", len(b), maxDocumentBytes),
			Mend: "split the API over several handlers"}
	}
	src := &source{text: b}
	refuse := func(offset int, reason, mend string) *Error {
		e := &Error{Reason: reason, Mend: mend}
		e.Line, e.Column = src.position(offset)
		return e
	}
	if bytes.HasPrefix(b, []byte("\ufeff")) {
		return refuse(0, "the text begins with a byte order mark", "save it as UTF-8 without one")
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return refuse(0, "the document is empty", `write [{"path": ..., "conditions": [...]}]`)
	}
	if !utf8.Valid(b) {
		return refuse(validPrefix(b), "the text is not valid UTF-8", "save it as UTF-8")
	}
	if json.Valid(b) {
		return nil
	}
	err := json.Unmarshal(b, new(json.RawMessage))
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return refuse(int(syntax.Offset)-1, "this is no valid JSON: "+syntax.Error(),
			"mend the JSON; a comma too many or missing is the usual cause")
	}
	return refuse(0, fmt.Sprintf("this is no valid JSON: %v", err), "mend the JSON")
}

// validPrefix returns how many bytes of b are valid UTF-8.
func validPrefix(b []byte) int {
	n := 0
	for n < len(b) {
		r, size := utf8.DecodeRune(b[n:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

type documentParser struct {
	*walker
	src *source
}

// refuse builds the error for what stands at an offset.
func (p *documentParser) refuse(at int, path JSONPath, mend, format string, args ...any) *Error {
	e := &Error{Path: path, Reason: fmt.Sprintf(format, args...), Mend: mend}
	e.Line, e.Column = p.src.position(at)
	return e
}

func (p *documentParser) document() (Document, *Error) {
	if err := p.want('[', nil, "the document", "a list", `write [{"path": ..., "conditions": [...]}]`); err != nil {
		return nil, err
	}
	doc := Document{}
	err := p.array(func(i int) *Error {
		rule, err := p.pathRule(JSONPath{i})
		rule.src, rule.index = p.src, i
		doc = append(doc, rule)
		return err
	})
	return doc, err
}

func (p *documentParser) pathRule(path JSONPath) (r PathRule, err *Error) {
	err = p.members(path, "a rule", []member{
		{name: "path", required: true, read: func(path JSONPath) *Error { return p.text(path, &r.Path) }},
		{name: "conditions", required: true, read: func(path JSONPath) *Error {
			return p.list(path, "conditions", func(path JSONPath) *Error {
				c, err := p.condition(path)
				r.Conditions = append(r.Conditions, c)
				return err
			})
		}},
	})
	return r, err
}

func (p *documentParser) condition(path JSONPath) (c Condition, err *Error) {
	err = p.members(path, "a condition", []member{
		{name: "httpMethods", required: true, read: func(path JSONPath) *Error { return p.texts(path, &c.HTTPMethods) }},
		{name: "scope_expression", required: true, read: func(path JSONPath) (err *Error) {
			c.ScopeExpression, err = p.expression(path)
			return err
		}},
		{name: "acr", read: func(path JSONPath) *Error { return p.texts(path, &c.ACR) }},
		{name: "max_age", read: func(path JSONPath) *Error { return p.seconds(path, &c.MaxAge) }},
		{name: "resource_id", read: func(path JSONPath) *Error { return p.nonEmpty(path, &c.ResourceID) }},
		{name: "resource_name", read: func(path JSONPath) *Error { return p.nonEmpty(path, &c.ResourceName) }},
	})
	return c, err
}

func (p *documentParser) expression(path JSONPath) (*Expression, *Error) {
	e := &Expression{}
	err := p.members(path, "a scope expression", []member{
		{name: "rule", required: true, read: func(JSONPath) *Error { e.Rule = p.raw(); return nil }},
		{name: "data", required: true, read: func(path JSONPath) *Error { return p.texts(path, &e.Data) }},
	})
	return e, err
}

// member is one member that an object may have.
type member struct {
	name     string
	required bool
	read     func(JSONPath) *Error
}

// members reads an object that has these members and no others.
func (p *documentParser) members(path JSONPath, what string, known []member) *Error {
	if err := p.want('{', path, what, "an object", "write "+example(known)); err != nil {
		return err
	}
	start := p.pos
	var seen uint
	err := p.object(func(name string, at int) *Error {
		for i, m := range known {
			if m.name != name {
				continue
			}
			if seen&(1<<i) != 0 {
				return p.refuse(at, path.child(name), "keep one of them", "%s has two members %q", what, name)
			}
			seen |= 1 << i
			return m.read(path.child(name))
		}
		return p.refuse(at, path.child(name), "write "+example(known), "%s has no member %q", what, name)
	})
	if err != nil {
		return err
	}
	for i, m := range known {
		if m.required && seen&(1<<i) == 0 {
			return p.refuse(start, path, "write "+example(known), "%s lacks its member %q", what, m.name)
		}
	}
	return nil
}

// example spells an object with the members that it must have.
func example(known []member) string {
	b := []byte{'{'}
	for _, m := range known {
		if m.required {
			if len(b) > 1 {
				b = append(b, ", "...)
			}
			b = append(strconv.AppendQuote(b, m.name), ": ..."...)
		}
	}
	return string(append(b, '}'))
}

// want refuses a value that does not begin as it must.
func (p *documentParser) want(kind byte, path JSONPath, what, shape, mend string) *Error {
	if got := p.kind(); got != kind {
		return p.refuse(p.pos, path, mend, "%s is %s where %s belongs", what, kindNames[got], shape)
	}
	return nil
}

var kindNames = map[byte]string{
	'{': "an object", '[': "a list", '"': "a string", '0': "a number", 't': "true", 'f': "false", 'n': "null",
}

func (p *documentParser) list(path JSONPath, what string, element func(JSONPath) *Error) *Error {
	if err := p.want('[', path, what, "a list", `write "`+what+`": [...]`); err != nil {
		return err
	}
	return p.array(func(i int) *Error { return element(path.child(i)) })
}

func (p *documentParser) texts(path JSONPath, to *[]string) *Error {
	name, _ := path[len(path)-1].(string)
	*to = []string{}
	return p.list(path, name, func(path JSONPath) *Error {
		var s string
		err := p.text(path, &s)
		*to = append(*to, s)
		return err
	})
}

func (p *documentParser) text(path JSONPath, to *string) *Error {
	if err := p.want('"', path, "this", "a string", "put it in quotes"); err != nil {
		return err
	}
	*to = p.str()
	return nil
}

func (p *documentParser) nonEmpty(path JSONPath, to *string) *Error {
	at := p.pos
	if err := p.text(path, to); err != nil {
		return err
	}
	if *to == "" {
		return p.refuse(at, path, "leave the member out or give it a value", "this is empty")
	}
	return nil
}

func (p *documentParser) seconds(path JSONPath, to *int64) *Error {
	at := p.pos
	if err := p.want('0', path, "this", "a number", "write a number of seconds"); err != nil {
		return err
	}
	n, err := strconv.ParseInt(string(p.raw()), 10, 32)
	if err != nil || n < 1 {
		return p.refuse(at, path, "write a whole number of seconds, 1 or more", "this is no such time")
	}
	*to = n
	return nil
}
