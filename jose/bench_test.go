// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"strings"
	"testing"
)

var benchClaims = `{"iss":"https://op.example.com/realms/main","sub":"f1d0b5a2-31b8-4a2a-9f3b-2f4a2b1c0d9e","aud":["api","account"],"exp":4102444800,"iat":1700000000,"jti":"6e1f4c1c-9f1f-4a7e-bb53-b7c6b0b1e6f1","client_id":"mobile-app","scope":"openid email todos:read todos:write","realm_access":{"roles":["user","` + strings.Repeat("x", 300) + `"]}}`

// BenchmarkBareSignature is the check of the signature alone, to compare
// everything else with.
func BenchmarkBareSignature(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			jws, err := Parse(sign(b, benchClaims, alg), limit)
			if err != nil {
				b.Fatal(err)
			}
			key := testKeys[alg].Public()
			b.ReportAllocs()
			for b.Loop() {
				if err := key.verify(jws.signingInput, jws.signature, alg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	token := sign(b, benchClaims, "RS256")
	b.ReportAllocs()
	b.SetBytes(int64(len(token)))
	for b.Loop() {
		if _, err := Parse(token, limit); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseObject(b *testing.B) {
	data := []byte(benchClaims)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := ParseObject(data); err != nil {
			b.Fatal(err)
		}
	}
}
