// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(tokens{})
}

// tokens makes the gateway forget tokens, which are then verified again:
//
//	DELETE /gluu/tokens                    all tokens
//	DELETE /gluu/tokens/client/{id}        those of a client
//	DELETE /gluu/tokens/subject/{subject}  those of a subject
//	DELETE /gluu/tokens/token              the one in the body
//
// The answer 502 means that the tokens are forgotten here, and that the other
// gateways will be told when Redis is available again.
type tokens struct{}

// CaddyModule implements caddy.Module.
func (tokens) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_tokens",
		New: func() caddy.Module { return new(tokens) },
	}
}

// Routes implements caddy.AdminRouter.
func (tokens) Routes() []caddy.AdminRoute {
	return audited([]caddy.AdminRoute{
		{Pattern: "/gluu/tokens", Handler: forget(allTokens)},
		{Pattern: "/gluu/tokens/client/{id}", Handler: forget(tokensOfClient)},
		{Pattern: "/gluu/tokens/subject/{subject}", Handler: forget(tokensOfSubject)},
		{Pattern: "/gluu/tokens/token", Handler: forget(oneToken)},
	})
}

// forgetting forgets the tokens that a request selects.
type forgetting func(ctx context.Context) (forgotten int, err error)

// forget returns the handler of one selection. The error of a selection is
// that of the request.
func forget(selected func(app *introspect.App, r *http.Request) (forgetting, error)) handler {
	return func(app *introspect.App, w http.ResponseWriter, r *http.Request) error {
		if err := allow(w, r, http.MethodDelete); err != nil {
			return err
		}
		forget, err := selected(app, r)
		if err != nil {
			return apiError(http.StatusBadRequest, err)
		}
		forgotten, err := forget(r.Context())
		if err != nil {
			return apiError(http.StatusBadGateway, err)
		}
		return writeJSON(w, http.StatusOK, map[string]int{"evicted": forgotten})
	}
}

func allTokens(app *introspect.App, _ *http.Request) (forgetting, error) {
	return app.ForgetTokens, nil
}

func tokensOfClient(app *introspect.App, r *http.Request) (forgetting, error) {
	id := r.PathValue("id")
	return func(ctx context.Context) (int, error) { return app.ForgetTokensOfClient(ctx, id) }, nil
}

func tokensOfSubject(app *introspect.App, r *http.Request) (forgetting, error) {
	subject := r.PathValue("subject")
	return func(ctx context.Context) (int, error) { return app.ForgetTokensOfSubject(ctx, subject) }, nil
}

func oneToken(app *introspect.App, r *http.Request) (forgetting, error) {
	token, err := tokenIn(r.Body, app.MaxToken())
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (int, error) { return app.ForgetToken(ctx, token) }, nil
}

// tokenIn reads the token to forget, of so many bytes at most. It is in the body,
// and not in the address, because addresses are logged.
func tokenIn(body io.Reader, most int) (string, error) {
	const lineFeed = 2
	raw, err := io.ReadAll(io.LimitReader(body, int64(most+lineFeed+1)))
	if err != nil {
		return "", errors.New("the body cannot be read")
	}
	token := strings.TrimRight(string(raw), "\r\n")
	if token == "" || len(token) > most {
		return "", fmt.Errorf("the body is the token to forget, between 1 and %d bytes", most)
	}
	return token, nil
}

// Interface guards
var _ caddy.AdminRouter = (*tokens)(nil)
