// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/jose"
)

const (
	testIssuer = "https://op.example.com"
	testClient = "web"
)

var testTime = time.Unix(1_790_000_000, 0)

// testKeys are keys by key id, as an OpenID Provider publishes them.
type testKeys map[string]jose.PrivateKey

func (k testKeys) Key(_ context.Context, name jose.KeyName, alg string) (jose.Key, error) {
	var found []jose.Key
	for id, key := range k {
		if (name.KeyID == "" || name.KeyID == id) && key.Public().Fits(alg) {
			found = append(found, key.Public())
		}
	}
	if len(found) != 1 {
		return jose.Key{}, errors.New("no key fits")
	}
	return found[0], nil
}

func newKey(t *testing.T, alg string) jose.PrivateKey {
	t.Helper()
	key, err := jose.GenerateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func testVerifier(keys testKeys) *idTokenVerifier {
	return &idTokenVerifier{
		issuers: provider.IssuersOf([]string{testIssuer}, nil), clientID: func() string { return testClient }, algorithms: jose.Algorithms(), keys: keys,
		leeway: 30 * time.Second, maxAge: time.Hour, maxLength: 16 << 10, now: func() time.Time { return testTime },
	}
}

// testClaims are those of a good ID token, with some of them set otherwise; a
// claim that is nil is left out.
func testClaims(changes map[string]any) []byte {
	claims := map[string]any{
		"iss": testIssuer, "sub": "alice", "aud": testClient, "nonce": "n-1", "auth_time": testTime.Unix() - 5,
		"iat": testTime.Unix() - 2, "exp": testTime.Unix() + 300, "acr": "silver", "amr": []string{"pwd"}, "sid": "s-1",
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return text
}

func sign(t *testing.T, key jose.PrivateKey, claims []byte, kid, typ string) string {
	t.Helper()
	raw, err := jose.Sign(claims, key, key.Algorithm(), kid, typ)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The names are those of the modules of the OpenID Foundation's tests for
// relying parties, where there is one.
func TestSec_S160_S169_IDToken(t *testing.T) {
	rsa, ec := newKey(t, "RS256"), newKey(t, "ES256")
	v := testVerifier(testKeys{"rsa": rsa, "ec": ec})
	want := expectation{nonce: "n-1", accessToken: "at", authTime: true, authAge: time.Hour}
	halfHash := func(alg, text string) string {
		sum := hashOf(alg, text)
		return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
	}
	unix := func(d time.Duration) int64 { return testTime.Add(d).Unix() }
	for _, test := range []struct {
		name    string
		changes map[string]any
		fault   string // "" if the token is accepted
	}{
		{"oidcc-client-test", nil, ""},
		{"oidcc-client-test-invalid-iss", map[string]any{"iss": testIssuer + "/"}, "iss"},
		{"oidcc-client-test-missing-sub", map[string]any{"sub": nil}, "sub"},
		{"sub that is a number", map[string]any{"sub": 7}, "sub"},
		{"sub that is empty", map[string]any{"sub": ""}, "sub"},
		{"sub of 255 characters", map[string]any{"sub": strings.Repeat("a", 255)}, ""},
		{"sub of 256 characters", map[string]any{"sub": strings.Repeat("a", 256)}, "sub"},
		{"sub with a line break", map[string]any{"sub": "alice\n"}, "sub"},
		{"sub with a space in it", map[string]any{"sub": "alice b"}, ""},
		{"sub with a space before it", map[string]any{"sub": " alice"}, "sub"},
		{"sub with a space after it", map[string]any{"sub": "alice "}, "sub"},
		{"sub with DEL", map[string]any{"sub": "alice\x7f"}, "sub"},
		{"sub that is not ASCII", map[string]any{"sub": "älice"}, "sub"},
		{"oidcc-client-test-invalid-aud", map[string]any{"aud": "other"}, "aud"},
		{"oidcc-client-test-missing-aud", map[string]any{"aud": nil}, "aud"},
		{"aud that is an empty list", map[string]any{"aud": []string{}}, "aud"},
		{"aud as a prefix", map[string]any{"aud": testClient + "2"}, "aud"},
		{"fapi2-security-profile-client-test-valid-aud-as-array", map[string]any{"aud": []string{testClient}}, ""},
		{"fapi2-security-profile-client-test-invalid-secondary-aud", map[string]any{"aud": []string{testClient, "other"}}, "aud names"},
		{"azp is this client", map[string]any{"azp": testClient}, ""},
		{"azp is empty", map[string]any{"azp": ""}, "azp"},
		{"azp is another client", map[string]any{"azp": "other"}, "azp"},
		{"oidcc-client-test-missing-iat", map[string]any{"iat": nil}, "iat is missing"},
		{"iat in the future, within the leeway", map[string]any{"iat": unix(30 * time.Second)}, ""},
		{"iat in the future", map[string]any{"iat": unix(31 * time.Second)}, "iat is"},
		{"iat as old as it may be", map[string]any{"iat": unix(-time.Hour)}, ""},
		{"iat too old", map[string]any{"iat": unix(-time.Hour - time.Second)}, "max_id_token_age"},
		{"expired, within the leeway", map[string]any{"exp": unix(-29 * time.Second)}, ""},
		{"fapi2-security-profile-client-test-invalid-expired-exp", map[string]any{"exp": unix(-30 * time.Second)}, "expired"},
		{"fapi2-security-profile-client-test-invalid-missing-exp", map[string]any{"exp": nil}, "exp is missing"},
		{"exp as a text", map[string]any{"exp": "1890000000"}, "exp"},
		{"nbf in the future", map[string]any{"nbf": unix(31 * time.Second)}, "nbf"},
		{"oidcc-client-test-nonce-invalid", map[string]any{"nonce": "n-2"}, "nonce"},
		{"nonce missing", map[string]any{"nonce": nil}, "nonce"},
		{"oidcc-client-test-invalid-athash", map[string]any{"at_hash": halfHash("RS256", "other")}, "at_hash"},
		{"at_hash", map[string]any{"at_hash": halfHash("RS256", "at")}, ""},
		{"at_hash that is empty", map[string]any{"at_hash": ""}, "at_hash"},
		{"at_hash by another hash", map[string]any{"at_hash": halfHash("RS512", "at")}, "at_hash"},
		{"auth_time missing", map[string]any{"auth_time": nil}, "auth_time is missing"},
		{"auth_time as old as it may be", map[string]any{"auth_time": unix(-time.Hour)}, ""},
		{"auth_time too old", map[string]any{"auth_time": unix(-time.Hour - time.Second)}, "auth_time"},
		{"auth_time in the future, within the leeway", map[string]any{"auth_time": unix(30 * time.Second)}, ""},
		{"auth_time in the future", map[string]any{"auth_time": unix(31 * time.Second)}, "auth_time"},
		{"acr that is a list", map[string]any{"acr": []string{"gold"}}, "acr"},
		{"amr that is a text", map[string]any{"amr": "pwd"}, "amr"},
		{"sid that is a number", map[string]any{"sid": 5}, "sid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			token, err := v.verify(t.Context(), sign(t, rsa, testClaims(test.changes), "rsa", "JWT"), want)
			switch {
			case test.fault == "" && err != nil:
				t.Errorf("got %v, want the token to be accepted", err)
			case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("got %v, want an error with %q", err, test.fault)
			case err == nil && (token.subject == "" || token.sid != "s-1" || token.ACR != "silver" || len(token.Claims) == 0):
				t.Errorf("got %+v", token)
			}
		})
	}
}

func TestSec_S158_IDTokenSignatureAndHeader(t *testing.T) {
	rsa, ec, other := newKey(t, "RS256"), newKey(t, "ES256"), newKey(t, "RS256")
	good := testClaims(nil)
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	resign := func(header string) string {
		// A token with the good claims and signature, and another header.
		_, rest, _ := strings.Cut(sign(t, rsa, good, "rsa", "JWT"), ".")
		return part(header) + "." + rest
	}
	hmac := func() string {
		public, err := json.Marshal(rsa.Public())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := jose.Sign(good, jose.HMACKey(public), "HS256", "rsa", "JWT")
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	one, two := testKeys{"rsa": rsa, "ec": ec}, testKeys{"rsa": rsa, "other": other}
	for _, test := range []struct {
		name  string
		raw   string
		keys  testKeys
		fault string
	}{
		{"oidcc-client-test-idtoken-sig-rs256", sign(t, rsa, good, "rsa", "JWT"), one, ""},
		{"ES256", sign(t, ec, good, "ec", ""), one, ""},
		{"oidcc-client-test-kid-absent-single-jwks", sign(t, rsa, good, "", "JWT"), testKeys{"rsa": rsa}, ""},
		{"oidcc-client-test-kid-absent-multiple-jwks", sign(t, rsa, good, "", "JWT"), two, "no key fits"},
		{"unknown kid", sign(t, rsa, good, "new", "JWT"), one, "no key fits"},
		{"oidcc-client-test-idtoken-sig-none", part(`{"alg":"none"}`) + "." + part(string(good)) + ".", one, "compact"},
		{"alg none with a signature", resign(`{"alg":"none","kid":"rsa"}`), one, "algorithm"},
		{"oidcc-client-test-invalid-sig-hs256", hmac(), one, "algorithm"},
		{"oidcc-client-test-invalid-sig-rs256", sign(t, other, good, "rsa", "JWT"), one, "signature"},
		{"oidcc-client-test-invalid-sig-es256", sign(t, newKey(t, "ES256"), good, "ec", "JWT"), one, "signature"},
		{"key in the header", resign(`{"alg":"RS256","kid":"rsa","jwk":{}}`), one, "jwk"},
		{"address of keys in the header", resign(`{"alg":"RS256","kid":"rsa","jku":"https://evil.example"}`), one, "jku"},
		{"critical extension", resign(`{"alg":"RS256","kid":"rsa","crit":["x"]}`), one, "crit"},
		{"access token", sign(t, rsa, good, "rsa", "at+jwt"), one, "typ"},
		{"logout token", sign(t, rsa, good, "rsa", "logout+jwt"), one, "typ"},
		{"typ as a media type", sign(t, rsa, good, "rsa", "application/JWT"), one, ""},
		{"not a JWT", "abc", one, "compact"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := testVerifier(test.keys).verify(t.Context(), test.raw, expectation{nonce: "n-1"})
			switch {
			case test.fault == "" && err != nil:
				t.Errorf("got %v, want the token to be accepted", err)
			case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("got %v, want an error with %q", err, test.fault)
			}
		})
	}
}

func TestAnIDTokenMayNameAudiencesThatAreListed(t *testing.T) {
	key := newKey(t, "ES256")
	v := testVerifier(testKeys{"k": key})
	raw := sign(t, key, testClaims(map[string]any{"aud": []string{testClient, "api"}}), "k", "")
	if _, err := v.verify(t.Context(), raw, expectation{}); err == nil {
		t.Error("a further audience was accepted")
	}
	v.audiences = []string{"api"}
	if _, err := v.verify(t.Context(), raw, expectation{}); err != nil {
		t.Errorf("a listed audience was refused: %v", err)
	}
}

func TestAuthTimeCanBeOptional(t *testing.T) {
	key := newKey(t, "ES256")
	raw := sign(t, key, testClaims(map[string]any{"auth_time": nil}), "k", "")
	if _, err := testVerifier(testKeys{"k": key}).verify(t.Context(), raw, expectation{authAge: time.Minute}); err != nil {
		t.Errorf("got %v, want a token without auth_time to be accepted", err)
	}
}

// A server with tenants has an issuer for each: the token must be of one that is
// allowed, and a person is known by the issuer that the token names.
func TestAnIDTokenOfATenant(t *testing.T) {
	key := newKey(t, "RS256")
	v := testVerifier(testKeys{"k": key})
	v.issuers = provider.IssuersOf([]string{"https://login.example.com/{tid}/v2.0", "https://login.example.org"}, []string{"red", "blue"})
	for _, test := range []struct {
		name    string
		changes map[string]any
		good    bool
	}{
		{"of an allowed tenant", map[string]any{"iss": "https://login.example.com/red/v2.0", "tid": "red"}, true},
		{"of a further issuer", map[string]any{"iss": "https://login.example.org"}, true},
		{"of another tenant", map[string]any{"iss": "https://login.example.com/green/v2.0", "tid": "green"}, false},
		{"whose claim names another tenant", map[string]any{"iss": "https://login.example.com/red/v2.0", "tid": "blue"}, false},
		{"without the claim", map[string]any{"iss": "https://login.example.com/red/v2.0"}, false},
		{"with the pattern itself", map[string]any{"iss": "https://login.example.com/{tid}/v2.0", "tid": "{tid}"}, false},
		{"without an issuer", map[string]any{"iss": nil, "tid": "red"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			raw := sign(t, key, testClaims(test.changes), "k", "JWT")
			token, err := v.verify(t.Context(), raw, expectation{nonce: "n-1", authTime: true})
			if (err == nil) != test.good {
				t.Fatalf("got %v", err)
			}
			if test.good && token.issuer != test.changes["iss"] {
				t.Errorf("the person is of %q, want %q", token.issuer, test.changes["iss"])
			}
		})
	}
	logout := func(issuer string) error {
		_, err := v.verifyLogout(t.Context(), sign(t, key, logoutClaims(map[string]any{"iss": issuer}), "k", "logout+jwt"))
		return err
	}
	if err := logout("https://login.example.com/blue/v2.0"); err != nil {
		t.Errorf("a logout token of an allowed tenant: %v", err)
	}
	if logout("https://login.example.com/green/v2.0") == nil {
		t.Error("a logout token of another tenant was accepted")
	}
}
