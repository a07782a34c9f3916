// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"slices"
	"testing"

	"github.com/caddy-gluu/gateway/internal/token"
)

func TestPermissionsOfAToken(t *testing.T) {
	for claims, want := range map[string][]string{ // nil: none; "!": an error
		`{"permissions":[{"resource_id":"r","resource_scopes":["a","b"]}]}`:                                                  {"a", "b"},
		`{"authorization":{"permissions":[{"rsid":"r","scopes":["a"]}]}}`:                                                    {"a"},
		`{"permissions":[{"resource_id":"r","scopes":["a"]}],"authorization":{"permissions":[{"rsid":"r","scopes":["b"]}]}}`: {"a", "b"},
		`{"permissions":[{"resource_id":"r","resource_scopes":[],"scopes":["a"]}]}`:                                          nil,
		`{"permissions":[{"resource_id":"r","resource_scopes":null,"scopes":["a"],"exp":null}]}`:                             {"a"},
		`{"permissions":[{"resource_id":"r","resource_scopes":["a"],"exp":0}]}`:                                              {"a"},
		`{"permissions":[{"resource_id":"r","resource_scopes":["a"],"exp":1000.5,"nbf":999}]}`:                               nil,
		`{"permissions":[{"resource_id":"r","resource_scopes":["a"],"exp":1001,"nbf":1000}]}`:                                {"a"},
		`{"permissions":[{"resource_id":"r","resource_scopes":["a"],"exp":"1001","nbf":"1000"}]}`:                            {"a"},
		`{"permissions":[{"resource_id":"r","resource_scopes":["a"],"exp":"1000"}]}`:                                         nil,
		`{"permissions":[{"resource_id":"r","resource_scopes":["a"],"exp":"-1"}]}`:                                           {"!"},
		`{"permissions":[{"resource_id":"r","resource_scopes":["a"],"exp":"1e9"}]}`:                                          {"!"},
		`{"permissions":[{"resource_id":"other","resource_scopes":["a"]}]}`:                                                  nil,
		`{"permissions":[{"resource_id":"r"}]}`:                                                                              nil,
		`{"permissions":null,"authorization":null}`:                                                                          nil,
		`{}`: nil,

		// Another name is another claim, whose value a user may have chosen.
		`{"Permissions":[{"resource_id":"r","resource_scopes":["a"]}]}`:                             nil,
		`{"permissions":[],"PERMISSIONS":[{"resource_id":"r","resource_scopes":["a"]}]}`:            nil,
		`{"Authorization":{"permissions":[{"rsid":"r","scopes":["a"]}]}}`:                           nil,
		`{"permissions":[{"resource_id":"r","resource_scopes":["a"],"exp":1,"EXP":0}]}`:             nil,
		`{"permissions":[{"resource_id":"x","Resource_Id":"r","resource_scopes":["a"]}]}`:           nil,
		`{"permissions":[{"resource_id":"r","resource_scopes":["a"],"Resource_Scopes":["a","b"]}]}`: {"a"},

		`{"permissions":[{"resource_id":"r","rsid":"q","scopes":["a"]}]}`:                     {"!"},
		`{"permissions":[{"scopes":["a"]}]}`:                                                  nil,
		`{"permissions":[{"rsid":"","scopes":["b"]},{"resource_id":"r","scopes":["a"]}]}`:     {"a"},
		`{"permissions":[{"scopes":["b"],"exp":"never"},{"resource_id":"r","scopes":["a"]}]}`: {"!"},
		`{"permissions":[{"resource_id":"r","scopes":["a"],"exp":"never"}]}`:                  {"!"},
		`{"permissions":[{"resource_id":"r","scopes":["a"],"exp":-1}]}`:                       {"!"},
		`{"permissions":[{"resource_id":"r","scopes":["a"],"nbf":1e300}]}`:                    {"!"},
		`{"permissions":[{"resource_id":"r","scopes":"a"}]}`:                                  {"!"},
		`{"permissions":[{"resource_id":"r","scopes":[1]}]}`:                                  {"!"},
		`{"permissions":[{"resource_id":7,"scopes":["a"]}]}`:                                  {"!"},
		`{"permissions":["a"]}`: {"!"},
		`{"permissions":"a"}`:   {"!"},
		`{"authorization":"x"}`: {"!"},
		`{"permissions":[{"resource_id":"r","scopes":["a"],"exp":1,"exp":2000}]}`: {"!"},
		`[]`: {"!"},
	} {
		all, err := permissionsOf(&token.Token{ClaimsJSON: claims})
		got, _ := all.scopes("r", 1000)
		if err != nil {
			got = []string{"!"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q %v, want %q", claims, got, err, want)
		}
	}
}

func FuzzPermissions(f *testing.F) {
	for _, seed := range []string{
		`{"permissions": [{"resource_id": "r", "resource_scopes": ["s"], "exp": 5}]}`,
		`{"authorization": {"permissions": [{"rsid": "r", "scopes": ["s"], "nbf": 1.5}]}}`,
		`{"permissions": [{"resource_id": "r", "rsid": "q"}]}`,
		`{"permissions": ["read"]}`, `{"permissions": {}}`, `[]`, `{"permissions": [{"exp": "1e400", "rsid": "r"}]}`,
	} {
		f.Add([]byte(seed), "r", int64(4))
	}
	f.Fuzz(func(t *testing.T, claims []byte, resource string, now int64) {
		all, err := permissionsOf(&token.Token{ClaimsJSON: string(claims)})
		if err != nil && all != nil {
			t.Fatal("an error with permissions")
		}
		if now < 0 || now > 1<<41 {
			return
		}
		scopes, until := all.scopes(resource, now)
		if len(scopes) > 0 && len(all[resource]) == 0 {
			t.Fatalf("scopes %q out of nothing", scopes)
		}
		if until != 0 && until <= now {
			t.Fatalf("valid until %d, which is not after %d", until, now)
		}
		// Until then nothing changes.
		if until > now+1 {
			if later, _ := all.scopes(resource, until-1); len(later) != len(scopes) {
				t.Fatalf("%q at %d, %q at %d, although nothing was to change before %d", scopes, now, later, until-1, until)
			}
		}
	})
}
