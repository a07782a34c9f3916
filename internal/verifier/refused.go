// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"net/http"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/jose"
)

// refusesToken reports whether the server says that it does not answer about
// tokens of this kind, as oidc-provider does for every JWT. The error code is
// that of the revocation endpoint (RFC 7009, section 2.2.1), to which
// RFC 7662 has no counterpart.
func refusesToken(a *provider.Answer) bool {
	if a.Status != http.StatusBadRequest || a.MediaType != "application/json" {
		return false
	}
	body, err := jose.ParseObject(a.Body)
	if err != nil {
		return false
	}
	code, _ := body.Text("error")
	return code == "unsupported_token_type"
}
