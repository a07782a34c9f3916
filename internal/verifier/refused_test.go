// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

func TestServerThatRefusesATokenIsNotAway(t *testing.T) {
	for _, test := range []struct {
		name    string
		refusal http.HandlerFunc
		want    token.Reason
	}{
		{"a token of a kind that it does not know", providertest.RespondWith(400, "application/json", `{"error":"unsupported_token_type"}`), token.Invalid},
		{"a bad request", providertest.RespondWith(400, "application/json", `{"error":"invalid_request"}`), token.ProviderUnavailable},
		{"a bad request, as text", providertest.RespondWith(400, "text/plain", "unsupported_token_type"), token.ProviderUnavailable},
		{"too large", providertest.RespondWith(413, "text/plain", ""), token.ProviderUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := providertest.NewServer(t)
			p := providerFor(t, introspecting(server), tokencache.Settings{})
			server.On("/introspect", func(w http.ResponseWriter, r *http.Request) {
				if r.PostFormValue("token") == "real-token" {
					providertest.Respond(providertest.Active(""))(w, r)
					return
				}
				test.refusal(w, r)
			})
			for i := range 4 * provider.BreakerFailures {
				_, err := p.Verify(t.Context(), fmt.Sprintf("made-up-token-%d", i))
				if got := reasonOf(t, err); got != test.want {
					t.Fatalf("made-up token %d: got %q (%v), want %q", i, got, err, test.want)
				}
			}
			if _, err := p.Verify(t.Context(), "real-token"); err != nil {
				t.Errorf("after that: %v, want the token verified", err)
			}
		})
	}
}
