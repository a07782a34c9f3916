// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/provider"
)

// protectionToken is the protection API token (PAT) that a resource server
// shows at the protection API (Federated Authorization for UMA 2.0, section
// 1.3). The gateway gets it for itself, by the client credentials grant.
type protectionToken struct {
	value string
	renew time.Time // from then on a new one is asked for
}

var errNoProtectionToken = errors.New("protection API token")

// replacementPause is the least time between two replacements of tokens that the
// server refused. A server that answers 401 about one resource means that resource:
// all others must not wait for a new token each time.
const replacementPause = 10 * time.Second

// replace has a new token asked for instead of one that the server has refused,
// and reports whether it will be.
func (a *authority) replace(refused *protectionToken) bool {
	if a.token.Load() != refused {
		return true // has been, or is being
	}
	now := a.now()
	last := a.replaced.Load()
	if last != nil && now.Before(last.Add(replacementPause)) {
		return false
	}
	if a.replaced.CompareAndSwap(last, &now) {
		a.token.CompareAndSwap(refused, nil)
	}
	return true
}

// renewalMargin is how long before its end a token is renewed, or a tenth of
// its life if that is less: what is on its way must still arrive.
const renewalMargin = 30 * time.Second

// shortestLife is what a token is taken to live that names no end, or one
// that is too near to be of use.
const shortestLife = 5 * time.Second

// protectionToken returns the token, which is asked for once however many
// need it.
func (a *authority) protectionToken(ctx context.Context) (*protectionToken, error) {
	if known := a.token.Load(); known != nil && a.now().Before(known.renew) {
		return known, nil
	}
	token, err := a.once(ctx, "protection token", func(ctx context.Context) (any, error) {
		if known := a.token.Load(); known != nil && a.now().Before(known.renew) {
			return known, nil
		}
		token, err := a.requestToken(ctx)
		if err == nil {
			a.token.Store(token)
		}
		return token, err
	})
	if err != nil {
		return nil, err
	}
	return token.(*protectionToken), nil
}

const protectionScope = "uma_protection"

// requestToken asks for a token with the scope of the standard. Keycloak knows
// no such scope, where the client's role decides: it says so, and is asked
// without.
func (a *authority) requestToken(ctx context.Context) (*protectionToken, error) {
	if !a.unscoped.Load() {
		token, err := a.requestTokenFor(ctx, protectionScope)
		refused, ok := errors.AsType[*serverError](err)
		if !ok || refused.code != "invalid_scope" {
			return token, err
		}
		a.unscoped.Store(true)
	}
	return a.requestTokenFor(ctx, "")
}

func (a *authority) requestTokenFor(ctx context.Context, scope string) (*protectionToken, error) {
	places, err := a.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	p := a.provider.Load()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, places.token, nil)
	if err != nil {
		return nil, err
	}
	p.Server().AwaitCredentials(ctx)
	form := url.Values{"grant_type": {"client_credentials"}}
	if scope != "" {
		form.Set("scope", scope)
	}
	if err := p.AuthenticateClient(req, form); err != nil {
		return nil, err
	}
	provider.SetForm(req, form)
	req.Header.Set("Accept", "application/json")
	begun := a.now()
	answer, status, err := p.Call(ctx, "token_endpoint", req)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, problem(status, answer)
	}
	return readToken(answer, begun)
}

func readToken(answer []byte, begun time.Time) (*protectionToken, error) {
	var granted struct {
		Token   string      `json:"access_token"`
		Type    string      `json:"token_type"`
		Expires json.Number `json:"expires_in"`
	}
	if err := json.Unmarshal(answer, &granted); err != nil {
		return nil, err
	}
	if granted.Token == "" || !strings.EqualFold(granted.Type, "Bearer") {
		return nil, errors.New("the answer has no bearer token")
	}
	life := shortestLife
	if seconds, err := granted.Expires.Float64(); err == nil && seconds > 0 && seconds < 1<<31 {
		life = max(life, time.Duration(seconds*float64(time.Second)))
	}
	return &protectionToken{granted.Token, begun.Add(life - min(renewalMargin, life/10))}, nil
}
