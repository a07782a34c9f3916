// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/enforce"
	"github.com/caddy-gluu/gateway/internal/opaengine"
)

// Config is the configuration of the handler, beside what all handlers share that
// enforce something.
type Config struct {
	// The name of an engine of the app `gluu` that decides, inside the gateway.
	// Default: `default`, unless `url` or `authzen` is there.
	Engine string `json:"engine,omitempty"`

	// The address of a decision of an OPA server that decides instead, such as
	// `http://127.0.0.1:8181/v1/data/httpapi/authz`. In a Caddyfile also `opa_url`.
	URL string `json:"url,omitempty"`

	// The address of a policy decision point that speaks AuthZEN 1.0. It is asked at
	// `/access/v1/evaluation` below it.
	AuthZEN string `json:"authzen,omitempty"`

	// Which decision of the engine counts: the name of a package or of a rule, with
	// slashes. Default: `httpapi/authz`.
	Decision string `json:"decision,omitempty"`

	// A secret that is sent to the server as a bearer token. Load-time placeholders
	// are allowed.
	Token string `json:"token,omitempty"`

	// A file with a certificate by which the server knows the gateway, PEM. In a
	// Caddyfile `client_cert <certificate file> <key file>`.
	ClientCertificate string `json:"client_certificate,omitempty"`

	// A file with the private key of the certificate, PEM.
	ClientCertificateKey string `json:"client_certificate_key,omitempty"`

	// Hosts that may be asked over http although they are not loopback addresses. What
	// is sent there and what comes back is then open to everyone on the way.
	InsecureHosts []string `json:"insecure_hosts,omitempty"`

	// The OpenAPI document of the API. The policy sees which of its operations a request
	// is as `input.operation`; what the document says about security has no effect.
	// Default: none.
	OpenAPI *enforce.Operations `json:"openapi,omitempty"`

	// The form of the document that the policy sees: `gluu`, or `kong` or `envoy` for
	// policies that were written for those. Default: `gluu`.
	Input string `json:"input,omitempty"`

	// Which request headers the policy sees: names, `all`, or `none`. Default: all but
	// Authorization, Proxy-Authorization, Cookie and DPoP.
	Headers []string `json:"headers,omitempty"`

	// What the policy sees of the request body: `off`, `json`, `form` or `raw` (in
	// base64). In a Caddyfile also `forward_request_body true`. Default: `off`.
	Body string `json:"body,omitempty"`

	// How long a body may be that the policy sees, in bytes. Default: 65536.
	BodyLimit int64 `json:"body_limit,omitempty"`

	// What happens to a request whose body the policy cannot see because it is too
	// long, of another type or compressed: `reject` answers 413 or 415, `omit` asks the
	// policy without it and says why in `body_state`. Default: `reject`.
	BodyOverflow string `json:"body_overflow,omitempty"`

	// Texts that the policy sees as `input.context`, by name. Placeholders are replaced
	// for each request.
	Context map[string]string `json:"context,omitempty"`

	// The request headers that a policy may set or remove for the upstream. What
	// clients send under these names is removed.
	SetHeaders []string `json:"set_headers,omitempty"`

	// The origins that a refusing policy may redirect to, in addition to that of the request.
	RedirectOrigins []string `json:"redirect_origins,omitempty"`

	// How long a decision may take. Default: `50ms` for an engine, `500ms` for a server.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How long a decision is used again for the same input; refusals for one second at
	// most. At most a minute. Default: off.
	Cache caddy.Duration `json:"cache,omitempty"`

	// How many decisions are kept. Default: 10000.
	CacheSize int `json:"cache_size,omitempty"`

	// Which decisions are logged in OPA's format, by the logger `gluu.opa.decisions`:
	// `off`, `refusals` or `all`. Default: `off`.
	DecisionLog string `json:"decision_log,omitempty"`

	// The share of those decisions that is logged, above 0 and at most 1. Default: 1.
	DecisionLogShare float64 `json:"decision_log_share,omitempty"`
}

const (
	inputGluu, inputKong, inputEnvoy     = "gluu", "kong", "envoy"
	bodyOff, bodyJSON, bodyForm, bodyRaw = "off", "json", "form", "raw"
	overflowReject, overflowOmit         = "reject", "omit"
	logOff, logRefusals, logAll          = "off", "refusals", "all"
	headersAll, headersNone              = "all", "none"

	defaultDecision  = "httpapi/authz"
	defaultBodyLimit = 64 << 10
	maxBodyLimit     = 16 << 20
	defaultCacheSize = 10_000
	maxCache         = time.Minute

	defaultEngineTimeout = 50 * time.Millisecond
	defaultServerTimeout = 500 * time.Millisecond
	maxTimeout           = 30 * time.Second
)

// check refuses what cannot be right. The Caddyfile parser calls it after each
// option, to name the line.
func (c *Config) check() error {
	for _, check := range []func() error{c.checkDecider, c.checkInput, c.checkBody, c.checkHeaders, c.checkTimes, c.checkLog} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkDecider() error {
	if c.Engine != "" && c.URL != "" || c.Engine != "" && c.AuthZEN != "" || c.URL != "" && c.AuthZEN != "" {
		return errors.New("an engine, url and authzen exclude each other: keep the one that decides")
	}
	if err := c.checkURL("url", c.URL); err != nil {
		return err
	}
	if err := c.checkURL("authzen", c.AuthZEN); err != nil {
		return err
	}
	if (c.ClientCertificate == "") != (c.ClientCertificateKey == "") {
		return errors.New("client_certificate and client_certificate_key belong together: write both files")
	}
	if c.Decision == "" {
		return nil
	}
	_, err := opaengine.ParseDecision(c.Decision)
	return err
}

// checkOutside refuses options that only one kind of decider has. It is called when
// all options are known.
func (c *Config) checkOutside() error {
	outside := c.URL != "" || c.AuthZEN != ""
	switch {
	case outside && c.Decision != "":
		return errors.New("decision is a part of the server's address: write it there, and leave decision out")
	case !outside && (c.Token != "" || c.ClientCertificate != "" || len(c.InsecureHosts) > 0):
		return errors.New("token, client_cert and insecure_hosts are for a server: an engine is inside the gateway; write url or authzen, or remove them")
	case c.AuthZEN != "" && c.Input != "" && c.Input != inputGluu:
		return fmt.Errorf("input %q has no effect: AuthZEN has a form of its own; leave input out", c.Input)
	}
	return nil
}

// checkURL refuses an address that is not protected in transit.
func (c *Config) checkURL(option, address string) error {
	if address == "" || directive.HasPlaceholder(address) {
		return nil
	}
	u, err := url.Parse(address)
	if err == nil && u.Scheme == "http" && slices.Contains(c.InsecureHosts, u.Hostname()) {
		u.Scheme = "https" // the rest holds as for any other
		address = u.String()
	}
	if _, err := directive.URL(option, address); err != nil {
		if u != nil && u.Scheme == "http" && u.Hostname() != "" {
			return fmt.Errorf("%w; or write 'insecure_hosts %s' before it, if the network in between is yours", err, u.Hostname())
		}
		return err
	}
	return nil
}

func (c *Config) checkInput() error {
	if !slices.Contains([]string{"", inputGluu, inputKong, inputEnvoy}, c.Input) {
		return fmt.Errorf("input is gluu, kong or envoy, not %q", c.Input)
	}
	for name := range c.Context {
		if name == "" {
			return errors.New("context needs a name and a text: write 'context tenant acme'")
		}
	}
	return nil
}

func (c *Config) checkBody() error {
	switch {
	case !slices.Contains([]string{"", bodyOff, bodyJSON, bodyForm, bodyRaw}, c.Body):
		return fmt.Errorf("body is off, json, form or raw, not %q", c.Body)
	case c.BodyLimit < 0 || c.BodyLimit > maxBodyLimit:
		return fmt.Errorf("the limit of body is 1 byte to %d MiB, not %d bytes", maxBodyLimit>>20, c.BodyLimit)
	case !slices.Contains([]string{"", overflowReject, overflowOmit}, c.BodyOverflow):
		return fmt.Errorf("body_overflow is reject or omit, not %q", c.BodyOverflow)
	}
	return nil
}

// checkUnused refuses options without effect. It is called when all options are known.
func (c *Config) checkUnused() error {
	switch {
	case c.Body != "" && c.Body != bodyOff:
		return nil
	case c.BodyLimit != 0:
		return errors.New("body is off, so its limit has no effect: write json, form or raw before it, or leave it out")
	case c.BodyOverflow != "":
		return errors.New("body is off, so body_overflow has no effect: write 'body json', form or raw, or leave it out")
	}
	return nil
}

// notTheirs are headers that a policy cannot set for the upstream: they belong to the
// connection, to the credential or to the proxy.
var notTheirs = []string{
	"Authorization", "Proxy-Authorization", "Cookie", "Host", "Content-Length", "Content-Type", "Content-Encoding", "Connection", "Proxy-Connection",
	"Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Dpop", "Expect",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Via",
}

func (c *Config) checkHeaders() error {
	for _, name := range c.Headers {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("headers: %q is not the name of a header: write names, all or none", name)
		}
		if word := strings.ToLower(name); len(c.Headers) > 1 && (word == headersAll || word == headersNone) {
			return fmt.Errorf("headers: %s stands alone: write it without the names, or the names without it", word)
		}
	}
	for _, name := range c.SetHeaders {
		switch canonical := textproto.CanonicalMIMEHeaderKey(name); {
		case !httpguts.ValidHeaderFieldName(name):
			return fmt.Errorf("set_headers: %q is not the name of a header", name)
		case slices.Contains(notTheirs, canonical):
			return fmt.Errorf("set_headers: %s is not a policy's to set: choose another name", canonical)
		}
	}
	for _, origin := range c.RedirectOrigins {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || origin != u.Scheme+"://"+u.Host {
			return fmt.Errorf("redirect_origins: %q is not an origin: write 'https://login.example.com'", origin)
		}
	}
	return nil
}

func (c *Config) checkTimes() error {
	switch {
	case c.Timeout < 0 || time.Duration(c.Timeout) > maxTimeout:
		return fmt.Errorf("timeout is a duration of up to %s, not %s", maxTimeout, time.Duration(c.Timeout))
	case c.Cache < 0 || time.Duration(c.Cache) > maxCache:
		return fmt.Errorf("cache is a duration of up to %s, not %s", maxCache, time.Duration(c.Cache))
	case c.CacheSize < 0 || c.CacheSize > 10_000_000:
		return fmt.Errorf("the size of cache is a number of decisions from 1 to 10000000, not %d", c.CacheSize)
	case c.CacheSize > 0 && c.Cache == 0:
		return errors.New("cache_size has no effect without cache: write 'cache <duration> <size>'")
	}
	return nil
}

func (c *Config) checkLog() error {
	switch {
	case !slices.Contains([]string{"", logOff, logRefusals, logAll}, c.DecisionLog):
		return fmt.Errorf("decision_log is off, refusals or all, not %q", c.DecisionLog)
	case c.DecisionLogShare < 0 || c.DecisionLogShare > 1:
		return fmt.Errorf("the share of decision_log is above 0 and at most 1, not %g", c.DecisionLogShare)
	case c.DecisionLogShare > 0 && (c.DecisionLog == "" || c.DecisionLog == logOff):
		return errors.New("decision_log_share has no effect without decision_log: write 'decision_log all 0.1'")
	}
	return nil
}

// credentials are the headers that a policy sees only if they are named.
var credentials = []string{"Authorization", "Proxy-Authorization", "Cookie", "Dpop"}

// showsHeader reports whether a policy sees a header, by its canonical name.
func (c *Config) showsHeader(name string) bool {
	switch {
	case len(c.Headers) == 0:
		return !slices.Contains(credentials, name)
	case len(c.Headers) == 1 && strings.EqualFold(c.Headers[0], headersAll):
		return true
	case len(c.Headers) == 1 && strings.EqualFold(c.Headers[0], headersNone):
		return false
	}
	return slices.ContainsFunc(c.Headers, func(named string) bool { return http.CanonicalHeaderKey(named) == name })
}

func (c *Config) seesCredentials() bool { return slices.ContainsFunc(credentials, c.showsHeader) }

// logTitle names what decides, for the log: an address may have a secret in its
// query.
func (c *Config) logTitle() string {
	for _, address := range []string{c.URL, c.AuthZEN} {
		if address != "" {
			title, _, _ := strings.Cut(address, "?")
			return title
		}
	}
	return c.decision()
}

func (c *Config) decision() string {
	if c.Decision != "" {
		return c.Decision
	}
	return defaultDecision
}

func (c *Config) bodyLimit() int64 {
	if c.BodyLimit > 0 {
		return c.BodyLimit
	}
	return defaultBodyLimit
}
