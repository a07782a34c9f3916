// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
)

func TestPrivateKeysComeBack(t *testing.T) {
	for _, alg := range []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"} {
		key := testKeys[alg]
		file, err := key.MarshalPEM()
		if err != nil {
			t.Fatal(err)
		}
		// openssl writes the curve first, and people keep certificates with keys.
		file = append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), file...)
		got, err := ParsePrivateKey(file)
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		if got.ID() != key.Public().Thumbprint() || got.Algorithm() != alg {
			t.Errorf("%s came back as %s with ID %s", alg, got.Algorithm(), got.ID())
		}
		token, err := Sign([]byte(`{}`), got, alg, "", "")
		if err != nil {
			t.Fatal(err)
		}
		if jws, err := Parse(token, limit); err != nil || jws.Verify(key.Public(), alg) != nil {
			t.Errorf("%s: another key came back", alg)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if printed := fmt.Sprintf(verb, got); len(printed) > 80 {
				t.Errorf("%s printed with %s: %s", alg, verb, printed)
			}
			// fmt calls no methods on what is in unexported fields.
			inside := fmt.Sprintf(verb, struct{ key PrivateKey }{got})
			if seed, ok := got.signer().(ed25519.PrivateKey); ok && strings.Contains(inside, fmt.Sprint([]byte(seed[:4]))[1:12]) {
				t.Errorf("%s printed inside of a struct with %s: %s", alg, verb, inside)
			}
		}
		if _, err := json.Marshal(got); err == nil {
			t.Errorf("%s: written as JSON", alg)
		}
	}
}

func TestPrivateKeysAsJWK(t *testing.T) {
	// RFC 7515, appendix A.3, and RFC 8037, appendix A.1.
	ec := `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"%s}`
	okp := `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	key, err := ParsePrivateKey([]byte(fmt.Sprintf(ec, `,"kid":"mine","alg":"ES256"`)))
	if err != nil || key.ID() != "mine" || key.Algorithm() != "ES256" {
		t.Errorf("EC: %v, %v", key, err)
	}
	key, err = ParsePrivateKey([]byte(okp))
	if err != nil || key.ID() != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" || key.Algorithm() != "EdDSA" {
		t.Errorf("Ed25519: %v, %v", key, err)
	}
	for name, jwk := range map[string]string{
		"public":           publicJWK(t, "ES256", nil),
		"symmetric":        `{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}`,
		"alg of others":    fmt.Sprintf(ec, `,"alg":"ES384"`),
		"alg HS256":        fmt.Sprintf(ec, `,"alg":"HS256"`),
		"kid a number":     fmt.Sprintf(ec, `,"kid":1`),
		"d of another":     strings.Replace(fmt.Sprintf(ec, ""), "jpsQ", "jpsR", 1),
		"d of another key": strings.Replace(okp, "nWGx", "nWGy", 1),
		"d empty":          strings.Replace(okp, "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "", 1),
		"RSA without p":    publicJWK(t, "RS256", map[string]any{"d": "AQAB"}),
	} {
		if _, err := ParsePrivateKey([]byte(jwk)); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "jps") || strings.Contains(err.Error(), "nWG") {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
}

func TestPrivateKeyFilesThatAreNone(t *testing.T) {
	der, err := x509.MarshalPKCS8PrivateKey(testKeys["ES256"].signer())
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte, headers map[string]string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Headers: headers, Bytes: der}))
	}
	for name, file := range map[string]string{
		"nothing":             "",
		"text":                "secret",
		"certificate only":    block("CERTIFICATE", der, nil),
		"cut short":           block("PRIVATE KEY", der[:20], nil),
		"encrypted":           block("ENCRYPTED PRIVATE KEY", der, nil),
		"encrypted, old form": block("RSA PRIVATE KEY", der, map[string]string{"DEK-Info": "AES-256-CBC,00"}),
		"JWK cut short":       `{"kty":"EC"`,
		"too large":           strings.Repeat("x", maxKeyJSON+1),
	} {
		if _, err := ParsePrivateKey([]byte(file)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := ReadPrivateKey(t.TempDir() + "/missing"); err == nil {
		t.Error("a missing file: accepted")
	}
	if _, err := GenerateKey("HS256"); err == nil {
		t.Error("a key was generated for HS256")
	}
}
