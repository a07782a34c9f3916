// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const eventStream = "text/event-stream"

// upstream is the API behind the proxies: a fixed answer, as cheap as
// net/http makes it.
func upstream(listener net.Listener) error {
	body := []byte(`{"id":17,"title":"write the benchmark","done":false}`)
	length := strconv.Itoa(len(body))
	event := []byte("data: one\n\n")
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") == eventStream { // one that ends at once
			w.Header().Set("Content-Type", eventStream)
			_, _ = w.Write(event)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", length)
		_, _ = w.Write(body)
	}))
}

// issuer is an authorization server for what the embedded one would be too
// slow to prepare: tokens by the hundred thousand. Every token that begins
// with "opaque-" is active; every JWT that sign made is signed with its key.
type issuer struct {
	url           string
	key           *ecdsa.PrivateKey
	rsaKey        *rsa.PrivateKey
	introspected  atomic.Uint64
	keysRequested atomic.Uint64
}

const (
	issuerClient = "bench"
	issuerSecret = "not-a-secret-outside-this-benchmark"
	issuerScope  = "todos:read todos:write profile"
)

func newIssuer(listener net.Listener) (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	s := &issuer{url: "http://" + listener.Addr().String(), key: key, rsaKey: rsaKey}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", s.discovery)
	mux.HandleFunc("GET /.well-known/uma2-configuration", s.discovery)
	mux.HandleFunc("POST /permission", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, map[string]any{"ticket": "ticket"}) })
	mux.HandleFunc("GET /keys", s.keys)
	mux.HandleFunc("POST /introspect", s.introspect)
	mux.HandleFunc("GET /authorize", s.authorize)
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("POST /access/v1/evaluation", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, map[string]any{"decision": true}) })
	go func() { _ = http.Serve(listener, mux) }()
	return s, nil
}

func (s *issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, map[string]any{
		"issuer":                 s.url,
		"introspection_endpoint": s.url + "/introspect",
		"jwks_uri":               s.url + "/keys",
		"token_endpoint":         s.url + "/token",
		"authorization_endpoint": s.url + "/authorize",

		"permission_endpoint":            s.url + "/permission",
		"resource_registration_endpoint": s.url + "/resources",

		"id_token_signing_alg_values_supported": []string{"ES256"},
	})
}

func (s *issuer) keys(w http.ResponseWriter, _ *http.Request) {
	s.keysRequested.Add(1)
	point, err := s.key.PublicKey.Bytes() // 0x04, x, y (SEC 1, 2.3.3)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	public := s.rsaKey.PublicKey
	answerJSON(w, map[string]any{"keys": []any{
		map[string]any{
			"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "bench",
			"x": base64url(point[1:33]), "y": base64url(point[33:]),
		},
		map[string]any{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "bench-rsa",
			"n": base64url(public.N.Bytes()), "e": base64url(big.NewInt(int64(public.E)).Bytes()),
		},
	}})
}

func (s *issuer) introspect(w http.ResponseWriter, r *http.Request) {
	s.introspected.Add(1)
	token := r.FormValue("token")
	if !strings.HasPrefix(token, "opaque-") {
		answerJSON(w, map[string]any{"active": false})
		return
	}
	answer := map[string]any{
		"active": true, "client_id": "app", "sub": token[len("opaque-"):], "scope": issuerScope,
		"exp": time.Now().Add(2 * time.Hour).Unix(), "iss": s.url, "token_type": "Bearer",
	}
	if token == rpt {
		answer["permissions"] = []any{map[string]any{"resource_id": umaResource, "resource_scopes": []string{"todos:view"}}}
	}
	answerJSON(w, answer)
}

// sign makes the n-th access token: a JWT of RFC 9068 for two hours.
func (s *issuer) sign(n uint64) (string, error) { return s.signJWT("at+jwt", s.claims(n)) }

func (s *issuer) claims(n uint64) map[string]any {
	now := time.Now().Unix()
	return map[string]any{
		"iss": s.url, "sub": fmt.Sprintf("user-%d", n), "aud": "api", "client_id": "app", "scope": issuerScope,
		"iat": now, "exp": now + 2*3600, "jti": fmt.Sprintf("token-%d", n),
	}
}

// signRSA is sign with RS256, as most servers sign.
func (s *issuer) signRSA(n uint64) (string, error) {
	payload, err := json.Marshal(s.claims(n))
	if err != nil {
		return "", err
	}
	input := base64url([]byte(`{"alg":"RS256","typ":"at+jwt","kid":"bench-rsa"}`)) + "." + base64url(payload)
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, s.rsaKey, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	return input + "." + base64url(signature), nil
}

func (s *issuer) signJWT(typ string, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	input := base64url(fmt.Appendf(nil, `{"alg":"ES256","typ":%q,"kid":"bench"}`, typ)) + "." + base64url(payload)
	digest := sha256.Sum256([]byte(input))
	r, t, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64) // r and s at full width (RFC 7518, 3.4)
	r.FillBytes(signature[:32])
	t.FillBytes(signature[32:])
	return input + "." + base64url(signature), nil
}

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func answerJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}
