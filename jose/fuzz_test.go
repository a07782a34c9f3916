// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"strings"
	"testing"
	"time"
)

// Nothing that was not signed with the key verifies; what does is spelled in
// exactly the way that it was signed in.
func FuzzParseJWS(f *testing.F) {
	key := testKeys["ES256"]
	genuine := sign(f, `{"iss":"a"}`, "ES256")
	f.Add(genuine)
	f.Add(genuine + "=")
	f.Add(strings.Replace(genuine, ".", "..", 1))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("e30.e30.e30.e30.e30")
	f.Add(strings.Repeat(".", 4096))
	f.Fuzz(func(t *testing.T, raw string) {
		jws, err := Parse(raw, limit)
		if err != nil {
			return
		}
		for _, alg := range append(Algorithms(), jws.Header.Algorithm) {
			if jws.Verify(key.Public(), alg) == nil && raw != genuine {
				// An ECDSA signature (r, s) has a twin (r, -s), so the last part
				// alone may differ and be right; the fuzzer does not find it.
				t.Fatalf("verifies: %q", raw)
			}
		}
	})
}

// Every key that is accepted can be used and published, and none is private.
func FuzzJWKS(f *testing.F) {
	for _, alg := range []string{"RS256", "ES256", "ES512", "EdDSA"} {
		f.Add([]byte(`{"keys":[` + publicJWK(f, alg, nil) + `]}`))
	}
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Add([]byte(`{"keys":[]}`))
	jws, err := Parse(sign(f, `{}`, "ES256"), limit)
	if err != nil {
		f.Fatal(err)
	}
	own := testKeys["ES256"].Public().Thumbprint()
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := ParseKeySet(data)
		if err != nil {
			return
		}
		if len(set.Keys) > maxSetKeys || len(set.Ignored) > maxReported {
			t.Fatalf("%d keys, %d errors", len(set.Keys), len(set.Ignored))
		}
		for _, key := range set.Keys {
			if err := jws.Verify(key, "ES256"); err == nil && key.Thumbprint() != own {
				t.Fatalf("another key verifies: %s", data)
			}
			jwk, err := key.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			again, err := ParseKey(jwk)
			if err != nil || again.Thumbprint() != key.Thumbprint() || again.ID() != key.ID() {
				t.Fatalf("%s comes back as %+v, %v", jwk, again, err)
			}
		}
	})
}

// S-38: what a token costs is bounded before anything is done with it. The
// figures are generous; what they would catch are costs that grow with the
// square of the size, or with a number in the header.
func TestSec_S38_HostileTokensCostNextToNothing(t *testing.T) {
	const megabyte = 1 << 20
	part := base64url.EncodeToString([]byte(`{"alg":"ES256"}`))
	for name, raw := range map[string]string{
		"dots":                      strings.Repeat(".", megabyte),
		"dots within the limit":     strings.Repeat(".", limit),
		"one part":                  strings.Repeat("A", megabyte),
		"JWE with a password count": base64url.EncodeToString([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483648,"p2s":"AA"}`)) + ".AA.AA.AA.AA",
		"JWE compressed":            base64url.EncodeToString([]byte(`{"alg":"dir","enc":"A128GCM","zip":"DEF"}`)) + "." + strings.Repeat("A", limit-200) + ".AA.AA.AA",
		"nested header":             base64url.EncodeToString([]byte(strings.Repeat(`{"a":`, 1000)+"1"+strings.Repeat("}", 1000))) + ".e30.AA",
		"header of many members":    base64url.EncodeToString([]byte(`{`+strings.Repeat(`"a":1,`, 900)+`"b":1}`)) + ".e30.AA",
	} {
		var err error
		allocated := testing.AllocsPerRun(1, func() { _, err = Parse(raw, limit) })
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		if allocated > 2000 {
			t.Errorf("%s: %.0f allocations", name, allocated)
		}
		// The quickest of several tries, as a busy machine delays some.
		quickest := time.Hour
		for range 10 {
			start := time.Now()
			Parse(raw, limit)
			quickest = min(quickest, time.Since(start))
		}
		if quickest > 5*time.Millisecond {
			t.Errorf("%s: took %v", name, quickest)
		}
	}
	// A compressed payload is not what is signed here: it stays as it is.
	jws, err := Parse(part+"."+base64url.EncodeToString([]byte("zipped"))+".AA", limit)
	if err != nil || string(jws.Payload) != "zipped" {
		t.Errorf("got %v, %v", jws, err)
	}
}
