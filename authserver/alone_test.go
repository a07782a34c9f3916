// SPDX-License-Identifier: Apache-2.0

package authserver_test

import (
	"fmt"
	"testing"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gluu/gateway/authserver"
	_ "github.com/caddy-gluu/gateway/caddystore"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	_ "github.com/caddy-gluu/gateway/introspect"
)

// S-235: where several gateways are to be expected, a store that is not shared is said in
// one line at load, and nowhere else.
func TestSec_S235_AStoreThatIsNotSharedIsSaid(t *testing.T) {
	const (
		alone  = "the tokens of this authorization server are in a file of this machine, and other gateways, which seem to be there, do not know them: write 'store postgres <dsn>' or 'store redis <url>'"
		key    = "0123456789abcdef0123456789abcdef"
		redis  = "redis://127.0.0.1:1"
		shared = "store redis " + redis + " {\nkey " + key + "\n}"
	)
	for _, test := range []struct{ name, app, server, want string }{
		{"one gateway", "", "", ""},
		{"a file of the app", "gluu {\nstore embedded\n}", "", ""},
		{"a shared cache", "gluu {\ncache {\nredis " + redis + "\nredis_key " + key + "\n}\n}", "", "cache { redis }"},
		{"shared sessions", "gluu {\nsession {\n" + shared + "\n}\n}", "", "session { store redis }"},
		{"a file beside the store of the app", "gluu {\n" + shared + "\n}", "storage embedded", "store redis"},
		{"the store of the app", "gluu {\n" + shared + "\n}", "", ""},
		{"a shared cache and a shared store", "gluu {\ncache {\nredis " + redis + "\nredis_key " + key + "\n}\n}", shared, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, address := t.TempDir(), caddytest.FreeAddress(t)
			caddytest.StopAfter(t) // before the folder goes, which it writes to
			t.Setenv("XDG_DATA_HOME", dir)
			text := fmt.Sprintf("{\n%s\n%s\n}\nhttp://%s {\ngluu_oauth_server {\nissuer http://%[3]s\nscopes read\nregistration {\nopen\n}\nconsent_page\n%s\n}\n}\n",
				caddytest.Options(dir, ""), test.app, address, test.server)
			if err := caddytest.Run(text, address); err != nil {
				t.Fatal(err)
			}
			said := ""
			for _, record := range caddytest.Records(t, dir, alone) {
				said += fmt.Sprint(record["shared"], "\n")
			}
			want := ""
			if test.want != "" {
				want = test.want + "\n"
			}
			if said != want {
				t.Errorf("the lines name %q, want %q", said, want)
			}
		})
	}
}
