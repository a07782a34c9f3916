// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
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
