// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/token"
)

// placeholder resolves the gateway's placeholders. Nothing is computed before
// one is asked for. One that is known and has no value is empty.
func (id *Identity) placeholder(key string) (any, bool) {
	if key == "http.auth.user.id" {
		return id.UserID(), true
	}
	name, ours := strings.CutPrefix(key, "gluu.")
	if !ours {
		return nil, false
	}
	switch name {
	case "anonymous":
		return id.Anonymous, true
	case "rule":
		return id.Rule, true
	case "operation":
		return id.Operation, true
	case "rate_key":
		return id.rateKey(), true
	case "client_id":
		return id.ClientID(), true
	case "provider":
		return id.Provider, true
	case "subject", "scope":
		switch {
		case id.Token == nil:
			return "", true
		case name == "subject":
			return id.Token.Subject, true
		}
		return id.Token.JoinedScopes(), true
	}
	if field, ok := strings.CutPrefix(name, "consumer."); ok {
		return id.consumerField(field)
	}
	if claim, ok := strings.CutPrefix(name, "token."); ok {
		return id.claim(claim), true
	}
	if id.Details != nil {
		return id.Details(name)
	}
	return nil, false
}

// rateKey is whom a request counts for where requests are limited: the consumer,
// else the client, else the client's address. It is never empty.
func (id *Identity) rateKey() string {
	switch {
	case id.Consumer != nil && !id.Anonymous:
		return id.Consumer.ID
	case id.ClientID() != "":
		return id.ClientID()
	}
	address, _ := id.vars[caddyhttp.ClientIPVarKey].(string)
	return cmp.Or(address, "unknown")
}

func (id *Identity) consumerField(field string) (any, bool) {
	c := id.Consumer
	if c == nil {
		switch field {
		case "id", "username", "custom_id":
			return "", true
		case "groups":
			return list{}, true
		}
		return nil, false
	}
	switch field {
	case "id":
		return c.ID, true
	case "username":
		return c.Username, true
	case "custom_id":
		return c.CustomID, true
	case "groups":
		return listOf(c.Groups), true
	}
	return nil, false
}

// claims are a token's claims, parsed.
type claims struct {
	token  *token.Token
	values map[string]any
}

// list is a claim, or a field of the consumer, that is a list. To CEL it is one, so that `in` compares elements;
// in a text it is JSON.
type list []any

func (l list) String() string { return written([]any(l)) }

func listOf(texts []string) list {
	l := make(list, len(texts))
	for i, text := range texts {
		l[i] = text
	}
	return l
}

// claim returns a claim: a list as a list, everything else as text. Dots lead into
// objects; a claim whose own name has dots, as namespaced ones do, is found too.
func (id *Identity) claim(path string) any {
	if id.Token == nil {
		return ""
	}
	if id.claims == nil || id.claims.token != id.Token {
		values, err := id.Token.Claims()
		if err != nil {
			return ""
		}
		id.claims = &claims{id.Token, values}
	}
	return Claim(id.claims.values, path)
}

// Claim returns the claim at a path, as placeholders have it: scalars as they
// are, lists as lists and everything else as JSON, "" if there is none.
func Claim(claims map[string]any, path string) any {
	value, _ := member(claims, path)
	if elements, ok := value.([]any); ok {
		return list(elements)
	}
	return written(value)
}

// member finds the value at a path of names joined by dots. Of several
// readings the one with the longest first name counts.
func member(object map[string]any, path string) (any, bool) {
	for end := len(path); end > 0; end = strings.LastIndexByte(path[:end], '.') {
		value, ok := object[path[:end]]
		if !ok {
			continue
		}
		if end == len(path) {
			return value, true
		}
		if inner, isObject := value.(map[string]any); isObject {
			if value, ok := member(inner, path[end+1:]); ok {
				return value, true
			}
		}
	}
	return nil, false
}

// written writes scalars as they are and everything else as JSON.
func written(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	case json.Number:
		return value.String()
	case bool:
		if value {
			return "true"
		}
		return "false"
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}
