// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/consumer"
)

const noPEP = "reverse_proxy {upstream}\n"

func (g *gateway) expectReceived(got answer, want map[string]string) {
	g.Helper()
	if got.status != 200 {
		g.Errorf("got %d %s", got.status, got.body)
		return
	}
	for name, value := range want {
		values := got.received(name)
		if value == "" && len(values) > 0 {
			g.Errorf("the upstream received %s: %q, which should not be there", name, values)
		}
		if value != "" && !slices.Equal(values, []string{value}) {
			g.Errorf("the upstream received %s: %q, want %q", name, values, value)
		}
	}
}

func TestTheUpstreamIsToldWhoIsCalling(t *testing.T) {
	g := start(t, simpleApp, "gluu_oauth_auth {\nconsumer_mapping false\n}\n"+noPEP)
	end := time.Now().Add(time.Hour).Unix()
	g.auth.issue("mapped", claims("client-a", "read  list", "exp", end))
	g.auth.issue("unmapped", map[string]any{"client_id": "client-x", "aud": "api"})
	g.auth.issue("hostile", claims("client-a", "read", "sub", "a\nX-Admin: 1", "client_id", "client-a"))

	g.expectReceived(g.get("/", "mapped"), map[string]string{
		"X-Consumer-ID":          consumer.DeriveID("ann"),
		"X-Consumer-Custom-ID":   "client-a",
		"X-Consumer-Username":    "ann",
		"X-OAuth-Client-ID":      "client-a",
		"X-OAuth-Expiration":     strconv.FormatInt(end, 10),
		"X-RPT-Expiration":       "",
		"X-Authenticated-Scope":  "read list",
		"X-Authenticated-Userid": "user-client-a",
		"X-Anonymous-Consumer":   "",
		"Authorization":          "Bearer mapped",
	})
	g.expectReceived(g.get("/", "unmapped"), map[string]string{
		"X-Consumer-ID": "", "X-Consumer-Custom-ID": "", "X-Consumer-Username": "", "X-OAuth-Expiration": "",
		"X-Authenticated-Scope": "", "X-Authenticated-Userid": "", "X-OAuth-Client-ID": "client-x",
	})
	g.expectReceived(g.get("/", "hostile"), map[string]string{
		"X-Authenticated-Userid": "", "X-Admin": "", "X-OAuth-Client-ID": "client-a",
	})
	if got := g.records("a header was not sent to the upstream: its value is too long, contains control characters or begins or ends with a space"); len(got) != 1 {
		t.Errorf("got %d lines in the log about a value that was not sent, want 1", len(got))
	}
	g.expectReceived(g.get("/", "hostile"), map[string]string{"X-Authenticated-Userid": ""})
	if got := g.records("a header was not sent to the upstream: its value is too long, contains control characters or begins or ends with a space"); len(got) != 1 {
		t.Errorf("got %d lines in the log after a second request, want 1", len(got))
	}
}

func TestTheCredentialIsPassedHiddenOrReplaced(t *testing.T) {
	g := start(t, simpleApp, `
		handle_path /pass/* {
			gluu_oauth_auth
			reverse_proxy {upstream}
		}
		handle_path /hide/* {
			gluu_oauth_auth {
				pass_credentials hide
			}
			reverse_proxy {upstream}
		}
		handle_path /phantom/* {
			gluu_oauth_auth {
				pass_credentials phantom_token
			}
			reverse_proxy {upstream}
		}
		handle_path /unsigned/* {
			gluu_oauth_auth {
				pass_credentials phantom_token
				phantom_token_alg none
			}
			reverse_proxy {upstream}
		}`)
	end := time.Now().Add(10 * time.Minute).Unix()
	g.auth.issue("opaque", claims("client-a", "read", "exp", end, "custom", map[string]any{"deep": "value"}))

	g.expectReceived(g.get("/pass/", "opaque"), map[string]string{"Authorization": "Bearer opaque"})
	g.expectReceived(g.get("/hide/", "opaque", "DPoP: a.b.c"), map[string]string{"Authorization": "", "DPoP": ""})

	phantom := func(path string) (header, claims map[string]any, raw string) {
		t.Helper()
		got := g.get(path, "opaque").received("Authorization")
		if len(got) != 1 || !strings.HasPrefix(got[0], "Bearer ") {
			t.Fatalf("got Authorization %q", got)
		}
		raw = strings.TrimPrefix(got[0], "Bearer ")
		parts := strings.Split(raw, ".")
		if len(parts) != 3 {
			t.Fatalf("got %q, want a JWT", raw)
		}
		for i, into := range []*map[string]any{&header, &claims} {
			b, err := base64.RawURLEncoding.DecodeString(parts[i])
			if err == nil {
				err = json.Unmarshal(b, into)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return header, claims, raw
	}
	header, signed, raw := phantom("/phantom/")
	if header["alg"] != "ES256" || signed["client_id"] != "client-a" || signed["exp"] != float64(end) {
		t.Errorf("got header %v and claims %v", header, signed)
	}
	if _, _, again := phantom("/phantom/"); again != raw {
		t.Error("a second request got another phantom token: it was signed again")
	}
	if header, _, raw := phantom("/unsigned/"); header["alg"] != "none" || !strings.HasSuffix(raw, ".") {
		t.Errorf("got header %v of %s", header, raw)
	}
}

// The two are signed with the same key about the same caller. Their types tell an
// upstream which one it has.
func TestASignedHeaderIsNotAPhantomToken(t *testing.T) {
	g := start(t, simpleApp, "gluu_oauth_auth {\npass_credentials phantom_token\nheader X-Claims introspect_data jwt\n}\n"+noPEP)
	g.auth.issue("good", claims("client-a", "read"))
	got := g.get("/", "good")
	for name, want := range map[string]string{"Authorization": "JWT", "X-Claims": "header+jwt"} {
		raw := strings.TrimPrefix(strings.Join(got.received(name), ","), "Bearer ")
		part, _, _ := strings.Cut(raw, ".")
		text, err := base64.RawURLEncoding.DecodeString(part)
		var header struct{ Typ string }
		if err == nil {
			err = json.Unmarshal(text, &header)
		}
		if err != nil || header.Typ != want {
			t.Errorf("%s: got %q, %v, want a JWT of type %s", name, raw, err, want)
		}
	}
}

func TestCustomHeaders(t *testing.T) {
	g := start(t, simpleApp, "gluu_oauth_auth {\n"+
		"header x_version `\"version 2.0\"`\n"+
		"header X-Client introspect_data.client_id\n"+
		"header X-Name consumer.username string\n"+
		"header X-Missing introspect_data.nothing\n"+
		"header X-Roles introspect_data.roles list ;\n"+
		"header X-Consumer-Username introspect_data.nothing\n"+
		"header_each X-{*} introspect_data.profile\n"+
		"}\n"+noPEP)
	g.auth.issue("good", claims("client-a", "read",
		"roles", []string{"a", "b"},
		"profile", map[string]any{"consumer-id": "forged", "anonymous_consumer": "true", "City": "Köln", "env": "{env.HOME}"}))
	g.expectReceived(g.get("/", "good"), map[string]string{
		"X-Version": "version 2.0", "X-Client": "client-a", "X-Name": "ann", "X-Missing": "", "X-Roles": "a;b",
		"X-City": "Köln", "X-Env": "{env.HOME}",
		// A claim that is called like a standard header does not set it, one
		// that the configuration replaces is not set by the gateway either.
		"X-Consumer-ID": consumer.DeriveID("ann"), "X-Anonymous-Consumer": "", "X-Consumer-Username": "",
	})
	// What a client sends under a name that an object's key could make up.
	g.expectReceived(g.get("/", "good", "X-Whatever: forged", "X-Missing: forged", "X-City: forged"), map[string]string{
		"X-Whatever": "", "X-Missing": "", "X-City": "Köln",
	})
}

func TestAnonymousCallers(t *testing.T) {
	g := start(t, simpleApp, `gluu_oauth_auth {
			anonymous guest
			header X-Kind `+"`\"from the gateway\"`"+`
			header X-Client introspect_data.client_id
		}
		gluu_oauth_pep {
			path /private {
				GET scope not admin
			}
			deny_by_default false
		}
		reverse_proxy {upstream} {
			header_up X-Anon "{gluu.anonymous} {gluu.consumer.username} {http.auth.user.id} [{gluu.client_id}]"
		}`)
	g.auth.issue("good", claims("client-a", "read"))
	g.auth.issue("stranger", claims("client-x", "read"))
	want := map[string]string{
		"X-Consumer-ID": consumer.DeriveID("guest"), "X-Consumer-Username": "guest", "X-Anonymous-Consumer": "true",
		"X-Consumer-Custom-ID": "", "X-OAuth-Client-ID": "", "X-Authenticated-Scope": "", "X-Authenticated-Userid": "", "X-OAuth-Expiration": "",
		"Authorization": "", "DPoP": "", "X-Kind": "from the gateway", "X-Client": "",
		"X-Anon": "true guest  []", // REMOTE_USER for FastCGI is empty
	}
	g.expectReceived(g.get("/public", ""), want)
	g.expectReceived(g.get("/public", "invalid", "DPoP: proof"), want)
	g.expectReceived(g.get("/public", "stranger"), want)
	g.expectReceived(g.get("/public", "", "Authorization: Basic YTpi"), want)
	g.expectReceived(g.get("/public", "good"), map[string]string{
		"X-Consumer-Username": "ann", "X-Anonymous-Consumer": "", "X-Anon": "false ann ann [client-a]",
	})
	if got := g.get("/public", "", "Authorization: Bearer"); got.status != 400 {
		t.Errorf("a malformed header got %d, want 400 also with anonymous", got.status)
	}
	// 'not admin' is true of no scopes at all.
	if got := g.get("/private", ""); got.status != 401 || got.header.Get("Www-Authenticate") != `Bearer realm="api"` {
		t.Errorf("got %d %v, want 401: an expression was evaluated for an anonymous caller", got.status, got.header)
	}
	if got := g.get("/private", "good"); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestPlaceholders(t *testing.T) {
	g := start(t, simpleApp, `gluu_oauth_auth
		gluu_oauth_pep {
			path /todos/? {
				GET scope read
			}
		}
		reverse_proxy {upstream} {
			header_up X-P1 "{gluu.client_id}|{gluu.subject}|{gluu.scope}|{gluu.anonymous}|{gluu.rule}|{http.auth.user.id}"
			header_up X-P2 "{gluu.consumer.id}|{gluu.consumer.username}|{gluu.consumer.custom_id}"
			header_up X-P3 "{gluu.token.number}|{gluu.token.flag}|{gluu.token.deep.inner}|{gluu.token.deep}|{gluu.token.list}|{gluu.token.missing}|{gluu.token.https://example.com/x}|{gluu.token.deep.inner.more}|{gluu.token.dotted.name.x}"
			header_up X-P4 "{gluu.token.env}"
		}`)
	g.auth.issue("good", claims("client-a", "read list",
		"number", json.Number("12345678901234567890"), "flag", true,
		"deep", map[string]any{"inner": "<value>"}, "list", []any{"a", 1},
		"https://example.com/x", "namespaced", "dotted.name", map[string]any{"x": "found"}, "env", "{env.HOME}"))
	g.expectReceived(g.get("/todos/1", "good"), map[string]string{
		"X-P1": "client-a|user-client-a|read list|false|/todos/?|ann",
		"X-P2": consumer.DeriveID("ann") + "|ann|client-a",
		"X-P3": `12345678901234567890|true|<value>|{"inner":"<value>"}|["a",1]||namespaced||found`,
		"X-P4": "{env.HOME}",
	})
}

// Two authentication handlers in a row: the last one counts, wholly.
func TestTheLastAuthenticationCounts(t *testing.T) {
	g := start(t, simpleApp, `route {
			gluu_oauth_auth {
				anonymous guest
				consumer_mapping false
			}
			gluu_oauth_auth
			reverse_proxy {upstream} {
				header_up X-Who "{gluu.consumer.username} {gluu.anonymous}"
			}
		}`)
	g.auth.issue("good", claims("client-a", "read"))
	g.expectReceived(g.get("/", "good"), map[string]string{"X-Who": "ann false", "X-Consumer-Username": "ann"})
	if got := g.get("/", "nonsense"); got.status != 401 {
		t.Errorf("got %d, want 401 from the second handler", got.status)
	}
}
