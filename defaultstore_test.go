// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

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
		{"redis with the key of the cache", fmt.Sprintf("store redis redis://%s\ncache {\nredis redis://%[1]s\nredis_key %q\n}", redis.Addr, defaultStoreKey), redis.Dir()},
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

// A shared store without a key has that of the app's cache. Without either the file is refused,
// with the line of the store.
func TestASharedStoreHasAKey(t *testing.T) {
	const store, cache = "store redis redis://127.0.0.1:1\n", "cache {\nredis redis://127.0.0.1:1\nredis_key {env.KEY}\n}\n"
	server := func(store string) string {
		return "http://127.0.0.1:1 {\ngluu_oauth_server {\nissuer https://as.example.com\nregistration {\nopen\n}\nconsent_page\n" + store + "}\n}\n"
	}
	for _, test := range []struct{ name, file, want string }{
		{"the app's, without", "{\ngluu {\n" + store + "}\n}\n" + server(""), ":3"},
		{"that of sessions, without", "{\ngluu {\nsession {\n" + store + "}\n}\n}\n" + server(""), ":3"},
		{"a server's, without", server(store), ":8"},
		{"a server's, without, and an app without a cache", "{\ngluu {\nconsumer a\n}\n}\n" + server(store), ":13"},
		{"the app's, before the cache", "{\ngluu {\n" + store + cache + "}\n}\n" + server(""), ""},
		{"the app's, after the cache", "{\ngluu {\n" + cache + store + "}\n}\n" + server(""), ""},
		{"that of sessions", "{\ngluu {\nsession {\n" + store + "}\n" + cache + "}\n}\n" + server(""), ""},
		{"a server's", "{\ngluu {\n" + cache + "}\n}\n" + server(store), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(test.file), nil)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), "needs a key") || !strings.Contains(err.Error(), "Caddyfile"+test.want)):
				t.Errorf("got %v, want a key to be asked for at line %s", err, test.want)
			}
		})
	}
}
