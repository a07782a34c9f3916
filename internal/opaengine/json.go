// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/caddy-gluu/gateway/internal/strictjson"
)

// Limits of documents that come from clients.
const (
	maxDepth    = 64
	maxExponent = 400 // of ten; a number with a greater one is larger than any float
	maxDigits   = 1000
)

// ParseJSON reads a JSON document that has one meaning only, with exact numbers. It
// refuses what two programs could read differently: data after the document, members
// of one name, text that is not Unicode, and what is nested deeper than 64 levels.
func ParseJSON(text string) (ast.Value, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("it is not valid UTF-8")
	}
	if !json.Valid([]byte(text)) {
		return nil, errors.New("it is not valid JSON")
	}
	r := reader{strictjson.NewCursor(text)}
	term, err := r.value(0)
	if err != nil {
		return nil, err
	}
	return term.Value, nil
}

type reader struct{ strictjson.Cursor }

func (r *reader) value(depth int) (*ast.Term, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	}
	switch r.Kind() {
	case '{':
		return r.object(depth)
	case '[':
		return r.list(depth)
	case '"':
		text, err := r.Text()
		if err != nil {
			return nil, errors.New("a text in it is not valid Unicode")
		}
		return ast.StringTerm(text), nil
	case '0':
		return number(r.Skip())
	case 't':
		r.Skip()
		return ast.InternedTerm(true), nil
	case 'f':
		r.Skip()
		return ast.InternedTerm(false), nil
	}
	r.Skip()
	return ast.InternedNullTerm, nil
}

func (r *reader) list(depth int) (*ast.Term, error) {
	var elements []*ast.Term
	for r.Open(); r.More(); {
		element, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		elements = append(elements, element)
	}
	return ast.ArrayTerm(elements...), nil
}

func (r *reader) object(depth int) (*ast.Term, error) {
	object := ast.NewObject()
	members := 0
	for r.Open(); r.More(); members++ {
		name, err := r.Name()
		if err != nil {
			return nil, errors.New("the name of a member is not valid Unicode")
		}
		value, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if object.Insert(ast.StringTerm(name), value); object.Len() != members+1 {
			return nil, fmt.Errorf("two members are named %.40q", name)
		}
	}
	return ast.NewTerm(object), nil
}

// number keeps a number as it was spelled. Numbers without end would cost a policy
// that computes with them all its time and memory.
func number(text string) (*ast.Term, error) {
	_, exponent, found := strings.Cut(strings.ToLower(text), "e")
	if found {
		if n, err := strconv.Atoi(exponent); err != nil || n > maxExponent || n < -maxExponent {
			return nil, fmt.Errorf("the number %.40s is too large or too small", text)
		}
	}
	if len(text) > maxDigits {
		return nil, fmt.Errorf("a number has more than %d digits", maxDigits)
	}
	return ast.NewTerm(ast.Number(text)), nil
}
