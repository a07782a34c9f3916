// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// unsignedJWT has the form of a JWT; to a gateway that introspects, it is any token.
func unsignedJWT(claims map[string]any) string {
	encode := func(v any) string {
		text, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return encode(map[string]any{"alg": "ES256"}) + "." + encode(claims) + "." + strings.Repeat("A", 86)
}

// The log line of a refusal says what was asked and what was there, so that an
// operator finds the cause without the token.
func TestTheLogSaysWhatWasAskedAndWhatWasThere(t *testing.T) {
	g := start(t, simpleApp, "gluu_oauth_auth\n"+simplePEP)
	g.auth.issue("narrow", claims("client-a", "other more"))
	g.auth.issue("elsewhere", claims("client-a", "read list", "aud", []string{"billing", "crm"}))
	g.auth.issue("nowhere", claims("client-a", "read list", "aud", []string{}))
	g.auth.issue("of-another", claims("client-a", "read list", "iss", "https://other.example"))
	g.auth.issue("ahead", claims("client-a", "read list", "nbf", time.Now().Add(time.Hour).Unix()))
	foreign := unsignedJWT(map[string]any{"iss": "https://tenant.example/a"})
	for _, test := range []struct {
		name, method, token, reason string
		required                    string
		grants                      []any
		says                        []string
	}{
		{"no token", "GET", "", "no_token", "", nil, nil},
		{"scopes", "GET", "narrow", "scope_missing", "read and list", []any{"other", "more"}, nil},
		{"alternatives", "POST", "narrow", "scope_missing", "write or admin", []any{"other", "more"}, nil},
		{"audience", "GET", "elsewhere", "token_invalid", "", nil, []string{`aud is "billing", "crm", expected "api"`}},
		{"no audience", "GET", "nowhere", "token_invalid", "", nil, []string{`no aud, expected "api"`}},
		{"issuer", "GET", "of-another", "token_invalid", "", nil, []string{`iss is "https://other.example", expected "` + g.auth.URL + `"`}},
		{"clock", "GET", "ahead", "token_invalid", "", nil, []string{"nbf is 3", " s in the future, and at most 5 s are tolerated"}},
		{"JWT asked about elsewhere", "GET", foreign, "token_inactive", "", nil, []string{`JWT of the issuer "https://tenant.example/a", but "` + g.auth.URL + `" was asked`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(g.records("request refused"))
			request := test.method + " /todos/1 HTTP/1.1\nHost: " + g.address
			if test.token != "" {
				request += "\nAuthorization: Bearer " + test.token
			}
			got := g.send(request)
			records := g.records("request refused")[before:]
			if len(records) != 1 || records[0]["reason"] != test.reason {
				t.Fatalf("got records %v, want one with the reason %s", records, test.reason)
			}
			record := records[0]
			var body struct {
				ID string `json:"request_id"`
			}
			if err := json.Unmarshal([]byte(got.body), &body); err != nil || len(body.ID) != 36 || record["request_id"] != body.ID {
				t.Errorf("got the body %s and the request_id %v in the log (error %v), want the same id", got.body, record["request_id"], err)
			}
			required, _ := record["required"].(string)
			grants, _ := record["grants"].([]any)
			if required != test.required || strings.Join(texts(grants), " ") != strings.Join(texts(test.grants), " ") {
				t.Errorf("got required %q and grants %v, want %q and %v", required, grants, test.required, test.grants)
			}
			cause, _ := record["error"].(string)
			for _, want := range test.says {
				if !strings.Contains(cause, want) {
					t.Errorf("got the error %q, want it to say %s", cause, want)
				}
			}
			if test.token == foreign && strings.Contains(cause, foreign) {
				t.Error("the log contains the token")
			}
		})
	}
}

func texts(values []any) []string {
	var texts []string
	for _, value := range values {
		text, _ := value.(string)
		texts = append(texts, text)
	}
	return texts
}
