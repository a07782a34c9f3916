// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestSignedClaims(t *testing.T) {
	clk := newClock()
	now := clk.now()
	s := newSigner(t, SignerConfig{Storage: newMemoryStorage(), Now: clk.now}, "")
	mustSync(t, s)
	original := map[string]any{
		"iss": "https://as.example", "sub": "joe", "exp": json.Number("99999999999"), "iat": json.Number("1"), "jti": "original",
		"aud": "api", "scope": "a b", "big": json.Number("12345678901234567890123"), "cnf": map[string]any{"jkt": "x"},
	}
	signed := mustSign(t, s, SignRequest{Claims: original, NotAfter: now.Add(10*time.Minute + 500*time.Millisecond)})
	if err := verify(t, s, signed.Token); err != nil {
		t.Error(err)
	}
	header, claims := decoded(t, signed.Token)
	if header["alg"] != "ES256" || header["typ"] != "JWT" || header["kid"] == "" {
		t.Errorf("header %v", header)
	}
	jti, _ := claims["jti"].(string)
	if jti == "original" || len(jti) < 20 {
		t.Errorf("jti %q", jti)
	}
	delete(claims, "jti")
	got, _ := json.Marshal(claims)
	const want = `{"aud":"api","big":12345678901234567890123,"exp":1900000600,"iat":1900000000,"iss":"gluu-gateway","original_iss":"https://as.example","scope":"a b","sub":"joe"}`
	if string(got) != want {
		t.Errorf(" got %s\nwant %s", got, want)
	}
	if original["jti"] != "original" || original["cnf"] == nil {
		t.Error("the original claims were changed")
	}
	if again := mustSign(t, s, SignRequest{Claims: original}); strings.Contains(again.Token, jti) {
		t.Error("a jti was used twice")
	}
	for _, c := range []struct {
		request SignRequest
		want    any
	}{
		{SignRequest{OriginalIssuer: "https://as.example", Claims: map[string]any{"sub": "joe", "original_iss": "https://other.example"}}, "https://as.example"},
		{SignRequest{Claims: map[string]any{"sub": "joe", "original_iss": "https://other.example"}}, nil},
		{SignRequest{Claims: map[string]any{"iss": 1}}, nil},
	} {
		if _, claims := decoded(t, mustSign(t, s, c.request).Token); claims["original_iss"] != c.want {
			t.Errorf("%v: original_iss %v, want %v", c.request, claims["original_iss"], c.want)
		}
	}
}

func TestATokenNeverOutlivesTheOriginal(t *testing.T) {
	clk := newClock()
	now := clk.now()
	s := newSigner(t, SignerConfig{Storage: newMemoryStorage(), Now: clk.now}, "")
	mustSync(t, s)
	for _, c := range []struct {
		left        time.Duration // of the original; 0: no end
		want, renew time.Duration
	}{
		{0, MaxLifetime, MaxLifetime / 2},
		{24 * time.Hour, MaxLifetime, MaxLifetime / 2},
		{10 * time.Minute, 10 * time.Minute, 10 * time.Minute},
		{1900 * time.Millisecond, time.Second, time.Second},
	} {
		req := SignRequest{}
		if c.left != 0 {
			req.NotAfter = now.Add(c.left)
		}
		signed := mustSign(t, s, req)
		if signed.ExpiresAt != now.Add(c.want) || signed.RenewAt != now.Add(c.renew) {
			t.Errorf("%s left: valid for %s, renew after %s; want %s, %s", c.left, signed.ExpiresAt.Sub(now), signed.RenewAt.Sub(now), c.want, c.renew)
		}
	}
	for _, left := range []time.Duration{900 * time.Millisecond, -time.Second} {
		if _, err := s.Sign(SignRequest{Algorithm: AlgorithmES256, NotAfter: now.Add(left)}); !errors.Is(err, ErrExpired) {
			t.Errorf("%s left: got %v, want ErrExpired", left, err)
		}
	}
}

func TestAllAlgorithms(t *testing.T) {
	clk := newClock()
	s := newSigner(t, SignerConfig{Storage: newMemoryStorage(), Now: clk.now, Issuer: "https://gw.example"}, AlgorithmES256, AlgorithmRS256, AlgorithmEdDSA)
	mustSync(t, s)
	for _, alg := range []string{AlgorithmES256, AlgorithmRS256, AlgorithmEdDSA} {
		signed := mustSign(t, s, SignRequest{Algorithm: alg})
		header, claims := decoded(t, signed.Token)
		if err := verify(t, s, signed.Token); err != nil || header["alg"] != alg || claims["iss"] != "https://gw.example" {
			t.Errorf("%s: %v %v %v", alg, header, claims, err)
		}
	}
	token := mustSign(t, s, SignRequest{Algorithm: AlgorithmNone, Claims: map[string]any{"sub": "joe"}}).Token
	header, claims := decoded(t, token)
	if header["alg"] != "none" || claims["sub"] != "joe" || claims["exp"] == nil || !strings.HasSuffix(token, ".") {
		t.Errorf("none: %s", token)
	}
	if _, err := s.Require("HS256"); err == nil || !strings.Contains(err.Error(), "ES256, RS256, EdDSA or none") {
		t.Errorf("HS256: got %v", err)
	}
	if _, err := s.Sign(SignRequest{Algorithm: "ES384"}); !errors.Is(err, ErrNotReady) {
		t.Errorf("an algorithm that was not required: got %v", err)
	}
}

func TestTheKeySetTellsNoSecret(t *testing.T) {
	clk := newClock()
	s := newSigner(t, SignerConfig{Storage: newMemoryStorage(), Now: clk.now}, AlgorithmES256, AlgorithmRS256, AlgorithmEdDSA)
	mustSync(t, s)
	jwks, err := s.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(jwks.Body, &set); err != nil || len(set.Keys) != 3 {
		t.Fatal(err, string(jwks.Body))
	}
	for _, key := range set.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if key[private] != nil {
				t.Errorf("%s of %s is published", private, key["kid"])
			}
		}
		if key["use"] != "sig" || key["alg"] == nil {
			t.Errorf("key %v lacks use or alg", key)
		}
	}
	if jwks.MaxAge != keepFor || !strings.HasPrefix(jwks.ETag, `"`) {
		t.Errorf("max-age %s, ETag %s", jwks.MaxAge, jwks.ETag)
	}
	etag := jwks.ETag
	if err := s.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if jwks, _ = s.JWKS(); jwks.ETag == etag {
		t.Error("the same ETag for other keys")
	}
}

func BenchmarkSign(b *testing.B) {
	s := newSigner(b, SignerConfig{Storage: newMemoryStorage()}, AlgorithmES256, AlgorithmRS256, AlgorithmEdDSA)
	mustSync(b, s)
	claims := map[string]any{"sub": "joe", "scope": "a b c", "client_id": "app", "iss": "https://as.example"}
	for _, alg := range []string{AlgorithmES256, AlgorithmRS256, AlgorithmEdDSA, AlgorithmNone} {
		b.Run(alg, func(b *testing.B) {
			for b.Loop() {
				mustSign(b, s, SignRequest{Claims: claims, Algorithm: alg})
			}
		})
	}
}
