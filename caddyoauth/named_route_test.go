// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// Caddy keeps the first handler alone of several in a named route, so that the rules
// would be gone where only authentication is left. Such a file is refused; where the
// handlers survive, it is not.
func TestNamedRoutesKeepTheirHandlers(t *testing.T) {
	const auth, pep = "gluu_oauth_auth\n", "gluu_oauth_pep {\npath /x {\nGET scope a\n}\n}\n"
	for _, test := range []struct {
		name, route string
		refused     string // the line of the directive that is named, "" if none is
	}{
		{"authentication and rules", auth + pep, ":2"},
		{"another handler first", "vars a b\n" + pep, ":3"},
		{"another handler last", pep + "respond ok\n", ":2"},
		{"for all paths", "gluu_oauth_auth *\n" + pep, ":2"},
		{"with a matcher that none uses", "@x path /x\n" + auth + pep, ":3"},
		{"beside a path that is a value", "gluu_jwks /keys\n" + auth + pep, ":2"},
		{"the keys and a handler that guards", "gluu_jwks\nforward_auth a:1 {\nuri /x\n}\n", ":2"},
		{"alone", pep, ""},
		{"in a route", "route {\n" + auth + pep + "}\n", ""},
		{"in a route beside another handler", "respond /ok ok\nroute {\n" + auth + pep + "}\n", ""},
		{"with a matcher", auth + "gluu_oauth_pep /x {\npath /x {\nGET scope a\n}\n}\n", ""},
		{"with a named matcher", "@x path /x\n" + auth + "respond @x ok\n", ""},
		{"in handle", "handle {\n" + auth + pep + "}\n" + auth, ":10"},
		{"with a value that looks like a matcher", "root /srv\n" + pep, ":3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, err := caddytest.Adapt("&(gw) {\n" + test.route + "}\nhttp://a.test {\ninvoke gw\n}\n")
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) || !strings.Contains(err.Error(), "write 'route { ... }'") {
					t.Fatalf("got %v, want an error at %s", err, test.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, handler := range []string{"gluu_oauth_auth", "gluu_oauth_pep"} {
				if strings.Contains(test.route, handler) != strings.Contains(string(config), handler) {
					t.Errorf("%s is missing in %s", handler, config)
				}
			}
		})
	}
}
