// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/caddy-gluu/gateway/internal/opaengine"
)

// What the documents of Kong and Envoy share: the gateway's own members, beside those
// that policies for these two expect, and how objects within objects are built.

var commonMembers = []member{
	newMember("consumer", (*question).consumer),
	newMember("request_token_data", (*question).claims),
	newMember("client_id", (*question).clientID),
	newMember("scopes", (*question).scopes),
	newMember("anonymous", (*question).anonymous),
	newMember("operation", unlessRuledBefore((*question).operation)),
	newMember("context", (*question).context),
	newMember("decision_id", text((*question).decisionID)),
}

// nested builds an object within the document.
func nested(members []member) func(*question, *opaengine.Uses) (*ast.Term, error) {
	return func(q *question, uses *opaengine.Uses) (*ast.Term, error) { return q.object(members, uses) }
}

// rawBody is the body as a text, null for one that is not shown.
func (q *question) rawBody(*opaengine.Uses) (*ast.Term, error) {
	b, err := q.readBody()
	if err != nil {
		return nil, err
	}
	if b.state != stateComplete {
		return nil, nil
	}
	return textTerm(string(b.raw))
}

func (q *question) bodySize(*opaengine.Uses) (*ast.Term, error) {
	b, err := q.readBody()
	if err != nil || b.state != stateComplete {
		return nil, err
	}
	return ast.IntNumberTerm(len(b.raw)), nil
}
