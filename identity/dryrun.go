// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// In a dry run a handler authenticates and records as always, but refuses nothing
// and leaves the credential where it is, so that a rollout in front of live traffic
// can be rehearsed. A request that would be refused goes on without an identity:
// rules after it see a caller without a token.

// errObserved is what refuse returns in a dry run. It never leaves the handler.
var errObserved = errors.New("the request would be refused")

// observe is authenticate in a dry run.
func (a *Authenticator) observe(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	sent := credentialsOf(r.Header)
	err := a.authenticate(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		sent.restore(r.Header)
		return next.ServeHTTP(w, r)
	}))
	if !errors.Is(err, errObserved) {
		return err
	}
	sent.restore(r.Header)
	return next.ServeHTTP(w, r)
}

// observed records a refusal that is not carried out.
func (a *Authenticator) observed(r *http.Request, id *Identity, refusal Refusal) error {
	a.answerer.Record(r, id, refusal, WouldRefuse)
	Attach(r, &Identity{Provider: id.Provider, Realm: id.Realm})
	return errObserved
}

// sentCredentials are the headers with the credential as the client sent them.
type sentCredentials struct{ authorization, dpop []string }

func credentialsOf(h http.Header) sentCredentials {
	return sentCredentials{slices.Clone(h["Authorization"]), slices.Clone(h["Dpop"])}
}

func (s sentCredentials) restore(h http.Header) {
	for name, values := range map[string][]string{"Authorization": s.authorization, "Dpop": s.dpop} {
		if delete(h, name); values != nil {
			h[name] = values
		}
	}
}
