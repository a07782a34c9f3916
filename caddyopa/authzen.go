// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"encoding/json"
	"errors"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/caddy-gluu/gateway/internal/opaengine"
)

// AuthZEN is the OpenID Foundation's Authorization API 1.0: a subject wants to do
// something with a resource, and the answer is `{"decision": true}` or not.

// entity is a subject or a resource.
type entity struct {
	Type       string         `json:"type"`
	ID         string         `json:"id"`
	Properties map[string]any `json:"properties,omitempty"`
}

type action struct {
	Name string `json:"name"`
}

// evaluation is the question of AuthZEN.
func (q *question) evaluation() ([]byte, error) {
	input, err := q.build(opaengine.Everything())
	if err != nil {
		return nil, err
	}
	plain, err := ast.JSON(input)
	if err != nil {
		return nil, err
	}
	members, ok := plain.(map[string]any)
	if !ok {
		return nil, errors.New("the input is not an object")
	}
	return json.Marshal(map[string]any{
		"subject":  q.subject(members),
		"action":   action{q.r.Method},
		"resource": q.resource(members),
		"context":  pick(members, "client_ip", "protocol", "context", "decision_id", "userinfo"),
	})
}

// subject is the person behind the token, or else the client.
func (q *question) subject(members map[string]any) entity {
	s := entity{Type: "client", ID: q.id.ClientID()}
	if q.authenticated() && q.id.Token.Subject != "" && q.id.Token.Subject != q.id.ClientID() {
		s = entity{Type: "user", ID: q.id.Token.Subject}
	}
	if !q.authenticated() {
		s.ID = "anonymous"
	}
	s.Properties = pick(members, "client_id", "scopes", "consumer", "anonymous")
	s.Properties["claims"] = members["request_token_data"]
	return s
}

// resource is the pattern of the operation or of the rule of a handler before this
// one, or else the path.
func (q *question) resource(members map[string]any) entity {
	id := q.id.Rule
	if id == "" {
		id = q.r.URL.EscapedPath()
	}
	return entity{"route", id, pick(members, "host", "scheme", "path", "uri_args", "headers", "body", "body_state", "operation", "captures")}
}

func pick(members map[string]any, names ...string) map[string]any {
	picked := make(map[string]any, len(names))
	for _, name := range names {
		if value, ok := members[name]; ok {
			picked[name] = value
		}
	}
	return picked
}

// readEvaluation reads the answer of AuthZEN: nothing but `decision: true` grants.
// What it says in `context` is for people.
func readEvaluation(body []byte) (ast.Value, error) {
	members, err := members(body)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if m.Name != "decision" {
			continue
		}
		switch m.Value {
		case "true":
			return ast.Boolean(true), nil
		case "false":
			return ast.Boolean(false), nil
		}
		return nil, errors.New("decision in the answer is not a boolean")
	}
	return nil, errors.New("the answer has no decision")
}
