// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"fmt"
	"net/http"
	"testing"
)

func TestServerThatRefusesATokenIsNotAway(t *testing.T) {
	for _, test := range []struct {
		name    string
		refusal http.HandlerFunc
		want    Reason
	}{
		{"a token of a kind that it does not know", respondWith(400, "application/json", `{"error":"unsupported_token_type"}`), TokenInvalid},
		{"a bad request", respondWith(400, "application/json", `{"error":"invalid_request"}`), ProviderUnavailable},
		{"a bad request, as text", respondWith(400, "text/plain", "unsupported_token_type"), ProviderUnavailable},
		{"too large", respondWith(413, "text/plain", ""), ProviderUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newFakeServer(t)
			p := providerFor(t, server.introspecting(), CacheConfig{})
			server.on("/introspect", func(w http.ResponseWriter, r *http.Request) {
				if r.PostFormValue("token") == "real-token" {
					respond(active(""))(w, r)
					return
				}
				test.refusal(w, r)
			})
			for i := range 4 * breakerFailures {
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
