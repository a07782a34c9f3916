// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// OIDCConfig sets up npm's oidc-provider; e2e/oidcprovider/server.mjs says
// what each member means.
type OIDCConfig struct {
	Issuer        string           `json:"issuer"` // set when it starts
	Scopes        []string         `json:"scopes"`
	Clients       []map[string]any `json:"clients"` // metadata in the words of RFC 7591
	Introspectors []string         `json:"introspectors,omitempty"`

	// Certificate and Key (PEM, see Certificate) make it an https server at
	// which clients may authenticate with certificates of their own.
	Certificate string `json:"-"`
	Key         string `json:"-"`
	MutualTLS   bool   `json:"mutualTLS,omitempty"` // set when it starts

	// Person makes it a server where clients register themselves and this
	// person logs in, agreeing to everything; Resources are then what the
	// clients get tokens for, each with its scopes.
	Person    string              `json:"person,omitempty"`
	Resources map[string][]string `json:"resources,omitempty"`

	// Interactive shows a login page that asks for a name, rather
	// than taking Person. ACRs are the authentication contexts that a login can
	// have; one that asks for none of them has the first.
	Interactive bool     `json:"interactive,omitempty"`
	ACRs        []string `json:"acrs,omitempty"`
}

// ClientCredentials is the metadata of a client that gets tokens for itself.
func ClientCredentials(id, secret string) map[string]any {
	return map[string]any{
		"client_id":      id,
		"client_secret":  secret,
		"grant_types":    []string{"client_credentials"},
		"response_types": []string{},
		"redirect_uris":  []string{},
	}
}

// LoginClient is the metadata of a client that people log in through.
func LoginClient(id, secret string) map[string]any {
	return map[string]any{
		"client_id":     id,
		"client_secret": secret,
		"grant_types":   []string{"authorization_code"},
		"redirect_uris": []string{"https://client.example/callback"},
	}
}

// The paths of oidc-provider's endpoints, as its relay counts them.
const (
	DiscoveryPath     = "/.well-known/openid-configuration"
	JWKSPath          = "/jwks"
	TokenPath         = "/token"
	IntrospectionPath = "/token/introspection"
	RevocationPath    = "/token/revocation"
)

// An OIDCProvider is an independent authorization server: npm's oidc-provider in a process of its own, behind a Relay.
type OIDCProvider struct {
	*Relay
	*Process
	Issuer string

	client  *http.Client // trusts it
	control string
	secrets map[string]string
}

// StartOIDCProvider starts one for the life of the test. The test
// skips itself if Node.js is not installed.
func StartOIDCProvider(t testing.TB, config OIDCConfig) *OIDCProvider {
	t.Helper()
	p, err := NewOIDCProvider(config)
	if errors.Is(err, ErrMissing) {
		t.Skipf("npm's oidc-provider cannot run: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// NewOIDCProvider starts one that lives until Close, for several tests. The
// error is ErrMissing if Node.js is not installed.
func NewOIDCProvider(config OIDCConfig) (*OIDCProvider, error) {
	program, err := node()
	if err != nil {
		return nil, err
	}
	p := &OIDCProvider{client: http.DefaultClient, secrets: map[string]string{}}
	scheme, secure, err := p.secure(&config)
	if err != nil {
		return nil, err
	}
	relay, err := newSecureRelay(secure)
	if err != nil {
		return nil, err
	}
	p.Relay, p.Issuer = relay, scheme+relay.Addr
	if err := p.start(program, config); err != nil {
		relay.close()
		return nil, err
	}
	return p, nil
}

// secure prepares TLS where the configuration has a certificate.
func (p *OIDCProvider) secure(config *OIDCConfig) (scheme string, secure *tls.Config, err error) {
	if config.Certificate == "" {
		return "http://", nil, nil
	}
	config.MutualTLS = true
	certificate, err := tls.X509KeyPair([]byte(config.Certificate), []byte(config.Key))
	if err != nil {
		return "", nil, err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM([]byte(config.Certificate))
	p.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}}
	return "https://", &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert}, nil
}

func (p *OIDCProvider) start(program string, config OIDCConfig) error {
	for _, client := range config.Clients {
		secret, _ := client["client_secret"].(string)
		p.secrets[fmt.Sprint(client["client_id"])] = secret
	}
	config.Issuer = p.Issuer
	encoded, err := json.Marshal(config)
	if err != nil {
		return err
	}
	cmd := exec.Command(program, filepath.Join(Root(), "e2e", "oidcprovider", "server.mjs"))
	cmd.Env = append(os.Environ(), "OIDC_CONFIG="+string(encoded))
	if p.Process, err = startProcess("oidc-provider", cmd); err != nil {
		return err
	}
	ready, err := p.waitLine(func(line string) bool { return strings.HasPrefix(line, "{") })
	if err != nil {
		p.Process.Kill()
		return err
	}
	var ports struct{ Port, Control int }
	if err := json.Unmarshal([]byte(ready), &ports); err != nil {
		p.Process.Kill()
		return fmt.Errorf("oidc-provider said %q: %w", ready, err)
	}
	p.control = fmt.Sprintf("http://127.0.0.1:%d", ports.Control)
	p.ForwardTo(fmt.Sprintf("127.0.0.1:%d", ports.Port))
	return nil
}

// Close ends it.
func (p *OIDCProvider) Close() {
	p.Relay.close()
	p.Process.Stop()
}

// The resource indicators that say which kind of token a client gets; see
// e2e/oidcprovider/server.mjs.
const (
	Opaque = "urn:e2e:opaque"
	JWT    = "urn:e2e:jwt"
)

// Token gets a token by the client credentials grant. The resource says of
// which kind; the scopes are separated by spaces.
func (p *OIDCProvider) Token(t testing.TB, client, resource, scopes string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {resource}}
	if scopes != "" {
		form.Set("scope", scopes)
	}
	answer := p.post(t, p.Issuer+TokenPath, client, form)
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(answer, &body); err != nil || body.Token == "" {
		t.Fatalf("the token endpoint answered %q", answer)
	}
	return body.Token
}

// Revoke revokes an opaque token on behalf of the client that got it.
func (p *OIDCProvider) Revoke(t testing.TB, client, token string) {
	t.Helper()
	p.post(t, p.Issuer+RevocationPath, client, url.Values{"token": {token}})
}

func (p *OIDCProvider) post(t testing.TB, address, client string, form url.Values) []byte {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(client), url.QueryEscape(p.secrets[client]))
	return exchangeBy(t, p.client, request)
}

// A Person has logged in through a client.
type Person struct {
	Client   string         `json:"client_id"`
	Subject  string         `json:"subject"`
	Scopes   string         `json:"scope"`
	Resource string         `json:"resource,omitempty"`
	TTL      int            `json:"ttl,omitempty"` // seconds
	Claims   map[string]any `json:"claims,omitempty"`
	JKT      string         `json:"jkt,omitempty"` // binds the token to a DPoP key
	X5T      string         `json:"x5t,omitempty"` // binds it to a client certificate
}

// PersonalToken gets the access token that a login would have ended with.
func (p *OIDCProvider) PersonalToken(t testing.TB, person Person) string {
	t.Helper()
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(p.command(t, "/token", person), &body); err != nil {
		t.Fatal(err)
	}
	return body.Token
}

// RotateKeys makes it sign with new keys and forget the old ones.
func (p *OIDCProvider) RotateKeys(t testing.TB) {
	t.Helper()
	p.command(t, "/rotate", struct{}{})
}

func (p *OIDCProvider) command(t testing.TB, path string, body any) []byte {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, p.control+path, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	return exchange(t, request)
}

// exchange sends a request that must succeed.
func exchange(t testing.TB, request *http.Request) []byte {
	t.Helper()
	return exchangeBy(t, http.DefaultClient, request)
}

func exchangeBy(t testing.TB, client *http.Client, request *http.Request) []byte {
	t.Helper()
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode >= 300 {
		t.Fatalf("%s %s: %s\n%s", request.Method, request.URL, answer.Status, body)
	}
	return body
}
