// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/pathmatch"
)

// Identity is who a request is from, as an authentication handler has found
// out.
type Identity struct {
	// Token is the verified token; nil for an anonymous caller. Who decides
	// what a caller may do must look at nothing else.
	Token *token.Token

	// Consumer is the consumer whose custom_id is the token's client id, or the
	// anonymous one; nil if there is none.
	Consumer *consumer.Consumer

	// Anonymous says that there was no valid token and that the configuration
	// lets such callers pass as Consumer.
	Anonymous bool

	// refused says that the request was refused since: an error route that
	// serves it does so for an unknown caller.
	refused bool

	// passed are the handlers that have let the request pass. It takes the room that
	// the two before it leave.
	passed decisions.Trail

	// Provider is the name of the provider that the handler asked.
	Provider string

	// Realm is the protection space that the handler names in challenges.
	Realm string

	// Rule is the path pattern of the last rule that decided about the request, ""
	// as long as none has.
	Rule string

	// Operation is the operationId of an OpenAPI document that the rule was made of,
	// "" for any other rule.
	Operation string

	// Pattern is the pattern that Rule is written as, and RulePath the canonical
	// path that it matched; nil and "" as long as no rule has decided.
	Pattern  *pathmatch.Pattern
	RulePath string

	// UserInfo are the claims about a person who is logged in; nil for a program.
	// It must not be changed.
	UserInfo map[string]any

	// Interaction is what can be asked of the person in front of a browser, who may
	// not be logged in yet; nil for a program.
	Interaction Interaction

	// Details are further placeholders of the handler, by their names after
	// `gluu.`, such as `userinfo.email`. Nil if there are none.
	Details func(name string) (value any, known bool)

	claims *claims        // parsed when a placeholder asks for one
	vars   map[string]any // of the request, for the client's address
}

// ClientID returns the client id of the verified token, "" if there is none.
func (id *Identity) ClientID() string {
	if id == nil || id.Token == nil {
		return ""
	}
	return id.Token.ClientID
}

// UserID is what `{http.auth.user.id}` stands for: the consumer's username,
// else the subject, else the client id. It is empty for an anonymous caller and
// for a refused request: FastCGI passes it on as REMOTE_USER, and applications
// take REMOTE_USER for proof that someone has logged in.
func (id *Identity) UserID() string {
	switch {
	case id.Anonymous || id.refused:
		return ""
	case id.Consumer != nil && id.Consumer.Username != "":
		return id.Consumer.Username
	case id.Token == nil:
		return ""
	case id.Token.Subject != "":
		return id.Token.Subject
	}
	return id.Token.ClientID
}

// identityVar is the request variable that holds the *Identity. A `vars`
// directive that sets a variable of this name makes the request one without
// identity, as its value has another type.
const identityVar = "gluu.identity"

// Of returns the identity of a request, nil if no authentication handler ran or
// the request was refused since.
func Of(r *http.Request) *Identity {
	id, _ := caddyhttp.GetVar(r.Context(), identityVar).(*Identity)
	if id != nil && id.refused {
		return nil
	}
	return id
}

// Attach gives a request its identity, for the handlers that follow and for
// placeholders. A request whose identity is attached a second time, by another
// authentication handler, has only the second one.
func Attach(r *http.Request, id *Identity) {
	ctx := r.Context()
	vars, ok := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any)
	if !ok {
		return // no request of a Caddy server; there is nothing to carry it with
	}
	id.vars = vars
	if attached, ok := vars[identityVar].(*Identity); ok {
		// The replacer goes on asking the first one, so that one changes.
		passed := attached.passed
		for _, handler := range id.passed {
			passed.Add(handler)
		}
		*attached = *id
		attached.passed = passed
		return
	}
	vars[identityVar] = id
	if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(id.placeholder)
	}
}
