// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// clientCertificate is self-signed, as RFC 8705, section 2.2, allows.
func clientCertificate(t *testing.T, key *ecdsa.PrivateKey, serial int64) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func boundTo(certificate tls.Certificate) *token.Token {
	sum := sha256.Sum256(certificate.Certificate[0])
	return &token.Token{Confirmation: &token.Confirmation{X5T: base64.RawURLEncoding.EncodeToString(sum[:])}}
}

func newECKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// S-44: a token that is bound to a certificate is good over connections of that
// certificate only, on every version of HTTP.
func TestSec_S44_CertificateBoundTokens(t *testing.T) {
	key := newECKey(t)
	own, renewed, others := clientCertificate(t, key, 1), clientCertificate(t, key, 2), clientCertificate(t, newECKey(t), 1)
	token := boundTo(own)

	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := bindingVerifier().CheckBinding(r, token, "Bearer", "raw")
		fmt.Fprintf(w, "%d %v", r.ProtoMajor, err == nil)
	})
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	overUDP, addressUDP := serveHTTP3(t, handler, server.TLS.Certificates)
	defer overUDP.Close()

	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	transports := map[int]func(c *tls.Config) (transport http.RoundTripper, url string, done func()){
		1: func(c *tls.Config) (http.RoundTripper, string, func()) {
			transport := &http.Transport{TLSClientConfig: c}
			return transport, server.URL, transport.CloseIdleConnections
		},
		2: func(c *tls.Config) (http.RoundTripper, string, func()) {
			transport := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}
			return transport, server.URL, transport.CloseIdleConnections
		},
		3: func(c *tls.Config) (http.RoundTripper, string, func()) {
			transport := &http3.Transport{TLSClientConfig: c}
			return transport, "https://" + addressUDP, func() { transport.Close() }
		},
	}
	for version, newTransport := range transports {
		for name, c := range map[string]struct {
			certificates []tls.Certificate
			want         bool
		}{
			"no certificate":     {nil, false},
			"own":                {[]tls.Certificate{own}, true},
			"renewed, same key":  {[]tls.Certificate{renewed}, false},
			"others":             {[]tls.Certificate{others}, false},
			"others, own behind": {[]tls.Certificate{{Certificate: [][]byte{others.Certificate[0], own.Certificate[0]}, PrivateKey: others.PrivateKey}}, false},
		} {
			transport, address, done := newTransport(&tls.Config{RootCAs: roots, ServerName: "example.com", Certificates: c.certificates})
			body, err := getBody(transport, address)
			done()
			if want := fmt.Sprintf("%d %t", version, c.want); err != nil || body != want {
				t.Errorf("HTTP/%d, %s: got %q, %v, want %q", version, name, body, err, want)
			}
		}
	}
}

func getBody(transport http.RoundTripper, address string) (string, error) {
	resp, err := (&http.Client{Transport: transport}).Get(address)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func serveHTTP3(t *testing.T, handler http.Handler, certificates []tls.Certificate) (*http3.Server, string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	server := &http3.Server{
		Handler:   handler,
		TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: certificates, ClientAuth: tls.RequestClientCert}),
	}
	go server.Serve(conn)
	return server, conn.LocalAddr().String()
}

// S-44: what is not the connection's own certificate counts for nothing.
func TestSec_S44_CertificatesFromElsewhere(t *testing.T) {
	own := clientCertificate(t, newECKey(t), 1)
	parsed, err := x509.ParseCertificate(own.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	verified := boundTo(own)
	connection := &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{parsed}}
	inPEM := url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]})))
	inDER := base64.StdEncoding.EncodeToString(own.Certificate[0])

	for name, change := range map[string]func(r *http.Request){
		"no TLS":         func(r *http.Request) { r.TLS = nil },
		"no certificate": func(r *http.Request) { r.TLS = &tls.ConnectionState{HandshakeComplete: true} },
		"early data": func(r *http.Request) {
			r.TLS = &tls.ConnectionState{PeerCertificates: connection.PeerCertificates}
		},
		"in headers": func(r *http.Request) {
			r.TLS = &tls.ConnectionState{HandshakeComplete: true}
			r.Header.Set("X-Forwarded-Client-Cert", "Cert="+inPEM)
			r.Header.Set("X-SSL-Client-Cert", inPEM)
			r.Header.Set("Ssl-Client-Cert", inPEM)
			r.Header.Set("Client-Cert", ":"+inDER+":") // RFC 9440
			r.Header.Set("X-Client-Cert", inDER)
		},
	} {
		r := todos()
		r.TLS = connection
		if err := bindingVerifier().CheckBinding(r, verified, "Bearer", "raw"); err != nil {
			t.Fatalf("the owner is refused: %v", err)
		}
		change(r)
		wantReason(t, name, bindingVerifier().CheckBinding(r, verified, "Bearer", "raw"), token.Bound)
	}

	for name, thumbprint := range map[string]string{
		"padded": verified.Confirmation.X5T + "=", "cut": verified.Confirmation.X5T[:42], "hex": fmt.Sprintf("%x", sha256.Sum256(own.Certificate[0])), "junk": "x",
	} {
		r := todos()
		r.TLS = connection
		wantReason(t, name, bindingVerifier().CheckBinding(r, &token.Token{Confirmation: &token.Confirmation{X5T: thumbprint}}, "Bearer", "raw"), token.Bound)
	}
}

// A token may be bound to both; then it needs both.
func TestTokenBoundTwice(t *testing.T) {
	own := clientCertificate(t, newECKey(t), 1)
	parsed, err := x509.ParseCertificate(own.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	key, err := jose.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	verified := &token.Token{Confirmation: &token.Confirmation{JKT: key.Public().Thumbprint(), X5T: boundTo(own).Confirmation.X5T}}
	for _, certificate := range []bool{true, false} {
		for _, proof := range []bool{true, false} {
			r := todos()
			scheme := "Bearer"
			if proof {
				r, scheme = withProof(t, key, "raw", "once"), "DPoP"
			}
			r.TLS = &tls.ConnectionState{HandshakeComplete: true}
			if certificate {
				r.TLS.PeerCertificates = []*x509.Certificate{parsed}
			}
			want := token.Bound
			if certificate && proof {
				want = ""
			}
			wantReason(t, fmt.Sprintf("certificate %t, proof %t", certificate, proof), bindingVerifier().CheckBinding(r, verified, scheme, "raw"), want)
		}
	}
	// The DPoP scheme does not make a proof of a certificate.
	r := todos()
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{parsed}}
	wantReason(t, "certificate with the DPoP scheme", bindingVerifier().CheckBinding(r, boundTo(own), "DPoP", "raw"), token.Invalid)
}
