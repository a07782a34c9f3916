// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/caddy-gluu/gateway/internal/strictjson"
)

// ParseDocument reads a document: the JSON list, or a JSON string that contains
// it. It checks the shape: members that are unknown, missing, duplicate or of the
// wrong type are refused with an *Error that says where. Compile checks what the
// parts mean.
func ParseDocument(b []byte) (Document, error) {
	if err := checkText(b); err != nil {
		return nil, err
	}
	if w := newWalker(string(b)); w.Kind() == '"' {
		b = []byte(w.str())
		if err := checkText(b); err != nil {
			err.Reason = "in the string that holds the document: " + err.Reason
			return nil, err
		}
	}
	src := &source{text: string(b)}
	p := &documentParser{walker: newWalker(src.text), src: src}
	doc, err := p.document()
	if err != nil {
		return nil, err
	}
	return doc, nil
}

// checkText makes sure that b is one JSON value, as a walker requires.
func checkText(b []byte) *Error {
	if len(b) > maxDocumentBytes {
		return &Error{Reason: fmt.Sprintf("the document has %d bytes, more than %d", len(b), maxDocumentBytes),
			Hint: "split the API over several handlers"}
	}
	refuse := func(offset int, reason, hint string) *Error {
		e := &Error{Reason: reason, Hint: hint}
		e.Line, e.Column = (&source{string(b)}).position(offset)
		return e
	}
	if bytes.HasPrefix(b, []byte("\ufeff")) {
		return refuse(0, "the text starts with a byte order mark", "save it as UTF-8 without a byte order mark")
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return refuse(0, "the document is empty", `write [{"path": ..., "conditions": [...]}]`)
	}
	if !utf8.Valid(b) {
		return refuse(validPrefix(b), "the text is not valid UTF-8", "save it as UTF-8")
	}
	if json.Valid(b) {
		if at := findDamaged(b); at >= 0 {
			return refuse(at, "the text has a character that is not one: half a surrogate pair, or U+FFFD, which programs write in its place",
				"write the character itself")
		}
		return nil
	}
	err := json.Unmarshal(b, new(json.RawMessage))
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return refuse(int(syntax.Offset)-1, "this is not valid JSON: "+syntax.Error(),
			"fix the JSON; the usual cause is a missing or extra comma")
	}
	return refuse(0, fmt.Sprintf("this is not valid JSON: %v", err), "fix the JSON")
}

// findDamaged returns where a character was lost, -1 if nowhere. Two different texts
// could become one if it were read as U+FFFD.
func findDamaged(b []byte) int {
	if at := bytes.IndexRune(b, utf8.RuneError); at >= 0 {
		return at
	}
	return strictjson.FindSurrogate(string(b))
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
	walker
	trail
	src *source
}

// errorAt builds the error for the value at an offset.
func (p *documentParser) errorAt(offset int, hint, format string, args ...any) *Error {
	e := p.trail.errorf(nil, hint, format, args...)
	e.Line, e.Column = p.src.position(offset)
	return e
}

func (p *documentParser) document() (Document, *Error) {
	if err := p.want('[', "the document", "a list", `write [{"path": ..., "conditions": [...]}]`); err != nil {
		return nil, err
	}
	doc := Document{}
	err := p.elements(func() *Error {
		doc = append(doc, PathRule{src: p.src, index: len(doc)})
		return p.pathRule(&doc[len(doc)-1])
	})
	return doc, err
}

func (p *documentParser) pathRule(r *PathRule) *Error {
	return p.members("a rule", ruleMembers, func(name string) *Error {
		if name == "path" {
			return p.text(&r.Path)
		}
		r.Conditions = []Condition{}
		return p.list(func() *Error {
			r.Conditions = append(r.Conditions, Condition{})
			return p.condition(&r.Conditions[len(r.Conditions)-1])
		})
	})
}

func (p *documentParser) condition(c *Condition) *Error {
	start := p.Offset()
	err := p.members("a condition", conditionMembers, func(name string) *Error {
		switch name {
		case "httpMethods":
			return p.texts(&c.HTTPMethods)
		case "scope_expression":
			c.ScopeExpression = &Expression{}
			return p.expression(c.ScopeExpression)
		case "access":
			return p.access(&c.Access)
		case "acr":
			return p.texts(&c.ACR)
		case "max_age":
			return p.seconds(&c.MaxAge)
		case "resource_id":
			return p.nonEmpty(&c.ResourceID)
		default: // resource_name
			return p.nonEmpty(&c.ResourceName)
		}
	})
	if err == nil && c.ScopeExpression == nil && c.Access == "" {
		err = p.errorAt(start, hintCondition, "a condition has no member %q", "scope_expression")
	}
	return err
}

const hintCondition = `write {"httpMethods": ..., "scope_expression": ...}, or "access": "public" or "authenticated" instead of the expression`

func (p *documentParser) access(to *string) *Error {
	start := p.Offset()
	if err := p.text(to); err != nil {
		return err
	}
	if reason := checkAccess(*to); reason != "" {
		return p.errorAt(start, hintAccess, "%s", reason)
	}
	return nil
}

const hintAccess = `write "public" (no token needed) or "authenticated" (any verified token)`

const hintPermitted = `write "authenticated" (any verified token); only rules of gluu_uma_pep have permissions`

func checkAccess(access string) (reason string) {
	if access == Public || access == Authenticated || access == Permitted {
		return ""
	}
	return fmt.Sprintf("access cannot be %q", clip(access))
}

func (p *documentParser) expression(e *Expression) *Error {
	return p.members("a scope expression", expressionMembers, func(name string) *Error {
		if name == "rule" {
			e.Rule = json.RawMessage(p.Skip())
			return nil
		}
		return p.texts(&e.Data)
	})
}

// memberNames are the members that an object may have, the required ones first.
type memberNames struct {
	names    []string
	required int
	hint     string // an object with the members that it must have
}

// A condition also needs either a scope_expression or an access.
var (
	ruleMembers       = memberNames{[]string{"path", "conditions"}, 2, `write {"path": ..., "conditions": ...}`}
	conditionMembers  = memberNames{[]string{"httpMethods", "scope_expression", "access", "acr", "max_age", "resource_id", "resource_name"}, 1, hintCondition}
	expressionMembers = memberNames{[]string{"rule", "data"}, 2, `write {"rule": ..., "data": ...}`}
)

// members reads an object that may have these members, each once, and no others.
func (p *documentParser) members(what string, known memberNames, read func(name string) *Error) *Error {
	if err := p.want('{', what, "an object", known.hint); err != nil {
		return err
	}
	start := p.Offset()
	var seen uint
	err := p.object(func(name string, nameAt int) *Error {
		return p.at(name, func() *Error {
			i := slices.Index(known.names, name)
			if i < 0 {
				return p.errorAt(nameAt, known.hint, "%s cannot have a member %q", what, name)
			}
			if seen&(1<<i) != 0 {
				return p.errorAt(nameAt, "keep one of them", "%s has two members %q", what, name)
			}
			seen |= 1 << i
			return read(name)
		})
	})
	if err != nil {
		return err
	}
	for i, name := range known.names[:known.required] {
		if seen&(1<<i) == 0 {
			return p.errorAt(start, known.hint, "%s has no member %q", what, name)
		}
	}
	return nil
}

// want refuses a value that does not begin as it must.
func (p *documentParser) want(kind byte, what, shape, hint string) *Error {
	if got := p.Kind(); got != kind {
		return p.errorAt(p.Offset(), hint, "%s must be %s, not %s", what, shape, kindNames[got])
	}
	return nil
}

var kindNames = map[byte]string{
	'{': "an object", '[': "a list", '"': "a string", '0': "a number", 't': "true", 'f': "false", 'n': "null",
}

// elements reads a list. The step to an element is its index.
func (p *documentParser) elements(element func() *Error) *Error {
	return p.array(func(i int) *Error { return p.at(i, element) })
}

// list reads a member that is a list.
func (p *documentParser) list(element func() *Error) *Error {
	name, _ := p.steps[len(p.steps)-1].(string)
	if err := p.want('[', name, "a list", `write "`+name+`": [...]`); err != nil {
		return err
	}
	return p.elements(element)
}

func (p *documentParser) texts(to *[]string) *Error {
	*to = []string{}
	return p.list(func() *Error {
		*to = append(*to, "")
		return p.text(&(*to)[len(*to)-1])
	})
}

func (p *documentParser) text(to *string) *Error {
	if err := p.want('"', "this", "a string", "put it in quotes"); err != nil {
		return err
	}
	*to = p.str()
	return nil
}

func (p *documentParser) nonEmpty(to *string) *Error {
	start := p.Offset()
	if err := p.text(to); err != nil {
		return err
	}
	if *to == "" {
		return p.errorAt(start, "leave it out or give it a value", "the value is empty")
	}
	return nil
}

func (p *documentParser) seconds(to *int64) *Error {
	start := p.Offset()
	if err := p.want('0', "this", "a number", "write a number of seconds"); err != nil {
		return err
	}
	text := p.Skip()
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return p.errorAt(start, "write a whole number of seconds, 1 or more", "%s is not a number of seconds", clip(text))
	}
	*to = n
	return nil
}
