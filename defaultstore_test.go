// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/caddytest"
)

const defaultStoreKey = "the key of the store of a test, of 32 bytes"

// A server that names no store uses the app's, as sessions do.
func TestTheStoreOfTheAppIsTheServersToo(t *testing.T) {
	redis := harness.StartDurableRedis(t)
	dir := t.TempDir()
	own := filepath.Join("caddy", "gluu", "oauth_server.db")
	for _, test := range []struct {
		name, app string
		wrote     string // the folder that has the record of the token
	}{
		{"none", "", ""},
		{"embedded", "store embedded", ""},
		{"a file", "store embedded " + filepath.Join(dir, "all.db"), dir},
		{"redis", fmt.Sprintf("store redis redis://%s {\nkey %q\n}", redis.Addr, defaultStoreKey), redis.Dir()},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newEmbeddedGateway(t)
			data := os.Getenv("XDG_DATA_HOME")
			if err := g.load("opaque", "provider embedded", test.app, ""); err != nil {
				t.Fatal(err)
			}
			if test.wrote == dir { // sessions and tokens in one file
				if err := g.load("opaque", "provider embedded", test.app, strings.ReplaceAll(loginSite, "{login}", caddytest.FreeAddress(t))); err != nil {
					t.Fatal(err)
				}
			}
			token := tokenOf(t, g.address)
			if status, body := get(g.address, token); !strings.HasPrefix(body, "somebody ") {
				t.Errorf("got %d %s", status, body)
			}
			const kind = "access_token"
			isIn := func(folder string) bool { return harness.InFiles(t, folder, map[string]string{kind: kind})[kind] != "" }
			if test.wrote == "" {
				if !isIn(filepath.Join(data, filepath.Dir(own))) {
					t.Errorf("the token is not in %s", own)
				}
				return
			}
			if !isIn(test.wrote) {
				t.Errorf("the token is not in %s", test.wrote)
			}
			if _, err := os.Stat(filepath.Join(data, own)); err == nil {
				t.Errorf("there is a file %s", own)
			}
		})
	}
}

// loginSite has sessions, in the store of the app.
const loginSite = `http://{login} {
	gluu_openid_connect {
		issuer {issuer}
		client_id app
		client_secret app-secret-app-secret
		base_url http://{login}
	}
}`
