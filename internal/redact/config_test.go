// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

// secretFields are places of a configuration that hold SECRET, by what they are of.
var secretFields = map[string]string{
	"client secret":             `{"apps": {"gluu": {"providers": {"a": {"client_secret": "SECRET"}}}}}`,
	"redis password":            `{"apps": {"gluu": {"redis": {"password": "SECRET"}}}}`,
	"address of a database":     `{"apps": {"gluu": {"store": {"module": "postgres", "url": "postgres://gateway:SECRET@db/gateway"}}}}`,
	"basic auth password":       `{"handler": "authentication", "providers": {"http_basic": {"accounts": [{"username": "a", "password": "SECRET"}]}}}`,
	"basic auth salt":           `{"accounts": [{"salt": "SECRET"}]}`,
	"bcrypt under any name":     `{"x": "$2a$14$SECRETSECRETSECRETSEC"}`,
	"argon2 under any name":     `{"x": "$argon2id$v=19$m=47104,t=1,p=1$SECRET"}`,
	"header to the upstream":    `{"handler": "reverse_proxy", "headers": {"request": {"set": {"Authorization": ["SECRET"]}}}}`,
	"header with another name":  `{"headers": {"request": {"add": {"X-Api-Key": ["SECRET"]}}}}`,
	"cookie header":             `{"request": {"set": {"Cookie": ["a=SECRET"]}}}`,
	"bearer under any name":     `{"headers": {"X-Upstream": ["Bearer SECRETSECRET"]}}`,
	"basic under any name":      `{"value": "Basic SECRETSECRET=="}`,
	"DNS provider":              `{"challenges": {"dns": {"provider": {"name": "cloudflare", "api_token": "SECRET"}}}}`,
	"external account":          `{"issuers": [{"module": "acme", "external_account": {"key_id": "k", "mac_key": "SECRET"}}]}`,
	"unknown handler":           `{"handler": "someone_elses", "colour": "SECRET"}`,
	"unknown module":            `{"module": "someone_elses", "deep": [{"list": ["SECRET"]}]}`,
	"lb cookie secret":          `{"selection_policy": {"policy": "cookie", "secret": "SECRET"}}`,
	"private key in PEM":        `{"x": "-----BEGIN EC PRIVATE KEY-----\nSECRET\n-----END EC PRIVATE KEY-----"}`,
	"private key by name":       `{"private_key": "SECRET"}`,
	"private JWK":               `{"jwks": {"keys": [{"kty": "EC", "d": "SECRETSECRETSECRET"}]}}`,
	"symmetric JWK":             `{"jwk": {"kty": "oct", "k": "SECRETSECRETSECRET"}}`,
	"JWK in a text":             `{"jwk": "{\"kty\": \"EC\", \"d\": \"SECRETSECRETSECRET\"}"}`,
	"JWT under any name":        `{"x": "eyJhbGciOiJFUzI1NiJ9.SECRET.sig"}`,
	"access token":              `{"access_token": "SECRET"}`,
	"refresh token":             `{"refresh_token": "SECRET"}`,
	"registration access token": `{"registration_access_token": "SECRET"}`,
	"api key":                   `{"api_key": "SECRET"}`,
	"apiKey":                    `{"apiKey": "SECRET"}`,
	"secret access key":         `{"secret_access_key": "SECRET"}`,
	"account key":               `{"account_key": "SECRET"}`,
	"encryption key":            `{"encryption_key": "SECRET"}`,
	"key":                       `{"key": "SECRET"}`,
	"passphrase":                `{"passphrase": "SECRET"}`,
	"dsn":                       `{"dsn": "SECRET"}`,
	"connection string":         `{"connection_string": "SECRET"}`,
	"user info of a proxy":      `{"forward_proxy_url": "http://me:SECRET@proxy:3128"}`,
	"query of an address":       `{"endpoint": "https://log.example.com/?api_key=SECRET"}`,
	"GitHub token":              `{"x": "ghp_SECRETSECRETSECRETSECRET"}`,
	"drawn text":                `{"x": "aB3dSECRETe5F6g7H8i9J0kL1m"}`,
	"list of secrets":           `{"secrets": ["SECRET", "SECRET"]}`,
	"number":                    `{"password": 4711, "x": "SECRET", "handler": "someone_elses"}`,
	"within a secret":           `{"credentials": {"a": {"b": "SECRET"}}}`,
	"embedded client":           `{"handler": "gluu_oauth_server", "clients": {"app": {"secret": "SECRET"}}}`,
}

func TestSec_S410_SecretsDoNotLeaveTheProcess(t *testing.T) {
	if len(secretFields) < 40 {
		t.Fatalf("%d fields are tried", len(secretFields))
	}
	for name, config := range secretFields {
		t.Run(name, func(t *testing.T) {
			shown, err := JSON("key", []byte(config))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(shown.Text, "SECRET") || strings.Contains(shown.Text, "4711") || !marker.MatchString(shown.Text) {
				t.Errorf("shown is %s", shown.Text)
			}
			if restored, err := shown.RestoreJSON([]byte(shown.Text)); err != nil || !isSame(t, restored, config) {
				t.Errorf("restored is %s, %v", restored, err)
			}
		})
	}
}

func isSame(t *testing.T, got []byte, want string) bool {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(a, b)
}

func TestWhatIsNoSecretIsShown(t *testing.T) {
	const config = `{"admin": {"listen": "localhost:2019"}, "apps": {"http": {"servers": {"srv0": {"listen": [":443"], "routes": [{"match": [{"host": ["api.example.com"]}], "handle": [
		{"handler": "gluu_oauth_pep", "rules": [{"path": "/todos/?", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}, "data": ["todos:read"]}}]}]},
		{"handler": "reverse_proxy", "upstreams": [{"dial": "127.0.0.1:9000"}]}]}]}}},
		"gluu": {"providers": {"a": {"issuer": "https://login.example.com/realms/a", "client_id": "gateway", "client_secret": "{env.SECRET}", "token_endpoint": "https://login.example.com/token"}},
		"consumers": [{"id": "8d6cb4e4-6f1b-4a6c-9a45-5b6c7c1c8b8e", "custom_id": "todo-app-client"}], "n": 12345678901234567890}}}`
	shown, err := JSON("key", []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	if marker.MatchString(shown.Text) || !isSame(t, []byte(shown.Text), config) || !strings.Contains(shown.Text, "12345678901234567890") {
		t.Errorf("got %s", shown.Text)
	}
}

// A marker that is moved elsewhere could be shown, or sent to someone, by what finds it
// there.
func TestSec_S410_AMarkerIsOnlyGoodWhereItWas(t *testing.T) {
	shown, err := JSON("key", []byte(`{"a": {"client_secret": "one"}, "b": {"client_secret": "one"}, "body": "text",
		"routes": [{"dial": "x"}, {"dial": "mine", "password": "two"}, {"dial": "y", "inner": [{"password": 7}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	markers := marker.FindAllString(shown.Text, -1)
	if len(markers) != 4 || markers[0] == markers[1] {
		t.Fatalf("got the markers %q, want four", markers)
	}
	a, b, two, seven := markers[0], markers[1], markers[3], markers[2]
	if shown.secrets[two].value != "two" {
		two, seven = seven, two
	}
	mine := fmt.Sprintf(`{"password": %q, "dial": "mine"}`, two)
	for name, c := range map[string]struct{ edited, want, problem string }{
		"other order":              {fmt.Sprintf(`{"b": {"client_secret": %q}, "new": 1}`, b), `{"b": {"client_secret": "one"}, "new": 1}`, ""},
		"a new secret":             {`{"a": {"client_secret": "two"}}`, `{"a": {"client_secret": "two"}}`, ""},
		"another member":           {fmt.Sprintf(`{"body": %q}`, a), "", "is the secret at /a/client_secret, not at /body"},
		"the same name elsewhere":  {fmt.Sprintf(`{"b": {"client_secret": %q}}`, a), "", "not at /b/client_secret"},
		"the same name above":      {fmt.Sprintf(`{"client_secret": %q}`, a), "", "not at /client_secret"},
		"within a text":            {fmt.Sprintf(`{"a": {"client_secret": "x%s"}}`, a), "", "stands for no secret"},
		"as a name":                {fmt.Sprintf(`{"a": {%q: 1}}`, a), "", "not the name of a member"},
		"invented":                 {`{"client_secret": "(secret 0123456789abcdef)"}`, "", "stands for no secret"},
		"not JSON":                 {"{\n  \"a\": 1,\n  b\n}", "", "line 3, column 3"},
		"more than one":            {`{} {}`, "", "something after"},
		"not at its end":           {`{"a": `, "", "line 1"},
		"value to list":            {fmt.Sprintf(`{"a": {"client_secret": [%q]}}`, a), "", "not at /a/client_secret/0"},
		"an element moves":         {`{"routes": [` + mine + `]}`, `{"routes": [{"dial": "mine", "password": "two"}]}`, ""},
		"an element is copied":     {`{"routes": [` + mine + `, ` + mine + `]}`, `{"routes": [{"dial": "mine", "password": "two"}, {"dial": "mine", "password": "two"}]}`, ""},
		"deep in one that moves":   {fmt.Sprintf(`{"routes": [{"dial": "y", "inner": [{"password": %q}]}]}`, seven), `{"routes": [{"dial": "y", "inner": [{"password": 7}]}]}`, ""},
		"changed where it is":      {`{"routes": [1, ` + strings.Replace(mine, "mine", "yours", 1) + `]}`, `{"routes": [1, {"dial": "yours", "password": "two"}]}`, ""},
		"moved and changed":        {`{"routes": [` + strings.Replace(mine, "mine", "yours", 1) + `]}`, "", "not at /routes/0/password"},
		"alone":                    {fmt.Sprintf(`{"routes": [{"dial": "x", "password": %q}]}`, two), "", "not at /routes/0/password"},
		"to another list":          {`{"others": [0, ` + mine + `]}`, "", "not at /others/1/password"},
		"a list becomes an object": {`{"routes": {"0": ` + mine + `}}`, "", "not at /routes/0/password"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := shown.RestoreJSON([]byte(c.edited))
			switch {
			case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
				t.Errorf("got %s %v, want %q", got, err, c.problem)
			case c.problem == "" && (err != nil || !isSame(t, got, c.want)):
				t.Errorf("got %s %v, want %s", got, err, c.want)
			}
		})
	}
}

func TestSec_S410_SecretsOfACaddyfile(t *testing.T) {
	const text = `{
	# the old one: client_secret "OLD-SECRET"
	gluu {
		provider a {
			issuer https://login.example.com
			client_secret SECRET-1 # of 2026
			client_id gateway
		}
		provider b {
			client_secret {env.SECRET}
			client_secret "SECRET \"2\""
		}
	}
	acme_dns cloudflare aB3dE4fG5h6I7j8K9l0M1n2O
}
example.com {
	basic_auth {
		ann $2a$14$SECRETSECRETSECRETSEC
	}
	reverse_proxy backend:80 {
		header_up Authorization "Bearer SECRET-3"
		header_up X-Api-Key SECRET-4
	}
	respond "token" 200
	redir 200
}
`
	shown, err := Caddyfile("key", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`[A-Z-]*SECRET[^}].*|aB3d`).FindAllString(shown.Text, -1); len(found) > 0 {
		t.Errorf("shows %q in %s", found, shown.Text)
	}
	for _, open := range []string{"{env.SECRET}", "client_id gateway", "ann (secret", "respond \"token\" (secret", "redir 200\n", "header_up X-Api-Key (secret"} {
		if !strings.Contains(shown.Text, open) {
			t.Errorf("%q is not shown in %s", open, shown.Text)
		}
	}
	restored, err := shown.RestoreCaddyfile(strings.Replace(shown.Text, "gateway", "other", 1))
	if err != nil || restored != strings.Replace(text, "gateway", "other", 1) {
		t.Errorf("got %s, %v", restored, err)
	}
	if _, err := shown.RestoreCaddyfile("a\nb (secret 0123456789abcdef)"); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("an invented marker: %v", err)
	}
}
