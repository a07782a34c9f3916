// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// secrets are the names under which clients send what lets its holder act as them:
// as header fields, as arguments and as members of a body.
var secrets = func() map[string]bool {
	set := map[string]bool{}
	for name := range strings.FieldsSeq(`authorization proxy-authorization cookie set-cookie dpop x-api-key x-access-token x-auth-token x-forwarded-access-token
		access_token refresh_token id_token id_token_hint token api_key apikey code code_verifier device_code client_secret client_assertion assertion
		subject_token actor_token password passwd secret session_token logout_token`) {
		set[name] = true
	}
	return set
}()

// unmasked are parts of the input that clients do not fill.
var unmasked = map[string]bool{"request_token_data": true, "consumer": true, "userinfo": true, "path": true, "scopes": true}

var erased = ast.StringTerm("**REDACTED**")

// mask erases secrets from an input. What has none is returned as it is.
func mask(input ast.Value) ast.Value {
	if input == nil {
		return nil
	}
	return masked(ast.NewTerm(input), "").Value
}

func masked(term *ast.Term, name string) *ast.Term {
	switch value := term.Value.(type) {
	case ast.Object:
		return maskedObject(term, value)
	case *ast.Array:
		return maskedList(term, value)
	case ast.String:
		return maskedText(term, string(value), name)
	}
	return term
}

// maskedText erases a body that is shown as a text, and the query in a target.
func maskedText(term *ast.Term, text, name string) *ast.Term {
	switch name {
	case "body":
		return erased
	case "path", "referer":
		if before, _, found := strings.Cut(text, "?"); found {
			return ast.StringTerm(before + "?**REDACTED**")
		}
	}
	return term
}

func maskedObject(term *ast.Term, object ast.Object) *ast.Term {
	var copied ast.Object
	object.Foreach(func(key, value *ast.Term) {
		name, ok := key.Value.(ast.String)
		if !ok || unmasked[string(name)] && !isText(value) {
			return
		}
		var changed *ast.Term
		if secrets[strings.ToLower(string(name))] {
			changed = erased
		} else {
			changed = masked(value, string(name))
		}
		if changed == value {
			return
		}
		if copied == nil {
			copied = clone(object)
		}
		copied.Insert(key, changed)
	})
	if copied == nil {
		return term
	}
	return ast.NewTerm(copied)
}

func isText(term *ast.Term) bool {
	_, ok := term.Value.(ast.String)
	return ok
}

func clone(object ast.Object) ast.Object {
	copied := ast.NewObjectWithCapacity(object.Len())
	object.Foreach(func(key, value *ast.Term) { copied.Insert(key, value) })
	return copied
}

func maskedList(term *ast.Term, list *ast.Array) *ast.Term {
	var elements []*ast.Term
	for i := range list.Len() {
		changed := masked(list.Elem(i), "")
		if changed == list.Elem(i) {
			continue
		}
		if elements == nil {
			elements = make([]*ast.Term, list.Len())
			for j := range list.Len() {
				elements[j] = list.Elem(j)
			}
		}
		elements[i] = changed
	}
	if elements == nil {
		return term
	}
	return ast.ArrayTerm(elements...)
}
