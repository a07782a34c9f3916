// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/jose"
)

// Client authentication: how the gateway proves to the authorization server
// who it is (RFC 6749, section 2.3; RFC 7523; RFC 8705).

// credentials are what a client has, from the configuration or from
// registration.
type credentials struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret,omitempty"`
}

// assertionLifetime is how long a client assertion can be used. It is made
// for one request.
const assertionLifetime = time.Minute

// ClientID returns the gateway's client id, empty while it is not registered.
func (s *Server) ClientID() string {
	c, _ := s.credentials()
	return c.ID
}

// credentials returns who the gateway is at this server. The error is an
// *token.Error: registration may succeed later.
func (s *Server) credentials() (credentials, error) {
	if s.config.Register != nil {
		return s.registration.credentials(s.Now())
	}
	return credentials{ID: s.config.ClientID, Secret: s.config.ClientSecret}, nil
}

// Proof identifies the credentials that requests are authenticated with. Two are
// equal if the credentials are.
type Proof struct{ id, secret, key string }

// Proof returns the credentials of this moment.
func (s *Server) Proof() Proof {
	c, _ := s.credentials()
	p := Proof{id: c.ID, secret: c.Secret}
	if s.config.ClientAuth == PrivateKeyJWT {
		p.key = s.attached.Load().Key.Public().Thumbprint()
	}
	return p
}

// NoteAccepted says that the server has answered a request with these
// credentials: what it refuses from now on, it refuses for another reason.
func (s *Server) NoteAccepted(p Proof) {
	if s.rejected.Load() {
		s.rejected.Store(false)
	}
	if known := s.accepted.Load(); known == nil || *known != p {
		s.accepted.Store(&p)
	}
}

// HasAccepted reports whether the server has accepted these credentials before.
func (s *Server) HasAccepted(p Proof) bool {
	known := s.accepted.Load()
	return known != nil && *known == p
}

// Authenticate puts the proof on a request, or into the form that will be its
// body.
func (s *Server) Authenticate(req *http.Request, form url.Values) error {
	c, err := s.credentials()
	if err != nil {
		return err
	}
	switch s.config.ClientAuth {
	case ClientSecretBasic:
		setBasicAuth(req, c)
	case ClientSecretBasicRaw:
		req.SetBasicAuth(c.ID, c.Secret)
	case ClientSecretPost:
		form.Set("client_id", c.ID)
		form.Set("client_secret", c.Secret)
	case ClientSecretJWT:
		return s.assert(form, c, jose.HMACKey([]byte(c.Secret)), "HS256", "")
	case PrivateKeyJWT:
		key := s.attached.Load().Key
		return s.assert(form, c, key, key.Algorithm(), keyID(s.config.ClientKeyID, key))
	default:
		// tls_client_auth proves it by the connection; none does not. Either
		// way the client has to say who it is.
		form.Set("client_id", c.ID)
	}
	return nil
}

// setBasicAuth encodes both halves as form values before it puts them
// together (RFC 6749, section 2.3.1): without that a colon in the client id
// would end it, and a server that decodes would see another secret.
func setBasicAuth(req *http.Request, c credentials) {
	pair := url.QueryEscape(c.ID) + ":" + url.QueryEscape(c.Secret)
	req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
}

// assert adds a client assertion (RFC 7523, section 2.2) to the form. Its
// audience is the issuer and nothing else: an assertion for the address of an
// Endpoint could be passed on by a server that had itself called by that
// address (CVE-2025-27370).
func (s *Server) assert(form url.Values, c credentials, key jose.PrivateKey, alg, kid string) error {
	now := s.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": c.ID,
		"sub": c.ID,
		"aud": s.config.Issuer,
		"jti": rand.Text(),
		"iat": now.Unix(),
		"exp": now.Add(assertionLifetime).Unix(),
	})
	if err != nil {
		return s.Unusable("client assertion", err)
	}
	assertion, err := jose.Sign(claims, key, alg, kid, "JWT")
	if err != nil {
		return s.Unusable("client assertion", err)
	}
	form.Set("client_id", c.ID)
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	return nil
}

// keyID returns the configured name of a key, else the one that its JWK has.
// A key from a PEM file goes by its thumbprint here, which the server need
// not know.
func keyID(configured string, key jose.PrivateKey) string {
	if configured == "" && key.ID() != key.Public().Thumbprint() {
		return key.ID()
	}
	return configured
}

// checkClientKey refuses a key that cannot sign an assertion.
func checkClientKey(key jose.PrivateKey) error {
	if _, err := jose.Sign([]byte(`{}`), key, key.Algorithm(), "", "JWT"); err != nil {
		return fmt.Errorf("client_key: %w", err)
	}
	return nil
}

// SetForm makes a form the body of a request, in such a way that it can be sent
// once more over another connection.
func SetForm(req *http.Request, form url.Values) {
	body := form.Encode()
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	req.Body, _ = req.GetBody()
	req.ContentLength = int64(len(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
}
