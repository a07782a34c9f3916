// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/authserver/kong"
	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/jose"
)

// What weakens the server is off unless it is named, wherever it is asked for.
func TestSec_S243_LegacyIsOffUnlessNamed(t *testing.T) {
	query := func(server *running, e endpoint, form url.Values) answer {
		request := postForm(e, "")
		request.URL.RawQuery = form.Encode()
		return server.do(request)
	}
	credentials := url.Values{"grant_type": {"client_credentials"}, "client_id": {"app"}, "client_secret": {"app-secret"}}
	plain := start(t, peopleConfig(), t.TempDir())
	b := plain.browser("alice")
	if values := redirectTo(t, b.authorize(authorization("web", "response_type", "token")), testRedirect); values.Get("error") != "unsupported_response_type" {
		t.Errorf("implicit: %v", values)
	}
	for _, grant := range []string{"password", "implicit", "token"} {
		if a := plain.post(tokenEndpoint, "app", url.Values{"grant_type": {grant}, "username": {"a"}, "password": {"b"}}); a.body["error"] != "unsupported_grant_type" {
			t.Errorf("%s: got %d %s", grant, a.Code, a.text)
		}
	}
	if a := query(plain, tokenEndpoint, credentials); a.Code != http.StatusBadRequest {
		t.Errorf("credentials in the URL: got %d %s", a.Code, a.text)
	}

	config := peopleConfig()
	config.Legacy = []string{"implicit", "query_credentials", "query_token"}
	config.Clients["old"] = &Client{Secret: cheapHash("old-secret"), Grants: []string{"implicit"}, Scopes: []string{"todos:read"}, RedirectURIs: []string{testRedirect}}
	legacy := start(t, config, t.TempDir())
	b = legacy.browser("alice")
	location := b.decide(b.authorize(authorization("old", "response_type", "token")), "allow").Header().Get("Location")
	fragment, ok := strings.CutPrefix(location, testRedirect+"#")
	values, err := url.ParseQuery(fragment)
	if !ok || err != nil || !legacy.active(values.Get("access_token")) || values.Get("expires_in") != "600" || values.Has("refresh_token") || values.Get("iss") != testIssuer {
		t.Errorf("implicit: got %q", location)
	}
	refused := b.authorize(authorization("web", "response_type", "token")).Header().Get("Location")
	if !strings.HasPrefix(refused, testRedirect+"#error=unauthorized_client&") {
		t.Errorf("implicit for a client without it: %q", refused)
	}
	a := query(legacy, tokenEndpoint, credentials)
	if a.Code != http.StatusOK {
		t.Fatalf("credentials in the URL: got %d %s", a.Code, a.text)
	}
	if a := query(legacy, introspectEndpoint, url.Values{"token": {text(a, "access_token")}, "client_id": {"gateway"}, "client_secret": {"gateway-secret"}}); a.body["active"] != true {
		t.Errorf("a token in the URL: got %d %s", a.Code, a.text)
	}
}

func TestFailuresAreLimited(t *testing.T) {
	config := testConfig()
	config.Limit = &Limit{Client: "3/m", Address: "5/h"}
	server := start(t, config, t.TempDir())
	server.token("app") // its secret is known to be right
	wrong := func(client string) answer {
		request := postForm(tokenEndpoint, "grant_type=client_credentials")
		request.SetBasicAuth(client, "x")
		return server.do(request)
	}
	for i := range 4 {
		want := http.StatusUnauthorized
		if i == 3 {
			want = http.StatusTooManyRequests
		}
		if a := wrong("jwt-app"); a.Code != want {
			t.Errorf("failure %d: got %d, want %d", i+1, a.Code, want)
		}
	}
	if a := server.post(tokenEndpoint, "jwt-app", url.Values{"grant_type": {"client_credentials"}}); a.Code != http.StatusTooManyRequests || a.Header().Get("Retry-After") == "" {
		t.Errorf("beyond the limit: got %d %s", a.Code, a.text)
	}
	wrong("plain")
	wrong("plain")
	if a := wrong("unknown"); a.Code != http.StatusTooManyRequests {
		t.Errorf("the sixth failure of the network: got %d", a.Code)
	}
	server.token("app")
}

// A secret that is sent in two readings, as it is and form-decoded, is one attempt.
func TestReadingsOfASecretAreOneAttempt(t *testing.T) {
	config := testConfig()
	config.Limit = &Limit{Client: "3/m", Address: "5/h"}
	server := start(t, config, t.TempDir())
	check := func(readings ...string) (bool, error) {
		r := postForm(tokenEndpoint, "")
		return server.checkClientSecret(r, authcore.AuthBasic, "app", readings...)
	}
	for i := range 10 {
		if right, err := check("app%2Dsecret", "app-secret"); !right || err != nil {
			t.Fatalf("time %d: got %t, %v", i+1, right, err)
		}
	}
	for i := range 4 {
		_, err := check("wrong%21", "wrong!")
		if isLimited := errors.Is(err, kong.ErrLimited); isLimited != (i == 3) {
			t.Errorf("failure %d: got %v", i+1, err)
		}
	}
}

// A client with a key authenticates with it alone, and each assertion is good once.
func TestSec_S212_AssertionsAreGoodOnce(t *testing.T) {
	key, err := jose.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.PublicKeySet(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "jwks.json")
	if err := os.WriteFile(file, set, 0o600); err != nil {
		t.Fatal(err)
	}
	config := testConfig()
	config.Clients["batch"] = &Client{JWKS: file, Grants: []string{"client_credentials"}}
	server := start(t, config, dir)
	assertion := func(changes map[string]any) string {
		claims := map[string]any{"iss": "batch", "sub": "batch", "aud": testIssuer, "jti": "1", "exp": time.Now().Add(time.Minute).Unix()}
		for name, value := range changes {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		}
		payload, _ := json.Marshal(claims)
		signed, err := jose.Sign(payload, key, "ES256", key.ID(), "JWT")
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	send := func(text string) answer {
		return server.post(tokenEndpoint, "", url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {text}})
	}
	good := assertion(nil)
	if a := send(good); a.Code != http.StatusOK {
		t.Fatalf("got %d %s", a.Code, a.text)
	}
	if a := send(good); a.Code != http.StatusUnauthorized || server.refusals(tokenEndpoint, "assertion_replayed") != 1 {
		t.Errorf("a second time: got %d %s", a.Code, a.text)
	}
	for name, changes := range map[string]map[string]any{
		"for another server":  {"aud": "https://other.example.com"},
		"for several servers": {"aud": []string{testIssuer, "https://other.example.com"}},
		"for no API":          {"aud": nil},
		"without jti":         {"jti": nil},
		"without exp":         {"exp": nil},
		"expired":             {"exp": time.Now().Add(-time.Second).Unix()},
		"for a day":           {"exp": time.Now().Add(24 * time.Hour).Unix()},
		"not yet":             {"nbf": time.Now().Add(time.Hour).Unix()},
		"of another subject":  {"sub": "app"},
		"of another client":   {"iss": "app", "sub": "app"},
	} {
		changes["x"] = name
		if changes["jti"] == nil && name != "without jti" {
			changes["jti"] = name
		}
		if a := send(assertion(changes)); a.Code != http.StatusUnauthorized {
			t.Errorf("%s: got %d %s", name, a.Code, a.text)
		}
	}
	other, _ := jose.GenerateKey("ES256")
	key = other.WithID(key.ID())
	if a := send(assertion(map[string]any{"jti": "forged"})); a.Code != http.StatusUnauthorized {
		t.Errorf("signed with another key: got %d %s", a.Code, a.text)
	}
	if a := server.post(tokenEndpoint, "batch", url.Values{"grant_type": {"client_credentials"}}); a.Code != http.StatusUnauthorized {
		t.Errorf("with a secret: got %d %s", a.Code, a.text)
	}
}

// The metadata of a server that offers all of it.
func TestMetadataOfAServerThatAsksPeople(t *testing.T) {
	config := registrationConfig()
	config.ClientMetadataDocuments = []string{"*"}
	config.PushedAuthorization = "required"
	server := start(t, config, t.TempDir())
	a := server.do(httptest.NewRequest(http.MethodGet, "/.well-known/oauth-authorization-server", nil))
	const algorithms = `["RS256","RS384","RS512","PS256","PS384","PS512","ES256","ES384","ES512","EdDSA"]`
	for name, want := range map[string]string{
		"authorization_endpoint": `"` + testIssuer + `/oauth2/authorize"`, "pushed_authorization_request_endpoint": `"` + testIssuer + `/oauth2/par"`, "require_pushed_authorization_requests": "true",
		"registration_endpoint": `"` + testIssuer + `/oauth2/register"`, "userinfo_endpoint": `"` + testIssuer + `/oauth2/userinfo"`, "end_session_endpoint": `"` + testIssuer + `/oauth2/logout"`,
		"response_types_supported": `["code"]`, "grant_types_supported": `["authorization_code","refresh_token","client_credentials"]`, "code_challenge_methods_supported": `["S256"]`,
		"authorization_response_iss_parameter_supported": "true", "client_id_metadata_document_supported": "true", "subject_types_supported": `["public"]`, "id_token_signing_alg_values_supported": `["RS256","ES256"]`,
		"token_endpoint_auth_methods_supported": `["client_secret_basic","client_secret_post","private_key_jwt","none"]`, "introspection_endpoint_auth_methods_supported": `["client_secret_basic","client_secret_post","private_key_jwt"]`,
		"token_endpoint_auth_signing_alg_values_supported": algorithms, "introspection_endpoint_auth_signing_alg_values_supported": algorithms, "revocation_endpoint_auth_signing_alg_values_supported": algorithms, // RFC 8414 section 2
	} {
		if got, _ := json.Marshal(a.body[name]); string(got) != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
