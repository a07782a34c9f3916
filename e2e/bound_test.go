// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// keyPair is a P-256 key as a JOSE client has it.
type keyPair struct {
	*ecdsa.PrivateKey
	jwk string // public, its members in the order of RFC 7638
}

func newKeyPair(t *testing.T) keyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	x, y := base64.RawURLEncoding.EncodeToString(point[1:33]), base64.RawURLEncoding.EncodeToString(point[33:])
	return keyPair{key, fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, x, y)}
}

// thumbprint is that of RFC 7638.
func (k keyPair) thumbprint() string {
	sum := sha256.Sum256([]byte(k.jwk))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// sign makes an ES256 JWS.
func (k keyPair) sign(t *testing.T, header, payload string) string {
	t.Helper()
	input := encode(header) + "." + encode(payload)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k.PrivateKey, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// proof is a DPoP proof (RFC 9449) for a request with a token.
func (k keyPair) proof(t *testing.T, method, url, token string) harness.Field {
	t.Helper()
	ath := sha256.Sum256([]byte(token))
	return harness.Field{Name: "DPoP", Value: k.sign(t,
		`{"typ":"dpop+jwt","alg":"ES256","jwk":`+k.jwk+`}`,
		fmt.Sprintf(`{"jti":%q,"htm":%q,"htu":%q,"iat":%d,"ath":%q}`, rand.Text(), method, url, time.Now().Unix(),
			base64.RawURLEncoding.EncodeToString(ath[:])))}
}

// Sender-constrained tokens (RFC 9449): each request needs a fresh proof of the
// key that the token is bound to.
func TestTokensBoundToADPoPKey(t *testing.T) {
	t.Parallel()
	a := site{app: "consumer portal {\n custom_id portal\n}"}.start(t)
	key, stolen := newKeyPair(t), newKeyPair(t)
	var used []harness.Request // with proofs that were accepted
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			in := *a
			in.t = t
			token := a.server.PersonalToken(t, harness.Person{
				Client: portal, Subject: "alice", Scopes: "todos:read", Resource: kind.resource, JKT: key.thumbprint(),
			})
			url := "http://" + a.Addr + "/todos"
			with := func(scheme string, fields ...harness.Field) harness.Request {
				return harness.Request{Method: "GET", Target: "/todos", Fields: append(
					[]harness.Field{{Name: "Authorization", Value: scheme + " " + token}}, fields...)}
			}
			proof := key.proof(t, "GET", url, token)
			in.passed(with("DPoP", proof))
			used = append(used, with("DPoP", proof))
			for name, request := range map[string]harness.Request{
				"as a plain bearer":            with("Bearer"),
				"as a bearer beside a proof":   with("Bearer", key.proof(t, "GET", url, token)),
				"without a proof":              with("DPoP"),
				"the same proof again":         with("DPoP", proof),
				"a proof of another key":       with("DPoP", stolen.proof(t, "GET", url, token)),
				"a proof for another method":   with("DPoP", key.proof(t, "POST", url, token)),
				"a proof for another resource": with("DPoP", key.proof(t, "GET", url+"/hh", token)),
				"a proof for another token":    with("DPoP", key.proof(t, "GET", url, token+"x")),
			} {
				if response := in.Send(request); response.Status != 401 {
					t.Errorf("%s: got %s, want status 401", name, response)
				}
			}
			in.passed(with("DPoP", key.proof(t, "GET", url, token)))
		})
	}
	// A provider with another setting, or at another place, is another one; what was
	// used before is used all the same.
	a.Config(http.MethodPost, "apps/gluu/providers/default/max_token", 20000)
	for i, request := range used {
		if response := a.Send(request); response.Status != 401 {
			t.Errorf("proof %d again after a reload: got %s, want status 401", i, response)
		}
	}
}

// certificate is a self-signed one, as RFC 8705 allows.
func certificate(t *testing.T, name string) (certificate tls.Certificate, thumbprint string) {
	t.Helper()
	key := newKeyPair(t)
	der := selfSigned(t, key, name)
	sum := sha256.Sum256(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key.PrivateKey}, base64.RawURLEncoding.EncodeToString(sum[:])
}

// selfSigned makes a client certificate of a key.
func selfSigned(t *testing.T, key keyPair, name string) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Sender-constrained tokens (RFC 8705): a token passes only on a connection with
// the certificate that it is bound to, over HTTP/1.1 and HTTP/2.
func TestTokensBoundToACertificate(t *testing.T) {
	t.Parallel()
	server, upstream := sharedServer(t), harness.StartUpstream(t)
	own, thumbprint := certificate(t, "own")
	other, _ := certificate(t, "other")
	g := harness.StartGateway(t, site{
		app:     "consumer portal {\n custom_id portal\n}",
		options: "skip_install_trust\n default_sni localhost",
		address: "https://localhost:{$PORT}",
		before:  "tls internal {\n client_auth {\n mode request\n }\n }",
	}.config(upstream.Addr, server.Issuer))
	ask := func(token string, http2 bool, certificates ...tls.Certificate) (status int, proto string) {
		g.Forbid(token)
		client := &http.Client{Transport: &http.Transport{
			ForceAttemptHTTP2: http2,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", Certificates: certificates},
		}}
		defer client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+g.Addr+"/todos", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = strings.Replace(g.Addr, "127.0.0.1", "localhost", 1)
		request.Header.Set("Authorization", "Bearer "+token)
		answer, err := client.Do(request)
		if err != nil {
			return 0, err.Error()
		}
		answer.Body.Close()
		return answer.StatusCode, answer.Proto
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			token := server.PersonalToken(t, harness.Person{
				Client: portal, Subject: "alice", Scopes: "todos:read", Resource: kind.resource, X5T: thumbprint,
			})
			// The gateway's own certificate takes a moment, and so does
			// finding the authorization server.
			harness.Eventually(t, patience, func() string {
				if status, proto := ask(token, true, own); status != 200 {
					return fmt.Sprint(status, " ", proto)
				}
				return ""
			})
			for _, http2 := range []bool{false, true} {
				if status, proto := ask(token, http2, own); status != 200 {
					t.Errorf("%s: got %d with the certificate, want 200", proto, status)
				}
				if status, proto := ask(token, http2, other); status != 401 {
					t.Errorf("%s: got %d with another certificate, want 401", proto, status)
				}
				if status, proto := ask(token, http2); status != 401 {
					t.Errorf("%s: got %d without a certificate, want 401", proto, status)
				}
			}
		})
	}
}

// RFC 9701: with introspection_signed the gateway accepts signed answers only.
func TestSignedIntrospection(t *testing.T) {
	t.Parallel()
	a := site{
		server: ownServer(t),
		client: "client_id {$CLIENT_ID}\n client_secret {env.CLIENT_SECRET}\n introspection_signed true",
	}.start(t)
	token := func() string { return a.server.Token(t, todoApp, harness.Opaque, "todos:read") }
	first := token()
	a.passed(get("/todos", first))
	a.refused(get("/todos", strings.Repeat("a", 43)), inactiveToken)

	unsigned, err := json.Marshal(map[string]any{
		"active": true, "client_id": todoApp, "scope": "todos:read", "aud": harness.Opaque, "iss": a.server.Issuer,
	})
	if err != nil {
		t.Fatal(err)
	}
	a.server.Fault(harness.IntrospectionPath, harness.Answer(200, "application/json", string(unsigned)))
	if response := a.Get("/todos", harness.Bearer(token())); response.Status != 503 {
		t.Errorf("an unsigned answer: got %s, want status 503", response)
	}
	forged := newKeyPair(t).sign(t, `{"typ":"token-introspection+jwt","alg":"ES256"}`,
		fmt.Sprintf(`{"iss":%q,"aud":%q,"iat":%d,"token_introspection":%s}`, a.server.Issuer, gatewayID, time.Now().Unix(), unsigned))
	a.server.Fault(harness.IntrospectionPath, harness.Answer(200, "application/token-introspection+jwt", forged))
	if response := a.Get("/todos", harness.Bearer(token())); response.Status != 503 {
		t.Errorf("an answer signed by another key: got %s, want status 503", response)
	}
	a.passed(get("/todos", first))
	a.server.Fault(harness.IntrospectionPath, nil)
	a.passed(get("/todos", token()))
}

// The gateway authenticates with a key instead of a secret (RFC 7523).
func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	key := newKeyPair(t)
	der, err := x509.MarshalPKCS8PrivateKey(key.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	config := standardClients()
	for i, client := range config.Clients {
		if client["client_id"] == gatewayID {
			delete(client, "client_secret")
			client["token_endpoint_auth_method"] = "private_key_jwt"
			client["token_endpoint_auth_signing_alg"] = "ES256"
			client["jwks"] = map[string]any{"keys": []any{json.RawMessage(key.jwk)}}
			config.Clients[i] = client
		}
	}
	own := site{
		server: harness.StartOIDCProvider(t, config),
		client: "client_id {$CLIENT_ID}\n client_auth private_key_jwt\n client_key key.pem",
		files:  map[string]string{"key.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))},
	}.start(t)
	for range 3 { // each with an assertion of its own
		own.passed(get("/todos", own.server.Token(t, todoApp, harness.Opaque, "todos:read")))
	}
	own.refused(get("/todos", strings.Repeat("a", 43)), inactiveToken)
}

// The gateway authenticates with a certificate (RFC 8705) to a server whose
// certificate only it trusts.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	key := newKeyPair(t)
	own := selfSigned(t, key, gatewayID)
	config := standardClients()
	config.Certificate, config.Key = harness.Certificate(t)
	for _, client := range config.Clients {
		if client["client_id"] == gatewayID {
			delete(client, "client_secret")
			client["token_endpoint_auth_method"] = "self_signed_tls_client_auth"
			client["jwks"] = map[string]any{"keys": []any{json.RawMessage(
				strings.TrimSuffix(key.jwk, "}") + fmt.Sprintf(`,"x5c":[%q]}`, base64.StdEncoding.EncodeToString(own)))}}
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(key.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	a := site{
		server: harness.StartOIDCProvider(t, config),
		client: "client_id {$CLIENT_ID}\n client_auth tls_client_auth\n client_certificate own.pem own.key\n trust_pool file server.pem",
		files: map[string]string{
			"own.pem":    string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own})),
			"own.key":    string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
			"server.pem": config.Certificate,
		},
	}.start(t)
	a.passed(get("/todos", a.server.Token(t, todoApp, harness.Opaque, "todos:read")))
	a.passed(get("/todos", a.server.Token(t, todoApp, harness.JWT, "todos:read")))
	a.refused(get("/todos", strings.Repeat("a", 43)), inactiveToken)
}
