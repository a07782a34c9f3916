// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

func parse(source string) (*UI, error) {
	u := new(UI)
	return u, u.UnmarshalCaddyfile(caddyfile.NewTestDispenser(source))
}

func TestCaddyfile(t *testing.T) {
	u, err := parse("gluu_ui {\nroles {\nadmin `id_token.sub == \"ann\"`\nviewer true\n}\nedit none\npath_prefix /gateway\nid ui\n}")
	want := UI{ID: "ui", Roles: map[string]string{"admin": `id_token.sub == "ann"`, "viewer": "true"}, Edit: []string{"none"}, PathPrefix: "/gateway"}
	if err != nil || !reflect.DeepEqual(*u, want) {
		t.Errorf("got %+v, %v", *u, err)
	}
	u, err = parse("gluu_ui {\nlocal\nedit consumers config\nconfig_file /etc/caddy/Caddyfile\nadmin_endpoint unix//run/caddy.sock\n}")
	want = UI{Local: true, Edit: []string{"consumers", "config"}, ConfigFile: "/etc/caddy/Caddyfile", AdminEndpoint: "unix//run/caddy.sock"}
	if err != nil || !reflect.DeepEqual(*u, want) {
		t.Errorf("got %+v, %v", *u, err)
	}
	u, err = parse("gluu_ui {\nlocal\ntest_files a_test.yaml policies/*_test.yml\n}")
	if want = (UI{Local: true, TestFiles: []string{"a_test.yaml", "policies/*_test.yml"}}); err != nil || !reflect.DeepEqual(*u, want) {
		t.Errorf("got %+v, %v", *u, err)
	}
	if u, err = parse("gluu_ui {\nlocal\n}"); err != nil || !u.Local {
		t.Errorf("local: got %+v, %v", *u, err)
	}
}

func TestWhatTheCaddyfileRefuses(t *testing.T) {
	for name, c := range map[string]struct{ source, want string }{
		"nothing":             {"gluu_ui", "roles are missing"},
		"local false":         {"gluu_ui {\nlocal false\n}", "roles are missing"},
		"a value":             {"gluu_ui x", "takes a block"},
		"unknown":             {"gluu_ui {\ncolour red\n}", `there is no "colour"`},
		"both":                {"gluu_ui {\nlocal\nroles {\nviewer true\n}\n}", "exclude each other"},
		"local twice":         {"gluu_ui {\nlocal\nlocal\n}", "local is set twice"},
		"roles twice":         {"gluu_ui {\nroles {\nviewer true\n}\nroles {\nviewer true\n}\n}", "roles is set twice"},
		"edit twice":          {"gluu_ui {\nlocal\nedit none\nedit none\n}", "edit is set twice"},
		"path_prefix twice":   {"gluu_ui {\nlocal\npath_prefix /a\npath_prefix /a\n}", "path_prefix is set twice"},
		"id twice":            {"gluu_ui {\nlocal\nid a\nid a\n}", "id is set twice"},
		"a role twice":        {"gluu_ui {\nroles {\nviewer true\nviewer true\n}\n}", "viewer is set twice"},
		"an unknown role":     {"gluu_ui {\nroles {\nroot true\n}\n}", `there is no "root"`},
		"no expression":       {"gluu_ui {\nroles {\nviewer\n}\n}", "viewer takes exactly one value"},
		"an empty expression": {"gluu_ui {\nroles {\nviewer \"\"\n}\n}", "viewer"},
		"not an expression":   {"gluu_ui {\nroles {\nviewer \"a ==\"\n}\n}", "Syntax error"},
		"not a condition":     {"gluu_ui {\nroles {\nviewer \"'ann'\"\n}\n}", "true or false"},
		"an unknown variable": {"gluu_ui {\nroles {\nviewer \"user.admin\"\n}\n}", "undeclared reference"},
		"edit":                {"gluu_ui {\nlocal\nedit everything\n}", "consumers, policies and config, or none"},
		"edit both":           {"gluu_ui {\nlocal\nedit consumers none\n}", "edit is none or something"},
		"edit the same":       {"gluu_ui {\nlocal\nedit config config\n}", "edit has config twice"},
		"a test in JSON":      {"gluu_ui {\nlocal\ntest_files tests.json\n}", "test_files are YAML files"},
		"a broken pattern":    {"gluu_ui {\nlocal\ntest_files [a.yaml\n}", "test_files are YAML files"},
		"config_file twice":   {"gluu_ui {\nlocal\nedit config\nconfig_file a\nconfig_file b\n}", "config_file is set twice"},
		"an unedited file":    {"gluu_ui {\nlocal\nconfig_file Caddyfile\n}", "write 'edit config' too"},
		"a file of JSON":      {"gluu_ui {\nlocal\nedit config\nconfig_file caddy.json\n}", "config_file is a Caddyfile"},
		"an empty file":       {"gluu_ui {\nlocal\nedit config\nconfig_file \"\"\n}", "config_file is empty"},
		"endpoint twice":      {"gluu_ui {\nlocal\nadmin_endpoint a:1\nadmin_endpoint a:2\n}", "admin_endpoint is set twice"},
		"an endpoint":         {"gluu_ui {\nlocal\nadmin_endpoint localhost:2019-2021\n}", "admin_endpoint"},
		"an empty endpoint":   {"gluu_ui {\nlocal\nadmin_endpoint \"\"\n}", "admin_endpoint is empty"},
		"edit nothing":        {"gluu_ui {\nlocal\nedit\n}", "edit takes one or more values"},
		"a prefix":            {"gluu_ui {\nlocal\npath_prefix gateway\n}", "path_prefix is a path"},
		"a prefix with dots":  {"gluu_ui {\nlocal\npath_prefix /a/../b\n}", "path_prefix is a path"},
		"a pattern":           {"gluu_ui {\nlocal\npath_prefix /a/*\n}", "path_prefix is a path"},
		"an empty prefix":     {"gluu_ui {\nlocal\npath_prefix \"\"\n}", "path_prefix is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(c.source); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// Where the pages would be open to anyone they do not load.
func TestSec_S402_S404_WhereThePagesDoNotLoad(t *testing.T) {
	const roles = "gluu_ui {\nroles {\nviewer true\n}\n}\n"
	for name, c := range map[string]struct{ site, body, want string }{
		"no login":                     {"http://127.0.0.1:PORT", "bind 127.0.0.1\n" + roles, "the site lets no one log in"},
		"local, on all addresses":      {"http://:PORT", "gluu_ui {\nlocal\n}\n", "the server listens on"},
		"local, under a loopback name": {"http://localhost:PORT", "gluu_ui {\nlocal\n}\n", "the server listens on"},
		"local, on 0.0.0.0":            {"http://127.0.0.1:PORT", "bind 127.0.0.1 0.0.0.0\ngluu_ui {\nlocal\n}\n", "the server listens on"},
		"local, on loopback":           {"http://127.0.0.1:PORT", "bind 127.0.0.1\ngluu_ui {\nlocal\n}\n", ""},
		"another handler's login":      {"http://127.0.0.1:PORT", "bind 127.0.0.1\nbasic_auth {\nann $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\n" + roles, "the site lets no one log in"},
	} {
		t.Run(name, func(t *testing.T) {
			caddytest.StopAfter(t)
			address := caddytest.FreeAddress(t)
			_, port, _ := strings.Cut(address, ":")
			site := strings.ReplaceAll(c.site, "PORT", port)
			err := caddytest.Run("{\n"+caddytest.Options(t.TempDir(), caddytest.FreeAddress(t))+"\n}\n"+site+" {\n"+c.body+"}\n", address)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
