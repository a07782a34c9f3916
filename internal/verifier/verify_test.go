// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

const testIssuer = "https://op.example.com/realms/main"

// testNow is the time at which all these tokens are looked at.
var testNow = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// staticKeys is a jwtcheck.KeySet that never fetches, and counts how often it is asked.
type staticKeys struct {
	provider.StaticKeys
	asked int
}

func (s *staticKeys) Key(ctx context.Context, name jose.KeyName, alg string) (jose.Key, error) {
	s.asked++
	return s.StaticKeys.Key(ctx, name, alg)
}

func keysFor(algs ...string) *staticKeys {
	s := &staticKeys{}
	for _, alg := range algs {
		s.StaticKeys = append(s.StaticKeys, providertest.IssuerKeys()[alg].Public())
	}
	return s
}

func testVerifier(keys jwtcheck.KeySet, audience ...string) *jwtVerifier {
	return &jwtVerifier{
		issuers:    provider.IssuersOf([]string{testIssuer}, nil),
		algorithms: jose.Algorithms(),
		audience:   audience,
		keys:       keys,
		now:        func() time.Time { return testNow },
	}
}

// verify verifies a token as it was sent.
func (v *jwtVerifier) verify(ctx context.Context, raw string) (*token.Token, error) {
	return v.verifyAccessToken(ctx, &presented{raw: raw, most: provider.DefaultMaxToken})
}

func claimsIssuer(issuer, raw string) bool {
	return (&presented{raw: raw, most: provider.DefaultMaxToken}).claimsAny(provider.IssuersOf([]string{issuer}, nil))
}

type claims map[string]any

// goodClaims are those of a token that is accepted, with changes; a nil removes
// a claim.
func goodClaims(changes claims) claims {
	c := claims{
		"iss": testIssuer, "sub": "alice", "aud": "api", "client_id": "app",
		"exp": testNow.Add(time.Hour).Unix(), "iat": testNow.Unix(), "jti": "1", "scope": "read write",
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func signToken(t testing.TB, alg string, header map[string]any, payload any) string {
	t.Helper()
	data, ok := payload.([]byte)
	if !ok {
		var err error
		if data, err = json.Marshal(payload); err != nil {
			t.Fatal(err)
		}
	}
	h := map[string]any{"kid": alg, "typ": "at+jwt"}
	maps.Copy(h, header)
	maps.DeleteFunc(h, func(_ string, v any) bool { return v == nil })
	token, err := jose.SignWithHeader(data, providertest.IssuerKeys()[alg], alg, h)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func b64(data string) string { return base64.RawURLEncoding.EncodeToString([]byte(data)) }

// wantReason fails unless err is a *token.Error of this reason, or nil for "".
func wantReason(t *testing.T, name string, err error, want token.Reason) {
	t.Helper()
	var got token.Reason
	if err != nil {
		var e *token.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v is not an *Error", name, err)
			return
		}
		got = e.Reason
	}
	if got != want {
		t.Errorf("%s: got %q (%v), want %q", name, got, err, want)
	}
}

// S-28: which algorithm a token is checked under is decided by configuration
// and key, and never by the token.
func TestSec_S28_AlgorithmMatrix(t *testing.T) {
	payload, _ := json.Marshal(goodClaims(nil))
	spellings := append(jose.Algorithms(),
		"none", "None", "nOnE", "NONE", "", " ", "HS256", "HS384", "HS512", "hs256", "rs256", "RS256 ", "RS256\x00", "ES256K", "RSA1_5", "dir")
	configurations := [][]string{jose.Algorithms(), {}}
	for _, alg := range jose.Algorithms() {
		configurations = append(configurations, []string{alg})
	}
	for owner, key := range providertest.IssuerKeys() {
		keys := keysFor(owner)
		for _, alg := range spellings {
			// A genuine signature where the key can make one under this
			// algorithm, otherwise one under its own, with another header.
			header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, owner)
			raw, err := jose.SignWithHeader(payload, key, alg, map[string]any{"kid": owner, "typ": "at+jwt"})
			genuine := err == nil && slices.Contains(jose.Algorithms(), alg)
			if !genuine {
				raw = signToken(t, owner, nil, payload)
				raw = b64(header) + raw[strings.Index(raw, "."):]
			}
			parts := strings.Split(raw, ".")
			forged := map[string]string{
				"empty signature":   parts[0] + "." + parts[1] + ".",
				"no signature":      parts[0] + "." + parts[1],
				"zero signature":    parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])-1) + "A",
				"short signature":   parts[0] + "." + parts[1] + ".AAAA",
				"other claims":      parts[0] + "." + b64(strings.Replace(string(payload), "alice", "mallory", 1)) + "." + parts[2],
				"header and claims": b64(header) + "." + b64(strings.Replace(string(payload), "alice", "mallory", 1)) + "." + parts[2],
			}
			for _, configured := range configurations {
				v := testVerifier(keys)
				v.algorithms = configured
				want := token.Invalid
				if genuine && slices.Contains(configured, alg) {
					want = ""
				}
				_, err := v.verify(t.Context(), raw)
				wantReason(t, fmt.Sprintf("key %s, header %q, configured %s", owner, alg, configured), err, want)
				for name, raw := range forged {
					_, err := v.verify(t.Context(), raw)
					wantReason(t, fmt.Sprintf("key %s, header %q, configured %s, %s", owner, alg, configured, name), err, token.Invalid)
				}
			}
		}
	}
}

// S-28: the classic: a public key, which everybody has, as the secret of an
// HMAC.
func TestSec_S28_PublicKeyAsSecret(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jose.ParsePrivateKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := key.Public().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	pemSPKI := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	secrets := map[string][]byte{
		"PEM":                    pemSPKI,
		"PEM without line break": bytes.TrimSpace(pemSPKI),
		"PEM, PKCS #1":           pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&private.PublicKey)}),
		"DER":                    spki,
		"DER, PKCS #1":           x509.MarshalPKCS1PublicKey(&private.PublicKey),
		"JWK":                    jwk,
		"modulus":                private.N.Bytes(),
		"thumbprint":             []byte(key.Public().Thumbprint()),
		"nothing":                {},
	}
	payload, _ := json.Marshal(goodClaims(nil))
	for alg, newHash := range map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New} {
		for name, secret := range secrets {
			for _, header := range []string{alg, "RS256"} {
				input := b64(fmt.Sprintf(`{"alg":%q,"kid":%q}`, header, key.ID())) + "." + b64(string(payload))
				mac := hmac.New(newHash, secret)
				mac.Write([]byte(input))
				raw := input + "." + b64(string(mac.Sum(nil)))
				v := testVerifier(&staticKeys{StaticKeys: []jose.Key{key.Public()}})
				_, err := v.verify(t.Context(), raw)
				wantReason(t, fmt.Sprintf("%s with %s, header %s", alg, name, header), err, token.Invalid)
				// Not even with a configuration that allows it.
				v.algorithms = append(v.algorithms, alg, "none")
				_, err = v.verify(t.Context(), raw)
				wantReason(t, fmt.Sprintf("%s with %s, header %s, configured", alg, name, header), err, token.Invalid)
			}
		}
	}
}

// S-29: what is inside a JWE need not be signed by anyone.
func TestSec_S29_EncryptedTokens(t *testing.T) {
	good := signToken(t, "ES256", nil, goodClaims(nil))
	unsigned := b64(`{"alg":"none"}`) + "." + b64(`{"iss":"`+testIssuer+`","exp":9999999999}`) + "."
	for name, raw := range map[string]string{
		"five parts":                b64(`{"alg":"RSA-OAEP","enc":"A256GCM","cty":"JWT","kid":"ES256"}`) + ".AAAA.AAAA." + b64(unsigned) + ".AAAA",
		"direct, empty key":         b64(`{"alg":"dir","enc":"A128GCM"}`) + "..AAAA.AAAA.AAAA",
		"five parts, alg ES256":     good + ".AAAA.AAAA",
		"signed, with enc":          signToken(t, "ES256", map[string]any{"enc": "A256GCM"}, goodClaims(nil)),
		"a token signed in a token": signToken(t, "ES256", map[string]any{"cty": "JWT"}, []byte(good)),
		"an unsigned token inside":  signToken(t, "ES256", map[string]any{"cty": "JWT"}, []byte(unsigned)),
	} {
		keys := keysFor("ES256")
		_, err := testVerifier(keys).verify(t.Context(), raw)
		wantReason(t, name, err, token.Invalid)
		if keys.asked != 0 {
			t.Errorf("%s: the keys were asked for", name)
		}
	}
}

// S-30: a token brings no key and names no address. It is refused even if a
// trusted key signed it, and nothing is fetched.
func TestSec_S30_TokensThatBringKeys(t *testing.T) {
	var called atomic.Int32
	attacker := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Add(1) }))
	defer attacker.Close()

	stranger, err := jose.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	set, _ := jose.PublicKeySet(stranger.Public())
	fetches := 0
	keys := provider.NewRemoteKeySet(provider.RemoteKeySetConfig{Fetch: func(context.Context) ([]byte, error) { fetches++; return set, nil }})
	defer keys.Close()

	for name, value := range map[string]any{
		"jwk":  stranger.Public(),
		"jku":  attacker.URL + "/jwks",
		"x5u":  attacker.URL + "/cert.pem",
		"x5c":  []string{"MIIB"},
		"crit": []string{"exp"},
		"b64":  false,
	} {
		payload, _ := json.Marshal(goodClaims(nil))
		for signer, key := range map[string]jose.PrivateKey{"the attacker": stranger, "the issuer": providertest.IssuerKeys()["ES256"]} {
			for _, header := range []map[string]any{{name: value}, {name: value, "kid": "ES256", "typ": "JWT"}, {name: nil, "kid": "x"}} {
				raw, err := jose.SignWithHeader(payload, key, "ES256", header)
				if err != nil {
					t.Fatal(err)
				}
				_, err = testVerifier(keys).verify(t.Context(), raw)
				wantReason(t, name+" by "+signer, err, token.Invalid)
			}
		}
	}
	if called.Load() != 0 || fetches != 0 {
		t.Errorf("%d calls to the attacker, %d fetches of keys", called.Load(), fetches)
	}
}

func TestCriticalExtensionsAreNotUnderstood(t *testing.T) {
	for _, crit := range []any{[]string{"b64"}, []string{"http://example.invalid/x"}, []string{}, "exp", nil} {
		payload, _ := json.Marshal(goodClaims(nil))
		header := map[string]any{"kid": "ES256", "crit": crit, "http://example.invalid/x": 1}
		raw, err := jose.SignWithHeader(payload, providertest.IssuerKeys()["ES256"], "ES256", header)
		if err != nil {
			t.Fatal(err)
		}
		_, err = testVerifier(keysFor("ES256")).verify(t.Context(), raw)
		wantReason(t, fmt.Sprint("crit ", crit), err, token.Invalid)
	}
}

// A token without a key ID is checked with the only key that fits, and never
// with one of several.
func TestTokensWithoutKeyID(t *testing.T) {
	other, err := jose.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	noKid := map[string]any{"kid": nil}
	for name, c := range map[string]struct {
		keys []jose.Key
		want token.Reason
	}{
		"one key":           {keysFor("ES256").StaticKeys, ""},
		"one that fits":     {keysFor("RS256", "ES384", "ES256", "EdDSA").StaticKeys, ""},
		"the same twice":    {keysFor("ES256", "ES256").StaticKeys, ""},
		"two that fit":      {append(keysFor("ES256").StaticKeys, other.Public()), token.Invalid},
		"none that fits":    {keysFor("RS256", "ES384").StaticKeys, token.Invalid},
		"one that is wrong": {[]jose.Key{other.Public()}, token.Invalid},
		"none":              {nil, token.Invalid},
	} {
		v := testVerifier(&staticKeys{StaticKeys: c.keys})
		_, err := v.verify(t.Context(), signToken(t, "ES256", noKid, goodClaims(nil)))
		wantReason(t, name, err, c.want)
	}
	// Two keys of one ID, where the algorithm tells them apart.
	v := testVerifier(&staticKeys{StaticKeys: []jose.Key{
		providertest.IssuerKeys()["RS256"].Public().WithID("x"), providertest.IssuerKeys()["ES256"].Public().WithID("x"),
	}})
	for _, alg := range []string{"RS256", "ES256"} {
		_, err := v.verify(t.Context(), signToken(t, alg, map[string]any{"kid": "x"}, goodClaims(nil)))
		wantReason(t, "shared ID, "+alg, err, "")
	}
	_, err = v.verify(t.Context(), signToken(t, "ES384", map[string]any{"kid": "x"}, goodClaims(nil)))
	wantReason(t, "shared ID, third type", err, token.Invalid)
}

// An outage of the authorization server is not the token's fault.
func TestUnavailableKeysRefuseNothing(t *testing.T) {
	keys := provider.NewRemoteKeySet(provider.RemoteKeySetConfig{
		Fetch:  func(context.Context) ([]byte, error) { return nil, errors.New("connection refused") },
		Logger: zap.NewNop(),
	})
	defer keys.Close()
	_, err := testVerifier(keys).verify(t.Context(), signToken(t, "ES256", nil, goodClaims(nil)))
	wantReason(t, "no keys", err, token.ProviderUnavailable)
	if e := new(token.Error); !errors.As(err, &e) || e.RetryAfter < time.Second {
		t.Errorf("got %v without a time to retry", err)
	}
}

func TestAutoTakesWhatNamesTheIssuer(t *testing.T) {
	good := signToken(t, "ES256", nil, goodClaims(nil))
	parts := strings.Split(good, ".")
	for name, c := range map[string]struct {
		raw  string
		want bool
	}{
		"a JWT of the issuer":        {good, true},
		"forged, but says so":        {parts[0] + "." + parts[1] + ".AAAA", true},
		"expired":                    {signToken(t, "ES256", nil, goodClaims(claims{"exp": 1})), true},
		"of another issuer":          {signToken(t, "ES256", nil, goodClaims(claims{"iss": "https://other.example"})), false},
		"with a slash":               {signToken(t, "ES256", nil, goodClaims(claims{"iss": testIssuer + "/"})), false},
		"no iss":                     {signToken(t, "ES256", nil, goodClaims(claims{"iss": nil})), false},
		"iss a list":                 {signToken(t, "ES256", nil, goodClaims(claims{"iss": []string{testIssuer}})), false},
		"iss twice":                  {signToken(t, "ES256", nil, []byte(`{"iss":"`+testIssuer+`","iss":"`+testIssuer+`"}`)), true},
		"opaque":                     {"2YotnFZFEjr1zCsicMWpAA", false},
		"opaque with dots":           {"a.b.c", false},
		"opaque, e":                  {"eyJ", false},
		"empty":                      {"", false},
		"dots":                       {"..", false},
		"a JWE":                      {good + ".AA.AA", true},
		"unsecured":                  {b64(`{"alg":"none"}`) + "." + parts[1] + ".", true},
		"an odd algorithm":           {b64(`{"alg":7}`) + "." + parts[1] + ".AAAA", true},
		"a header with alg twice":    {b64(`{"alg":"ES256","alg":"none"}`) + "." + parts[1] + ".AAAA", true},
		"a header 5,000 levels deep": {b64(strings.Repeat("[", 5000)) + "." + parts[1] + ".AAAA", true},
		"a header that is not JSON":  {"AAAA." + parts[1] + ".AAAA", true},
		"no header":                  {"." + parts[1] + ".AAAA", true},
		"no signature":               {parts[0] + "." + parts[1], true},
		"a payload 5,000 deep":       {parts[0] + "." + b64(`{"iss":"`+testIssuer+`","x":`+strings.Repeat("[", 5000)) + ".AAAA", true},
		"a payload that breaks off":  {parts[0] + "." + b64(`{"iss":"`+testIssuer+`",`) + ".AAAA", true},
		"another iss after ours":     {parts[0] + "." + b64(`{"iss":"`+testIssuer+`","iss":"https://other.example"}`) + ".AAAA", true},
		"another iss before ours":    {parts[0] + "." + b64(`{"iss":"https://other.example","iss":"`+testIssuer+`"}`) + ".AAAA", true},
		"with padding":               {parts[0] + "." + base64.URLEncoding.EncodeToString([]byte(`{"iss":"`+testIssuer+`" }`)) + ".AAAA", true},
		"in the other alphabet":      {parts[0] + "." + base64.StdEncoding.EncodeToString([]byte(`{"iss":"`+testIssuer+`","x":"???>>>"}`)) + ".AAAA", true},
		"long":                       {strings.Repeat("A", 1<<20), false},
		"payload that is not JSON":   {parts[0] + "." + b64("{") + ".AAAA", false},
		"payload that is not base64": {parts[0] + ".!!!!.AAAA", false},
		"payload of another type":    {parts[0] + "." + b64("5") + ".AAAA", false},
		"after an empty name":        {parts[0] + "." + b64(`{"":"a","iss":"`+testIssuer+`"}`) + ".AAAA", true},
		"after an empty name, cut":   {parts[0] + "." + b64(`{"":"a","iss":"`+testIssuer+`"`) + ".AAAA", true},
		"twice":                      {parts[0] + "." + b64(`{"iss":"x","iss":"`+testIssuer+`"}`) + ".AAAA", true},
		"before an error":            {parts[0] + "." + b64(`{"a":{"iss":"x"},"b":[1,"c"],"iss":"`+testIssuer+`",}`) + ".AAAA", true},
		"after an error":             {parts[0] + "." + b64(`{"a":01,"iss":"`+testIssuer+`"}`) + ".AAAA", false},
		"an escaped name":            {parts[0] + "." + b64(`{"\u0069ss":"`+testIssuer+`"}`) + ".AAAA", true},
		"behind odd headers":         {"e30." + b64(`{"iss":"`+testIssuer+`"}`) + ".AAAA", true},
		"issuer in another member":   {signToken(t, "ES256", nil, claims{"iss": "x", "sub": testIssuer}), false},
		"issuer inside of an object": {signToken(t, "ES256", nil, claims{"a": claims{"iss": testIssuer}}), false},
	} {
		if got := claimsIssuer(testIssuer, c.raw); got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
	}
	if claimsIssuer("", signToken(t, "ES256", nil, goodClaims(claims{"iss": ""}))) {
		t.Error("an empty issuer is taken for one")
	}
}

// S-38: hostile input costs neither time nor memory, and never a panic.
func TestSec_S38_HostileTokens(t *testing.T) {
	keys := keysFor("ES256")
	v := testVerifier(keys)
	header := b64(`{"alg":"ES256","kid":"ES256"}`)
	const limit = 5 * time.Millisecond
	for name, raw := range map[string]string{
		"a megabyte of dots":  strings.Repeat(".", 1<<20),
		"16 KiB of dots":      strings.Repeat(".", provider.DefaultMaxToken),
		"a megabyte of A":     strings.Repeat("A", 1<<20),
		"PBES2 with 2^31":     b64(`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":2147483648,"p2s":"AAAA","zip":"DEF"}`) + ".AA.AA.AA.AA",
		"compressed JWS":      b64(`{"alg":"ES256","kid":"ES256","zip":"DEF"}`) + "." + strings.Repeat("A", provider.DefaultMaxToken-200) + ".AAAA",
		"deep payload":        header + "." + b64(strings.Repeat("[", provider.DefaultMaxToken/2)) + ".AAAA",
		"deep, closed":        header + "." + b64(`{"a":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`}`) + ".AAAA",
		"many members":        header + "." + b64(`{`+strings.Repeat(`"a":0,`, 1900)+`"iss":"x"}`) + ".AAAA",
		"many, then an error": header + "." + b64(`{`+strings.Repeat(`"a":0,`, 1900)+`"iss":"x"`) + ".AAAA",
		"a number of digits":  header + "." + b64(`{"iss":"`+testIssuer+`","exp":`+strings.Repeat("9", 11000)+`}`) + ".AAAA",
		"a number, fraction":  header + "." + b64(`{"iss":"`+testIssuer+`","exp":1.`+strings.Repeat("9", 11000)+`}`) + ".AAAA",
		"exponent of digits":  header + "." + b64(`{"iss":"`+testIssuer+`","exp":1e`+strings.Repeat("9", 11000)+`}`) + ".AAAA",
		"long signature":      header + "." + b64(`{"iss":"`+testIssuer+`","exp":1}`) + "." + strings.Repeat("A", 12000),
		"long kid":            b64(`{"alg":"ES256","kid":"`+strings.Repeat("x", 5000)+`"}`) + "." + b64(`{"iss":"`+testIssuer+`"}`) + ".AAAA",
		"zero bytes":          strings.Repeat("\x00", 1000),
		"dots in the middle":  header + strings.Repeat(".", 3) + "AAAA",
		"signature all zeros": header + "." + b64(`{"iss":"`+testIssuer+`","exp":1}`) + "." + strings.Repeat("A", 86),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const runs = 20
		quickest := time.Hour // of several tries, as a busy machine delays some
		for range runs {
			start := time.Now()
			if _, err := v.verify(t.Context(), raw); err == nil {
				t.Fatalf("%s: accepted", name)
			}
			claimsIssuer(testIssuer, raw)
			quickest = min(quickest, time.Since(start))
		}
		runtime.ReadMemStats(&after)
		if quickest > limit {
			t.Errorf("%s: took %v", name, quickest)
		}
		if bytes := (after.TotalAlloc - before.TotalAlloc) / runs; bytes > 1<<20 {
			t.Errorf("%s: took %d bytes", name, bytes)
		}
	}
}
