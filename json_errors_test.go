// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// Every handler, and the app, says what it has where the JSON names what it has not.
// Caddy's own error does not.
func TestUnknownOptionsInJSONAreRefusedWithTheKnownOnes(t *testing.T) {
	tested := 0
	for _, id := range caddy.Modules() {
		name, isHandler := strings.CutPrefix(id, "http.handlers.")
		if !strings.HasPrefix(name, "gluu") || !isHandler && id != "gluu" {
			continue
		}
		tested++
		t.Run(name, func(t *testing.T) {
			info, err := caddy.GetModule(id)
			if err != nil {
				t.Fatal(err)
			}
			err = json.Unmarshal([]byte(`{"no_such_option": true}`), info.New())
			if want := `there is no "no_such_option" in ` + name + ": it has "; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s...: let its UnmarshalJSON call directive.UnmarshalJSON", err, want)
			}
		})
	}
	if tested < 10 {
		t.Errorf("%d modules were found", tested)
	}
}

// The handlers that are not in package caddyoauth take an id too.
func TestServerAndLoginTakeAnID(t *testing.T) {
	for name, block := range map[string]string{
		"gluu_oauth_server":   "id x\nissuer http://localhost:80\nscopes a\n",
		"gluu_openid_connect": "id x\nissuer https://op.example\nclient_id c\nclient_secret s\n",
	} {
		t.Run(name, func(t *testing.T) {
			source := "http://localhost:80 {\n" + name + " {\n" + block + "}\n}\n"
			if got, err := caddytest.Adapt(source); err != nil || !strings.Contains(string(got), `"@id":"x"`) {
				t.Errorf("got %s, error %v; want an @id", got, err)
			}
			if _, err := caddytest.Adapt(strings.Replace(source, "id x", "id a/b", 1)); err == nil || !strings.Contains(err.Error(), "Caddyfile:3") {
				t.Errorf("an id with a slash: got %v, want an error on its line", err)
			}
		})
	}
}
