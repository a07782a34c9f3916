// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"strings"
	"testing"
)

func TestTwoProvidersAtOneOriginHaveTwoCookies(t *testing.T) {
	const route = `
- name: %n
  url: http://127.0.0.1:1
  routes:
  - name: %n
    hosts: [%h]
    paths: [/%n]
    plugins:
    - name: gluu-openid-connect
      config: {op_url: "https://op.example.com", client_id: %c, client_secret: s, authorization_redirect_path: /%n/callback, requested_scopes: [openid]}`
	service := func(name, host, client string) string {
		return strings.NewReplacer("%n", name, "%h", host, "%c", client).Replace(route)
	}
	for name, test := range map[string]struct {
		second string
		want   int
	}{
		"the same client":              {service("b", "a.example.com", "one"), 0},
		"another client":               {service("b", "a.example.com", "two"), 1},
		"another client, another host": {service("b", "b.example.com", "two"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			config, _, err := adapt(t, "_format_version: \"3.0\"\nservices:"+service("a", "a.example.com", "one")+test.second, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(string(config), `"cookie_name":"__Host-gluu_session_op-example-com-2"`); got != test.want {
				t.Errorf("got %d cookie names, want %d: %s", got, test.want, config)
			}
		})
	}
}
