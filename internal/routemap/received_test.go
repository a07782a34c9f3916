// SPDX-License-Identifier: Apache-2.0

package routemap

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A name that a client can ask for, and httptest.NewRequest takes for a mistake.
func TestOddHostsAreNoPanic(t *testing.T) {
	for _, target := range []string{"https://[fe80::1%25eth0]/", "https://a%25zz/"} {
		address, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := asReceived(r, new(caddyhttp.Server), address, "192.0.2.1"); got.TLS.ServerName != address.Hostname() {
			t.Errorf("%s: got %q", target, got.TLS.ServerName)
		}
	}
}
