// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// variables decodes claims as a verified token holds them.
func variables(t testing.TB, document string) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.UseNumber()
	var vars map[string]any
	if err := decoder.Decode(&vars); err != nil {
		t.Fatal(err)
	}
	return vars
}

// signNone is the unsigned form, whose bytes do not change from run to run.
func signNone(claims map[string]any) (string, error) {
	data, err := json.Marshal(claims)
	return unsigned(data, TypePhantomToken), err
}

// TestHeaderTableOfGluuGateway4 is the table in the documentation of Gluu
// Gateway 4 ("Custom headers"), row by row and for each format that it names.
// The expected values were worked out by hand, with coreutils' base64, from
// the claims below; only the `_` of keys is a `-` in names, as it was there.
func TestHeaderTableOfGluuGateway4(t *testing.T) {
	vars := variables(t, `{
		"introspect_data": {"active": true, "client_id": "app/1 é", "exp": 1900000000, "scope": ["todos:read", "todos:write"]},
		"consumer": {"id": "a28a0f83-b619-4b58-94b3-e4ecaf8b6a2d"},
		"id_token": {"sub": "joe", "exp": 1900000000},
		"userinfo": {"sub": "joe", "email": "joe@example.com", "roles": ["manager", "admin"]},
		"access_token": "opaque-token"
	}`)
	const (
		noneHeader    = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0."
		introspectB64 = "eyJhY3RpdmUiOnRydWUsImNsaWVudF9pZCI6ImFwcC8xIMOpIiwiZXhwIjoxOTAwMDAwMDAwLCJzY29wZSI6WyJ0b2RvczpyZWFkIiwidG9kb3M6d3JpdGUiXX0"
		userinfoB64   = "eyJlbWFpbCI6ImpvZUBleGFtcGxlLmNvbSIsInJvbGVzIjpbIm1hbmFnZXIiLCJhZG1pbiJdLCJzdWIiOiJqb2UifQ"
	)
	for _, row := range []struct {
		name, value string
		format      Format
		sep         string
		iterate     bool
		want        string // of one header
		each        map[string]string
	}{
		{name: "x-oauth-client-id", value: "introspect_data", format: "jwt", want: noneHeader + introspectB64 + "."},
		{name: "x-oauth-client-id", value: "introspect_data", format: "base64", want: introspectB64 + "="},
		{name: "x-oauth-client-id", value: "introspect_data", want: introspectB64 + "="},

		{name: "x-consumer-id", value: "consumer.id", format: "string", want: "a28a0f83-b619-4b58-94b3-e4ecaf8b6a2d"},
		{name: "x-consumer-id", value: "consumer.id", format: "base64", want: "YTI4YTBmODMtYjYxOS00YjU4LTk0YjMtZTRlY2FmOGI2YTJk"},
		{name: "x-consumer-id", value: "consumer.id", format: "urlencoded", want: "a28a0f83-b619-4b58-94b3-e4ecaf8b6a2d"},
		{name: "x-consumer-id", value: "consumer.id", want: "a28a0f83-b619-4b58-94b3-e4ecaf8b6a2d"},

		{name: "x-oauth-client-id", value: "introspect_data.client_id", format: "string", want: "app/1 é"},
		{name: "x-oauth-client-id", value: "introspect_data.client_id", format: "base64", want: "YXBwLzEgw6k="},
		{name: "x-oauth-client-id", value: "introspect_data.client_id", format: "urlencoded", want: "app%2F1%20%C3%A9"},

		{name: "x-rpt-expiration", value: "introspect_data.exp", format: "string", want: "1900000000"},
		{name: "x-rpt-expiration", value: "introspect_data.exp", format: "base64", want: "MTkwMDAwMDAwMA=="},
		{name: "x-rpt-expiration", value: "introspect_data.exp", format: "urlencoded", want: "1900000000"},
		{name: "x-rpt-expiration", value: "introspect_data.exp", want: "1900000000"},

		{name: "x-oauth-token-{*}", value: "introspect_data", format: "string", iterate: true, each: map[string]string{
			"X-Oauth-Token-Active":    "true",
			"X-Oauth-Token-Client-Id": "app/1 é",
			"X-Oauth-Token-Exp":       "1900000000",
			"X-Oauth-Token-Scope":     `["todos:read","todos:write"]`,
		}},
		{name: "x-oauth-token-{*}", value: "introspect_data", format: "urlencoded", iterate: true, each: map[string]string{
			"X-Oauth-Token-Active":    "true",
			"X-Oauth-Token-Client-Id": "app%2F1%20%C3%A9",
			"X-Oauth-Token-Exp":       "1900000000",
			"X-Oauth-Token-Scope":     "%5B%22todos%3Aread%22%2C%22todos%3Awrite%22%5D",
		}},
		{name: "x-oauth-token-{*}", value: "introspect_data", format: "base64", iterate: true, each: map[string]string{
			"X-Oauth-Token-Active":    "dHJ1ZQ==",
			"X-Oauth-Token-Client-Id": "YXBwLzEgw6k=",
			"X-Oauth-Token-Exp":       "MTkwMDAwMDAwMA==",
			"X-Oauth-Token-Scope":     "WyJ0b2RvczpyZWFkIiwidG9kb3M6d3JpdGUiXQ==",
		}},
		{name: "x-oauth-token-{*}", value: "introspect_data", iterate: true, each: map[string]string{
			"X-Oauth-Token-Active":    "true",
			"X-Oauth-Token-Client-Id": "app/1 é",
			"X-Oauth-Token-Exp":       "1900000000",
			"X-Oauth-Token-Scope":     "WyJ0b2RvczpyZWFkIiwidG9kb3M6d3JpdGUiXQ==",
		}},

		{name: "kong-version", value: `"version 2.0"`, format: "string", want: "version 2.0"},
		{name: "kong-version", value: `"version 2.0"`, format: "urlencoded", want: "version%202.0"},
		{name: "kong-version", value: `"version 2.0"`, format: "base64", want: "dmVyc2lvbiAyLjA="},
		{name: "kong_version", value: `"version 2.0"`, want: "version 2.0"},

		{name: "x-authenticated-scope", value: "introspect_data.scope", format: "list", sep: ",", want: "todos:read,todos:write"},
		{name: "x-authenticated-scope", value: "introspect_data.scope", format: "list", want: "todos:read,todos:write"},
		{name: "x-authenticated-scope", value: "introspect_data.scope", format: "list", sep: " ", want: "todos:read todos:write"},

		{name: "kong-openidc-id-token", value: "id_token", format: "string", want: `{"exp":1900000000,"sub":"joe"}`},
		{name: "kong-openidc-id-token", value: "id_token", format: "base64", want: "eyJleHAiOjE5MDAwMDAwMDAsInN1YiI6ImpvZSJ9"},
		{name: "kong-openidc-userinfo", value: "userinfo", format: "jwt", want: noneHeader + userinfoB64 + "."},
		{name: "kong-openidc-userinfo", value: "userinfo", format: "base64", want: userinfoB64 + "=="},
		{name: "kong-openidc-id-token-{*}", value: "id_token", format: "string", iterate: true, each: map[string]string{
			"Kong-Openidc-Id-Token-Exp": "1900000000",
			"Kong-Openidc-Id-Token-Sub": "joe",
		}},
		{name: "kong-openidc-userinfo-{*}", value: "userinfo", format: "urlencoded", iterate: true, each: map[string]string{
			"Kong-Openidc-Userinfo-Email": "joe%40example.com",
			"Kong-Openidc-Userinfo-Roles": "%5B%22manager%22%2C%22admin%22%5D",
			"Kong-Openidc-Userinfo-Sub":   "joe",
		}},
		{name: "kong-openidc-userinfo-{*}", value: "userinfo", format: "base64", iterate: true, each: map[string]string{
			"Kong-Openidc-Userinfo-Email": "am9lQGV4YW1wbGUuY29t",
			"Kong-Openidc-Userinfo-Roles": "WyJtYW5hZ2VyIiwiYWRtaW4iXQ==",
			"Kong-Openidc-Userinfo-Sub":   "am9l",
		}},
		{name: "kong-openidc-userinfo-email", value: "userinfo.email", format: "string", want: "joe@example.com"},
		{name: "kong-openidc-userinfo-email", value: "userinfo.email", format: "urlencoded", want: "joe%40example.com"},
		{name: "kong-openidc-userinfo-email", value: "userinfo.email", format: "base64", want: "am9lQGV4YW1wbGUuY29t"},
		{name: "kong-openidc-id-token-exp", value: "id_token.exp", format: "string", want: "1900000000"},
		{name: "kong-openidc-id-token-exp", value: "id_token.exp", format: "base64", want: "MTkwMDAwMDAwMA=="},
		{name: "kong-userinfo-roles", value: "userinfo.roles", format: "list", sep: ",", want: "manager,admin"},
		{name: "gg-access-token", value: "access_token", format: "string", want: "opaque-token"},
		{name: "gg-access-token", value: "access_token", format: "urlencoded", want: "opaque-token"},
		{name: "gg-access-token", value: "access_token", format: "base64", want: "b3BhcXVlLXRva2Vu"},
	} {
		h, err := CompileHeader(HeaderConfig{row.name, row.value, row.format, row.sep, row.iterate}, slices.Sorted(maps.Keys(vars))...)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		lines, problems := h.Render(vars, signNone)
		if len(problems) > 0 {
			t.Errorf("%s %s %s: %v", row.name, row.value, row.format, problems)
		}
		got := make(map[string]string)
		for _, line := range lines {
			got[line.Name] = line.Value
		}
		want := row.each
		if want == nil {
			name, _ := CanonicalName(row.name, false)
			want = map[string]string{name: row.want}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s | %s | %s | %q\n got %q\nwant %q", row.name, row.value, row.format, row.sep, got, want)
		}
	}
}
