// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/caddystore"
)

// The page about this directive is held against the code: its configurations
// load, and it names every option and every reason that there is.
func TestDocumentationIsTrue(t *testing.T) {
	text, err := os.ReadFile("../docs/gluu_oauth_server.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(string(text), "/var/lib/caddy/", t.TempDir()+"/")
	t.Setenv("GATEWAY_SECRET_HASH", testHash)
	t.Setenv("LOGIN_KEY_HASH", testHash)
	t.Setenv("TODO_APP_SECRET_HASH", testHash)
	t.Setenv("REGISTRATION_TOKEN_HASH", testHash)
	t.Setenv("STORE_KEY", storeSecret)
	t.Setenv("XDG_DATA_HOME", t.TempDir()) // where the default storage is

	loaded := 0
	for _, block := range regexp.MustCompile("(?s)```(caddyfile|json)\n(.*?)```").FindAllStringSubmatch(page, -1) {
		server := new(Server)
		switch start := strings.Index(block[2], "gluu_oauth_server {"); {
		case block[1] == "json":
			var object map[string]any
			if err := json.Unmarshal([]byte(block[2]), &object); err != nil {
				t.Fatalf("%v in %s", err, block[2])
			}
			if object["handler"] != "gluu_oauth_server" {
				t.Errorf("not this handler: %s", block[2])
			}
			delete(object, "handler")
			rest, _ := json.Marshal(object)
			if err := caddy.StrictUnmarshalJSON(rest, server); err != nil {
				t.Fatalf("%v in %s", err, block[2])
			}
		case start >= 0:
			end := strings.Index(block[2][start:], "\n\t}\n") // of the directive, within its site
			directive := block[2][start:][:end+len("\n\t}\n")]
			if err := server.UnmarshalCaddyfile(caddyfile.NewTestDispenser(directive)); err != nil {
				t.Fatalf("%v in %s", err, block[2])
			}
		default:
			continue // the gateway's side of it
		}
		if _, err := tryStart(t, server, t.TempDir()); err != nil {
			t.Errorf("%v in %s", err, block[2])
		}
		loaded++
	}
	if loaded != 8 {
		t.Errorf("%d configurations were loaded, want the smallest example in both forms, one for the same process, three that ask people, all options, and one with a store", loaded)
	}

	rows := make(map[string]bool) // the first and third cells of all tables
	for _, row := range regexp.MustCompile(`(?m)^\|(.*)\|$`).FindAllStringSubmatch(page, -1) {
		cells := strings.Split(row[1], "|")
		for _, cell := range cells[:min(3, len(cells))] {
			name, _, _ := strings.Cut(strings.Trim(strings.TrimSpace(cell), "`"), " ")
			rows[name] = true
		}
	}
	for _, config := range []any{Server{}, Client{}, RefreshToken{}, Login{}, Registration{}, Limit{}, EmbeddedStorage{}, caddystore.Postgres{}, caddystore.Redis{}} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(config)) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch name {
			case "":
				continue
			case "clients":
				name = "client"
			case "keys":
				name = "key"
			case "tokens":
				name = "token"
			case "secrets":
				name = "secret"
			}
			if !rows[name] && !strings.Contains(page, "JSON: `"+name+"`") && !strings.Contains(page, "`, and `"+name+"`") && !strings.Contains(page, "`, `"+name+"`.") && !strings.Contains(page, "`"+name+" ") {
				t.Errorf("the option %s has no row", name)
			}
		}
	}
	count := 0
	for _, pattern := range []string{"rfc/*.go", "../internal/authcore/*.go", "../internal/clientauth/*.go"} {
		sources, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range sources {
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, reason := range regexp.MustCompile(`(?m)^\t[rR]eason\w+ += "(\w+)"$`).FindAllStringSubmatch(string(source), -1) {
				count++
				if !rows[reason[1]] {
					t.Errorf("the reason %s has no row", reason[1])
				}
			}
		}
	}
	if count < 40 {
		t.Errorf("only %d reasons were found", count)
	}
}
