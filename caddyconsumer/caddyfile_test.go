// SPDX-License-Identifier: Apache-2.0

package caddyconsumer

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestCaddyfile(t *testing.T) {
	var a ACL
	err := a.UnmarshalCaddyfile(caddyfile.NewTestDispenser("gluu_acl {\nallow a b\nallow c\nhide_groups_header\ndry_run true\nid groups\n}"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(&a)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"@id":"groups","allow":["a","b","c"],"hide_groups_header":true,"dry_run":true}`; string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWhatCannotBeRightIsRefused(t *testing.T) {
	for block, want := range map[string]string{
		"":                                     "gluu_acl needs groups: write 'allow <group>...' or 'deny <group>...' into its block, at Testfile:1",
		"hide_groups_header":                   "gluu_acl needs groups",
		"allow a\ndeny b":                      "allow and deny exclude each other: with allow, every other group is denied; keep one of the two, at Testfile:1",
		"allow":                                "Testfile:2",
		"deny":                                 "Testfile:2",
		`allow a ""`:                           "allow: groups contain an empty one, at Testfile:2",
		"allow a\nallow a":                     `allow: the group "a" is named twice: keep one of them, at Testfile:3`,
		"deny a,b":                             `deny: groups contain "a,b", but a comma separates groups`,
		"deny {http.request.header.X}":         `placeholders are not replaced in groups, got "{http.request.header.X}"`,
		"allow a\nhide_groups_header perhaps":  "Testfile:3",
		"allow a\ndry_run on\ndry_run":         "dry_run is set twice",
		"allow a\nhide_groups_header\nid a/b":  "cannot be a part of an address",
		"allow a\nwhitelist b":                 `there is no "whitelist" in gluu_acl: it has allow, deny, hide_groups_header, dry_run, id, at Testfile:3`,
		"allow a\nhide_groups_header\nallow a": "named twice",
	} {
		t.Run(block, func(t *testing.T) {
			err := new(ACL).UnmarshalCaddyfile(caddyfile.NewTestDispenser("gluu_acl {\n" + block + "\n}"))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
	if err := new(ACL).UnmarshalCaddyfile(caddyfile.NewTestDispenser("gluu_acl admins")); err == nil || !strings.Contains(err.Error(), "write 'allow admins' into the block") {
		t.Errorf("got %v", err)
	}
}

func FuzzCaddyfile(f *testing.F) {
	for _, seed := range []string{"gluu_acl {\nallow a b\nhide_groups_header\n}", "gluu_acl {\ndeny \"a b\"\ndry_run false\nid x\n}", "gluu_acl x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a := new(ACL)
		if a.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)) == nil && a.check() != nil {
			t.Errorf("%q was read and is refused when it loads", text)
		}
	})
}
