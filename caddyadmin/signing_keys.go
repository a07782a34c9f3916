// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(signingKeys{})
}

// signingKeys shows and rotates the keys that the gateway signs with:
//
//	GET  /gluu/signing-keys                       the public keys, as published
//	POST /gluu/signing-keys/rotate                make new keys, and use them once they are known
//	POST /gluu/signing-keys/rotate?immediately=1  make new keys, and use them at once
type signingKeys struct{}

// CaddyModule implements caddy.Module.
func (signingKeys) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_signing_keys",
		New: func() caddy.Module { return new(signingKeys) },
	}
}

// Routes implements caddy.AdminRouter.
func (signingKeys) Routes() []caddy.AdminRoute {
	return audited([]caddy.AdminRoute{
		{Pattern: "/gluu/signing-keys", Handler: handler(showSigningKeys)},
		{Pattern: "/gluu/signing-keys/rotate", Handler: handler(rotateSigningKeys)},
	})
}

func showSigningKeys(app *introspect.App, w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet); err != nil {
		return err
	}
	return writeSigningKeys(app, w)
}

func rotateSigningKeys(app *introspect.App, w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodPost); err != nil {
		return err
	}
	immediately, err := parseImmediately(r.URL.Query().Get("immediately"))
	if err != nil {
		return apiError(http.StatusBadRequest, err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), rotationTimeout)
	defer cancel()
	err = app.Signer().Rotate(ctx, immediately)
	switch {
	case errors.Is(err, headers.ErrCannotRotate):
		return apiError(http.StatusConflict, err)
	case err != nil:
		return apiError(http.StatusServiceUnavailable, err)
	}
	return writeSigningKeys(app, w)
}

// rotationTimeout bounds how long an operator waits for the storage.
const rotationTimeout = 15 * time.Second

func parseImmediately(value string) (bool, error) {
	switch value {
	case "", "0", "false":
		return false, nil
	case "1", "true":
		return true, nil
	}
	return false, errors.New("immediately is true or false")
}

func writeSigningKeys(app *introspect.App, w http.ResponseWriter) error {
	jwks, err := app.Signer().JWKS()
	if err != nil {
		return apiError(http.StatusServiceUnavailable, err)
	}
	return writeJSON(w, http.StatusOK, json.RawMessage(jwks.Body))
}

// Interface guards
var _ caddy.AdminRouter = (*signingKeys)(nil)
