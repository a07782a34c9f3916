// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

func TestSignedIntrospection(t *testing.T) {
	type m = map[string]any
	at := func(d time.Duration) int64 { return testNow.Add(d).Unix() }
	const answer = `{"active":true,"scope":"read"}`
	for name, c := range map[string]struct {
		header m
		claims claims
		ok     bool
	}{
		"as it should be":     {nil, nil, true},
		"application/":        {m{"typ": "application/token-introspection+jwt"}, nil, true},
		"in upper case":       {m{"typ": "Token-Introspection+JWT"}, nil, true},
		"aud a list":          {nil, claims{"aud": []string{"x", "gateway"}}, true},
		"aud absent":          {nil, claims{"aud": nil}, true},
		"a minute old":        {nil, claims{"iat": at(-time.Minute)}, true},
		"exp ahead":           {nil, claims{"exp": at(time.Minute)}, true},
		"typ absent":          {m{"typ": nil}, nil, false},
		"typ JWT":             {m{"typ": "JWT"}, nil, false},
		"an access token":     {m{"typ": "at+jwt"}, nil, false},
		"iss other":           {nil, claims{"iss": "https://other.example"}, false},
		"iss absent":          {nil, claims{"iss": nil}, false},
		"aud other":           {nil, claims{"aud": "other"}, false},
		"aud empty":           {nil, claims{"aud": ""}, false},
		"aud a number":        {nil, claims{"aud": 1}, false},
		"iat absent":          {nil, claims{"iat": nil}, false},
		"iat a string":        {nil, claims{"iat": "now"}, false},
		"old":                 {nil, claims{"iat": at(-61 * time.Second)}, false},
		"from the future":     {nil, claims{"iat": at(6 * time.Second)}, false},
		"exp over":            {nil, claims{"exp": at(0)}, false},
		"nbf ahead":           {nil, claims{"nbf": at(time.Minute)}, false},
		"no answer":           {nil, claims{"token_introspection": nil}, false},
		"answer a string":     {nil, claims{"token_introspection": answer}, false},
		"answer a list":       {nil, claims{"token_introspection": []any{m{"active": true}}}, false},
		"answer null":         {nil, claims{"token_introspection": json.RawMessage("null")}, false},
		"active at the top":   {nil, claims{"token_introspection": nil, "active": true}, false},
		"jwk in the header":   {m{"jwk": providertest.IssuerKeys()["ES256"].Public()}, nil, false},
		"jku in the header":   {m{"jku": "http://127.0.0.1:1/"}, nil, false},
		"crit in the header":  {m{"crit": []string{"exp"}}, nil, false},
		"unknown key":         {m{"kid": "unknown"}, nil, false},
		"key of another type": {m{"kid": "RS256"}, nil, false},
	} {
		header := m{"typ": "token-introspection+jwt"}
		maps.Copy(header, c.header)
		payload := claims{"iss": testIssuer, "aud": "gateway", "iat": testNow.Unix(), "token_introspection": json.RawMessage(answer)}
		maps.Copy(payload, c.claims)
		maps.DeleteFunc(payload, func(_ string, v any) bool { return v == nil })
		body := signToken(t, "ES256", header, payload)
		got, err := testVerifier(keysFor("ES256", "RS256"), "gateway").verifyResponse(t.Context(), []byte(body+"\n"))
		if (err == nil) != c.ok || c.ok && string(got) != answer {
			t.Errorf("%s: got %s, %v, want it accepted: %t", name, got, err, c.ok)
		}
	}

	good := signToken(t, "ES256", m{"typ": "token-introspection+jwt"}, claims{
		"iss": testIssuer, "aud": "gateway", "iat": testNow.Unix(), "token_introspection": json.RawMessage(answer),
	})
	parts := strings.Split(good, ".")
	stranger, err := jose.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	forged, _ := jose.SignWithHeader([]byte(`{"iss":"`+testIssuer+`","iat":1,"token_introspection":{"active":true}}`), stranger, "ES256", m{"typ": "token-introspection+jwt", "kid": "ES256"})
	for name, body := range map[string]string{
		"nothing":            "",
		"plain JSON":         answer,
		"unsecured":          b64(`{"alg":"none","typ":"token-introspection+jwt"}`) + "." + parts[1] + ".",
		"encrypted":          good + ".AA.AA",
		"other claims":       parts[0] + "." + b64(`{"iss":"`+testIssuer+`","iat":1,"token_introspection":{"active":true}}`) + "." + parts[2],
		"signed by another":  forged,
		"endless":            strings.Repeat("A", 2<<20),
		"a megabyte of dots": strings.Repeat(".", 1<<20),
		"answer twice":       signToken(t, "ES256", m{"typ": "token-introspection+jwt"}, []byte(`{"iss":"`+testIssuer+`","iat":1,"token_introspection":{"active":false},"token_introspection":{"active":true}}`)),
		"active twice":       signToken(t, "ES256", m{"typ": "token-introspection+jwt"}, []byte(`{"iss":"`+testIssuer+`","iat":1,"token_introspection":{"active":false,"active":true}}`)),
	} {
		if got, err := testVerifier(keysFor("ES256"), "gateway").verifyResponse(t.Context(), []byte(body)); err == nil {
			t.Errorf("%s: accepted as %s", name, got)
		}
	}
	// And a leaked response is not accepted as an access token.
	_, err = testVerifier(keysFor("ES256")).verify(t.Context(), good)
	wantReason(t, "as an access token", err, token.Invalid)

	// An outage of the keys is the reason, where it is.
	keys := provider.NewRemoteKeySet(provider.RemoteKeySetConfig{Fetch: func(context.Context) ([]byte, error) { return nil, errors.New("connection refused") }})
	defer keys.Close()
	_, err = testVerifier(keys, "gateway").verifyResponse(t.Context(), []byte(good))
	if e := new(token.Error); !errors.As(err, &e) || e.Reason != token.ProviderUnavailable {
		t.Errorf("without keys: %v", err)
	}
}
