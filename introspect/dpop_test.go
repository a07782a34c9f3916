// SPDX-License-Identifier: Apache-2.0

package introspect

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
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/jose"
)

// testProvider is a provider that can check bindings, at testNow.
func testProvider() *Provider {
	s := provider.New("test", provider.Config{}, new(provider.Connection))
	s.Now = func() time.Time { return testNow }
	return &Provider{server: s, verifier: &verifier{server: s, replays: newReplayCache()}}
}

// dpopTest is a client with a key and a token that is bound to it.
type dpopTest struct {
	alg   string
	key   jose.PrivateKey
	raw   string
	token *Token
}

func newDPoPTest(t testing.TB, alg string) *dpopTest {
	t.Helper()
	key := providertest.IssuerKeys()[map[string]string{"PS256": "RS256"}[alg]]
	if k, ok := providertest.IssuerKeys()[alg]; ok {
		key = k
	}
	return &dpopTest{
		alg: alg, key: key, raw: "opaque-token-of-alice",
		token: &Token{Confirmation: &Confirmation{JKT: key.Public().Thumbprint()}},
	}
}

var proofNumber atomic.Int64

// proof makes a proof for GET https://api.example.com/todos, with changes; a
// nil takes a member away.
func (d *dpopTest) proof(t testing.TB, header map[string]any, changes claims) string {
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

func (d *dpopTest) request(t testing.TB, header map[string]any, changes claims) *http.Request {
	t.Helper()
	r := todos()
	r.Header.Set("DPoP", d.proof(t, header, changes))
	return r
}

func todos() *http.Request {
	return httptest.NewRequest(http.MethodGet, "https://api.example.com/todos", nil)
}

// wantBinding fails unless the error has this code, "" meaning none; and the
// reason and scheme that go with a bound token.
func wantBinding(t *testing.T, name string, err error, code string) {
	t.Helper()
	if code == "" {
		if err != nil {
			t.Errorf("%s: refused: %v", name, err)
		}
		return
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("%s: got %v, want %s", name, err, code)
		return
	}
	if e.Code != code || e.Scheme != "DPoP" || e.Reason != TokenBound {
		t.Errorf("%s: got %s, scheme %q, code %q (%v), want %s", name, e.Reason, e.Scheme, e.Code, err, code)
	}
	if (e.Nonce != "") != (code == codeUseNonce) {
		t.Errorf("%s: nonce %q with code %s", name, e.Nonce, code)
	}
}

func TestProofsUnderAllAlgorithms(t *testing.T) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"} {
		d := newDPoPTest(t, alg)
		wantBinding(t, alg, testProvider().CheckBinding(d.request(t, nil, nil), d.token, "DPoP", d.raw), "")
		wantBinding(t, alg+", scheme in lower case", testProvider().CheckBinding(d.request(t, nil, nil), d.token, "dpop", d.raw), "")
		if !strings.Contains(DPoPAlgorithms(), alg) {
			t.Errorf("a challenge does not offer %s", alg)
		}
	}
}

// S-42: what a proof must be and say (RFC 9449, section 4.3).
func TestSec_S42_ProofTable(t *testing.T) {
	d := newDPoPTest(t, "ES256")
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
		"as it should be":    {nil, nil, ""},
		"more claims":        {nil, claims{"nonce": "any", "exp": 1, "x": m{}}, ""},
		"a kid":              {m{"kid": "x"}, nil, ""},
		"application/":       {m{"typ": "application/dpop+jwt"}, nil, ""},
		"typ JWT":            {m{"typ": "JWT"}, nil, codeInvalidProof},
		"typ absent":         {m{"typ": nil}, nil, codeInvalidProof},
		"typ at+jwt":         {m{"typ": "at+jwt"}, nil, codeInvalidProof},
		"jwk absent":         {m{"jwk": nil}, nil, codeInvalidProof},
		"jwk private":        {m{"jwk": private}, nil, codeInvalidProof},
		"jwk symmetric":      {m{"jwk": m{"kty": "oct", "k": "AAAA"}}, nil, codeInvalidProof},
		"jwk a string":       {m{"jwk": string(public)}, nil, codeInvalidProof},
		"jwk a list":         {m{"jwk": []any{d.key.Public()}}, nil, codeInvalidProof},
		"jwk of a stranger":  {m{"jwk": stranger.Public()}, nil, codeInvalidToken},
		"jwk of other type":  {m{"jwk": providertest.IssuerKeys()["RS256"].Public()}, nil, codeInvalidToken},
		"jku":                {m{"jku": "http://127.0.0.1:1/"}, nil, codeInvalidProof},
		"x5u":                {m{"x5u": "http://127.0.0.1:1/"}, nil, codeInvalidProof},
		"x5c":                {m{"x5c": []string{"MIIB"}}, nil, codeInvalidProof},
		"crit":               {m{"crit": []string{"exp"}}, nil, codeInvalidProof},
		"b64":                {m{"b64": false}, nil, codeInvalidProof},
		"htm other":          {nil, claims{"htm": "POST"}, codeInvalidProof},
		"htm in lower case":  {nil, claims{"htm": "get"}, codeInvalidProof},
		"htm absent":         {nil, claims{"htm": nil}, codeInvalidProof},
		"htm a list":         {nil, claims{"htm": []string{"GET"}}, codeInvalidProof},
		"htu absent":         {nil, claims{"htu": nil}, codeInvalidProof},
		"htu a list":         {nil, claims{"htu": []string{"https://api.example.com/todos"}}, codeInvalidProof},
		"ath absent":         {nil, claims{"ath": nil}, codeInvalidProof},
		"ath empty":          {nil, claims{"ath": ""}, codeInvalidProof},
		"ath of other token": {nil, claims{"ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"}, codeInvalidProof},
		"ath padded":         {nil, claims{"ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo="}, codeInvalidProof},
		"jti absent":         {nil, claims{"jti": nil}, codeInvalidProof},
		"jti empty":          {nil, claims{"jti": ""}, codeInvalidProof},
		"jti a number":       {nil, claims{"jti": 1}, codeInvalidProof},
		"iat absent":         {nil, claims{"iat": nil}, codeInvalidProof},
		"iat a string":       {nil, claims{"iat": "now"}, codeInvalidProof},
		"iat beyond int64":   {nil, claims{"iat": json.Number("1e300")}, codeInvalidProof},
		"iat a minute ago":   {nil, claims{"iat": at(-time.Minute)}, ""},
		"iat 61 s ago":       {nil, claims{"iat": at(-61 * time.Second)}, codeInvalidProof},
		"iat 5 s ahead":      {nil, claims{"iat": at(5 * time.Second)}, ""},
		"iat 6 s ahead":      {nil, claims{"iat": at(6 * time.Second)}, codeInvalidProof},
		"iat an hour ago":    {nil, claims{"iat": at(-time.Hour)}, codeInvalidProof},
	} {
		err := testProvider().CheckBinding(d.request(t, c.header, c.claims), d.token, "DPoP", d.raw)
		wantBinding(t, name, err, c.code)
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
		wantBinding(t, name, testProvider().CheckBinding(r, d.token, "DPoP", d.raw), codeInvalidProof)
	}

	// The victim's token with everything right but the key.
	thief := &dpopTest{alg: "ES256", key: stranger, raw: d.raw, token: d.token}
	wantBinding(t, "thief", testProvider().CheckBinding(thief.request(t, nil, nil), d.token, "DPoP", d.raw), codeInvalidToken)
	wantBinding(t, "thief with the victim's jwk", testProvider().CheckBinding(thief.request(t, m{"jwk": d.key.Public()}, nil), d.token, "DPoP", d.raw), codeInvalidProof)
	// The same key, but a proof for another of the client's tokens.
	wantBinding(t, "other token", testProvider().CheckBinding(d.request(t, nil, nil), d.token, "DPoP", "another token"), codeInvalidProof)
}

// S-42: a bound token is no bearer token, and a bearer token no bound one.
func TestSec_S42_Downgrade(t *testing.T) {
	d := newDPoPTest(t, "ES256")
	p := testProvider()
	for _, scheme := range []string{"Bearer", "bearer", "BEARER", "", "Basic"} {
		wantBinding(t, "scheme "+scheme, p.CheckBinding(todos(), d.token, scheme, d.raw), codeInvalidToken)
		wantBinding(t, "scheme and proof "+scheme, p.CheckBinding(d.request(t, nil, nil), d.token, scheme, d.raw), codeInvalidToken)
	}
	err := p.CheckBinding(d.request(t, nil, nil), &Token{}, "DPoP", d.raw)
	if e := new(Error); !errors.As(err, &e) || e.Reason != TokenInvalid || e.Code != codeInvalidToken || e.Scheme != "DPoP" {
		t.Errorf("an unbound token with the DPoP scheme: got %v", err)
	}
	if err := p.CheckBinding(todos(), &Token{}, "Bearer", d.raw); err != nil {
		t.Errorf("an unbound token as a bearer token: %v", err)
	}
	// A binding that nobody understands is still one.
	for _, scheme := range []string{"Bearer", "DPoP"} {
		err := p.CheckBinding(d.request(t, nil, nil), &Token{Confirmation: &Confirmation{}}, scheme, d.raw)
		wantReason(t, "unknown binding, "+scheme, err, TokenBound)
	}
}

// S-42, S-24: the address in the proof is the one that the client called.
func TestSec_S42_Addresses(t *testing.T) {
	d := newDPoPTest(t, "EdDSA")
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
		err := testProvider().CheckBinding(r, d.token, "DPoP", d.raw)
		code := codeInvalidProof
		if c.same {
			code = ""
		}
		wantBinding(t, fmt.Sprintf("%s called, %s in the proof", c.called, c.htu), err, code)
	}
}

func TestSec_S24_ForwardedHeadersDoNotMoveTheAddress(t *testing.T) {
	d := newDPoPTest(t, "EdDSA")
	for name, value := range map[string]string{
		"X-Forwarded-Host": "other.example.com", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "80",
		"X-Forwarded-Uri": "/other", "X-Forwarded-Method": "POST", "X-Forwarded-Prefix": "/x", "X-Original-Url": "/other",
		"X-Http-Method-Override": "POST", "Forwarded": "host=other.example.com;proto=http", "X-Host": "other.example.com",
	} {
		r := d.request(t, nil, nil)
		r.Header.Set(name, value)
		wantBinding(t, name, testProvider().CheckBinding(r, d.token, "DPoP", d.raw), "")

		r = d.request(t, nil, claims{"htu": "http://other.example.com/other", "htm": "POST"})
		r.Header.Set(name, value)
		wantBinding(t, name+" instead", testProvider().CheckBinding(r, d.token, "DPoP", d.raw), codeInvalidProof)
	}
}

// What Caddy's handlers have rewritten is not what the client has called.
func TestProofsAreForTheAddressBeforeRewrites(t *testing.T) {
	d := newDPoPTest(t, "EdDSA")
	r := d.request(t, nil, nil)
	original := http.Request{Method: r.Method, URL: &url.URL{Path: r.URL.Path}}
	rewritten := r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, original))
	rewritten.Method, rewritten.URL.Path = "POST", "/internal/todos"
	wantBinding(t, "rewritten", testProvider().CheckBinding(rewritten, d.token, "DPoP", d.raw), "")

	rewritten.Header.Set("DPoP", d.proof(t, nil, claims{"htm": "POST", "htu": "https://api.example.com/internal/todos"}))
	wantBinding(t, "proof for the rewritten", testProvider().CheckBinding(rewritten, d.token, "DPoP", d.raw), codeInvalidProof)

	plain := d.request(t, nil, nil)
	plain.TLS = nil
	wantBinding(t, "over http", testProvider().CheckBinding(plain, d.token, "DPoP", d.raw), codeInvalidProof)
	plain.TLS = &tls.ConnectionState{}
	wantBinding(t, "over https", testProvider().CheckBinding(plain, d.token, "DPoP", d.raw), "")
}

func TestNonces(t *testing.T) {
	p := testProvider()
	now := testNow
	p.server.Now = func() time.Time { return now }
	d := newDPoPTest(t, "ES256")
	check := func(nonce any) error {
		return p.CheckBinding(d.request(t, nil, claims{"nonce": nonce, "iat": now.Unix()}), d.token, "DPoP", d.raw)
	}
	if p.NextNonce() != "" {
		t.Error("a nonce is given out that nobody demands")
	}
	p.DPoPNonce, p.server.Config().DPoPNonce = true, true

	err := check(nil)
	wantBinding(t, "no nonce", err, codeUseNonce)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	given := e.Nonce
	if given != p.NextNonce() {
		t.Errorf("challenged with %q, the next one is %q", given, p.NextNonce())
	}
	wantBinding(t, "the nonce of the challenge", check(given), "")
	for name, nonce := range map[string]any{
		"a guess": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "changed": "B" + given[1:], "cut": given[:20], "longer": given + "A",
		"a list": []string{given}, "empty": "", "of another server": newReplayCache().nonce(now), "no base64": strings.Repeat("!", 32),
	} {
		wantBinding(t, name, check(nonce), codeUseNonce)
	}
	now = testNow.Add(2 * time.Minute)
	wantBinding(t, "two minutes later", check(given), "")
	now = testNow.Add(4 * time.Minute)
	wantBinding(t, "four minutes later", check(given), codeUseNonce)
	if fresh := p.NextNonce(); fresh == given {
		t.Error("the next nonce is the first one still")
	} else {
		wantBinding(t, "a fresh nonce", check(fresh), "")
	}
}
