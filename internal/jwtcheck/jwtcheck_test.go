// SPDX-License-Identifier: Apache-2.0

package jwtcheck

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/jose"
)

var now = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

func object(t *testing.T, text string) jose.Object {
	t.Helper()
	claims, err := jose.ParseObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestIssuer(t *testing.T) {
	const issuer = "https://op.example.com/realms/main"
	for name, c := range map[string]struct {
		claims, want string
		accepted     bool
	}{
		"equal":          {`{"iss":"` + issuer + `"}`, issuer, true},
		"trailing slash": {`{"iss":"` + issuer + `/"}`, issuer, false},
		"prefix":         {`{"iss":"https://op.example.com"}`, issuer, false},
		"other case":     {`{"iss":"HTTPS://op.example.com/realms/main"}`, issuer, false},
		"list":           {`{"iss":["` + issuer + `"]}`, issuer, false},
		"absent":         {`{}`, issuer, false},
		"empty":          {`{"iss":""}`, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Issuer(object(t, c.claims), c.want); (err == nil) != c.accepted {
				t.Errorf("got error %v, want accepted %t", err, c.accepted)
			}
		})
	}
}

// now is 1790856000 in seconds since 1970.
func TestNotBefore(t *testing.T) {
	for name, c := range map[string]struct {
		claims   string
		accepted bool
	}{
		"neither":                    {`{}`, true},
		"now":                        {`{"nbf":1790856000,"iat":1790856000}`, true},
		"iat within the leeway":      {`{"iat":1790856005}`, true},
		"iat beyond the leeway":      {`{"iat":1790856006}`, false},
		"nbf beyond the leeway":      {`{"iat":1790856000,"nbf":1790856006}`, false},
		"nbf that is not a time":     {`{"nbf":"soon"}`, false},
		"iat of the last millennium": {`{"iat":1}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := NotBefore(object(t, c.claims), now); (err == nil) != c.accepted {
				t.Errorf("got error %v, want accepted %t", err, c.accepted)
			}
		})
	}
}

func TestAudience(t *testing.T) {
	for name, c := range map[string]struct {
		claims   string
		wanted   []string
		accepted bool
	}{
		"nothing wanted":     {`{"aud":"other"}`, nil, true},
		"text":               {`{"aud":"api"}`, []string{"api"}, true},
		"one of the list":    {`{"aud":["other","api"]}`, []string{"api"}, true},
		"one of the wanted":  {`{"aud":"api"}`, []string{"v1", "api"}, true},
		"another":            {`{"aud":"other"}`, []string{"api"}, false},
		"prefix":             {`{"aud":"api/v1"}`, []string{"api"}, false},
		"other case":         {`{"aud":"API"}`, []string{"api"}, false},
		"absent":             {`{}`, []string{"api"}, false},
		"null":               {`{"aud":null}`, []string{"api"}, false},
		"empty list":         {`{"aud":[]}`, []string{"api"}, false},
		"a list with number": {`{"aud":["api",1]}`, []string{"api"}, false},
		"an object":          {`{"aud":{"api":true}}`, []string{"api"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Audience(object(t, c.claims), c.wanted); (err == nil) != c.accepted {
				t.Errorf("got error %v, want accepted %t", err, c.accepted)
			}
		})
	}
}

func TestHeader(t *testing.T) {
	key, err := jose.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	parse := func(t *testing.T, header map[string]any) *JWT {
		t.Helper()
		raw, err := jose.SignWithHeader([]byte(`{}`), key, "ES256", header)
		if err != nil {
			t.Fatal(err)
		}
		jwt, err := Parse(raw, 1<<10)
		if err != nil {
			t.Fatal(err)
		}
		return jwt
	}
	plain := parse(t, map[string]any{"typ": "JWT"}).Header
	if err := Header(plain, []string{"RS256", "ES256"}); err != nil {
		t.Errorf("a plain header: got %v, want it accepted", err)
	}
	if err := Header(plain, []string{"RS256"}); err == nil {
		t.Error("an algorithm that is not configured was accepted")
	}
	if err := Header(plain, nil); err == nil {
		t.Error("an algorithm was accepted though none is configured")
	}
	for _, name := range []string{"jwk", "jku", "x5u", "x5c", "crit", "b64", "enc"} {
		t.Run(name, func(t *testing.T) {
			header := parse(t, map[string]any{name: "x"}).Header
			err := Header(header, []string{"ES256"})
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got error %v, want one that names %s", err, name)
			}
			if err := HeaderWithKey(header); (err == nil) != (name == "jwk") {
				t.Errorf("of a token that brings its key: got error %v", err)
			}
		})
	}
}

func TestMediaType(t *testing.T) {
	for typ, want := range map[string]string{
		"":                              "",
		"JWT":                           "jwt",
		"at+JWT":                        "at+jwt",
		"application/at+jwt":            "at+jwt",
		"Application/DPoP+JWT":          "dpop+jwt",
		"application/application/x+jwt": "application/x+jwt",
	} {
		if got := MediaType(typ); got != want {
			t.Errorf("%q: got %q, want %q", typ, got, want)
		}
	}
}

func TestParseKeepsFormAndPayloadApart(t *testing.T) {
	for name, c := range map[string]struct {
		raw            string
		isJWT, isClaim bool
	}{
		"opaque":             {"2YotnFZFEjr1zCsicMWpAA", false, false},
		"five parts":         {"eyJhbGciOiJFUzI1NiJ9.e30.AAAA.AA.AA", false, false},
		"longer than limit":  {"eyJhbGciOiJFUzI1NiJ9.e30." + strings.Repeat("A", 1<<10), false, false},
		"payload not object": {"eyJhbGciOiJFUzI1NiJ9.NQ.AAAA", true, false},
		"payload an object":  {"eyJhbGciOiJFUzI1NiJ9.e30.AAAA", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			jwt, err := Parse(c.raw, 1<<10)
			if (err == nil) != c.isJWT {
				t.Fatalf("got error %v, want a JWT %t", err, c.isJWT)
			}
			if err != nil {
				return
			}
			if _, err := jwt.Claims(); (err == nil) != c.isClaim {
				t.Errorf("claims: got error %v, want claims %t", err, c.isClaim)
			}
		})
	}
}
