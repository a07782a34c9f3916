// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	_ "embed"
	"encoding/json"
	"net/http"
)

// index describes all endpoints below /gluu/ (OpenAPI 3.1). A test compares it with
// the routes.
//
//go:embed openapi.json
var index []byte

// serveIndex answers with the description.
func serveIndex(w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, json.RawMessage(index))
}
