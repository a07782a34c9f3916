// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
)

func TestVerifiedTokenSaysWhatTheIssuerSaid(t *testing.T) {
	raw := signToken(t, "ES256", nil, goodClaims(claims{"cnf": map[string]any{"jkt": "thumb", "x5t#S256": "cert"}}))
	got, err := testVerifier(keysFor("ES256"), "api").verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	want := &token.Token{
		Issuer: testIssuer, Subject: "alice", ClientID: "app", Scopes: []string{"read", "write"}, JWT: true,
		ExpiresAt:    time.Unix(testNow.Add(time.Hour).Unix(), 0),
		Confirmation: &token.Confirmation{JKT: "thumb", X5T: "cert"},
		ClaimsJSON:   got.ClaimsJSON,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	var c claims
	if err := json.Unmarshal([]byte(got.ClaimsJSON), &c); err != nil || c["jti"] != "1" {
		t.Errorf("claims are %s, %v", got.ClaimsJSON, err)
	}
}

func TestClientAndScopesUnderTheirManyNames(t *testing.T) {
	for name, c := range map[string]struct {
		claims claims
		client string
		scopes []string
	}{
		"client_id before azp":  {claims{"azp": "other"}, "app", []string{"read", "write"}},
		"azp":                   {claims{"client_id": nil, "azp": "other"}, "other", []string{"read", "write"}},
		"cid":                   {claims{"client_id": nil, "cid": "okta"}, "okta", []string{"read", "write"}},
		"no client":             {claims{"client_id": nil}, "", []string{"read", "write"}},
		"scp, a list":           {claims{"scope": nil, "scp": []string{"a", "b"}}, "app", []string{"a", "b"}},
		"scp, a string":         {claims{"scope": nil, "scp": "a b"}, "app", []string{"a", "b"}},
		"scope, a list":         {claims{"scope": []string{"a", "b:c"}}, "app", []string{"a", "b:c"}},
		"scope before scp":      {claims{"scp": "admin"}, "app", []string{"read", "write"}},
		"split at U+0020 only":  {claims{"scope": " a\tb  c\u00a0d,e "}, "app", []string{"a\tb", "c\u00a0d,e"}},
		"no scope":              {claims{"scope": nil}, "app", nil},
		"empty scope":           {claims{"scope": ""}, "app", nil},
		"scopes of delimiters":  {claims{"scope": "a:b a,b \"a\""}, "app", []string{"a:b", "a,b", "\"a\""}},
		"names compare exactly": {claims{"Scope": "admin", "SCOPE": "admin", "Client_ID": "x"}, "app", []string{"read", "write"}},
	} {
		got, err := testVerifier(keysFor("EdDSA")).verify(t.Context(), signToken(t, "EdDSA", nil, goodClaims(c.claims)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.ClientID != c.client || !slices.Equal(got.Scopes, c.scopes) {
			t.Errorf("%s: got %q %q, want %q %q", name, got.ClientID, got.Scopes, c.client, c.scopes)
		}
	}
}

// S-35: issuer, audience and time, in all shapes that were ever mistaken for
// the right one.
func TestSec_S35_ClaimsTable(t *testing.T) {
	at := func(d time.Duration) int64 { return testNow.Add(d).Unix() }
	for name, c := range map[string]struct {
		changes claims
		want    token.Reason
	}{
		"as it should be": {nil, ""},

		"iss absent":         {claims{"iss": nil}, token.Invalid},
		"iss empty":          {claims{"iss": ""}, token.Invalid},
		"iss with slash":     {claims{"iss": testIssuer + "/"}, token.Invalid},
		"iss in upper case":  {claims{"iss": strings.ToUpper(testIssuer)}, token.Invalid},
		"iss of other realm": {claims{"iss": "https://op.example.com/realms/other"}, token.Invalid},
		"iss shorter":        {claims{"iss": "https://op.example.com"}, token.Invalid},
		"iss longer":         {claims{"iss": testIssuer + ".evil.example"}, token.Invalid},
		"iss over http":      {claims{"iss": strings.Replace(testIssuer, "https", "http", 1)}, token.Invalid},
		"iss a list":         {claims{"iss": []string{testIssuer}}, token.Invalid},
		"iss an object":      {claims{"iss": claims{"value": testIssuer}}, token.Invalid},
		"iss under ISS":      {claims{"iss": nil, "ISS": testIssuer}, token.Invalid},

		"aud in a list":      {claims{"aud": []string{"other", "api"}}, ""},
		"aud second name":    {claims{"aud": "api2"}, ""},
		"aud absent":         {claims{"aud": nil}, token.Invalid},
		"aud empty":          {claims{"aud": ""}, token.Invalid},
		"aud empty list":     {claims{"aud": []string{}}, token.Invalid},
		"aud list of empty":  {claims{"aud": []string{""}}, token.Invalid},
		"aud other":          {claims{"aud": "other"}, token.Invalid},
		"aud others":         {claims{"aud": []string{"a", "b"}}, token.Invalid},
		"aud a prefix":       {claims{"aud": "ap"}, token.Invalid},
		"aud longer":         {claims{"aud": "api3"}, token.Invalid},
		"aud in upper case":  {claims{"aud": "API"}, token.Invalid},
		"aud with space":     {claims{"aud": "api "}, token.Invalid},
		"aud of two":         {claims{"aud": "api other"}, token.Invalid},
		"aud a number":       {claims{"aud": 1}, token.Invalid},
		"aud an object":      {claims{"aud": claims{"api": true}}, token.Invalid},
		"aud list of list":   {claims{"aud": []any{[]string{"api"}}}, token.Invalid},
		"aud list and more":  {claims{"aud": []any{"api", 1}}, token.Invalid},
		"aud true":           {claims{"aud": true}, token.Invalid},
		"aud a wildcard":     {claims{"aud": "*"}, token.Invalid},
		"aud is the client":  {claims{"aud": "app"}, token.Invalid},
		"aud in other claim": {claims{"aud": nil, "Aud": "api", "resource": "api"}, token.Invalid},

		"exp absent":          {claims{"exp": nil}, token.Invalid},
		"exp zero":            {claims{"exp": 0}, token.Expired},
		"exp long ago":        {claims{"exp": at(-time.Hour)}, token.Expired},
		"exp a second ago":    {claims{"exp": at(-time.Second)}, token.Expired},
		"exp now":             {claims{"exp": at(0)}, token.Expired},
		"exp in a second":     {claims{"exp": at(time.Second)}, ""},
		"exp in half one":     {claims{"exp": float64(at(0)) + 0.5}, ""},
		"exp a string":        {claims{"exp": fmt.Sprint(at(time.Hour))}, token.Invalid},
		"exp true":            {claims{"exp": true}, token.Invalid},
		"exp a list":          {claims{"exp": []int64{at(time.Hour)}}, token.Invalid},
		"exp negative":        {claims{"exp": -1}, token.Invalid},
		"exp milliseconds":    {claims{"exp": testNow.Add(time.Hour).UnixMilli()}, token.Invalid},
		"exp beyond int64":    {claims{"exp": json.Number("9223372036854775808")}, token.Invalid},
		"exp wraps to 0":      {claims{"exp": json.Number("18446744073709551616")}, token.Invalid},
		"exp beyond float64":  {claims{"exp": json.Number("1e999")}, token.Invalid},
		"exp NaN in a string": {claims{"exp": "NaN"}, token.Invalid},
		"exp under EXP":       {claims{"exp": nil, "EXP": at(time.Hour)}, token.Invalid},

		"nbf now":             {claims{"nbf": at(0)}, ""},
		"nbf within leeway":   {claims{"nbf": at(5 * time.Second)}, ""},
		"nbf beyond leeway":   {claims{"nbf": at(6 * time.Second)}, token.Invalid},
		"nbf a string":        {claims{"nbf": "0"}, token.Invalid},
		"nbf negative":        {claims{"nbf": -1}, token.Invalid},
		"nbf beyond int64":    {claims{"nbf": json.Number("1e300")}, token.Invalid},
		"iat absent":          {claims{"iat": nil}, ""},
		"iat within leeway":   {claims{"iat": at(5 * time.Second)}, ""},
		"iat beyond leeway":   {claims{"iat": at(6 * time.Second)}, token.Invalid},
		"iat a string":        {claims{"iat": "now"}, token.Invalid},
		"sub a number":        {claims{"sub": 7}, token.Invalid},
		"sub absent":          {claims{"sub": nil}, ""},
		"client_id a list":    {claims{"client_id": []string{"app"}}, token.Invalid},
		"scope a number":      {claims{"scope": 1}, token.Invalid},
		"scope an object":     {claims{"scope": claims{"admin": true}}, token.Invalid},
		"scope list of lists": {claims{"scope": []any{[]string{"admin"}}}, token.Invalid},
		"scope with space":    {claims{"scope": []string{"a admin"}}, token.Invalid},
		"cnf jkt a number":    {claims{"cnf": claims{"jkt": 1}}, token.Invalid},
	} {
		_, err := testVerifier(keysFor("ES256"), "api", "api2").verify(t.Context(), signToken(t, "ES256", nil, goodClaims(c.changes)))
		wantReason(t, name, err, c.want)
	}
	// Without a configured audience any will do, as the warning at load says.
	_, err := testVerifier(keysFor("ES256")).verify(t.Context(), signToken(t, "ES256", nil, goodClaims(claims{"aud": "other"})))
	wantReason(t, "no audience configured", err, "")
}

// A token without a valid signature is never called expired or meant for
// others: an attacker must not choose the reason in the log.
func TestForgedTokensAreOnlyInvalid(t *testing.T) {
	raw := signToken(t, "ES256", nil, goodClaims(claims{"exp": 1, "aud": "other"}))
	raw = raw[:len(raw)-8] + "AAAAAAAA"
	_, err := testVerifier(keysFor("ES256"), "api").verify(t.Context(), raw)
	wantReason(t, "forged and expired", err, token.Invalid)
	if e := new(token.Error); errors.As(err, &e) && strings.Contains(e.Error(), "expired") {
		t.Errorf("the error says %v", err)
	}
}

// S-36: the issuer signs ID tokens, logout tokens and more with the same keys.
func TestSec_S36_OnlyAccessTokens(t *testing.T) {
	type m = map[string]any
	for name, c := range map[string]struct {
		header m
		claims claims
		want   token.Reason
	}{
		"at+jwt":                   {m{"typ": "at+jwt"}, nil, ""},
		"AT+JWT":                   {m{"typ": "AT+JWT"}, nil, ""},
		"application/at+jwt":       {m{"typ": "application/at+jwt"}, nil, ""},
		"Application/At+Jwt":       {m{"typ": "Application/At+Jwt"}, nil, ""},
		"JWT":                      {m{"typ": "JWT"}, nil, ""},
		"jwt":                      {m{"typ": "jwt"}, nil, ""},
		"application/jwt":          {m{"typ": "application/jwt"}, nil, ""},
		"no typ":                   {m{"typ": nil}, nil, ""},
		"payload typ Bearer":       {nil, claims{"typ": "Bearer"}, ""},
		"payload typ DPoP":         {nil, claims{"typ": "DPoP"}, ""},
		"token_use access":         {nil, claims{"token_use": "access"}, ""},
		"dpop+jwt":                 {m{"typ": "dpop+jwt"}, nil, token.Invalid},
		"logout+jwt":               {m{"typ": "logout+jwt"}, nil, token.Invalid},
		"secevent+jwt":             {m{"typ": "secevent+jwt"}, nil, token.Invalid},
		"token-introspection+jwt":  {m{"typ": "token-introspection+jwt"}, nil, token.Invalid},
		"oauth-authz-req+jwt":      {m{"typ": "oauth-authz-req+jwt"}, nil, token.Invalid},
		"id+jwt":                   {m{"typ": "id+jwt"}, nil, token.Invalid},
		"JWS":                      {m{"typ": "JWS"}, nil, token.Invalid},
		"JOSE":                     {m{"typ": "JOSE"}, nil, token.Invalid},
		"application/ twice":       {m{"typ": "application/application/jwt"}, nil, token.Invalid},
		"an empty typ":             {m{"typ": ""}, nil, token.Invalid},
		"application/ alone":       {m{"typ": "application/"}, nil, token.Invalid},
		"text/jwt":                 {m{"typ": "text/jwt"}, nil, token.Invalid},
		"typ with space":           {m{"typ": "at+jwt "}, nil, token.Invalid},
		"typ a list":               {m{"typ": []string{"at+jwt"}}, nil, token.Invalid},
		"payload typ ID":           {nil, claims{"typ": "ID"}, token.Invalid},
		"payload typ id":           {nil, claims{"typ": "id"}, token.Invalid},
		"payload typ Refresh":      {nil, claims{"typ": "Refresh"}, token.Invalid},
		"payload typ REFRESH":      {nil, claims{"typ": "REFRESH"}, token.Invalid},
		"payload typ Offline":      {nil, claims{"typ": "Offline"}, token.Invalid},
		"payload typ Logout":       {nil, claims{"typ": "Logout"}, token.Invalid},
		"payload typ a list":       {nil, claims{"typ": []string{"ID"}}, token.Invalid},
		"token_use id":             {nil, claims{"token_use": "id"}, token.Invalid},
		"token_use refresh":        {nil, claims{"token_use": "refresh"}, token.Invalid},
		"token_use Access":         {nil, claims{"token_use": "Access"}, token.Invalid},
		"token_use empty":          {nil, claims{"token_use": ""}, token.Invalid},
		"token_use a list":         {nil, claims{"token_use": []string{"access", "id"}}, token.Invalid},
		"at_hash":                  {nil, claims{"at_hash": "x"}, token.Invalid},
		"c_hash":                   {nil, claims{"c_hash": "x"}, token.Invalid},
		"s_hash":                   {nil, claims{"s_hash": "x"}, token.Invalid},
		"at_hash that is a number": {nil, claims{"at_hash": 0}, token.Invalid},
		"logout token, old":        {m{"typ": "JWT"}, claims{"events": m{"http://schemas.openid.net/event/backchannel-logout": m{}}}, token.Invalid},
		"ID token of our client":   {m{"typ": "JWT"}, claims{"aud": "app", "azp": "app", "client_id": nil, "scope": nil, "nonce": "n", "at_hash": "h"}, token.Invalid},
		"ID token, audience tells": {m{"typ": "JWT"}, claims{"aud": "app", "azp": "app", "client_id": nil, "scope": nil}, token.Invalid},
	} {
		_, err := testVerifier(keysFor("RS256"), "api").verify(t.Context(), signToken(t, "RS256", c.header, goodClaims(c.claims)))
		wantReason(t, name, err, c.want)
	}
}

// A token that two readers could read differently is refused.
func TestTokensHaveOneReading(t *testing.T) {
	good := func(extra string) []byte {
		return []byte(fmt.Sprintf(`{%s"iss":%q,"exp":%d}`, extra, testIssuer, testNow.Add(time.Hour).Unix()))
	}
	for name, c := range map[string]struct {
		payload []byte
		want    token.Reason
	}{
		"plain":            {good(``), ""},
		"iss twice":        {good(`"iss":"https://other.example",`), token.Invalid},
		"exp twice":        {good(`"exp":1,`), token.Invalid},
		"scope twice":      {good(`"scope":"a","scope":"admin",`), token.Invalid},
		"scope, escaped":   {good(`"scope":"a","\u0073cope":"admin",`), token.Invalid},
		"cnf jkt twice":    {good(`"cnf":{"jkt":"a","jkt":"b"},`), token.Invalid},
		"deep, twice":      {good(`"realm_access":{"roles":[],"roles":["admin"]},`), token.Invalid},
		"invalid UTF-8":    {good("\"sub\":\"\xff\","), token.Invalid},
		"half a surrogate": {good(`"sub":"\ud800",`), token.Invalid},
		"no object":        {[]byte(`[]`), token.Invalid},
		"a string":         {[]byte(`"x"`), token.Invalid},
		"more after it":    {append(good(``), '{', '}'), token.Invalid},
		"nested deeply":    {good(`"x":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `,`), token.Invalid},
		"NaN":              {[]byte(fmt.Sprintf(`{"iss":%q,"exp":NaN}`, testIssuer)), token.Invalid},
	} {
		_, err := testVerifier(keysFor("ES256")).verify(t.Context(), signToken(t, "ES256", nil, c.payload))
		wantReason(t, name, err, c.want)
	}
}

// An ID token of the code flow has no hash that would tell it apart. Where no
// audience does, it is one that grants nothing and has a nonce or is meant for its
// own client.
func TestIDTokensOfTheCodeFlow(t *testing.T) {
	for name, c := range map[string]struct {
		audience []string
		header   map[string]any
		changes  claims
		accepted bool
	}{
		"nonce, no scope":             {nil, nil, claims{"scope": nil, "nonce": "n"}, false},
		"nonce and a scope":           {nil, nil, claims{"nonce": "n"}, true},
		"its own client, no scope":    {nil, nil, claims{"scope": nil, "client_id": nil, "azp": "app", "aud": "app"}, false},
		"its own client in a list":    {nil, nil, claims{"scope": nil, "client_id": nil, "azp": "app", "aud": []string{"x", "app"}}, false},
		"its own client and a scope":  {nil, nil, claims{"client_id": "app", "aud": "app"}, true},
		"another audience, no scope":  {nil, nil, claims{"scope": nil, "client_id": "app", "aud": "api"}, true},
		"the type of an access token": {nil, map[string]any{"typ": "at+jwt"}, claims{"scope": nil, "client_id": "app", "aud": "app", "nonce": "n"}, true},
		"a configured audience":       {[]string{"app"}, nil, claims{"scope": nil, "client_id": "app", "aud": "app"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			header := map[string]any{"typ": "JWT"}
			maps.Copy(header, c.header)
			raw := signToken(t, "ES256", header, goodClaims(c.changes))
			_, err := testVerifier(keysFor("ES256"), c.audience...).verify(t.Context(), raw)
			if (err == nil) != c.accepted {
				t.Errorf("got %v, want accepted %t", err, c.accepted)
			}
		})
	}
}
