// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/opaengine"
)

// question is one request that is to be decided about. What the policy wants to know
// about it is found out when it is asked for, and once.
type question struct {
	pep     *PEP
	r       *http.Request
	id      *identity.Identity
	path    string // canonical
	rawPath string // as it was sent
	started time.Time
	answer  answer
	isPast  bool // of a stream, of which only a part was kept

	uuid string
	body *body

	input    ast.Value // what was asked; nil if nothing was
	builtFor *opaengine.Uses
}

// answer is what whatever decides has said.
type answer struct {
	value    ast.Value // nil if undefined
	revision string
	took     time.Duration
}

// decisionID identifies the decision in all records. Ids are in the order of time.
func (q *question) decisionID() string {
	if q.uuid == "" {
		if id, err := uuid.NewV7(); err == nil {
			q.uuid = id.String()
		}
	}
	return q.uuid
}

// authenticated reports whether there is a verified token.
func (q *question) authenticated() bool { return q.id != nil && q.id.Token != nil }

// tokenState is what the handler keeps with a token: it is the same for all requests
// that carry it.
type tokenState struct {
	claims   *ast.Term
	scopes   *ast.Term
	clientID *ast.Term
	size     int

	consumer   *consumer.Consumer
	consumerIn *ast.Term // as the policy sees it
	count      identity.Count
}

// Size implements token.Sized.
func (s *tokenState) Size() int { return s.size }

// state returns what is kept with the token. There must be one.
func (q *question) state() (*tokenState, error) {
	t := q.id.Token
	kept, ok := t.Value(q.pep.stateKey).(*tokenState)
	if ok && kept.consumer == q.id.Consumer {
		return kept, nil
	}
	claims, err := opaengine.ParseJSON(t.ClaimsJSON)
	if err != nil {
		return nil, err
	}
	state := &tokenState{
		claims: ast.NewTerm(claims), scopes: texts(t.Scopes), clientID: ast.StringTerm(t.ClientID),
		size:     8 * len(t.ClaimsJSON), // a value of OPA takes more than its text
		consumer: q.id.Consumer, consumerIn: consumerTerm(q.id.Consumer),
	}
	if metrics := q.pep.Metrics(); metrics != nil { // there are none on the command line
		state.count = metrics.Granted(q.id.Consumer)
	}
	t.SetValue(q.pep.stateKey, state)
	return state, nil
}

// granted returns what counts the grants of the caller.
func (q *question) granted() identity.Count {
	if q.authenticated() {
		if state, err := q.state(); err == nil {
			return state.count
		}
	}
	return q.pep.Metrics().Granted(q.id.Consumer)
}

// caller names the client for whom a server is asked: by its token or its address.
func (q *question) caller() string {
	if id := q.id.ClientID(); id != "" {
		return "client " + id
	}
	return "address " + clientIP(q.r)
}

func texts(list []string) *ast.Term {
	terms := make([]*ast.Term, len(list))
	for i, text := range list {
		terms[i] = ast.StringTerm(text)
	}
	return ast.ArrayTerm(terms...)
}

// consumerTerm is a consumer as the policy sees it: never with a credential.
func consumerTerm(c *consumer.Consumer) *ast.Term {
	if c == nil {
		return ast.InternedNullTerm
	}
	return ast.ObjectTerm(
		ast.Item(ast.StringTerm("id"), ast.StringTerm(c.ID)),
		ast.Item(ast.StringTerm("username"), ast.StringTerm(c.Username)),
		ast.Item(ast.StringTerm("custom_id"), ast.StringTerm(c.CustomID)),
		ast.Item(ast.StringTerm("tags"), texts(c.Tags)),
	)
}
