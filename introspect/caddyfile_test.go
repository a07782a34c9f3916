// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-gluu/gateway/internal/provider"
)

// adapt turns the inside of the option into the app's JSON.
func adapt(text string) (string, error) {
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	config, _, err := adapter.Adapt([]byte("{\n"+text+"\n}\n"), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return "", err
	}
	var parsed struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(config, &parsed); err != nil {
		return "", err
	}
	return string(parsed.Apps["gluu"]), nil
}

func TestCaddyfileOfTheApp(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"key.pem", "cert.pem", "cert-key.pem"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := adapt(`
	gluu {
		provider {
			op_url https://as.example
			client_id g
			client_secret {env.SECRET}
		}
		provider full {
			issuer https://as.example/realm
			client_id g
			client_auth private_key_jwt
			client_key key.pem my-key
			client_certificate cert.pem cert-key.pem
			verify introspection
			algorithms RS256 ES256
			audience a b
			audience c
			client_id_claims azp consumerKey
			grants scope
			grants resource_access["todo.api"].roles role:
			grants ["https://example.com/roles"] role:
			introspection_endpoint https://as.example/i
			jwks_uri https://as.example/k
			token_endpoint https://as.example/t
			revocation_endpoint https://as.example/r
			registration_endpoint https://as.example/reg
			endpoint_hosts other.example other.example:8443
			introspection_signed on
			dpop_nonce true
			trust_pool inline {
				trust_der abc
			}
			timeout 2s
			stale_if_error 1m
		}
		provider inside {
			issuer https://login.example/{tid}/v2.0
			issuers users-auth urn:old https://sts.example/{tid}/
			tenants 1f2e 3d4c
			discovery_url http://login.internal:8080/.well-known/openid-configuration
			insecure_hosts login.internal
			verify jwt
		}
		provider registering {
			issuer https://as.example
			register {
				initial_access_token t
				client_name "my gateway"
				scopes a b
			}
		}
		consumer alice {
			id 8a5ae2d6-6f6e-4a4f-9b0f-9a1b3c6d7e8f
			custom_id app
			tags gold new
			groups admins
			groups "night shift"
		}
		consumer bob {
			custom_id app inside
		}
		consumer carol
		cache {
			size 5000
			max_age 1m
			negative_age 5s
		}
		signing_key key.pem
		error_format caddy
	}`)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"providers":{
		"default":{"op_url":"https://as.example","client_id":"g","client_secret":"{env.SECRET}"},
		"full":{"issuer":"https://as.example/realm","client_id":"g","client_auth":"private_key_jwt","client_key":"key.pem","client_key_id":"my-key",
			"client_certificate":"cert.pem","client_certificate_key":"cert-key.pem","verify":"introspection","algorithms":["RS256","ES256"],
			"audience":["a","b","c"],"client_id_claims":["azp","consumerKey"],
			"grants":[{"claim":"scope"},{"claim":"resource_access[\"todo.api\"].roles","prefix":"role:"},{"claim":"[\"https://example.com/roles\"]","prefix":"role:"}],
			"introspection_endpoint":"https://as.example/i","jwks_uri":"https://as.example/k",
			"token_endpoint":"https://as.example/t","revocation_endpoint":"https://as.example/r","registration_endpoint":"https://as.example/reg",
			"endpoint_hosts":["other.example","other.example:8443"],"introspection_signed":true,"dpop_nonce":true,
			"trust_pool":{"provider":"inline","trusted_ca_certs":["abc"]},"timeout":2000000000,"stale_if_error":60000000000},
		"inside":{"issuer":"https://login.example/{tid}/v2.0","issuers":["users-auth","urn:old","https://sts.example/{tid}/"],"tenants":["1f2e","3d4c"],
			"discovery_url":"http://login.internal:8080/.well-known/openid-configuration","insecure_hosts":["login.internal"],"verify":"jwt"},
		"registering":{"issuer":"https://as.example","register":{"initial_access_token":"t","client_name":"my gateway","scopes":["a","b"]}}},
		"consumers":[{"id":"8a5ae2d6-6f6e-4a4f-9b0f-9a1b3c6d7e8f","username":"alice","custom_id":"app","tags":["gold","new"],"groups":["admins","night shift"]},{"username":"bob","custom_id":"app","provider":"inside"},{"username":"carol"}],
		"cache":{"size":5000,"max_age":60000000000,"negative_age":5000000000},
		"signing_key":"key.pem","error_format":"caddy"}`
	if !sameJSON(t, got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var values [2]any
	for i, text := range []string{a, b} {
		if err := json.Unmarshal([]byte(text), &values[i]); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return fmt.Sprint(values[0]) == fmt.Sprint(values[1])
}

func TestCaddyfileMayStandInParts(t *testing.T) {
	got, err := adapt("gluu {\nprovider a {\nissuer https://a.example\nverify jwt\n}\n}\ngluu {\nprovider b {\nissuer https://b.example\nverify jwt\n}\nconsumer c\n}")
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"providers":{"a":{"issuer":"https://a.example","verify":"jwt"},"b":{"issuer":"https://b.example","verify":"jwt"}},"consumers":[{"username":"c"}]}`; !sameJSON(t, got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Every refusal names the line, and says what to write instead.
func TestCaddyfileRefusals(t *testing.T) {
	tests := []struct {
		text string // one setting a line, inside "gluu {", which is line 2
		line int
		want string
	}{
		{"providers x", 3, "it has provider, consumer, cache"},
		{"provider {\nissuer https://as.example\nverify jwt\naudiences a\n}", 6, "it has algorithms, audience, client_auth"},
		{"consumer a {\ncustomid x\n}", 4, "id, custom_id, tags, groups"},
		{"cache {\nmaxage 1m\n}", 4, "size, max_age, negative_age"},
		{"provider {\nissuer https://as.example\nregister {\ntoken x\n}\n}", 6, "initial_access_token"},

		{"provider {\nclient_id g\n}", 3, "issuer <url>"},
		{"provider {\nissuer https://as.example\n}", 3, "client_id <id>"},
		{"provider a {\nissuer https://as.example\nverify jwt\n}\nprovider a {\nissuer https://b.example\nverify jwt\n}", 7, "another name"},
		{"provider a b {\nissuer https://as.example\nverify jwt\n}", 3, "one name"},
		{"provider a/b {\nissuer https://as.example\nverify jwt\n}", 3, "a/b"},
		{"provider {\nissuer http://as.example\nverify jwt\n}", 4, "https://"},
		{"provider {\nissuer https://a.example\nissuer https://b.example\nverify jwt\n}", 5, "twice"},
		{"provider {\nissuer https://a.example\nop_url https://a.example\nverify jwt\n}", 3, "op_url"},
		{"provider {\nissuer\nverify jwt\n}", 4, "issuer"},
		{"provider {\nissuer \"\"\nverify jwt\n}", 4, "empty"},
		{"provider {\nissuer https://a.example\nverify jwt both\n}", 5, "verify"},
		{"provider {\nissuer https://a.example\nverify sometimes\n}", 5, "auto, jwt or introspection"},
		{"provider {\nissuer https://a.example\nverify jwt\nalgorithms HS256\n}", 6, "HS256"},
		{"provider {\nissuer https://a.example\nverify jwt\nalgorithms\n}", 6, "algorithms"},
		{"provider {\nissuer https://a.example\nclient_id g\nclient_key\n}", 6, "client_key <file> [<kid>]"},
		{"provider {\nissuer https://a.example\nclient_id g\nclient_certificate c\n}", 6, "<key file>"},
		{"provider {\nissuer https://a.example\nverify jwt\ntimeout soon\n}", 6, "5s"},
		{"provider {\nissuer https://a.example\nverify jwt\ntimeout 0\n}", 6, "timeout"},
		{"provider {\nissuer https://a.example\nverify jwt\nstale_if_error -1s\n}", 6, "negative"},
		{"provider {\nissuer https://a.example\nverify jwt\nintrospection_signed yes\n}", 6, "true or false"},
		{"provider {\nissuer https://a.example\nverify jwt\ntrust_pool\n}", 6, "trust_pool file"},
		{"provider {\nissuer https://a.example\nverify jwt\ntrust_pool unheard_of\n}", 6, "trust_pool unheard_of: getting module"},
		{"provider {\nissuer https://a.example\nverify jwt\ntrust_pool file\n}", 6, "trust_pool file: no certificates specified"},
		{"provider {\nissuer https://a.example\nverify jwt\njwks_uri http://a.example\n}", 6, "jwks_uri"},

		{"provider {\nissuer https://a.example?x\nverify jwt\n}", 4, `issuer "https://a.example?x" has a query`},
		{"provider {\nverify jwt\nop_url http://a.example\n}", 5, `op_url "http://a.example" is not protected`},
		{"provider {\nissuer https://a.example\nclient_auth foo\nverify jwt\n}", 5, "client_auth is client_secret_basic"},
		{"provider {\nissuer https://a.example\nverify jwt\nalgorithms RS256\nalgorithms none\n}", 7, `algorithm "none" cannot be accepted`},
		{"provider {\nissuer https://a.example\naudience a \"\"\nverify jwt\n}", 5, "an audience cannot be empty"},
		{"provider {\nissuer https://a.example\nverify jwt\ntoken_endpoint /token\nendpoint_hosts a.example\n}", 6, `token_endpoint "/token" is not a URL`},
		{"provider {\nissuer https://a.example\nverify jwt\nendpoint_hosts https://b.example\n}", 6, "endpoint_hosts names hosts"},
		{"provider {\nissuer https://a.example\nverify jwt\nverify auto\n}", 6, "verify is set twice: keep one of them"},
		{"provider {\nissuer https://a.example\nverify jwt\ntimeout 2s\ntimeout 5m\n}", 7, "timeout is set twice"},
		{"provider {\nissuer https://a.example\nverify jwt\nstale_if_error 0\nstale_if_error 1h\n}", 7, "stale_if_error is set twice"},
		{"provider {\nissuer https://a.example\nverify jwt\ndpop_nonce false\ndpop_nonce true\n}", 7, "dpop_nonce is set twice"},
		{"provider {\nissuer https://a.example\nverify jwt\nintrospection_signed true\nintrospection_signed false\n}", 7, "introspection_signed is set twice"},
		{"provider {\nissuer https://a.example\nverify jwt\nclient_key {env.A}\nclient_key b c\n}", 7, "client_key is set twice"},
		{"provider {\nissuer https://a.example\nverify jwt\nclient_certificate {env.A} {env.B}\nclient_certificate c d\n}", 7, "client_certificate is set twice"},
		{"provider {\nissuer https://a.example\nverify jwt\ntrust_pool system\ntrust_pool system\n}", 7, "trust_pool is set twice"},
		{"provider {\nissuer https://a.example\nregister\nregister\n}", 6, "register is set twice"},

		{"provider {\nissuer https://a.example\nverify jwt\ngrants\n}", 6, "grants <claim path> [<prefix>]"},
		{"provider {\nissuer https://a.example\nverify jwt\ngrants a b c\n}", 6, "grants <claim path> [<prefix>]"},
		{"provider {\nissuer https://a.example\nverify jwt\ngrants roles \"\"\n}", 6, "prefix of grants roles is empty"},
		{"provider {\nissuer https://a.example\nverify jwt\ngrants a..b\n}", 6, `grants "a..b": a name in it is empty`},
		{"provider {\nissuer https://a.example\nverify jwt\ngrants https://a.example/roles\n}", 6, `["https://a.example/roles"]`},
		{"provider {\nissuer https://a.example\nverify jwt\ngrants roles \"my role\"\n}", 6, `prefix "my role" contains white space`},
		{"provider {\nissuer https://a.example\nverify jwt\ngrants roles r:\ngrants groups r:x\n}", 7, "begins with the other"},
		{"provider {\nissuer https://a.example\nverify jwt\ngrants roles\ngrants roles\n}", 7, "named twice"},
		{"provider {\nissuer https://a.example\nverify jwt\nclient_id_claims\n}", 6, "client_id_claims"},
		{"provider {\nissuer https://a.example\nverify jwt\nclient_id_claims azp \"\"\n}", 6, "one of them is empty"},
		{"provider {\nissuer https://a.example\nverify jwt\nclient_id_claims azp\nclient_id_claims azp\n}", 7, `"azp" twice`},

		{"provider {\nissuer users-auth\nverify jwt\n}", 4, "discovery_url <url>"},
		{"provider {\nissuer http://as.example/trust\nverify jwt\n}", 4, "'discovery_url <url>' or 'jwks_uri <url>'"},
		{"provider {\nissuer users-auth\nverify jwt\njwks_uri http://as.example/keys\n}", 6, "jwks_uri"},
		{"provider {\nissuer \"users auth\"\nverify jwt\njwks_uri https://as.example/keys\n}", 4, "white space"},
		{"provider {\nissuer https://a.example\nverify jwt\ndiscovery_url http://keycloak/x\n}", 6, "discovery_url"},
		{"provider {\nissuer https://a.example\nverify jwt\ndiscovery_url http://keycloak/x\ninsecure_hosts keycloak.example\n}", 6, "discovery_url"},
		{"provider {\nissuer https://a.example\nverify jwt\ndiscovery_url http://keycloak/x\ninsecure_hosts keycloak:8080\n}", 6, "discovery_url"},
		{"provider {\nissuer https://a.example\nverify jwt\ninsecure_hosts *\n}", 6, "insecure_hosts names hosts"},
		{"provider {\nissuer https://a.example\nverify jwt\ninsecure_hosts http://keycloak\n}", 6, "insecure_hosts names hosts"},
		{"provider {\nissuer https://a.example\nverify jwt\nissuers\n}", 6, "issuers"},
		{"provider {\nissuer https://a.example\nverify jwt\nissuers b https://a.example\n}", 6, "is an issuer already"},
		{"provider {\nissuer https://a.example\nverify jwt\nissuers https://b.example?x\n}", 6, "has a query"},
		{"provider {\nissuer https://a.example\nverify jwt\ntenants a\n}", 6, "tenants has no effect"},
		{"provider {\nissuer https://a.example/{tid}\nverify jwt\ntenants a\n}", 4, "is a pattern"},
		{"provider {\nissuer https://a.example/{tid}\nverify jwt\njwks_uri https://a.example/keys\n}", 3, "tenants <id>..."},
		{"provider {\nissuer https://a.example/{tid}/{app}\nverify jwt\njwks_uri https://a.example/keys\ntenants a\n}", 4, "several claims"},
		{"provider {\nissuer {iss}\nverify jwt\njwks_uri https://a.example/keys\ntenants *\n}", 4, "any issuer"},
		{"provider {\nissuer {tid}\nverify jwt\njwks_uri https://a.example/keys\ntenants *\n}", 4, "any issuer"},
		{"provider {\nissuer https://a.example/{tid}\nverify jwt\njwks_uri https://a.example/keys\ntenants * a\n}", 7, "leave out the others"},

		{"consumer", 3, "consumer <username>"},
		{"consumer a b", 3, "one username"},
		{"consumer a {\nid 5\n}", 4, "UUID"},
		{"consumer a {\ncustom_id\n}", 4, "custom_id takes a client id and perhaps the name of its provider, got 0 values"},
		{"consumer a {\ncustom_id b c d\n}", 4, "custom_id takes a client id and perhaps the name of its provider, got 3 values"},
		{"consumer a {\ncustom_id b \"\"\n}", 4, "custom_id is empty"},
		{"consumer a {\ncustom_id b\ncustom_id c\n}", 5, "custom_id is set twice: write one consumer for each client"},
		{"consumer a {\ncustom_id b p\n}\nconsumer b {\ncustom_id b p\n}", 6, `the same custom_id "b"`},
		{"consumer a {\ncustom_id b\ntags a \"\"\n}", 5, "tags contain an empty one"},
		{"consumer a {\ncustom_id b\ngroups a,b\n}", 5, "a comma separates groups"},
		{"consumer a {\ncustom_id b\ngroups a\ngroups a\n}", 6, "groups contain \"a\" twice"},
		{"consumer \" a\" {\ncustom_id b\n}", 3, "username begins or ends with white space"},
		{"consumer a\nconsumer a\nconsumer b", 4, `consumers "a" and "a" have the same username`},
		{"consumer a {\ncustom_id x\n}\nconsumer b {\ncustom_id x\n}\nconsumer c", 6, `the same custom_id "x"`},
		{"consumer a\nconsumer b\n}\ngluu {\nconsumer c\nconsumer b\nconsumer d", 8, `the same username "b"`},

		{"cache 5", 3, "block"},
		{"cache {\nsize 0\n}", 4, "at least 1"},
		{"cache {\nsize -5\n}", 4, "at least 1"},
		{"cache {\nsize many\n}", 4, "at least 1"},
		{"cache {\nmemory lots\n}", 4, "memory is a size such as 256MiB"},
		{"cache {\nmemory 10\n}", 4, "1 MiB"},
		{"cache {\nmax_age 0\n}", 4, "max_age"},
		{"cache {\nnegative_age -1s\n}", 4, "negative"},
		{"cache {\nsize 500000000\nmax_age 1m\n}", 4, "size can be 100000000 at most"},
		{"cache {\nredis_key short\nredis redis://a.example\n}", 4, "5 bytes, 32 are needed"},
		{"cache {\nredis ftp://a.example\nmax_age 1m\n}", 4, "one of the schemes"},
		{"cache {\nsize 5\nredis redis://a.example\n}", 6, "write 'redis_key"},
		{"cache {\nsize 5\nsize 6\n}", 5, "size is set twice"},
		{"cache {\nsize 5\n}\ncache {\nsize 6\n}", 7, "size is set twice"},
		{"cache {\nmax_age 1m\nmax_age 1d\n}", 5, "max_age is set twice"},
		{"cache {\nnegative_age 1m\nnegative_age 1d\n}", 5, "negative_age is set twice"},
		{"cache {\nredis redis://a.example\nredis redis://b.example\n}", 5, "redis is set twice"},
		{"cache {\nredis_key {env.A}\nredis_key {env.B}\n}", 5, "redis_key is set twice"},
		{"error_format xml", 3, "json or caddy"},
		{"error_format json\nerror_format json", 4, "twice"},
		{"signing_key", 3, "signing_key"},
		{"signing_key {env.A}\nsigning_key {env.B}", 4, "signing_key is set twice"},
		{"error_format json\nsigning_key /nonexistent/key.pem", 4, `signing_key: the file "/nonexistent/key.pem" cannot be read`},
		{"provider {\nissuer https://as.example\nclient_key /nonexistent/key.pem\n}", 5, `client_key: the file "/nonexistent/key.pem" cannot be read`},
		{"provider {\nclient_certificate /nonexistent/cert.pem /nonexistent/key.pem\n}", 4, `client_certificate: the file "/nonexistent/cert.pem" cannot be read`},
		{"provider {\nissuer https://as.example/realm/.well-known/openid-configuration\n}", 4, `write "https://as.example/realm"`},
		{"signing_rotation 30d\nsigning_rotation 90d", 4, "signing_rotation is set twice"},
		{"signing_rotation 0\nsigning_rotation 90d", 4, "signing_rotation is set twice"},
		{"signing_rotation 30d\n}\ngluu {\nsigning_rotation 90d", 6, "signing_rotation is set twice"},
	}
	for _, test := range tests {
		_, err := adapt("gluu {\n" + test.text + "\n}")
		if err == nil {
			t.Errorf("%q: taken", test.text)
			continue
		}
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %q, which does not say %q", test.text, err, test.want)
		}
		if want := fmt.Sprintf("Caddyfile:%d", test.line); !strings.HasSuffix(err.Error(), want) || strings.Count(err.Error(), "Caddyfile:") > 1 {
			t.Errorf("%q: got %q, which does not name %s once, in the end", test.text, err, want)
		}
	}
}

// What may be a secret is not repeated in an error.
func TestCaddyfileErrorsTellNoSecrets(t *testing.T) {
	for _, text := range []string{
		"client_secret s3cret-a s3cret-b",
		"client_secret s3cret-a\nclient_secret s3cret-b",
		"register s3cret-a",
		"register {\ninitial_access_token s3cret-a s3cret-b\n}",
		"client_secret s3cret-a\nclient_auth client_secret_jwt\nclient_id g",
		"client_secret s3cret-a\nclient_auth none\nclient_id g",
	} {
		_, err := adapt("gluu {\nprovider {\nissuer https://as.example\n" + text + "\n}\n}")
		if err == nil || strings.Contains(err.Error(), "s3cret-") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// FuzzCaddyfile looks for panics, and for configurations that are taken from
// the Caddyfile and then not understood.
func FuzzCaddyfile(f *testing.F) {
	for _, seed := range []string{
		"gluu {\nprovider {\nissuer https://as.example\nverify jwt\n}\n}",
		"gluu {\nprovider a {\nissuer https://as.example\nclient_id g\nclient_secret s\naudience a b\ntimeout 5s\n}\nconsumer c {\ncustom_id x\n}\n}",
		"gluu {\ncache {\nsize 5\nmax_age 1h\n}\nerror_format caddy\n}",
		"gluu {\nprovider {\nissuer https://as.example\nregister {\nscopes a b\n}\n}\n}",
		"gluu {\nprovider {\nissuer {\n}\n}\n}",
		"gluu",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte(text), "Caddyfile")
		if err != nil || len(tokens) == 0 {
			return
		}
		app := new(App)
		if app.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)) != nil {
			return
		}
		for name, p := range app.Providers {
			if err := p.Check(); err != nil {
				t.Errorf("provider %s was taken and is refused: %v", name, err)
			}
			if err := provider.CheckName(name); err != nil {
				t.Error(err)
			}
		}
		encoded, err := json.Marshal(app)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(encoded, new(App)); err != nil {
			t.Errorf("%s: %v", encoded, err)
		}
	})
}
