// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/token"
)

// Gate is a handler that lets only verified callers pass. An
// authentication handler, such as gluu_oauth_auth, runs before it.
type Gate struct {
	answerer identity.Answerer
}

func (g *Gate) Provision(ctx caddy.Context) error {
	metrics, err := identity.NewMetrics(ctx, identity.OAuth)
	if err != nil {
		return err
	}
	g.answerer = identity.Answerer{JSON: true, Logger: ctx.Logger(), Metrics: metrics}
	return nil
}

func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	id := identity.Of(r)
	if id == nil {
		return g.answerer.Refuse(w, r, identity.NotAuthenticated())
	}
	if id.Token == nil { // an anonymous caller
		return g.answerer.Refuse(w, r, identity.NoToken())
	}
	return next.ServeHTTP(w, r)
}

// A handler reads who is calling, and refuses through an Answerer, which logs,
// counts and answers alike for all handlers.
func Example() {
	gate := new(Gate)
	ctx, cancel := caddy.NewContext(caddy.Context{Context: httptest.NewRequest("GET", "/", nil).Context()})
	defer cancel()
	if err := gate.Provision(ctx); err != nil {
		fmt.Println(err)
		return
	}
	gate.answerer.Logger = zap.NewNop()

	api := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		_, err := fmt.Fprintf(w, "Hello %s", identity.Of(r).UserID())
		return err
	})
	request := func(id *identity.Identity) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
		if id != nil {
			identity.Attach(r, id) // what an authentication handler does
		}
		if err := gate.ServeHTTP(w, r, api); err != nil {
			fmt.Println(err)
		}
		// The id of a request is another one each time.
		body := strings.ReplaceAll(w.Body.String(), identity.RequestID(r), "<id>")
		fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"), body)
	}
	request(&identity.Identity{Token: &token.Token{ClientID: "app", Subject: "ann"}})
	request(&identity.Identity{Anonymous: true})
	request(nil)
	// Output:
	// 200  Hello ann
	// 401 Bearer realm="api" {"error":"unauthorized","error_description":"An access token is required. Send it in the header 'Authorization: Bearer <token>'.","request_id":"<id>"}
	// 403  {"error":"access_denied","error_description":"Access is denied.","request_id":"<id>"}
}
