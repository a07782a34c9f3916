// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// introspectOnce lets the provider introspect and returns what the server saw.
func introspectOnce(t *testing.T, server *providertest.Server, config Config) (http.Header, url.Values) {
	t.Helper()
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	p := providerFor(t, config)
	if config.ClientKey != "" {
		var err error
		if p.loaded.Key, err = jose.ReadPrivateKey(config.ClientKey); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Verify(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	return server.LastHeader(), server.LastForm()
}

// RFC 6749, section 2.3.1: both halves are form-encoded before they are put
// together, or a colon in the id moves the border between them.
func TestClientSecretBasic(t *testing.T) {
	server := providertest.NewServer(t)
	config := introspecting(server)
	config.ClientID, config.ClientSecret = "a:b c%é", "s+e/c=r:e t&"
	header, form := introspectOnce(t, server, config)
	encoded, ok := strings.CutPrefix(header.Get("Authorization"), "Basic ")
	pair, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		t.Fatalf("got Authorization %q", header.Get("Authorization"))
	}
	if want := "a%3Ab+c%25%C3%A9:s%2Be%2Fc%3Dr%3Ae+t%26"; string(pair) != want {
		t.Errorf("got %q, want %q", pair, want)
	}
	if len(form) != 1 {
		t.Errorf("got form %v", form)
	}
}

func TestClientSecretPost(t *testing.T) {
	server := providertest.NewServer(t)
	config := introspecting(server)
	config.ClientAuth, config.ClientSecret = ClientSecretPost, "s&e=c"
	header, form := introspectOnce(t, server, config)
	if got := header.Get("Authorization"); got != "" {
		t.Errorf("got Authorization %q", got)
	}
	if form.Get("client_id") != "gateway" || form.Get("client_secret") != "s&e=c" {
		t.Errorf("got form %v", form)
	}
}

func TestClientWithoutAuthentication(t *testing.T) {
	server := providertest.NewServer(t)
	config := introspecting(server)
	config.ClientAuth, config.ClientSecret = ClientAuthNone, ""
	header, form := introspectOnce(t, server, config)
	if header.Get("Authorization") != "" || form.Get("client_id") != "gateway" || form.Has("client_secret") {
		t.Errorf("got Authorization %q, form %v", header.Get("Authorization"), form)
	}
}

// The assertion's audience is the issuer, whatever endpoint it goes to; it is
// made for one request.
func TestSec_S43_ClientAssertions(t *testing.T) {
	const hmacSecret = "a-secret-of-thirty-two-bytes-or-more"
	keyFile, public := providertest.WriteKey(t)
	tests := map[string]struct {
		configure func(*Config)
		alg, kid  string
		verify    func(t *testing.T, assertion string)
	}{
		ClientSecretJWT: {
			func(c *Config) { c.ClientSecret = hmacSecret }, "HS256", "",
			func(t *testing.T, assertion string) {
				signed, signature := providertest.CutSignature(t, assertion)
				mac := hmac.New(sha256.New, []byte(hmacSecret))
				mac.Write([]byte(signed))
				if !hmac.Equal(signature, mac.Sum(nil)) {
					t.Error("the signature is not one with the client secret")
				}
			},
		},
		PrivateKeyJWT: {
			func(c *Config) { c.ClientSecret, c.ClientKey, c.ClientKeyID = "", keyFile, "my-key" }, "ES256", "my-key",
			func(t *testing.T, assertion string) {
				signed, signature := providertest.CutSignature(t, assertion)
				sum := sha256.Sum256([]byte(signed))
				r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
				if !ecdsa.Verify(public, sum[:], r, s) {
					t.Error("the signature is not one with the client key")
				}
			},
		},
	}
	for method, test := range tests {
		t.Run(method, func(t *testing.T) {
			server := providertest.NewServer(t)
			config := introspecting(server)
			config.ClientAuth = method
			test.configure(&config)
			seen := map[string]bool{}
			for range 2 {
				header, form := introspectOnce(t, server, config)
				if header.Get("Authorization") != "" || form.Has("client_secret") {
					t.Errorf("got Authorization %q, form %v", header.Get("Authorization"), form)
				}
				if got := form.Get("client_assertion_type"); got != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
					t.Errorf("got type %q", got)
				}
				assertion := form.Get("client_assertion")
				test.verify(t, assertion)
				head, claims := decodeJWT(t, assertion)
				if head["alg"] != test.alg || (test.kid != "" && head["kid"] != test.kid) || (test.kid == "" && head["kid"] != nil) {
					t.Errorf("got header %v", head)
				}
				if claims["iss"] != "gateway" || claims["sub"] != "gateway" || claims["aud"] != server.URL {
					t.Errorf("got claims %v, want the audience %s", claims, server.URL)
				}
				if lifetime := claims["exp"].(float64) - claims["iat"].(float64); lifetime != 60 {
					t.Errorf("it is valid for %v seconds", lifetime)
				}
				jti := claims["jti"].(string)
				if len(jti) < 20 || seen[jti] {
					t.Errorf("got jti %q, seen before: %t", jti, seen[jti])
				}
				seen[jti] = true
			}
		})
	}
}

// A key from a PEM file has no name that the server could know.
func TestClientKeyWithoutName(t *testing.T) {
	keyFile, _ := providertest.WriteKey(t)
	server := providertest.NewServer(t)
	config := introspecting(server)
	config.ClientAuth, config.ClientSecret, config.ClientKey = PrivateKeyJWT, "", keyFile
	_, form := introspectOnce(t, server, config)
	if head, _ := decodeJWT(t, form.Get("client_assertion")); head["kid"] != nil {
		t.Errorf("got kid %v", head["kid"])
	}
}

func TestClientCertificate(t *testing.T) {
	certFile, keyFile, certificate := writeCertificate(t, "gateway.example")
	clients := x509.NewCertPool()
	clients.AddCert(certificate)
	server := providertest.NewServer(t)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	secured := httptest.NewUnstartedServer(server)
	secured.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	secured.StartTLS()
	defer secured.Close()

	config := Config{
		Issuer: secured.URL, ClientID: "gateway", ClientAuth: TLSClientAuth, Verify: VerifyIntrospection,
		IntrospectionEndpoint: secured.URL + "/introspect", ClientCertificate: certFile, ClientCertificateKey: keyFile,
		TrustPoolRaw: inlinePool(secured.Certificate()),
	}
	connect := func(config Config) error {
		p := providerFor(t, config)
		ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
		defer cancel()
		a, err := LoadConnection(ctx, &config, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		p.loaded = a
		p.Attach(a)
		_, err = p.Verify(t.Context(), "token")
		return err
	}
	if err := connect(config); err != nil {
		t.Fatal(err)
	}
	if form := server.LastForm(); form.Get("client_id") != "gateway" {
		t.Errorf("got form %v", form)
	}

	without := config
	without.ClientCertificate, without.ClientCertificateKey, without.ClientAuth = "", "", ClientAuthNone
	if err := connect(without); reasonOf(t, err) != token.ProviderUnavailable {
		t.Errorf("without a certificate: got %v", err)
	}
	// The system's authorities do not know the server, so neither do we.
	untrusting := config
	untrusting.TrustPoolRaw = nil
	if err := connect(untrusting); reasonOf(t, err) != token.ProviderUnavailable {
		t.Errorf("with the system's trust: got %v", err)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	server := httptest.NewUnstartedServer(providertest.Respond(providertest.Active("")))
	server.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	config, err := tlsConfigOf(caddy.Context{}, &Config{})
	if err != nil {
		t.Fatal(err)
	}
	config.RootCAs = roots
	client := NewHTTPClient(config)
	defer client.CloseIdleConnections()
	if _, err := client.Get(server.URL); err == nil {
		t.Error("a connection with TLS 1.1 was made")
	}
}

// S-70: what is missing at provision refuses the configuration.
func TestSec_S70_MissingFilesRefuseTheConfiguration(t *testing.T) {
	certFile, keyFile, _ := writeCertificate(t, "gateway.example")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]Config{
		"client key":         {ClientKey: filepath.Join(t.TempDir(), "none.pem")},
		"empty client key":   {ClientKey: empty},
		"client certificate": {ClientCertificate: filepath.Join(t.TempDir(), "none.pem"), ClientCertificateKey: keyFile},
		"certificate's key":  {ClientCertificate: certFile, ClientCertificateKey: empty},
		"trust pool":         {TrustPoolRaw: json.RawMessage(`{"provider":"file","pem_files":["` + filepath.Join(t.TempDir(), "none.pem") + `"]}`)},
		"unknown trust pool": {TrustPoolRaw: json.RawMessage(`{"provider":"unheard_of"}`)},
	} {
		ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
		if _, err := LoadConnection(ctx, &config, zap.NewNop()); err == nil {
			t.Errorf("%s: nothing is wrong with it", name)
		}
		cancel()
	}
}

func decodeJWT(t *testing.T, jwt string) (head, claims map[string]any) {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not a JWT", jwt)
	}
	for i, target := range []*map[string]any{&head, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, target); err != nil {
			t.Fatal(err)
		}
	}
	return head, claims
}

func writeCertificate(t *testing.T, name string) (certFile, keyFile string, certificate *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return providertest.WritePEM(t, "CERTIFICATE", der), providertest.WritePEM(t, "PRIVATE KEY", providertest.PKCS8(t, key)), certificate
}

func inlinePool(certificate *x509.Certificate) json.RawMessage {
	return caddyconfig.JSONModuleObject(caddytls.InlineCAPool{
		TrustedCACerts: []string{base64.StdEncoding.EncodeToString(certificate.Raw)},
	}, "provider", "inline", nil)
}
