// SPDX-License-Identifier: Apache-2.0

package kong

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/kongpath"
)

// Server answers at Kong's endpoints. The fields do not change once it is in use.
type Server struct {
	Profile Profile
	Legacy  Legacy

	Issuer    string
	Service   string   // where tokens are good; "*": everywhere
	Scopes    []string // that can be granted; none: scopes are not looked at, as in Kong
	MaxTokens int      // that one client can hold

	Store *authcore.Store

	// FindClient returns the client of an id, or authcore.ErrNotFound.
	FindClient func(ctx context.Context, id string) (*authcore.Client, error)

	// CheckSecret reports whether a reading of a secret, sent in a way that is named as in authcore, is
	// that of the client with an id. A client that does not exist has none, and takes as
	// long. ErrLimited says that too many were wrong.
	CheckSecret func(r *http.Request, method, id string, readings ...string) (bool, error)

	// CheckProvisionKey reports whether a key is that of the login application.
	CheckProvisionKey func(r *http.Request, key string) (bool, error)

	// Issued counts a token; Refused records a refusal. Both may be nil.
	Issued  func(grant string)
	Refused func(r *http.Request, refusal Refusal)
}

// Refusal is what the log needs to know about a request that was refused.
type Refusal struct {
	Endpoint string
	Status   int
	Reason   string
	ClientID string          // of a client that exists
	Fault    *authcore.Fault // nil if the core had no part in it
	Err      error
}

// The endpoints, by the end of their path.
const (
	authorizeEndpoint = "/oauth2/authorize"
	tokenEndpoint     = "/oauth2/token"
)

// endpointOf returns the endpoint that a request is for, "" for none: by the end of its path,
// whatever comes before it, with or without a slash behind it. Kong looks at the path that
// the client has sent, in its normal form; here a path that was rewritten to an endpoint is
// one too.
func endpointOf(r *http.Request) string {
	paths := []string{kongpath.Of(r.URL)}
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		paths = append(paths, kongpath.Of(original.URL))
	}
	for _, path := range paths {
		path = strings.TrimSuffix(path, "/")
		for _, endpoint := range []string{authorizeEndpoint, tokenEndpoint} {
			if strings.HasSuffix(path, endpoint) {
				return endpoint
			}
		}
	}
	return ""
}

// Answers reports whether a request is for this server.
func (s *Server) Answers(r *http.Request) bool { return endpointOf(r) != "" }

// ServeHTTP answers a request that is for this server.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{Server: s, w: w, r: r, endpoint: endpointOf(r)}
	if err := c.serve(); err != nil {
		c.fail(problemOf(err))
	}
}

// ServeStarting answers a request that could not wait until the server has started.
func (s *Server) ServeStarting(w http.ResponseWriter, r *http.Request, err error) {
	c := &call{Server: s, w: w, r: r, endpoint: endpointOf(r)}
	c.fail(unavailable(reasonStarting, err))
}

// call is one request to an endpoint.
type call struct {
	*Server
	w        http.ResponseWriter
	r        *http.Request
	endpoint string
	params   *parameters

	clientID string // of a client that exists, for the log
}

func (c *call) serve() (err error) {
	if c.r.Method != http.MethodPost {
		return wrongMethod(c.r.Method, c.name())
	}
	if c.params, err = readParameters(c.w, c.r, c.Legacy.QueryCredentials); err != nil {
		return err
	}
	if err := c.checkHTTPS(); err != nil {
		return err
	}
	if c.Profile.isRFC() && c.params.isRepeated() {
		return malformed("a parameter is there more than once") // RFC 6749 section 3.2
	}
	if c.Profile.isRFC() {
		c.params.dropEmpty()
	}
	if c.endpoint == authorizeEndpoint {
		return c.authorize()
	}
	return c.token()
}

// name is what Kong calls the endpoint.
func (c *call) name() string {
	if c.endpoint == authorizeEndpoint {
		return "authorization"
	}
	return "token"
}

// checkHTTPS refuses plain http, from loopback too. Only a proxy that Caddy trusts can say
// that the client has used https.
func (c *call) checkHTTPS() error {
	if c.r.TLS != nil {
		return nil
	}
	trusted, _ := caddyhttp.GetVar(c.r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	if !c.Profile.AcceptHTTP || !trusted {
		return plainHTTP("You must use HTTPS")
	}
	switch schemes := c.r.Header["X-Forwarded-Proto"]; {
	case len(schemes) > 1:
		return plainHTTP("Only one X-Forwarded-Proto header allowed")
	case len(schemes) == 1 && strings.EqualFold(schemes[0], "https"):
		return nil
	}
	return plainHTTP("You must use HTTPS")
}

// fail answers with a problem and reports it.
func (c *call) fail(p *problem) {
	a := p.answerAs(c.Profile.isRFC())
	h := c.w.Header()
	switch {
	case a.status == http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodPost)
		h.Set("WWW-Authenticate", `Bearer realm="`+c.realm()+`" error="`+a.code+`" error_description="`+a.description+`"`)
	case a.status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Basic realm="OAuth2.0"`)
	case a.status == http.StatusServiceUnavailable, a.status == http.StatusTooManyRequests:
		h.Set("Retry-After", "5")
	}
	body := map[string]json.RawMessage{"error": quote(a.code), "error_description": quote(a.description)}
	if !c.Profile.isRFC() || c.endpoint == authorizeEndpoint {
		c.addState(body)
	}
	c.json(a.status, body)
	c.report(p, a.status)
}

func (c *call) report(p *problem, status int) {
	if c.Refused != nil {
		c.Refused(c.r, Refusal{Endpoint: strings.TrimPrefix(c.endpoint, "/oauth2/"), Status: status, Reason: p.reason, ClientID: c.clientID, Fault: p.fault, Err: p.err})
	}
}

func (c *call) realm() string {
	if c.Profile.Realm != "" {
		return c.Profile.Realm
	}
	return defaultRealm
}

// addState adds the client's state to an answer, as it was sent.
func (c *call) addState(body map[string]json.RawMessage) {
	switch {
	case c.params == nil:
	case c.params.isText("state"):
		body["state"] = quote(c.params.text("state"))
	case c.params.has("state") && c.params.other["state"] != "null":
		body["state"] = json.RawMessage(c.params.other["state"])
	}
}

func quote(text string) json.RawMessage {
	b, _ := marshal(text) // of a string it never fails
	return b
}

// marshal is json.Marshal with an & as it is: people copy URIs out of answers.
func marshal(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// json answers with an object. What it says is about one request (RFC 6749 section 5.1).
func (c *call) json(status int, body map[string]json.RawMessage) {
	h := c.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	text, err := marshal(body)
	if err != nil { // a state that is not JSON cannot have been read
		status, text = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(text)
	}
}

// tokenAlphabet is what Kong's tokens are made of: applications have patterns for them.
const tokenAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newText makes a token of 32 letters and digits: 190 random bits.
func newText() string {
	text := make([]byte, 0, tokenLength)
	var random [2 * tokenLength]byte
	for len(text) < tokenLength {
		_, _ = rand.Read(random[:]) // never fails, see its documentation
		for _, b := range random {
			// The largest multiple of 62 below 256, so that all are equally likely.
			if b < 248 && len(text) < tokenLength {
				text = append(text, tokenAlphabet[b%62])
			}
		}
	}
	return string(text)
}
