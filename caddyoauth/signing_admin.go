// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	introspect.RegisterAdminRoute("signing-keys", adminSigningKeys)
}

// rotationTimeout bounds how long an operator waits for the storage.
const rotationTimeout = 15 * time.Second

// adminSigningKeys shows and rotates the gateway's own keys:
//
//	GET  /gluu/signing-keys                       the public keys, as published
//	POST /gluu/signing-keys/rotate                make new keys, used when they are known
//	POST /gluu/signing-keys/rotate?immediately=1  make new keys and use them at once
func adminSigningKeys(app *introspect.App, w http.ResponseWriter, r *http.Request, segments []string) error {
	switch {
	case len(segments) == 0:
		if err := introspect.AdminMethod(w, r, http.MethodGet); err != nil {
			return err
		}
	case len(segments) == 1 && segments[0] == "rotate":
		if err := introspect.AdminMethod(w, r, http.MethodPost); err != nil {
			return err
		}
		if err := rotate(app.Signer(), r); err != nil {
			return err
		}
	default:
		return introspect.ErrNoAdminRoute
	}
	jwks, err := app.Signer().JWKS()
	if err != nil {
		return introspect.AdminError(http.StatusServiceUnavailable, err)
	}
	return introspect.WriteAdminJSON(w, http.StatusOK, json.RawMessage(jwks.Body))
}

func rotate(signer *headers.Signer, r *http.Request) error {
	immediately := false
	switch r.URL.Query().Get("immediately") {
	case "", "0", "false":
	case "1", "true":
		immediately = true
	default:
		return introspect.AdminError(http.StatusBadRequest, errors.New("immediately is true or false"))
	}
	ctx, cancel := context.WithTimeout(r.Context(), rotationTimeout)
	defer cancel()
	err := signer.Rotate(ctx, immediately)
	switch {
	case errors.Is(err, headers.ErrCannotRotate):
		return introspect.AdminError(http.StatusConflict, err)
	case err != nil:
		return introspect.AdminError(http.StatusServiceUnavailable, err)
	}
	return nil
}
