// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/kongconfig"
)

const withTokens = `_format_version: "3.0"
services:
- {id: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a01, name: steps, url: "http://h"}
- {id: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a02, name: other, url: "http://h", plugins: [{name: oauth2, config: {enable_client_credentials: true, refresh_token_ttl: 60}}]}
consumers:
- username: tracker
  oauth2_credentials:
  - {id: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a03, name: Tracker, client_id: tracker-app, client_secret: an-invented-secret-0123456789}
plugins:
- {name: oauth2, config: {enable_client_credentials: true, global_credentials: true, refresh_token_ttl: 600}}
oauth2_tokens:
- `

func TestTokens(t *testing.T) {
	client := kongconfig.Credential{ClientID: "tracker-app"}
	const steps, other = "5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a01", "5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a02"
	for _, test := range []struct {
		name, token string
		want        kongconfig.Token
	}{
		{
			"as kong config db_export writes it",
			`{id: a, credential: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a03, service: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a01, access_token: abc, token_type: bearer, expires_in: 7200, created_at: 1700000000, ttl: ~, refresh_token: def, scope: a b, authenticated_userid: ann}`,
			kongconfig.Token{Credential: client, Service: &kongconfig.Service{ID: steps}, AccessToken: "abc", RefreshToken: "def", Scope: "a b", UserID: "ann", CreatedAt: 1700000000, ExpiresIn: 7200, RefreshExpiresIn: 600},
		},
		{
			"of a service with a plugin of its own", `{credential: {id: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a03}, service: {name: other}, access_token: abc, expires_in: 7200, created_at: 1700000000, refresh_token: def}`,
			kongconfig.Token{Credential: client, Service: &kongconfig.Service{ID: other}, AccessToken: "abc", RefreshToken: "def", CreatedAt: 1700000000, ExpiresIn: 7200, RefreshExpiresIn: 60},
		},
		{
			"of all services, in milliseconds", `{credential: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a03, access_token: abc, expires_in: 7200, created_at: 1700000000000}`,
			kongconfig.Token{Credential: client, AccessToken: "abc", CreatedAt: 1700000000, ExpiresIn: 7200},
		},
		{
			"that never expires", `{credential: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a03, access_token: "123", expires_in: 0}`,
			kongconfig.Token{Credential: client, AccessToken: "123"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, warnings, err := kongconfig.Adapter{}.Tokens([]byte(withTokens+test.token+"\n"), "kong.yml")
			test.want.Line = 12
			if err != nil || len(warnings) > 0 || len(got) != 1 || !reflect.DeepEqual(got[0], test.want) {
				t.Errorf("got %+v, %v, %v, want %+v", got, warnings, err, test.want)
			}
		})
	}
	nested := `{_format_version: "3.0", consumers: [{username: c, oauth2_credentials: [{name: n, client_id: x, client_secret: s, oauth2_tokens: [{access_token: abc, expires_in: 0}]}]}]}`
	if got, _, err := (kongconfig.Adapter{}).Tokens([]byte(nested), ""); err != nil || len(got) != 1 || got[0].Credential.ClientID != "x" {
		t.Errorf("below its credential: got %+v, %v", got, err)
	}
}

// All tokens that cannot be imported are named at once, and none is shown.
func TestRefusedTokens(t *testing.T) {
	const reference = "credential: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a03"
	for token, want := range map[string]string{
		`{access_token: hidden, expires_in: 1, created_at: 1}`:                            "kong.yml:12: oauth2_token \"#1\": credential: is required",
		`{credential: nobody, access_token: hidden, expires_in: 1, created_at: 1}`:        `there is no "nobody" among the oauth2_credentials`,
		`{` + reference + `, service: s, access_token: hidden, expires_in: 0}`:            `there is no "s" among the services`,
		`{` + reference + `, refresh_token: hidden, expires_in: 0}`:                       "access_token: is required",
		`{` + reference + `, access_token: hidden, created_at: 1}`:                        "expires_in: is required",
		`{` + reference + `, access_token: hidden, expires_in: 1}`:                        "created_at: is required: without it an expired token would be good again",
		`{` + reference + `, access_token: hidden, expires_in: soon, created_at: 1}`:      `expires_in: "soon" is not a whole number`,
		`{` + reference + `, access_token: hidden, expires_in: 0, token_type: mac}`:       `there is no "mac"`,
		`{` + reference + `, access_token: hidden, expires_in: 0, colour: red}`:           "colour: this field is not known",
		`{access_token: hidden, expires_in: 0}` + "\n- {access_token: h2, expires_in: 0}": "kong.yml:13: ",
	} {
		_, _, err := kongconfig.Adapter{}.Tokens([]byte(withTokens+token+"\n"), "/a/kong.yml")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: got %v, want %q", token, err, want)
		}
	}
}

// The adapter leaves tokens out, and says once what to do.
func TestTheAdapterLeavesTokensOut(t *testing.T) {
	token := `{credential: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a03, access_token: hidden-token, expires_in: 0}`
	config, warnings, err := adapt(t, withTokens+token+"\n- "+token+"\n", nil)
	if err != nil || strings.Contains(string(config), "hidden-token") {
		t.Fatalf("got %s, %v", config, err)
	}
	if said := fmt.Sprint(warnings); strings.Count(said, "caddy gluu import-tokens") != 1 || strings.Contains(said, "hidden-token") {
		t.Errorf("got %s", said)
	}
}
