// SPDX-License-Identifier: Apache-2.0

package dpop

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

var testNow = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// testChecker is a checker at testNow.
func testChecker(requireNonce bool) *Checker {
	return New(NewMemory(time.Time{}), func() time.Time { return testNow }, requireNonce)
}

type claims map[string]any

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// testKeys are the keys of clients, by algorithm. Making one for RSA takes time.
var testKeys = sync.OnceValue(func() map[string]jose.PrivateKey {
	keys := make(map[string]jose.PrivateKey)
	for _, alg := range []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"} {
		key, err := jose.GenerateKey(alg)
		if err != nil {
			panic(err)
		}
		keys[alg] = key
	}
	return keys
})

// client is a client with a key and a token that is bound to it.
type client struct {
	alg string
	key jose.PrivateKey
	raw string
	jkt string
}

func newClient(alg string) *client {
	key := testKeys()[alg]
	return &client{alg: alg, key: key, raw: "opaque-token-of-alice", jkt: key.Public().Thumbprint()}
}

var proofNumber atomic.Int64

// proof makes a proof for GET https://api.example.com/todos, with changes; a
// nil removes a member.
func (d *client) proof(t testing.TB, header map[string]any, changes claims) string {
	t.Helper()
	h := map[string]any{"typ": "dpop+jwt", "jwk": d.key.Public()}
	maps.Copy(h, header)
	maps.DeleteFunc(h, func(_ string, v any) bool { return v == nil })
	sum := sha256.Sum256([]byte(d.raw))
	c := claims{
		"htm": "GET", "htu": "https://api.example.com/todos", "iat": testNow.Unix(),
		"jti": fmt.Sprint("proof-", proofNumber.Add(1)), "ath": base64.RawURLEncoding.EncodeToString(sum[:]),
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := jose.SignWithHeader(payload, d.key, d.alg, h)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

func (d *client) request(t testing.TB, header map[string]any, changes claims) *http.Request {
	t.Helper()
	r := todos()
	r.Header.Set("DPoP", d.proof(t, header, changes))
	return r
}

func todos() *http.Request {
	return httptest.NewRequest(http.MethodGet, "https://api.example.com/todos", nil)
}

// want fails unless the error has this code, "" meaning none; and the
// reason and scheme that go with a bound token.
func want(t *testing.T, name string, err error, code string) {
	t.Helper()
	if code == "" {
		if err != nil {
			t.Errorf("%s: refused: %v", name, err)
		}
		return
	}
	var e *token.Error
	if !errors.As(err, &e) {
		t.Errorf("%s: got %v, want %s", name, err, code)
		return
	}
	if e.Code != code || e.Scheme != "DPoP" || e.Reason != token.Bound {
		t.Errorf("%s: got %s, scheme %q, code %q (%v), want %s", name, e.Reason, e.Scheme, e.Code, err, code)
	}
	if (e.Nonce != "") != (code == CodeUseNonce) {
		t.Errorf("%s: nonce %q with code %s", name, e.Nonce, code)
	}
}

func TestProofsUnderAllAlgorithms(t *testing.T) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"} {
		d := newClient(alg)
		want(t, alg, testChecker(false).Check(d.request(t, nil, nil), d.jkt, d.raw), "")
		if !strings.Contains(Algorithms(), alg) {
			t.Errorf("a challenge does not offer %s", alg)
		}
	}
}

// S-42: what a proof must be and say (RFC 9449, section 4.3).
func TestSec_S42_ProofTable(t *testing.T) {
	d := newClient("ES256")
	stranger, err := jose.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	file, _ := d.key.MarshalPEM()
	var private map[string]any
	public, _ := d.key.Public().MarshalJSON()
	if err := json.Unmarshal(public, &private); err != nil {
		t.Fatal(err)
	}
	private["d"] = base64.RawURLEncoding.EncodeToString(file[:32])
	at := func(offset time.Duration) int64 { return testNow.Add(offset).Unix() }
	type m = map[string]any

	for name, c := range map[string]struct {
		header m
		claims claims
		code   string
	}{
		"correct":            {nil, nil, ""},
		"more claims":        {nil, claims{"nonce": "any", "exp": 1, "x": m{}}, ""},
		"a kid":              {m{"kid": "x"}, nil, ""},
		"application/":       {m{"typ": "application/dpop+jwt"}, nil, ""},
		"typ JWT":            {m{"typ": "JWT"}, nil, CodeInvalidProof},
		"typ absent":         {m{"typ": nil}, nil, CodeInvalidProof},
		"typ at+jwt":         {m{"typ": "at+jwt"}, nil, CodeInvalidProof},
		"jwk absent":         {m{"jwk": nil}, nil, CodeInvalidProof},
		"jwk private":        {m{"jwk": private}, nil, CodeInvalidProof},
		"jwk symmetric":      {m{"jwk": m{"kty": "oct", "k": "AAAA"}}, nil, CodeInvalidProof},
		"jwk a string":       {m{"jwk": string(public)}, nil, CodeInvalidProof},
		"jwk a list":         {m{"jwk": []any{d.key.Public()}}, nil, CodeInvalidProof},
		"jwk of a stranger":  {m{"jwk": stranger.Public()}, nil, CodeInvalidToken},
		"jwk of other type":  {m{"jwk": testKeys()["RS256"].Public()}, nil, CodeInvalidToken},
		"jku":                {m{"jku": "http://127.0.0.1:1/"}, nil, CodeInvalidProof},
		"x5u":                {m{"x5u": "http://127.0.0.1:1/"}, nil, CodeInvalidProof},
		"x5c":                {m{"x5c": []string{"MIIB"}}, nil, CodeInvalidProof},
		"crit":               {m{"crit": []string{"exp"}}, nil, CodeInvalidProof},
		"b64":                {m{"b64": false}, nil, CodeInvalidProof},
		"htm other":          {nil, claims{"htm": "POST"}, CodeInvalidProof},
		"htm in lower case":  {nil, claims{"htm": "get"}, CodeInvalidProof},
		"htm absent":         {nil, claims{"htm": nil}, CodeInvalidProof},
		"htm a list":         {nil, claims{"htm": []string{"GET"}}, CodeInvalidProof},
		"htu absent":         {nil, claims{"htu": nil}, CodeInvalidProof},
		"htu a list":         {nil, claims{"htu": []string{"https://api.example.com/todos"}}, CodeInvalidProof},
		"ath absent":         {nil, claims{"ath": nil}, CodeInvalidProof},
		"ath empty":          {nil, claims{"ath": ""}, CodeInvalidProof},
		"ath of other token": {nil, claims{"ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"}, CodeInvalidProof},
		"ath padded":         {nil, claims{"ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo="}, CodeInvalidProof},
		"jti absent":         {nil, claims{"jti": nil}, CodeInvalidProof},
		"jti empty":          {nil, claims{"jti": ""}, CodeInvalidProof},
		"jti a number":       {nil, claims{"jti": 1}, CodeInvalidProof},
		"iat absent":         {nil, claims{"iat": nil}, CodeInvalidProof},
		"iat a string":       {nil, claims{"iat": "now"}, CodeInvalidProof},
		"iat beyond int64":   {nil, claims{"iat": json.Number("1e300")}, CodeInvalidProof},
		"iat a minute ago":   {nil, claims{"iat": at(-time.Minute)}, ""},
		"iat 61 s ago":       {nil, claims{"iat": at(-61 * time.Second)}, CodeInvalidProof},
		"iat 5 s ahead":      {nil, claims{"iat": at(5 * time.Second)}, ""},
		"iat 6 s ahead":      {nil, claims{"iat": at(6 * time.Second)}, CodeInvalidProof},
		"iat an hour ago":    {nil, claims{"iat": at(-time.Hour)}, CodeInvalidProof},
	} {
		err := testChecker(false).Check(d.request(t, c.header, c.claims), d.jkt, d.raw)
		want(t, name, err, c.code)
	}

	// The header field: exactly one, and signed with what it says.
	genuine := d.proof(t, nil, nil)
	parts := strings.Split(genuine, ".")
	for name, fields := range map[string][]string{
		"no proof":            nil,
		"empty":               {""},
		"two":                 {d.proof(t, nil, nil), d.proof(t, nil, nil)},
		"two in one":          {d.proof(t, nil, nil) + ", " + d.proof(t, nil, nil)},
		"junk":                {"junk"},
		"unsecured":           {b64(`{"typ":"dpop+jwt","alg":"none"}`) + "." + parts[1] + "."},
		"alg none":            {b64(`{"typ":"dpop+jwt","alg":"none","jwk":`+string(public)+`}`) + "." + parts[1] + "." + parts[2]},
		"alg HS256":           {b64(`{"typ":"dpop+jwt","alg":"HS256","jwk":`+string(public)+`}`) + "." + parts[1] + "." + parts[2]},
		"alg of another type": {b64(`{"typ":"dpop+jwt","alg":"RS256","jwk":`+string(public)+`}`) + "." + parts[1] + "." + parts[2]},
		"two keys":            {b64(`{"typ":"dpop+jwt","alg":"ES256","jwk":`+string(public)+`,"jwk":`+string(public)+`}`) + "." + parts[1] + "." + parts[2]},
		"other claims":        {parts[0] + "." + b64(`{"htm":"GET"}`) + "." + parts[2]},
		"too long":            {genuine + strings.Repeat("A", maxProof)},
		"a megabyte of dots":  {strings.Repeat(".", 1<<20)},
		"with a line break":   {genuine + "\n"},
	} {
		r := todos()
		r.Header["Dpop"] = fields
		want(t, name, testChecker(false).Check(r, d.jkt, d.raw), CodeInvalidProof)
	}

	// The victim's token with everything right but the key.
	thief := &client{alg: "ES256", key: stranger, raw: d.raw}
	want(t, "thief", testChecker(false).Check(thief.request(t, nil, nil), d.jkt, d.raw), CodeInvalidToken)
	want(t, "thief with the victim's jwk", testChecker(false).Check(thief.request(t, m{"jwk": d.key.Public()}, nil), d.jkt, d.raw), CodeInvalidProof)
	// The same key, but a proof for another of the client's tokens.
	want(t, "other token", testChecker(false).Check(d.request(t, nil, nil), d.jkt, "another token"), CodeInvalidProof)
}

// S-42, S-24: the address in the proof is the one that the client called.
func TestSec_S42_Addresses(t *testing.T) {
	d := newClient("EdDSA")
	for _, c := range []struct {
		called, htu string
		same        bool
	}{
		{"https://api.example.com/todos", "https://api.example.com/todos", true},
		{"https://api.example.com/todos?a=1", "https://api.example.com/todos", true},
		{"https://api.example.com/todos?a=1", "https://api.example.com/todos?b=2#c", true},
		{"https://api.example.com/todos", "HTTPS://API.Example.COM/todos", true},
		{"https://API.example.com:443/todos", "https://api.example.com/todos", true},
		{"https://api.example.com/todos", "https://api.example.com:443/todos", true},
		{"https://api.example.com:8443/todos", "https://api.example.com:8443/todos", true},
		{"http://api.example.com/todos", "http://api.example.com:80/todos", true},
		{"https://api.example.com/", "https://api.example.com", true},
		{"https://api.example.com/a%7Eb", "https://api.example.com/a~b", true},
		{"https://api.example.com/a%c3%a9", "https://api.example.com/a%C3%A9", true},
		{"https://api.example.com/%2D%2e%5F", "https://api.example.com/-._", true},
		{"https://[::1]:443/todos", "https://[::1]/todos", true},

		{"https://api.example.com/todos", "http://api.example.com/todos", false},
		{"http://api.example.com/todos", "https://api.example.com/todos", false},
		{"https://api.example.com/todos", "https://api.example.com:80/todos", false},
		{"https://api.example.com/todos", "https://api.example.com:8443/todos", false},
		{"https://api.example.com:8443/todos", "https://api.example.com/todos", false},
		{"https://api.example.com/todos", "https://other.example.com/todos", false},
		{"https://api.example.com/todos", "https://api.example.com.evil.example/todos", false},
		{"https://api.example.com/todos", "https://api.example.com/Todos", false},
		{"https://api.example.com/todos", "https://api.example.com/todos/", false},
		{"https://api.example.com/todos", "https://api.example.com/", false},
		{"https://api.example.com/todos", "https://api.example.com/todos/../todos", false},
		{"https://api.example.com/todos", "https://api.example.com//todos", false},
		{"https://api.example.com/a%2Fb", "https://api.example.com/a/b", false},
		{"https://api.example.com/a/b", "https://api.example.com/a%2Fb", false},
		{"https://api.example.com/a%25", "https://api.example.com/a%", false},
		{"https://api.example.com/todos", "https://user@api.example.com/todos", false},
		{"https://api.example.com/todos", "/todos", false},
		{"https://api.example.com/todos", "//api.example.com/todos", false},
		{"https://api.example.com/todos", "https:api.example.com/todos", false},
		{"https://api.example.com/todos", "https:///todos", false},
		{"https://api.example.com/todos", "", false},
		{"https://api.example.com/todos", " https://api.example.com/todos", false},
		{"https://api.example.com/todos", "https://api.example.com/todos\n", false},
		{"https://api.example.com/todos", "https://api.example.com\\todos", false},
	} {
		r := httptest.NewRequest(http.MethodGet, c.called, nil)
		r.Header.Set("DPoP", d.proof(t, nil, claims{"htu": c.htu}))
		err := testChecker(false).Check(r, d.jkt, d.raw)
		code := CodeInvalidProof
		if c.same {
			code = ""
		}
		want(t, fmt.Sprintf("%s called, %s in the proof", c.called, c.htu), err, code)
	}
}

func TestSec_S24_ForwardedHeadersDoNotMoveTheAddress(t *testing.T) {
	d := newClient("EdDSA")
	for name, value := range map[string]string{
		"X-Forwarded-Host": "other.example.com", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "80",
		"X-Forwarded-Uri": "/other", "X-Forwarded-Method": "POST", "X-Forwarded-Prefix": "/x", "X-Original-Url": "/other",
		"X-Http-Method-Override": "POST", "Forwarded": "host=other.example.com;proto=http", "X-Host": "other.example.com",
	} {
		r := d.request(t, nil, nil)
		r.Header.Set(name, value)
		want(t, name, testChecker(false).Check(r, d.jkt, d.raw), "")

		r = d.request(t, nil, claims{"htu": "http://other.example.com/other", "htm": "POST"})
		r.Header.Set(name, value)
		want(t, name+" instead", testChecker(false).Check(r, d.jkt, d.raw), CodeInvalidProof)
	}
}

// A rewritten address is not the address that the client called.
func TestProofsAreForTheAddressBeforeRewrites(t *testing.T) {
	d := newClient("EdDSA")
	r := d.request(t, nil, nil)
	original := http.Request{Method: r.Method, URL: &url.URL{Path: r.URL.Path}}
	rewritten := r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, original))
	rewritten.Method, rewritten.URL.Path = "POST", "/internal/todos"
	want(t, "rewritten", testChecker(false).Check(rewritten, d.jkt, d.raw), "")

	rewritten.Header.Set("DPoP", d.proof(t, nil, claims{"htm": "POST", "htu": "https://api.example.com/internal/todos"}))
	want(t, "proof for the rewritten", testChecker(false).Check(rewritten, d.jkt, d.raw), CodeInvalidProof)

	plain := d.request(t, nil, nil)
	plain.TLS = nil
	want(t, "over http", testChecker(false).Check(plain, d.jkt, d.raw), CodeInvalidProof)
	plain.TLS = &tls.ConnectionState{}
	want(t, "over https", testChecker(false).Check(plain, d.jkt, d.raw), "")
}

func TestNonces(t *testing.T) {
	now := testNow
	checker := New(NewMemory(time.Time{}), func() time.Time { return now }, true)
	d := newClient("ES256")
	check := func(nonce any) error {
		return checker.Check(d.request(t, nil, claims{"nonce": nonce, "iat": now.Unix()}), d.jkt, d.raw)
	}
	if nonce := testChecker(false).NextNonce(); nonce != "" {
		t.Errorf("the nonce %q is given out, but none is required", nonce)
	}
	err := check(nil)
	want(t, "no nonce", err, CodeUseNonce)
	var e *token.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	given := e.Nonce
	if given != checker.NextNonce() {
		t.Errorf("challenged with %q, the next one is %q", given, checker.NextNonce())
	}
	want(t, "the nonce of the challenge", check(given), "")
	for name, nonce := range map[string]any{
		"a guess": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "changed": "B" + given[1:], "cut": given[:20], "longer": given + "A",
		"a list": []string{given}, "empty": "", "of another server": testChecker(true).NextNonce(), "no base64": strings.Repeat("!", 32),
	} {
		want(t, name, check(nonce), CodeUseNonce)
	}
	now = testNow.Add(2 * time.Minute)
	want(t, "two minutes later", check(given), "")
	now = testNow.Add(4 * time.Minute)
	want(t, "four minutes later", check(given), CodeUseNonce)
	if fresh := checker.NextNonce(); fresh == given {
		t.Error("the next nonce is still the first one")
	} else {
		want(t, "a fresh nonce", check(fresh), "")
	}
}
