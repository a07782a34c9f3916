// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"net/http"
	"strings"
	"testing"
)

// FuzzMetadata looks for metadata that leads the gateway to another origin.
func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{
		`{"issuer":"https://as.example","token_endpoint":"https://as.example/t"}`,
		`{"issuer":"https://as.example","jwks_uri":"https://as.example@evil.example/"}`,
		`{"issuer":"https://as.example","jwks_uri":"https://as.example:443/\\evil.example"}`,
		`{"issuer":"https://as.example","mtls_endpoint_aliases":{"token_endpoint":"https://evil.example"}}`,
	} {
		f.Add(seed)
	}
	p := providerFor(f, Config{Issuer: "https://as.example", ClientID: "g", ClientSecret: "s"})
	f.Fuzz(func(t *testing.T, body string) {
		found, err := p.parseMetadata([]byte(body))
		if err != nil {
			return
		}
		for name, address := range found.endpoints {
			req, err := http.NewRequest(http.MethodGet, address, nil)
			if err != nil {
				continue // no request can be made of it
			}
			if !strings.EqualFold(req.URL.Scheme, "https") || !strings.EqualFold(req.URL.Hostname(), "as.example") || (req.URL.Port() != "" && req.URL.Port() != "443") {
				t.Errorf("%s leads to %s", name, req.URL)
			}
		}
	})
}
