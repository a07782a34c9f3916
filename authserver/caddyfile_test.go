// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/directive"
)

var testHash = cheapHash("s3cret")

func TestCaddyfileFillsTheJSON(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, caddyfile, json string
	}{
		{
			"the smallest",
			`gluu_oauth_server {
				issuer https://as.example.com
				client gateway {
					secret HASH
				}
			}`,
			`{"issuer": "https://as.example.com", "clients": {"gateway": {"secret": "HASH"}}}`,
		},
		{
			"everything",
			`gluu_oauth_server {
				client app {
					secret HASH
					grants client_credentials
					scopes todos:read todos:write
					token_format jwt
				}
				client gateway {
					secret {env.GATEWAY_SECRET}
				}
				issuer {env.ISSUER}
				scopes todos:read todos:write admin
				token_ttl 15m
				token_format opaque
				storage embedded {
					path /var/lib/gluu/tokens.db
					max_tokens_per_client 5000
				}
			}`,
			`{
				"issuer": "{env.ISSUER}", "scopes": ["todos:read", "todos:write", "admin"],
				"token_ttl": 900000000000, "token_format": "opaque",
				"clients": {
					"app": {"secret": "HASH", "grants": ["client_credentials"], "scopes": ["todos:read", "todos:write"], "token_format": "jwt"},
					"gateway": {"secret": "{env.GATEWAY_SECRET}"}
				},
				"storage": {"module": "embedded", "path": "/var/lib/gluu/tokens.db", "max_tokens_per_client": 5000}
			}`,
		},
		{
			"storage without options",
			`gluu_oauth_server {
				issuer http://localhost:8080
				client gateway {
					secret HASH
				}
				storage embedded
			}`,
			`{"issuer": "http://localhost:8080", "clients": {"gateway": {"secret": "HASH"}}, "storage": {"module": "embedded"}}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			hashed := func(s string) string { return strings.ReplaceAll(s, "HASH", testHash) }
			s := new(Server)
			if err := s.UnmarshalCaddyfile(caddyfile.NewTestDispenser(hashed(test.caddyfile))); err != nil {
				t.Fatal(err)
			}
			encoded, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := json.Unmarshal(encoded, &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(hashed(test.json)), &want); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %s\nwant %s", encoded, test.json)
			}
		})
	}
}

func TestCaddyfileMistakesAreNamedWithLineAndRemedy(t *testing.T) {
	t.Parallel()
	const client = "client a {\n secret HASH\n}"
	tests := []struct {
		name, block string
		line        string
		want        []string
	}{
		{"nothing", "", ":3", []string{"issuer is missing", "write 'issuer https://<host>'"}},
		{"an unknown option", "issuer https://a.example\nnonsense 1", ":3", []string{`there is no "nonsense"`, "issuer, scopes, scope, resources, token_ttl"}},
		{"an option twice", "issuer https://a.example\nissuer https://b.example", ":3", []string{"issuer is set twice: keep one of them"}},
		{"an issuer that is not protected", "issuer http://a.example", ":2", []string{"not protected", "https://"}},
		{"two issuers", "issuer https://a.example https://b.example", ":2", []string{"issuer takes exactly one value"}},
		{"scopes without any", "issuer https://a.example\nscopes", ":3", []string{"scopes takes one or more values"}},
		{"a scope with a quote", "issuer https://a.example\nscopes `a\"b`", ":3", []string{`"a\"b"`, "RFC 6749"}},
		{"a lifetime of nothing", "issuer https://a.example\ntoken_ttl 0", ":3", []string{"token_ttl is 0", "at least 1s"}},
		{"a negative lifetime", "issuer https://a.example\ntoken_ttl -1h", ":3", []string{"cannot be negative"}},
		{"no lifetime", "issuer https://a.example\ntoken_ttl soon", ":3", []string{"token_ttl is a duration"}},
		{"an unknown format", "issuer https://a.example\ntoken_format saml", ":3", []string{`opaque or jwt, not "saml"`}},
		{"a client without a name", "issuer https://a.example\nclient {\n}", ":3", []string{"exactly one client_id"}},
		{"a client with a space", "issuer https://a.example\nclient `a b` {\n}", ":3", []string{"printable ASCII"}},
		{"a client twice", "issuer https://a.example\n" + client + "\n" + client, ":6", []string{`client "a" is given twice`}},
		{"a client without a secret", "issuer https://a.example\nclient a {\n}", ":4", []string{"no secret", "caddy gluu hash-secret"}},
		{"a secret in the clear", "issuer https://a.example\nclient a {\n secret hunter2\n}", ":4", []string{"not an argon2id, bcrypt or PBKDF2-SHA512 hash", "caddy gluu hash-secret"}},
		{"a secret with a space", "issuer https://a.example\nclient a {\n secret hunter2 hunter2\n}", ":4", []string{"caddy gluu hash-secret"}},
		{"an unknown option of a client", "issuer https://a.example\nclient a {\n secret HASH\n colour red\n}", ":5", []string{`there is no "colour"`}},
		{"authorization_code", "issuer https://a.example\nclient a {\n secret HASH\n grants client_credentials authorization_code\n}", ":5", []string{`grant "authorization_code" needs a user who consents`, "consent_page"}},
		{"refresh_token", "issuer https://a.example\nclient a {\n secret HASH\n grants refresh_token\n}", ":5", []string{`grant "refresh_token" needs a user who consents`}},
		{"redirect_uris", "issuer https://a.example\nclient a {\n secret HASH\n redirect_uris https://c.example\n}", ":5", []string{"redirect_uris belongs to the grant authorization_code"}},
		{"a scope that the server does not have", "issuer https://a.example\nscopes x\nclient a {\n secret HASH\n grants client_credentials\n scopes x y\n}", ":7", []string{`client "a"`, "scope \"y\" is not among the scopes of the server"}},
		{"scopes without a grant", "issuer https://a.example\nscopes x\nclient a {\n secret HASH\n scopes x\n}", ":6", []string{"no grant to get them by"}},
		{"storage without a name", "issuer https://a.example\nstorage", ":3", []string{"storage embedded"}},
		{"unknown storage", "issuer https://a.example\nstorage cloud", ":3", []string{`storage has no engine "cloud": write one of embedded, postgres, redis`}},
		{"an unknown option of the storage", "issuer https://a.example\nstorage embedded {\n size 1\n}", ":4", []string{`there is no "size"`, "path, max_tokens_per_client"}},
		{"a limit of nothing", "issuer https://a.example\nstorage embedded {\n max_tokens_per_client 0\n}", ":4", []string{"at least 1, not \"0\""}},
		{"pkce without people", "issuer https://a.example\n" + client + "\npkce all", ":6", []string{"pkce is about consent", "consent_page"}},
		{"refresh tokens without people", "issuer https://a.example\n" + client + "\nrefresh_token {\n idle 1h\n}", ":6", []string{"refresh_token is about consent"}},
		{"pushed requests without people", "issuer https://a.example\n" + client + "\npushed_authorization required", ":6", []string{"pushed_authorization is about consent"}},
		{"legacy implicit without people", "issuer https://a.example\n" + client + "\nlegacy implicit", ":6", []string{"legacy implicit is about consent"}},
		{"legacy password without the profile", "issuer https://a.example\n" + client + "\nlegacy password", ":6", []string{"'profile kong' only"}},
		{"two ways to ask", "issuer https://a.example\nconsent_page\nlogin https://l.example {\n secret HASH\n}", ":4", []string{"two ways to ask people"}},
		{"registration without people", "issuer https://a.example\nregistration {\n open\n}", ":3", []string{"registration is about consent"}},
		{"registration of no one", "issuer https://a.example\nconsent_page\nregistration {\n max 5\n}", ":4", []string{"write 'token <hash>'"}},
		{"registration of anyone, with tokens", "issuer https://a.example\nconsent_page\nregistration {\n open\n token HASH\n}", ":4", []string{"open and has tokens"}},
		{"registration with an unknown scope", "issuer https://a.example\nconsent_page\nregistration {\n open\n scopes x\n}", ":4", []string{`scope "x" is not among`}},
		{"a host that is an address", "issuer https://a.example\nconsent_page\nregistration {\n open\n redirect_hosts https://x.example\n}", ":6", []string{`"https://x.example" is not a host`, "*.example.com"}},
		{"a host with a wildcard inside", "issuer https://a.example\nconsent_page\nclient_metadata_documents a*.example", ":4", []string{`"a*.example" is not a host`}},
		{"a host with a port", "issuer https://a.example\nconsent_page\nclient_metadata_documents a.example:8443", ":4", []string{"is not a host"}},
		{"a storage argument", "issuer https://a.example\nstorage embedded /tmp/x", ":3", []string{"path /tmp/x"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			block := strings.ReplaceAll(test.block, "HASH", testHash)
			d := caddyfile.NewTestDispenser("gluu_oauth_server {\n" + block + "\n}")
			err := new(Server).UnmarshalCaddyfile(d)
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), "Testfile"+test.line) {
				t.Errorf("got %v, want line %s", err, test.line)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
	if err := new(Server).UnmarshalCaddyfile(caddyfile.NewTestDispenser("gluu_oauth_server https://a.example")); err == nil || !strings.Contains(err.Error(), "write 'issuer https://a.example'") {
		t.Errorf("an argument: got %v", err)
	}
}

// What JSON can say and a Caddyfile cannot, and what placeholders stand for.
func TestConfigurationMistakesAreRefusedWhenItLoads(t *testing.T) {
	t.Setenv("TEST_EMPTY", "")
	t.Setenv("TEST_PLAIN", "hunter2")
	t.Setenv("TEST_HASH", cheapHash("from-env"))
	t.Setenv("TEST_ISSUER", "https://env.example.com")
	tests := []struct {
		name   string
		change func(*Server)
		want   string // part of the error; empty: accepted
	}{
		{"as it is", func(*Server) {}, ""},
		{"hash and issuer from the environment", func(s *Server) { s.Issuer = "{env.TEST_ISSUER}"; s.Clients["app"].Secret = "{env.TEST_HASH}" }, ""},
		{"no issuer", func(s *Server) { s.Issuer = "" }, "issuer is missing"},
		{"an issuer from nowhere", func(s *Server) { s.Issuer = "{env.TEST_EMPTY}" }, "nothing"},
		{"an issuer from the request", func(s *Server) { s.Issuer = "https://{http.request.host}" }, "{http.request.host}"},
		{"no clients", func(s *Server) { s.Clients = nil }, "no client is configured"},
		{"no clients, and no other server that has some", func(s *Server) { s.Clients, s.Service = nil, "a" }, "no client is configured"},
		{"a host that is not one", func(s *Server) {
			s.ConsentPage = new(ConsentPage)
			s.ClientMetadataDocuments = []string{"https://x.example"}
		}, "is not a host"},
		{"keys at an address without https", func(s *Server) {
			s.Clients["app"] = &Client{Auth: "private_key_jwt", JWKS: "http://x.example/jwks", Grants: []string{"client_credentials"}}
		}, "neither a file nor an https address"},
		{"a client of null", func(s *Server) { s.Clients["app"] = nil }, "no secret"},
		{"a client without a name", func(s *Server) { s.Clients[""] = s.Clients["app"] }, "1 to 255"},
		{"a secret from nowhere", func(s *Server) { s.Clients["app"].Secret = "{env.TEST_EMPTY}" }, "nothing"},
		{"a secret in the clear from the environment", func(s *Server) { s.Clients["app"].Secret = "{env.TEST_PLAIN}" }, "caddy gluu hash-secret"},
		{"a secret from the request", func(s *Server) { s.Clients["app"].Secret = "{http.request.header.X}" }, "{http.request.header.X}"},
		{"a grant that is not served", func(s *Server) { s.Clients["app"].Grants = []string{"implicit"} }, "legacy implicit"},
		{"redirect_uris", func(s *Server) { s.Clients["app"].RedirectURIs = []string{"https://x.example"} }, "redirect_uris belongs to"},
		{"a scope twice", func(s *Server) { s.Scopes = append(s.Scopes, "admin") }, `"admin" is given twice`},
		{"an empty scope", func(s *Server) { s.Scopes = append(s.Scopes, "") }, "a scope is empty"},
		{"a scope of a client twice", func(s *Server) { s.Clients["jwt-app"].Scopes = []string{"admin", "admin"} }, `client "jwt-app": scope "admin" is given twice`},
		{"a scope that the server does not have", func(s *Server) { s.Clients["app"].Scopes = []string{"other"} }, `client "app": scope "other" is not among`},
		{"a lifetime below a second", func(s *Server) { s.TokenTTL = caddy.Duration(time.Millisecond) }, "at least 1s"},
		{"a negative lifetime", func(s *Server) { s.TokenTTL = -1 }, "at least 1s"},
		{"an unknown format", func(s *Server) { s.TokenFormat = "paseto" }, `opaque or jwt, not "paseto"`},
		{"an unknown storage", func(s *Server) { s.StorageRaw = json.RawMessage(`{"module": "cloud"}`) }, "cloud"},
		{"an unknown option of the storage", func(s *Server) { s.StorageRaw = json.RawMessage(`{"module": "embedded", "size": 1}`) }, "size"},
		{"a negative limit", func(s *Server) { s.StorageRaw = json.RawMessage(`{"module": "embedded", "max_tokens_per_client": -1}`) }, "at least 1"},
		{"a storage path from nowhere", func(s *Server) { s.StorageRaw = json.RawMessage(`{"module": "embedded", "path": "{env.TEST_EMPTY}"}`) }, "nothing"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := testConfig()
			test.change(config)
			_, err := tryStart(t, config, t.TempDir())
			if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

// FuzzCaddyfile looks for configurations that crash the parser, or that come
// out of JSON otherwise than they went in.
func FuzzCaddyfile(f *testing.F) {
	for _, seed := range []string{
		"gluu_oauth_server {\n issuer https://a.example\n client a {\n  secret " + testHash + "\n }\n}",
		"gluu_oauth_server {\n issuer http://localhost\n scopes a b\n token_ttl 1h\n token_format jwt\n client a {\n  secret {env.X}\n  grants client_credentials\n  scopes a\n }\n storage embedded {\n  path /x\n  max_tokens_per_client 3\n }\n}",
		"gluu_oauth_server x {\n}",
		"gluu_oauth_server {\n client\n}",
		"gluu_oauth_server {\n storage\n client a {\n secret x\n redirect_uris y\n }\n}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte(text), "Testfile")
		if err != nil || len(tokens) == 0 {
			return
		}
		s := new(Server)
		if err := s.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err != nil {
			return
		}
		encoded, err := json.Marshal(s)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		again := new(Server)
		if err := json.Unmarshal(encoded, again); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		reencoded, err := json.Marshal(again)
		if err != nil || string(reencoded) != string(encoded) {
			t.Errorf("%q: got %s, want %s", text, reencoded, encoded)
		}
		for id, c := range s.Clients {
			if !directive.HasPlaceholder(c.Secret+c.SecondSecret) && c.JWKS == "" {
				if _, err := c.compile(id, s); err != nil {
					t.Errorf("%q: the Caddyfile was accepted, the client is not: %v", text, err)
				}
			}
		}
	})
}
