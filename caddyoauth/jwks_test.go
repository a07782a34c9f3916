// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "github.com/caddy-gluu/gateway/caddyadmin"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/jose"
)

const signing = `
	gluu_jwks
	gluu_oauth_auth /api/* {
		consumer_mapping false
		pass_credentials phantom_token
	}
	reverse_proxy {upstream}
`

// verifies checks a JWT as an upstream does: with the key that it names from
// the key set of the gateway.
func verifies(t *testing.T, g *gateway, token string) bool {
	t.Helper()
	set, err := jose.ParseKeySet([]byte(g.get(DefaultJWKSPath, "").body))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.Parse(token, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		if key.ID() == parsed.Header.KeyID {
			return parsed.Verify(key, parsed.Header.Algorithm) == nil
		}
	}
	return false
}

// phantom returns the token that the upstream gets for another one.
func phantom(t *testing.T, g *gateway, token string) string {
	t.Helper()
	a := g.get("/api/x", token)
	sent := a.received("Authorization")
	if a.status != http.StatusOK || len(sent) != 1 || !strings.HasPrefix(sent[0], "Bearer ") {
		t.Fatalf("status %d, Authorization %q", a.status, sent)
	}
	return strings.TrimPrefix(sent[0], "Bearer ")
}

// A JWT means something to an upstream by itself, also where the gateway asks
// the authorization server about it.
func TestAnIntrospectedJWTStays(t *testing.T) {
	g := start(t, "", signing)
	part := base64.RawURLEncoding.EncodeToString
	payload := "." + part([]byte(`{"sub":"x"}`)) + "." + part([]byte("a signature"))
	for token, stays := range map[string]bool{
		part([]byte(`{"alg":"RS256","typ":"at+jwt"}`)) + payload:                true,
		part([]byte(`{"alg":"none"}`)) + ".e30.":                                false,
		part([]byte(`{"alg":"RSA-OAEP","enc":"A256GCM"}`)) + payload + ".YQ.YQ": false,
		"some.opaque.token": false,
		"opaque":            false,
	} {
		g.auth.issue(token, claims("client-a", "read"))
		if got := phantom(t, g, token); (got == token) != stays {
			t.Errorf("%s: the upstream got %s, want the same token: %t", token, got, stays)
		}
	}
}

func TestTheKeySetIsServedAtItsPathAlone(t *testing.T) {
	g := start(t, "", signing)
	a := g.get(DefaultJWKSPath, "")
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" ||
		a.header.Get("Cache-Control") != "public, max-age=180" || a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("status %d, %v", a.status, a.header)
	}
	if set, err := jose.ParseKeySet([]byte(a.body)); err != nil || len(set.Keys) != 1 || strings.Contains(a.body, `"d"`) {
		t.Errorf("%s: %v", a.body, err)
	}
	head := g.request("HEAD", DefaultJWKSPath, "")
	if head.status != http.StatusOK || head.body != "" || head.header.Get("Content-Length") != a.header.Get("Content-Length") {
		t.Errorf("HEAD: status %d, %v", head.status, head.header)
	}
	for _, tag := range []string{a.header.Get("ETag"), "W/" + a.header.Get("ETag"), `"other", ` + a.header.Get("ETag"), "*"} {
		if again := g.get(DefaultJWKSPath, "", "If-None-Match: "+tag); again.status != http.StatusNotModified || again.body != "" {
			t.Errorf("If-None-Match %s: status %d", tag, again.status)
		}
	}
	if again := g.get(DefaultJWKSPath, "", `If-None-Match: "other"`); again.status != http.StatusOK {
		t.Errorf("another ETag: status %d", again.status)
	}
	for _, request := range []string{
		"POST " + DefaultJWKSPath, "OPTIONS " + DefaultJWKSPath, "GET " + DefaultJWKSPath + "/", "GET /.well-known/JWKS.json", "GET /x" + DefaultJWKSPath, "GET /?x=" + DefaultJWKSPath,
	} {
		method, target, _ := strings.Cut(request, " ")
		a := g.request(method, target, "", "X-Consumer-ID: forged", "Content-Length: 0")
		if a.status != http.StatusOK || a.receivedTarget() != target || len(a.received("X-Consumer-ID")) > 0 {
			t.Errorf("%s: status %d, received %q", request, a.status, a.body)
		}
	}
}

func TestSec_S53_ARotationIsNotNoticedByTheUpstream(t *testing.T) {
	g := start(t, "", signing)
	g.auth.issue("one", claims("app", "a"))
	g.auth.issue("two", claims("app", "a"))
	g.auth.issue("three", claims("app", "a"))
	first := phantom(t, g, "one")
	if again := phantom(t, g, "one"); again != first {
		t.Error("a token was signed for twice")
	}
	if !verifies(t, g, first) {
		t.Error("the phantom token does not verify")
	}

	// A reload changes no key.
	g.load("", signing)
	if !verifies(t, g, first) {
		t.Error("the phantom token does not verify after a reload")
	}

	status, body := caddytest.Admin(t, "POST", "/gluu/signing-keys/rotate", "")
	if status != http.StatusOK || strings.Count(body, `"kid"`) != 2 || strings.Contains(body, "PRIVATE") {
		t.Errorf("rotate: %d %s", status, body)
	}
	second := phantom(t, g, "two") // by the old key: the new one is only published
	status, body = caddytest.Admin(t, "POST", "/gluu/signing-keys/rotate?immediately=true", "")
	if status != http.StatusOK || strings.Count(body, `"kid"`) != 3 {
		t.Errorf("rotate immediately: %d %s", status, body)
	}
	third := phantom(t, g, "three")
	kid := func(token string) string {
		parsed, err := jose.Parse(token, 64<<10)
		if err != nil {
			t.Fatal(err)
		}
		return parsed.Header.KeyID
	}
	if kid(first) != kid(second) || kid(second) == kid(third) {
		t.Errorf("keys %s, %s, %s", kid(first), kid(second), kid(third))
	}
	for _, token := range []string{first, second, third} {
		if !verifies(t, g, token) {
			t.Error("a phantom token does not verify after the rotations")
		}
	}

	// A restart keeps all of them.
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	g.load("", signing)
	for _, token := range []string{first, second, third} {
		if !verifies(t, g, token) {
			t.Error("a phantom token does not verify after a restart")
		}
	}
}

func TestSigningKeysInTheAdminAPI(t *testing.T) {
	start(t, "", signing)
	for _, c := range []struct {
		method, target string
		status         int
		want           string
	}{
		{"GET", "/gluu/signing-keys", 200, `"kty":"EC"`},
		{"DELETE", "/gluu/signing-keys", 405, ""},
		{"GET", "/gluu/signing-keys/rotate", 405, ""},
		{"POST", "/gluu/signing-keys/rotate/now", 404, ""},
		{"POST", "/gluu/signing-keys/other", 404, ""},
		{"POST", "/gluu/signing-keys/rotate?immediately=perhaps", 400, "true or false"},
	} {
		status, body := caddytest.Admin(t, c.method, c.target, "")
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: got %d %s, want %d", c.method, c.target, status, body, c.status)
		}
	}
}

func TestASigningKeyFromAFile(t *testing.T) {
	g := start(t, "", "respond ok")
	key, err := jose.GenerateKey("EdDSA")
	if err != nil {
		t.Fatal(err)
	}
	pem, err := key.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(g.dir, "key.pem"), pem, 0o600); err != nil {
		t.Fatal(err)
	}
	g.load("signing_key "+g.dir+"/key.pem", signing)
	g.auth.issue("one", claims("app", "a"))
	token := phantom(t, g, "one")
	if parsed, err := jose.Parse(token, 64<<10); err != nil || parsed.Header.Algorithm != "EdDSA" || parsed.Header.KeyID != key.Public().Thumbprint() {
		t.Errorf("%v %v", parsed, err)
	}
	if !verifies(t, g, token) {
		t.Error("the phantom token does not verify")
	}
	if status, body := caddytest.Admin(t, "POST", "/gluu/signing-keys/rotate", ""); status != http.StatusConflict || !strings.Contains(body, "replace the file") {
		t.Errorf("rotate: %d %s", status, body)
	}
	err = g.tryLoad("signing_key "+g.dir+"/key.pem", strings.Replace(signing, "pass_credentials", "phantom_token_alg RS256\n pass_credentials", 1))
	if err == nil || !strings.Contains(err.Error(), "is a key for EdDSA") {
		t.Errorf("another algorithm: got %v", err)
	}
}

func TestRequestsAtTheSameTimeShareASignature(t *testing.T) {
	g := start(t, "", signing)
	g.auth.issue("one", claims("app", "a"))
	var signed sync.Map
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			a, err := g.trySend("GET /api/x HTTP/1.1\nHost: " + g.address + "\nAuthorization: Bearer one")
			if err != nil || len(a.received("Authorization")) != 1 {
				t.Errorf("got %v %v", a, err)
				return
			}
			signed.Store(a.received("Authorization")[0], true)
		})
	}
	wg.Wait()
	count := 0
	signed.Range(func(any, any) bool { count++; return true })
	if count != 1 {
		t.Errorf("%d signatures for one token", count)
	}
}

func TestWhoSignedAndForHowLong(t *testing.T) {
	g := start(t, "signing_issuer https://gateway.example\nsigning_rotation 30d", signing)
	g.auth.issue("one", claims("app", "a", "iss", g.auth.URL))
	parsed, err := jose.Parse(phantom(t, g, "one"), 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(parsed.Payload, &got); err != nil {
		t.Fatal(err)
	}
	if got["iss"] != "https://gateway.example" || got["original_iss"] != g.auth.URL || got["aud"] != "api" {
		t.Errorf("got %v", got)
	}
	for app, want := range map[string]string{
		"signing_rotation 1h":                              "at least",
		"signing_rotation 30d\nsigning_key {env.KEY_FILE}": "leave out one of the two",
		"signing_issuer":                                   "exactly one value",
		"signing_issuer {http.host}":                       "not known when the configuration loads",
	} {
		if err := g.tryLoad(app, signing); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", app, err, want)
		}
	}
}

func TestGluuJWKSInACaddyfile(t *testing.T) {
	for site, want := range map[string]string{
		"gluu_jwks /keys":               `"path":"/keys"`,
		"gluu_jwks":                     `"handler":"gluu_jwks"`,
		"route {\n gluu_jwks /keys\n }": `"path":"/keys"`,
	} {
		config, err := caddytest.Adapt("http://x {\n" + site + "\n}")
		if err != nil || !strings.Contains(string(config), want) || strings.Contains(string(config), `"match":[{"path"`) {
			t.Errorf("%s: got %s %v, want %s", site, config, err, want)
		}
	}
	for site, want := range map[string]string{
		"gluu_jwks keys":           "answers at a path",
		"gluu_jwks /keys/*":        "exactly one path",
		"gluu_jwks /{http.x}":      "exactly one path",
		"gluu_jwks /a /b":          "takes only a path",
		"gluu_jwks {\n path /a\n}": "it has id",
	} {
		_, err := caddytest.Adapt("http://x {\n" + site + "\n}")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Caddyfile:") {
			t.Errorf("%s: got %v, want %q with its line", site, err, want)
		}
	}
	var j JWKS
	if err := json.Unmarshal([]byte(`{"path":"keys"}`), &j); err != nil {
		t.Fatal(err)
	}
	if err := j.Validate(); err == nil {
		t.Error("a path without a slash is accepted in JSON")
	}
}
