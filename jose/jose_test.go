// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// keys are made once: RSA keys take long.
var testKeys = func() map[string]PrivateKey {
	keys := map[string]PrivateKey{}
	for _, alg := range []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"} {
		key, err := GenerateKey(alg)
		if err != nil {
			panic(err)
		}
		key.public.alg = "" // usable with all algorithms of its type
		keys[alg] = key
	}
	for _, alg := range []string{"RS384", "RS512", "PS256", "PS384", "PS512"} {
		keys[alg] = keys["RS256"]
	}
	return keys
}()

const limit = 16 << 10

func sign(t testing.TB, claims, alg string) string {
	t.Helper()
	token, err := Sign([]byte(claims), testKeys[alg], alg, "k1", "JWT")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestWhatIsSignedVerifies(t *testing.T) {
	for _, alg := range Algorithms() {
		t.Run(alg, func(t *testing.T) {
			jws, err := Parse(sign(t, `{"a":1}`, alg), limit)
			if err != nil {
				t.Fatal(err)
			}
			if jws.Header.Algorithm != alg || jws.Header.KeyID != "k1" || jws.Header.Type != "JWT" {
				t.Errorf("header is %+v", jws.Header)
			}
			if got := string(jws.Payload); got != `{"a":1}` {
				t.Errorf("payload is %s", got)
			}
			if err := jws.Verify(testKeys[alg].Public(), alg); err != nil {
				t.Errorf("does not verify: %v", err)
			}
			for i := range jws.signature {
				jws.signature[i] ^= 1
				if jws.Verify(testKeys[alg].Public(), alg) == nil {
					t.Fatalf("verifies with byte %d of the signature changed", i)
				}
				jws.signature[i] ^= 1
				if i > 8 {
					break
				}
			}
			jws.signingInput[len(jws.signingInput)-1] ^= 1
			if jws.Verify(testKeys[alg].Public(), alg) == nil {
				t.Error("verifies with another payload")
			}
		})
	}
}

// Each algorithm works with its type of key and no other, whatever the token
// and the key claim.
func TestAlgorithmsKeepToTheirKeys(t *testing.T) {
	kinds := map[string]string{"RS256": "R", "RS384": "R", "RS512": "R", "PS256": "R", "PS384": "R", "PS512": "R",
		"ES256": "2", "ES384": "3", "ES512": "5", "EdDSA": "E"}
	for _, signed := range Algorithms() {
		jws, err := Parse(sign(t, `{}`, signed), limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, alg := range Algorithms() {
			for _, owner := range Algorithms() {
				key := testKeys[owner].Public()
				if got, want := key.Fits(alg), kinds[alg] == kinds[owner]; got != want {
					t.Errorf("a key for %s fits %s: got %t, want %t", owner, alg, got, want)
				}
				got := jws.Verify(key, alg) == nil
				want := signed == alg && kinds[owner] == kinds[signed]
				if got != want {
					t.Errorf("signed with %s, verified with a key for %s under %s: got %t, want %t", signed, owner, alg, got, want)
				}
			}
		}
	}
	for _, alg := range []string{"", "none", "None", "HS256", "HS384", "HS512", "rs256", "ES256K", "RSA-OAEP"} {
		for owner, key := range testKeys {
			if key.Public().Fits(alg) {
				t.Errorf("a key for %s fits %q", owner, alg)
			}
			if _, err := key.sign([]byte("x"), alg); err == nil {
				t.Errorf("a key for %s signs with %q", owner, alg)
			}
		}
		if _, ok := Algorithm(alg); ok {
			t.Errorf("%q is an algorithm", alg)
		}
	}
	if (Key{}).Fits("") || (Key{}).Fits("RS256") {
		t.Error("the zero key fits something")
	}
}

func TestEd25519IsAnotherNameForEdDSA(t *testing.T) {
	token, err := Sign([]byte(`{}`), testKeys["EdDSA"], "Ed25519", "", "")
	if err != nil {
		t.Fatal(err)
	}
	jws, err := Parse(token, limit)
	if err != nil {
		t.Fatal(err)
	}
	if err := jws.Verify(testKeys["EdDSA"].Public(), "EdDSA"); err != nil || jws.Header.Algorithm != "EdDSA" {
		t.Errorf("got algorithm %q, %v", jws.Header.Algorithm, err)
	}
}

func TestHMACSignsAndNothingElse(t *testing.T) {
	secret := bytes.Repeat([]byte("s"), 32)
	token, err := Sign([]byte(`{}`), HMACKey(secret), "HS256", "", "")
	if err != nil {
		t.Fatal(err)
	}
	// RFC 7515 appendix A.1 in shape: the header, and 32 bytes of signature.
	if parts := strings.Split(token, "."); len(parts) != 3 || len(parts[2]) != 43 {
		t.Errorf("token is %s", token)
	}
	jws, err := Parse(token, limit)
	if err != nil {
		t.Fatal(err)
	}
	for owner, key := range testKeys {
		if jws.Verify(key.Public(), "HS256") == nil {
			t.Errorf("an HMAC verifies with a key for %s", owner)
		}
	}
	for _, alg := range []string{"HS384", "HS512", "RS256", "none"} {
		if _, err := Sign([]byte(`{}`), HMACKey(secret), alg, "", ""); err == nil {
			t.Errorf("signs with %s and a secret of 32 bytes", alg)
		}
	}
	if _, err := Sign([]byte(`{}`), testKeys["RS256"], "HS256", "", ""); err == nil {
		t.Error("an RSA key signs with HS256")
	}
}

// RFC 7515, appendix A.2: a token that another implementation made.
func TestTokenOfTheStandard(t *testing.T) {
	key, err := ParseKey([]byte(`{"kty":"RSA",
		"n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
		"e":"AQAB"}`))
	if err != nil {
		t.Fatal(err)
	}
	jws, err := Parse("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw", limit)
	if err != nil {
		t.Fatal(err)
	}
	if err := jws.Verify(key, "RS256"); err != nil {
		t.Error(err)
	}
}

// RFC 7638, section 3.1, and RFC 8037, appendix A.3.
func TestThumbprintsOfTheStandards(t *testing.T) {
	for jwk, want := range map[string]string{
		`{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
		`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
	} {
		key, err := ParseKey([]byte(jwk))
		if err != nil {
			t.Error(err)
		} else if key.Thumbprint() != want {
			t.Errorf("thumbprint is %s, want %s", key.Thumbprint(), want)
		}
	}
}

func TestParseTakesOneSpellingOnly(t *testing.T) {
	token := sign(t, `{"sub":"a"}`, "ES256")
	parts := strings.Split(token, ".")
	header := func(json string) string {
		return base64url.EncodeToString([]byte(json)) + "." + parts[1] + "." + parts[2]
	}
	for name, raw := range map[string]string{
		"nothing":                    "",
		"one part":                   parts[0],
		"two parts":                  parts[0] + "." + parts[1],
		"four parts":                 token + ".AAAA",
		"six parts":                  token + ".A.A.A",
		"no header":                  "." + parts[1] + "." + parts[2],
		"no payload":                 parts[0] + ".." + parts[2],
		"no signature":               parts[0] + "." + parts[1] + ".",
		"padding":                    parts[0] + "." + parts[1] + "." + parts[2] + "==",
		"line break":                 parts[0] + "." + parts[1] + "." + parts[2] + "\n",
		"line break inside":          parts[0] + "." + parts[1][:4] + "\r\n" + parts[1][4:] + "." + parts[2],
		"space before":               " " + token,
		"standard alphabet":          parts[0] + "." + parts[1] + ".++//" + parts[2],
		"stray bits":                 parts[0] + ".e31." + parts[2], // {} is e30
		"header not JSON":            header(`alg=ES256`),
		"header a list":              header(`["alg"]`),
		"header null":                header(`null`),
		"header with more after it":  header(`{"alg":"ES256"}{}`),
		"alg twice":                  header(`{"alg":"none","alg":"ES256"}`),
		"alg twice, escaped":         header(`{"alg":"none","\u0061lg":"ES256"}`),
		"kid twice":                  header(`{"alg":"ES256","kid":"a","kid":"b"}`),
		"twice further in":           header(`{"alg":"ES256","x":[{"a":{"b":1,"b":1}}]}`),
		"alg a number":               header(`{"alg":1}`),
		"alg a list":                 header(`{"alg":["ES256"]}`),
		"kid a number":               header(`{"alg":"ES256","kid":1}`),
		"typ an object":              header(`{"alg":"ES256","typ":{}}`),
		"invalid UTF-8":              header("{\"alg\":\"ES256\",\"kid\":\"\xff\"}"),
		"half a surrogate":           header(`{"alg":"ES256","kid":"\ud800"}`),
		"half a surrogate in a name": header(`{"alg":"ES256","\ud800":1}`),
		"nested deeply":              header(`{"alg":"ES256","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`),
		"too long a header":          header(`{"alg":"ES256","x":"` + strings.Repeat("x", maxHeader) + `"}`),
		"too long":                   token + strings.Repeat("A", limit),
		"a JWE":                      token + ".AA.AA",
		"JSON serialisation":         `{"payload":"e30","protected":"e30","signature":"AA"}`,
	} {
		if _, err := Parse(raw, limit); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
	if _, err := Parse(token+".AA.AA", limit); err != ErrEncrypted {
		t.Errorf("five parts: got %v, want %v", err, ErrEncrypted)
	}
	if jws, err := Parse(header(`{"ALG":"none","Kid":"x","alg":"ES256"}`), limit); err != nil || jws.Header.Algorithm != "ES256" || jws.Header.KeyID != "" {
		t.Errorf("names are not compared exactly: %+v, %v", jws, err)
	}
}

func publicJWK(t testing.TB, alg string, members map[string]any) string {
	t.Helper()
	data, err := testKeys[alg].Public().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var jwk map[string]any
	if err := json.Unmarshal(data, &jwk); err != nil {
		t.Fatal(err)
	}
	for name, value := range members {
		if value == nil {
			delete(jwk, name)
		} else {
			jwk[name] = value
		}
	}
	data, err = json.Marshal(jwk)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestKeySetLeavesOutWhatCannotBeUsed(t *testing.T) {
	type m = map[string]any
	small := `{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("_", 171) + `"}` // 1,024 bits
	for name, c := range map[string]struct {
		jwk    string
		usable bool
	}{
		"RSA":                  {publicJWK(t, "RS256", nil), true},
		"EC":                   {publicJWK(t, "ES384", nil), true},
		"Ed25519":              {publicJWK(t, "EdDSA", nil), true},
		"no kid":               {publicJWK(t, "ES256", m{"kid": nil}), true},
		"no use":               {publicJWK(t, "ES256", m{"use": nil}), true},
		"its own alg":          {publicJWK(t, "ES256", m{"alg": "ES256"}), true},
		"alg Ed25519":          {publicJWK(t, "EdDSA", m{"alg": "Ed25519"}), true},
		"an alg of its type":   {publicJWK(t, "RS256", m{"alg": "PS512"}), true},
		"key_ops":              {publicJWK(t, "ES256", m{"key_ops": []string{"verify", "x"}}), true},
		"certificates":         {publicJWK(t, "RS256", m{"x5c": []string{"junk"}, "x5t": "junk", "x5u": "http://127.0.0.1/"}), true},
		"unknown members":      {publicJWK(t, "RS256", m{"ext": true, "iat": 1, "issuer": "x"}), true},
		"for encryption":       {publicJWK(t, "RS256", m{"use": "enc"}), false},
		"an unknown use":       {publicJWK(t, "RS256", m{"use": "SIG"}), false},
		"use a list":           {publicJWK(t, "RS256", m{"use": []string{"sig"}}), false},
		"key_ops for signing":  {publicJWK(t, "ES256", m{"key_ops": []string{"sign"}}), false},
		"key_ops empty":        {publicJWK(t, "ES256", m{"key_ops": []string{}}), false},
		"key_ops a string":     {publicJWK(t, "ES256", m{"key_ops": "verify"}), false},
		"alg of another type":  {publicJWK(t, "RS256", m{"alg": "ES256"}), false},
		"alg of another curve": {publicJWK(t, "ES256", m{"alg": "ES384"}), false},
		"alg HS256":            {publicJWK(t, "RS256", m{"alg": "HS256"}), false},
		"alg for encryption":   {publicJWK(t, "RS256", m{"alg": "RSA-OAEP"}), false},
		"alg none":             {publicJWK(t, "RS256", m{"alg": "none"}), false},
		"kid a number":         {publicJWK(t, "RS256", m{"kid": 1}), false},
		"RSA 1024":             {small, false},
		"RSA with exponent 1":  {publicJWK(t, "RS256", m{"e": "AQ"}), false},
		"RSA with exponent 2":  {publicJWK(t, "RS256", m{"e": "Ag"}), false},
		"RSA, huge exponent":   {publicJWK(t, "RS256", m{"e": strings.Repeat("_", 200)}), false},
		"RSA, exponent 2^32+1": {publicJWK(t, "RS256", m{"e": "AQAAAAE"}), false},
		"RSA 16384":            {`{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("_", 2731) + `"}`, false},
		"RSA without modulus":  {publicJWK(t, "RS256", m{"n": nil}), false},
		"modulus a number":     {publicJWK(t, "RS256", m{"n": 5}), false},
		"modulus empty":        {publicJWK(t, "RS256", m{"n": ""}), false},
		"not on the curve":     {publicJWK(t, "ES256", m{"x": strings.Repeat("A", 43)}), false},
		"point at infinity":    {publicJWK(t, "ES256", m{"x": strings.Repeat("A", 43), "y": strings.Repeat("A", 43)}), false},
		"another curve's name": {publicJWK(t, "ES256", m{"crv": "P-384"}), false},
		"secp256k1":            {publicJWK(t, "ES256", m{"crv": "secp256k1"}), false},
		"X25519":               {publicJWK(t, "EdDSA", m{"crv": "X25519"}), false},
		"Ed25519 cut short":    {publicJWK(t, "EdDSA", m{"x": "11qYAYKxCrfVS_7TyWQHOg"}), false},
		"symmetric":            {`{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}`, false},
		"private":              {publicJWK(t, "ES256", m{"d": "AAAA"}), false},
		"private, d null":      {strings.Replace(publicJWK(t, "ES256", nil), "{", `{"d":null,`, 1), false},
		"RSA with k":           {publicJWK(t, "RS256", m{"k": "AAAA"}), false},
		"kty twice":            {strings.Replace(publicJWK(t, "ES256", nil), "{", `{"kty":"oct",`, 1), false},
		"no kty":               {publicJWK(t, "ES256", m{"kty": nil}), false},
		"kty in lower case":    {publicJWK(t, "RS256", m{"kty": "rsa"}), false},
		"post-quantum":         {`{"kty":"AKP","alg":"ML-DSA-44","pub":"AAAA"}`, false},
		"a number":             {`5`, false},
		"null":                 {`null`, false},
	} {
		other := publicJWK(t, "ES512", m{"kid": "other"})
		document := fmt.Sprintf(`{"keys":[%s,%s]}`, c.jwk, other)
		// A member twice spoils the whole document, which is read strictly.
		set, err := ParseKeySet([]byte(document))
		if name == "kty twice" {
			if err == nil {
				t.Errorf("%s: the set was accepted", name)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: the set was refused: %v", name, err)
			continue
		}
		if got := len(set.Keys) == 2; got != c.usable || len(set.Keys)+len(set.Ignored) != 2 {
			t.Errorf("%s: usable is %t, want %t (%v)", name, got, c.usable, set.Ignored)
		}
		if last := set.Keys[len(set.Keys)-1]; last.ID() != "other" {
			t.Errorf("%s: the other key is gone", name)
		}
	}
}

func TestKeySetThatIsNone(t *testing.T) {
	for name, document := range map[string]string{
		"nothing":        ``,
		"HTML":           `<html>`,
		"a list":         `[]`,
		"no keys":        `{}`,
		"keys null":      `{"keys":null}`,
		"keys an object": `{"keys":{}}`,
		"keys twice":     `{"keys":[],"keys":[]}`,
		"Keys":           `{"Keys":[]}`,
		"501 keys":       `{"keys":[` + strings.Repeat(`{},`, 500) + `{}]}`,
		"too large":      `{"keys":[],"x":"` + strings.Repeat("x", maxSetJSON) + `"}`,
		"nested deeply":  `{"keys":` + strings.Repeat(`[`, 9000) + strings.Repeat(`]`, 9000) + `}`,
		"cut off":        `{"keys":[`,
	} {
		if _, err := ParseKeySet([]byte(document)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	set, err := ParseKeySet([]byte(`{"keys":[]}`))
	if err != nil || len(set.Keys) != 0 {
		t.Errorf("an empty set: %v, %v", set, err)
	}
}

func TestPublicKeySetComesBack(t *testing.T) {
	var keys []Key
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		key, err := testKeys[alg].Public().WithID(alg).WithAlgorithm(alg)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	document, err := PublicKeySet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	set, err := ParseKeySet(document)
	if err != nil || len(set.Keys) != 3 {
		t.Fatalf("got %v, %v from %s", set, err, document)
	}
	for i, key := range set.Keys {
		if key.ID() != keys[i].ID() || key.Thumbprint() != keys[i].Thumbprint() || key.alg != keys[i].alg {
			t.Errorf("key %s came back as %+v", keys[i].ID(), key)
		}
	}
	if empty, err := PublicKeySet(); err != nil || string(empty) != `{"keys":[]}` {
		t.Errorf("no keys: %s, %v", empty, err)
	}
	if _, err := PublicKeySet(HMACKey([]byte("secret")).Public()); err == nil {
		t.Error("a symmetric key has been published")
	}
	for _, private := range []string{`"d"`, `"p"`, `"k"`} {
		if bytes.Contains(document, []byte(private)) {
			t.Errorf("the public set has a member %s", private)
		}
	}
}

func TestSignWithHeaderKeepsTheAlgorithm(t *testing.T) {
	token, err := SignWithHeader([]byte(`{}`), testKeys["ES256"], "ES256", map[string]any{"alg": "none", "typ": "dpop+jwt", "jwk": testKeys["ES256"].Public()})
	if err != nil {
		t.Fatal(err)
	}
	jws, err := Parse(token, limit)
	if err != nil {
		t.Fatal(err)
	}
	jwk, _ := jws.Header.Get("jwk")
	key, err := ParseKey([]byte(jwk.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	if err := jws.Verify(key, "ES256"); err != nil || jws.Header.Type != "dpop+jwt" {
		t.Errorf("got %+v, %v", jws.Header, err)
	}
}

func TestAlgorithmsAreAllThere(t *testing.T) {
	list := Algorithms()
	if len(list) != len(algorithms) {
		t.Errorf("%d algorithms are listed and %d known", len(list), len(algorithms))
	}
	for _, alg := range list {
		if name, ok := Algorithm(alg); !ok || name != alg {
			t.Errorf("%s is listed and not known", alg)
		}
	}
	if slices.Contains(list, "none") || slices.Contains(list, "HS256") {
		t.Error("tokens can be forged")
	}
}
