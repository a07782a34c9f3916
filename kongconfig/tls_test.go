// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// selfSigned returns a certificate for a name, and its key, in PEM.
func selfSigned(t testing.TB, name string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{strings.TrimPrefix(name, "*.")},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// withCertificates is a file with one certificate for each set of names.
func withCertificates(t testing.TB, sets ...string) string {
	t.Helper()
	var list []any
	for _, names := range sets {
		certificate, key := selfSigned(t, strings.Fields(names)[0])
		list = append(list, map[string]any{"cert": certificate, "key": key, "snis": strings.Fields(names)})
	}
	text, err := json.Marshal(map[string]any{
		"_format_version": "3.0", "certificates": list,
		"services": []any{map[string]any{"name": "s", "url": "http://UPSTREAM", "routes": []any{
			map[string]any{"name": "named", "snis": []string{"a.example.com"}, "paths": []string{"/only-a"}},
			map[string]any{"name": "all", "paths": []string{"/"}, "protocols": []string{"https"}, "https_redirect_status_code": 308},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Clients get the certificate of the name that they ask for: an exact one before a
// wildcard, and that of * otherwise. Routes can ask for the name too.
func TestCertificatesByName(t *testing.T) {
	secure := caddytest.FreeAddress(t)
	run(t, withCertificates(t, "a.example.com", "*.example.com", "* fallback.example.net"), environment{"KONG_PROXY_LISTEN": caddytest.FreeAddress(t) + ", " + secure + " ssl"})
	for name, want := range map[string]string{
		"a.example.com": "a.example.com", "A.Example.com": "a.example.com", "b.example.com": "*.example.com",
		"fallback.example.net": "*", "other.example.org": "*", "": "*",
	} {
		conn, err := tls.Dial("tcp", secure, &tls.Config{ServerName: name, InsecureSkipVerify: true}) //nolint:gosec // whose certificate it is is what is tested
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName
		status := 0
		fmt.Fprintf(conn, "GET /only-a HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", "h")
		var answer bytes.Buffer
		_, _ = io.Copy(&answer, conn)
		_, _ = fmt.Sscanf(answer.String(), "HTTP/1.1 %d", &status)
		if got != want || status != 200 {
			t.Errorf("%q: got the certificate %q and %d, want %q and 200: %s", name, got, status, want, answer.String())
		}
		_ = conn.Close()
	}
}

// A name that two certificates have, and one that no client can ask for, are refused.
func TestRefusedNames(t *testing.T) {
	for want, file := range map[string]string{
		`snis: "a.example.com" is a name of certificate`: withCertificates(t, "a.example.com", "b.example.com a.example.com"),
		`snis: "a.*" ends with a wildcard`:               withCertificates(t, "a.*"),
	} {
		_, _, err := adapt(t, file, environment{"KONG_PROXY_LISTEN": "127.0.0.1:8443 ssl"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// The gateway's own certificate changes nothing in what the machine trusts, and that
// of Kong's settings is the one for unknown names.
func TestDefaultCertificate(t *testing.T) {
	config, _, err := adapt(t, `{_format_version: "3.0"}`, environment{"KONG_PROXY_LISTEN": "127.0.0.1:8443 ssl"})
	if err != nil || !strings.Contains(string(config), `"pki":{"certificate_authorities":{"local":{"install_trust":false}}}`) {
		t.Errorf("got %s, %v", config, err)
	}
}

// What the plugin acme obtains is for its domains, with the account at the authority
// that it names.
func TestACME(t *testing.T) {
	config, _, err := adapt(t, `{_format_version: "3.0", plugins: [{name: acme, config: {account_email: ann@example.com, domains: [a.example.com], api_uri: "https://ca.example.com/dir", eab_kid: k1, eab_hmac_key: c2VjcmV0}}]}`,
		environment{"KONG_PROXY_LISTEN": "127.0.0.1:8443 ssl"})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Apps struct {
			TLS struct {
				Certificates struct{ Automate []string }
				Automation   struct {
					Policies []struct {
						Subjects []string
						Issuers  []map[string]any
					}
				}
			} `json:"tls"`
		}
	}
	if err := json.Unmarshal(config, &got); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(got.Apps.TLS.Certificates.Automate, "a.example.com") {
		t.Errorf("got %s", config)
	}
	want := map[string]any{"module": "acme", "email": "ann@example.com", "ca": "https://ca.example.com/dir", "external_account": map[string]any{"key_id": "k1", "mac_key": "c2VjcmV0"}}
	for _, policy := range got.Apps.TLS.Automation.Policies {
		if slices.Equal(policy.Subjects, []string{"a.example.com"}) {
			if fmt.Sprint(policy.Issuers[0]) != fmt.Sprint(want) {
				t.Errorf("got %v, want %v", policy.Issuers, want)
			}
			return
		}
	}
	t.Errorf("no policy for a.example.com: %s", config)
}

// A call by gRPC passes with its trailers, with TLS on neither side.
func TestGRPC(t *testing.T) {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "Grpc-Status")
		w.Header().Set("Content-Type", "application/grpc")
		fmt.Fprintf(w, "%s %s %s %s", r.Proto, r.URL.Path, r.Header.Get("Te"), body)
		w.Header().Set("Grpc-Status", "0")
	}))
	upstream.Config.Protocols = &protocols
	upstream.Start()
	t.Cleanup(upstream.Close)
	g := run(t, `{_format_version: "3.0", services: [{name: greeter, url: "grpc://`+upstream.Listener.Addr().String()+`", routes: [{name: greeter, protocols: [grpc], paths: [/hello.Greeter]}]}]}`, nil)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols, DialContext: new(net.Dialer).DialContext}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+g.address+"/hello.Greeter/Say", strings.NewReader("a message"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(body); got != "HTTP/2.0 /hello.Greeter/Say trailers a message" || response.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("got %d %q with trailers %v", response.StatusCode, got, response.Trailer)
	}
}
