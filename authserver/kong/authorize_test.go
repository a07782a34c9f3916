// SPDX-License-Identifier: Apache-2.0

package kong

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

func TestAuthorize(t *testing.T) {
	const noClient = "Invalid client authentication"
	const noMatch = "?error=invalid_request&error_description=Invalid%20redirect_uri%20that%20does%20not%20match%20with%20any%20redirect_uri%20created%20with%20the%20application"
	mandatory := all()
	mandatory.MandatoryScope = true
	strict, lax := all(), all()
	strict.PKCE, lax.PKCE = pkceStrict, pkceNone
	codeOnly := Profile{}
	for _, test := range []struct {
		name    string
		profile Profile
		request request
		status  int
		want    map[string]string
	}{
		{"nothing", all(), request{}, 400, fault("invalid_provision_key", "Invalid provision_key")},
		{"a wrong key", all(), request{params: authorization("provision_key", "wrong")}, 400, fault("invalid_provision_key", "Invalid provision_key")},
		{"a key that is not a text", all(), request{params: authorization("provision_key", []string{provision})}, 400, fault("invalid_provision_key", "Invalid provision_key")},
		{"the key in the URL", all(), request{query: "provision_key=" + provision, params: authorization("provision_key", nil)}, 400, fault("invalid_provision_key", "Invalid provision_key")},
		{"the key alone", all(), request{params: map[string]any{"provision_key": provision}}, 400, fault("invalid_authenticated_userid", "Missing authenticated_userid parameter")},
		{"a blank user", all(), request{params: authorization("authenticated_userid", " \t")}, 400, fault("invalid_authenticated_userid", "Missing authenticated_userid parameter")},
		{"a user that is not a text", all(), request{params: authorization("authenticated_userid", map[string]any{"a": 1})}, 400, fault("invalid_authenticated_userid", "Missing authenticated_userid parameter")},
		{"no client", all(), request{params: authorization("client_id", nil)}, 400, fault("invalid_client", noClient)},
		{"an unknown client", all(), request{params: authorization("client_id", "nobody")}, 400, fault("invalid_client", noClient)},
		{"a client that is a number", all(), request{params: authorization("client_id", 7)}, 400, fault("invalid_client", noClient)},
		{"a client without a redirect URI", all(), request{params: authorization("client_id", "machine")}, 400, fault("invalid_client", noClient)},
		{"a client without a redirect URI and a challenge", Profile{PKCE: "strict"}, request{params: authorization("client_id", "machine", "code_challenge", nil, "code_challenge_method", nil)}, 400, fault("invalid_request", "code_challenge is required for confidential clients")},
		{"an unknown client and a state", all(), request{params: authorization("client_id", "nobody", "state", "s")}, 400, with2(fault("invalid_client", noClient), "state", "s")},
		{"no scope, where one is needed", mandatory, request{params: authorization("scope", nil)}, 400, sentTo(steps + "?error=invalid_scope&error_description=You%20must%20specify%20a%20scope")},
		{"no scope", all(), request{params: authorization("scope", nil)}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"an empty scope", mandatory, request{params: authorization("scope", "")}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"a scope that is not one", all(), request{params: authorization("scope", "step_counts wrong")}, 400, sentTo(steps + "?error=invalid_scope&error_description=%22wrong%22%20is%20an%20invalid%20scope")},
		{"a scope that is a list", all(), request{params: authorization("scope", []string{"step_counts"})}, 400, sentTo(steps + "?error=invalid_scope&error_description=scope%20must%20be%20a%20string")},
		{"a scope that the client cannot have", all(), request{params: authorization("client_id", "limited", "scope", "profile")}, 400, sentTo(steps + "?error=invalid_scope&error_description=%22profile%22%20is%20an%20invalid%20scope")},
		{"no response type", all(), request{params: authorization("response_type", nil)}, 400, sentTo(steps + "?error=unsupported_response_type&error_description=Invalid%20response_type")},
		{"no response type, with a state", all(), request{params: authorization("response_type", nil, "state", "a b")}, 400, sentTo(steps + "?error=unsupported_response_type&error_description=Invalid%20response_type&state=a%20b")},
		{"a response type that is off", codeOnly, request{params: authorization("response_type", "token")}, 400, sentTo(steps + "?error=unsupported_response_type&error_description=Invalid%20response_type")},
		{"a response type that the client cannot use", all(), request{params: authorization("client_id", "limited", "response_type", "token")}, 400, sentTo(steps + "?error=unsupported_response_type&error_description=Invalid%20response_type")},
		{"a foreign redirect URI", all(), request{params: authorization("redirect_uri", "https://evil.example/")}, 400, sentTo(steps + noMatch)},
		{"a longer redirect URI", all(), request{params: authorization("redirect_uri", steps+"/x")}, 400, sentTo(steps + noMatch)},
		{"a redirect URI that is not a text", all(), request{params: authorization("redirect_uri", 1)}, 400, sentTo(steps + noMatch)},
		{"success", all(), request{params: authorization()}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"success with a state", all(), request{params: authorization("state", "hello")}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "&state=hello$")},
		{"an empty state", all(), request{params: authorization("state", "")}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "&state$")},
		{"the first of two redirect URIs", all(), request{params: authorization("client_id", "two")}, 200, sentTo("^" + regexp.QuoteMeta(twoFirst) + `\?code=` + isToken + "$")},
		{"a redirect URI with a query", all(), request{params: authorization("client_id", "two", "redirect_uri", twoSecond)}, 200, sentTo(`^https://two.example.com/second\?code=` + isToken + "&from=gateway$")},
		{"a dotted scope", all(), request{params: authorization("scope", "profile.name")}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"parameters in the URL", all(), request{query: "client_id=steps&scope=step_counts&response_type=code&state=u", params: map[string]any{"provision_key": provision, "authenticated_userid": "ann"}}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "&state=u$")},
		{"the body before the URL", all(), request{query: "state=u", params: authorization("state", "b")}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "&state=b$")},
		{"a form", all(), request{contentType: "application/x-www-form-urlencoded", body: form(authorization())}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"a form with a parameter twice", all(), request{contentType: "application/x-www-form-urlencoded", body: form(authorization()) + "&scope=profile"}, 400, sentTo(steps + "?error=invalid_scope&error_description=scope%20must%20be%20a%20string")},
		{"a state that is a number", all(), request{params: authorization("state", 7)}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "&state=7$")},
		{"a state that is true", all(), request{params: authorization("state", true)}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "&state=true$")},
		{"a state that is false", all(), request{params: authorization("state", false)}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "&state=false$")},
		{"a number as the state of a refusal", all(), request{params: authorization("response_type", nil, "state", 1.5)}, 400, sentTo(steps + "?error=unsupported_response_type&error_description=Invalid%20response_type&state=1%2e5")},
		{"a redirect URI that is false", all(), request{params: authorization("redirect_uri", false)}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"a redirect URI that is null", all(), request{params: authorization("redirect_uri", json.RawMessage("null"))}, 400, sentTo(steps + noMatch)},
		{"an empty redirect URI", all(), request{params: authorization("redirect_uri", "")}, 400, sentTo(steps + noMatch)},
		{"a user that is false", all(), request{params: authorization("authenticated_userid", false)}, 400, fault("invalid_authenticated_userid", "Missing authenticated_userid parameter")},
		{"a client that is false", all(), request{params: authorization("client_id", false)}, 400, fault("invalid_client", noClient)},
		{"a scope that is false", all(), request{params: authorization("scope", false)}, 400, sentTo(steps + "?error=invalid_scope&error_description=scope%20must%20be%20a%20string")},
		{"a scope of white space", mandatory, request{params: authorization("scope", " \t\r\n")}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"a scope with odd spaces", all(), request{params: authorization("scope", "  step_counts\t\nprofile ")}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"a scope in another case", all(), request{params: authorization("scope", "Step_Counts")}, 400, sentTo(steps + "?error=invalid_scope&error_description=%22Step_Counts%22%20is%20an%20invalid%20scope")},
		{"a response type in another case", all(), request{params: authorization("response_type", "Code")}, 400, sentTo(steps + "?error=unsupported_response_type&error_description=Invalid%20response_type")},
		{"two response types", all(), request{params: authorization("response_type", "code token")}, 400, sentTo(steps + "?error=unsupported_response_type&error_description=Invalid%20response_type")},
		{"a wrong scope and a foreign redirect URI", all(), request{params: authorization("scope", "wrong", "redirect_uri", "https://evil.example/")}, 400, sentTo(steps + noMatch)},
		{"an unknown client and a wrong scope", all(), request{params: authorization("client_id", "nobody", "scope", "wrong")}, 400, fault("invalid_client", noClient)},
		{"a form with a scope without equals sign", all(), request{contentType: "application/x-www-form-urlencoded", body: form(authorization("scope", nil)) + "&scope"}, 400, sentTo(steps + "?error=invalid_scope&error_description=scope%20must%20be%20a%20string")},
		{"a form with a state without equals sign", all(), request{contentType: "application/x-www-form-urlencoded", body: form(authorization()) + "&state"}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "&state=true$")},
		{"a form with an empty state", all(), request{contentType: "application/x-www-form-urlencoded", body: form(authorization()) + "&state="}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "&state$")},
		{"a multipart form", all(), multipartOf(authorization("state", "m")), 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "&state=m$")},
		{"a multipart form with a wrong scope", all(), multipartOf(authorization("scope", "wrong")), 400, sentTo(steps + "?error=invalid_scope&error_description=%22wrong%22%20is%20an%20invalid%20scope")},
		{"a multipart form with a wrong key", all(), multipartOf(authorization("provision_key", "wrong")), 400, fault("invalid_provision_key", "Invalid provision_key")},
		{"a multipart form without a user", all(), multipartOf(authorization("authenticated_userid", nil)), 400, fault("invalid_authenticated_userid", "Missing authenticated_userid parameter")},
		{"a multipart form of an unknown client", all(), multipartOf(authorization("client_id", "nobody")), 400, fault("invalid_client", noClient)},
		{"a form with a wrong key", all(), request{contentType: "application/x-www-form-urlencoded", body: form(authorization("provision_key", "wrong"))}, 400, fault("invalid_provision_key", "Invalid provision_key")},
		{"a form without a user", all(), request{contentType: "application/x-www-form-urlencoded", body: form(authorization("authenticated_userid", nil))}, 400, fault("invalid_authenticated_userid", "Missing authenticated_userid parameter")},
		{"a form of an unknown client", all(), request{contentType: "application/x-www-form-urlencoded", body: form(authorization("client_id", "nobody"))}, 400, fault("invalid_client", noClient)},
		{"a form with a foreign redirect URI", all(), request{contentType: "application/x-www-form-urlencoded", body: form(authorization("redirect_uri", "https://evil.example/"))}, 400, sentTo(steps + noMatch)},
		{"JSON that is a list", all(), request{contentType: "application/json", body: `["provision_key"]`}, 400, fault("invalid_provision_key", "Invalid provision_key")},
		{"a path before the endpoint", all(), request{path: "/any/path/oauth2/authorize", params: authorization()}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"a slash behind the endpoint", all(), request{path: "/oauth2/authorize/", params: authorization()}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"JSON with a member twice", all(), request{contentType: "application/json", body: `{"provision_key":"` + provision + `","provision_key":"` + provision + `"}`}, 400, fault("invalid_provision_key", "Invalid provision_key")},
		{"a body that is not JSON", all(), request{contentType: "application/json", body: "["}, 400, fault("invalid_provision_key", "Invalid provision_key")},
		{"a body of another type", all(), request{contentType: "text/plain", body: form(authorization())}, 400, fault("invalid_provision_key", "Invalid provision_key")},

		{"a challenge method without a challenge", all(), request{params: authorization("client_id", "mobile", "code_challenge_method", "S256")}, 400, sentTo("com.example.steps:/done?error=invalid_request&error_description=code_challenge%20is%20required%20when%20code_method%20is%20present")},
		{"a challenge method that is not served", all(), request{params: authorization("code_challenge", challengeOfVerifier, "code_challenge_method", "plain", "state", "x")}, 400, sentTo(steps + "?error=invalid_request&error_description=code_challenge_method%20is%20not%20supported%2c%20must%20be%20S256&state=x")},
		{"a public client without a challenge", all(), request{params: authorization("client_id", "mobile")}, 400, sentTo("com.example.steps:/done?error=invalid_request&error_description=code_challenge%20is%20required%20for%20public%20clients")},
		{"a public client without a challenge where none is needed", lax, request{params: authorization("client_id", "mobile")}, 200, sentTo(`^com.example.steps:/done\?code=` + isToken + "$")},
		{"a confidential client without a challenge where all need one", strict, request{params: authorization()}, 400, sentTo(steps + "?error=invalid_request&error_description=code_challenge%20is%20required%20for%20confidential%20clients")},
		{"a public client without a challenge where all need one", strict, request{params: authorization("client_id", "mobile")}, 400, sentTo("com.example.steps:/done?error=invalid_request&error_description=code_challenge%20is%20required%20for%20public%20clients")},
		{"implicit of a public client without a challenge", all(), request{params: authorization("client_id", "mobile", "response_type", "token")}, 400, sentTo("com.example.steps:/done?error=invalid_request&error_description=code_challenge%20is%20required%20for%20public%20clients")},
		{"a wrong scope and no challenge", strict, request{params: authorization("scope", "wrong")}, 400, sentTo(steps + "?error=invalid_request&error_description=code_challenge%20is%20required%20for%20confidential%20clients")},
		{"an unknown client with a method and no challenge", all(), request{params: authorization("client_id", "nobody", "code_challenge_method", "S256", "state", "s")}, 400, with2(fault("invalid_request", "code_challenge is required when code_method is present"), "state", "s")},
		{"a challenge that is false", all(), request{params: authorization("client_id", "mobile", "code_challenge", false)}, 400, sentTo("com.example.steps:/done?error=invalid_request&error_description=code_challenge%20is%20required%20for%20public%20clients")},
		{"a challenge method that is false", all(), request{params: authorization("code_challenge", challengeOfVerifier, "code_challenge_method", false)}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "$")},
		{"an empty challenge method", all(), request{params: authorization("code_challenge", challengeOfVerifier, "code_challenge_method", "")}, 400, sentTo(steps + "?error=invalid_request&error_description=code_challenge_method%20is%20not%20supported%2c%20must%20be%20S256")},
		{"a challenge of four characters", all(), request{params: authorization("client_id", "mobile", "code_challenge", "1234", "code_challenge_method", "S256")}, 200, sentTo(`^com.example.steps:/done\?code=` + isToken + "$")},
		{"a state twice", all(), request{contentType: "application/x-www-form-urlencoded", body: form(authorization("state", "a")) + "&state=b"}, 200, sentTo("^" + regexp.QuoteMeta(steps) + `\?code=` + isToken + "&state%5b1%5d=a&state%5b2%5d=b$")},
		{"a state that is a list", all(), request{params: authorization("response_type", nil, "state", []string{"a", "b"})}, 400, sentTo(steps + "?error=unsupported_response_type&error_description=Invalid%20response_type&state%5b1%5d=a&state%5b2%5d=b")},
		{"a challenge in lower case and without a method", all(), request{params: authorization("client_id", "mobile", "code_challenge", challengeOfVerifier)}, 200, sentTo(`^com.example.steps:/done\?code=` + isToken + "$")},
		{"the method in lower case", all(), request{params: authorization("client_id", "mobile", "code_challenge", challengeOfVerifier, "code_challenge_method", "s256")}, 200, sentTo(`^com.example.steps:/done\?code=` + isToken + "$")},
		{"a challenge that is not a text", all(), request{params: authorization("code_challenge", []int{1})}, 400, sentTo(steps + "?error=invalid_request&error_description=code_challenge%20is%20not%20a%20string")},

		{"implicit", all(), request{params: authorization("response_type", "token")}, 200, sentTo("^" + regexp.QuoteMeta(steps) + "#access_token=" + isToken + "&expires_in=7200&token_type=bearer$")},
		{"implicit with a state", all(), request{params: authorization("response_type", "token", "state", "wot")}, 200, sentTo("^" + regexp.QuoteMeta(steps) + "#access_token=" + isToken + "&expires_in=7200&state=wot&token_type=bearer$")},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, test.profile)
			if test.request.path == "" {
				test.request.path = "/oauth2/authorize"
			}
			w := f.send(test.request)
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if w.Code != test.status {
				t.Errorf("got status %d, want %d", w.Code, test.status)
			}
			wantMatch(t, got, test.want)
			if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Pragma") != "no-cache" || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
				t.Errorf("got the header %v", w.Header())
			}
			if refused := test.status >= 400; refused != (len(f.refusals) == 1) {
				t.Errorf("got the records %+v", f.refusals)
			}
		})
	}
}
