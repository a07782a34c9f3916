// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/introspect"

	_ "github.com/caddy-gluu/gateway/caddyoidc" // gluu_openid_connect
)

// A login over plain http is warned about, with the address to write.
func TestALoginOverPlainHTTPIsWarnedAbout(t *testing.T) {
	for name, c := range map[string]struct{ address, bind, want string }{
		"all addresses":     {"http://127.0.0.1:", "0.0.0.0", "https://127.0.0.1"},
		"this machine only": {"http://127.0.0.1:", "127.0.0.1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			caddytest.StopAfter(t)
			site := caddytest.FreeAddress(t)
			_, port, _ := strings.Cut(site, ":")
			source := "{\n" + caddytest.Options(t.TempDir(), caddytest.FreeAddress(t)) + `
	gluu {
		provider {
			issuer http://127.0.0.1:9
			client_id a
			client_secret b
			audience c
		}
	}
}
` + c.address + port + ` {
	bind ` + c.bind + `
	gluu_openid_connect
	gluu_ui {
		roles {
			viewer true
		}
	}
}
`
			if err := caddytest.Run(source, site); err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, w := range introspect.Running().Warnings() {
				if strings.HasPrefix(w.Where, "gluu_ui of ") {
					got += w.Warning
				}
			}
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
