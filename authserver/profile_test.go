// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"encoding/json"
	"go/build"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func profileFile(profile, more string) string {
	return "gluu_oauth_server {\nissuer https://api.example.com\nscopes read\n" + more + "\nprofile kong {\n" + profile + "\n}\n}"
}

func TestProfileInACaddyfile(t *testing.T) {
	s := new(Server)
	err := s.UnmarshalCaddyfile(caddyfile.NewTestDispenser(profileFile(`provision_key `+testHash+` {env.SECOND}
		mandatory_scope
		grants authorization_code password
		pkce strict
		auth_header X-Client
		realm steps
		token_expiration 1h
		refresh_token_ttl 0
		reuse_refresh_token true
		accept_http_if_already_terminated
		responses kong`, "legacy password")))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(s.Profile)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"kong","provision_key":["` + testHash + `","{env.SECOND}"],"mandatory_scope":true,"grants":["authorization_code","password"],"pkce":"strict","auth_header":"X-Client","realm":"steps","token_expiration":3600000000000,"refresh_token_ttl":0,"reuse_refresh_token":true,"accept_http_if_already_terminated":true,"responses":"kong"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestProfilesThatAreRefused(t *testing.T) {
	for _, test := range []struct{ profile, more, want string }{
		{"grants password", "", "write 'legacy password'"},
		{"grants implicit", "legacy password", "write 'legacy implicit'"},
		{"pkce none\nresponses rfc", "", "pkce none and responses rfc exclude each other"},
		{"pkce some", "", "none, lax"},
		{"provision_key secret", "", "hash-secret"},
		{"anonymous guest", "", "write 'anonymous <consumer>' into gluu_oauth_auth"},
		{"hide_credentials", "", "write 'pass_credentials hide' into gluu_oauth_auth"},
		{"token_expiration 1ms", "", "1s or more"},
		{"mandatory_scope\nmandatory_scope", "", "twice"},
		{"other", "", `there is no "other" in profile kong`},
		{"", "token_format jwt", "remove 'token_format jwt'"},
		{"", "consent_page", "remove 'login' and 'consent_page'"},
		{"", "pkce all", "write it into the block of the profile"},
		{"", "refresh_token {\nidle 1h\n}", "write refresh_token_ttl and reuse_refresh_token into the block of the profile"},
		{"", "pushed_authorization required", "profile kong does not know pushed_authorization: remove it"},
		{"", "registration {\nopen\n}", "profile kong does not know registration: remove it"},
		{"", "client_metadata_documents *", "profile kong does not know client_metadata_documents: remove it"},
		{"", "profile gluu", `there is no profile "gluu"`},
		{"", "profile", "write 'profile kong'"},
	} {
		err := new(Server).UnmarshalCaddyfile(caddyfile.NewTestDispenser(profileFile(test.profile, test.more)))
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "Testfile:") {
			t.Errorf("%s %s: got %v, want %q with the line", test.profile, test.more, err, test.want)
		}
	}
	config := testConfig()
	config.Legacy = []string{"password"}
	if _, err := tryStart(t, config, t.TempDir()); err == nil || !strings.Contains(err.Error(), "legacy password is served with 'profile kong' only") {
		t.Errorf("password without the profile: got %v", err)
	}
}

// Each grant that the profile can have loads, with the word of legacy that it needs.
func TestProfilesThatLoad(t *testing.T) {
	for _, test := range []struct{ profile, more string }{
		{"", ""},
		{"grants client_credentials", ""},
		{"grants implicit", "legacy implicit"},
		{"grants authorization_code implicit client_credentials password", "legacy implicit password query_credentials query_token http_redirects"},
		{"grants implicit\nresponses rfc", "legacy implicit"},
		{"pkce none\ntoken_expiration 0", ""},
	} {
		if err := new(Server).UnmarshalCaddyfile(caddyfile.NewTestDispenser(profileFile(test.profile, test.more))); err != nil {
			t.Errorf("%s, %s: %v", test.profile, test.more, err)
		}
	}
}

// What is Kong's stays in its codec: the core and the standards know nothing of it.
func TestOnlyTheServerKnowsTheCodecOfKong(t *testing.T) {
	const kong = "github.com/caddy-gluu/gateway/authserver/kong"
	for _, dir := range []string{"rfc", "../internal/authcore", "../internal/clientauth"} {
		pkg, err := build.Default.ImportDir(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range pkg.Imports {
			if imported == kong {
				t.Errorf("%s imports %s", dir, kong)
			}
		}
	}
	codec, err := build.Default.ImportDir("kong", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, imported := range codec.Imports {
		if strings.HasSuffix(imported, "/authserver/rfc") || strings.HasSuffix(imported, "/internal/store") {
			t.Errorf("the codec of Kong imports %s: it acts through the core", imported)
		}
	}
}
