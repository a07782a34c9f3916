// SPDX-License-Identifier: Apache-2.0

package introspect_test

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/introspect"
)

// Bouncer is a handler that lets verified tokens pass.
type Bouncer struct {
	provider *introspect.Provider
}

func (b *Bouncer) Provision(ctx caddy.Context) error {
	app, err := introspect.FromContext(ctx)
	if err != nil {
		return err
	}
	b.provider, err = app.Provider("default")
	return err
}

func (b *Bouncer) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	raw := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	verified, err := b.provider.Verify(r.Context(), raw)
	if err == nil {
		// The token may be bound to a key that the sender has to have.
		err = b.provider.CheckBinding(r, verified, "Bearer", raw)
	}
	var refusal *token.Error
	switch {
	case err == nil:
		return next.ServeHTTP(w, r)
	case errors.As(err, &refusal) && refusal.Reason == token.ProviderUnavailable:
		w.Header().Set("Retry-After", strconv.Itoa(int(refusal.RetryAfter.Seconds())))
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	default:
		return caddyhttp.Error(http.StatusUnauthorized, err)
	}
}

// How a handler has its tokens verified.
func Example() {
	var _ caddyhttp.MiddlewareHandler = new(Bouncer)
}
