// SPDX-License-Identifier: Apache-2.0

package caddycors

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/rs/cors"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(new(CORS))
}

// CORS is a middleware that lets web pages of other origins use an API
// (Cross-Origin Resource Sharing, of the Fetch standard). It answers preflight
// requests itself, before authentication, since they carry no credentials.
//
// Its answer is the only one: CORS headers that an upstream sets are replaced,
// and removed where the origin is not allowed.
type CORS struct {
	// The address of this handler in Caddy's admin API: `/id/<name>`. In a Caddyfile
	// the option is called `id`. Default: none, the handler is found by its place.
	ID string `json:"@id,omitempty"`

	// The origins whose pages may use the API: `https://app.example.com`, `*`
	// for all, or regular expressions, which must match an origin as a whole.
	// An expression without a colon is about the host alone. What has any
	// character but letters, digits and `.:/-` is an expression. Default: `*`
	Origins []string `json:"origins,omitempty"`

	// The methods that they may use. Default: GET, HEAD, PUT, PATCH, POST,
	// DELETE, OPTIONS, TRACE, CONNECT.
	Methods []string `json:"methods,omitempty"`

	// The request headers that they may set. Default: all.
	Headers []string `json:"headers,omitempty"`

	// The response headers that they may read, in addition to the few that are
	// always readable. Default: what the upstream says.
	ExposedHeaders []string `json:"exposed_headers,omitempty"`

	// Whether a browser may send cookies and the like along. It needs origins
	// that are named. Default: false
	Credentials bool `json:"credentials,omitempty"`

	// Allow credentials for the pages of all origins, as Kong does. Every page
	// that a person opens can then act as that person: it is meant for
	// configurations of Kong that had it, until the origins are named. Default:
	// false
	CredentialsForAll bool `json:"credentials_for_all,omitempty"`

	// How long a browser may remember the answer to a preflight request, in
	// seconds. Default: the browser's own choice, which is 5 seconds.
	MaxAge *int `json:"max_age,omitempty"`

	// Pass preflight requests on, to an upstream that answers them. Handlers
	// that ask for a token will refuse them. Default: false
	PreflightContinue bool `json:"preflight_continue,omitempty"`

	// Whether pages from the internet may use an API in a private network, for
	// browsers that ask. Default: false
	PrivateNetwork bool `json:"private_network,omitempty"`

	cors *cors.Cors
	app  *introspect.App // nil if there is none
	site string          // of the handler
}

// defaultMethods are those of Kong.
var defaultMethods = []string{"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"}

// CaddyModule returns the Caddy module information.
func (*CORS) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_cors",
		New: func() caddy.Module { return new(CORS) },
	}
}

// UnmarshalJSON implements json.Unmarshaler, for errors that name the option.
func (c *CORS) UnmarshalJSON(text []byte) error {
	type plain CORS
	return directive.UnmarshalJSON("gluu_cors", text, (*plain)(c))
}

// Provision sets up the handler.
func (c *CORS) Provision(ctx caddy.Context) error {
	origins, err := c.check()
	if err != nil {
		return err
	}
	for _, entry := range origins.loose {
		ctx.Logger().Warn("a dot in an expression for origins matches any character: write '\\.'", zap.String("origin", entry))
	}
	if c.CredentialsForAll {
		ctx.Logger().Warn("credentials_for_all lets every web page act as its visitor: name the origins")
	}
	app, err := ctx.AppIfConfigured("gluu")
	if err != nil && !errors.Is(err, caddy.ErrNotConfigured) {
		return err
	}
	if c.app, _ = app.(*introspect.App); c.app != nil {
		if err := siteguard.Protect(ctx, c.app); err != nil {
			return err
		}
	}
	c.site = siteguard.Site(ctx)
	c.cors = cors.New(c.options(origins))
	return nil
}

func (c *CORS) options(origins *origins) cors.Options {
	options := cors.Options{
		AllowedMethods:      defaultMethods,
		AllowedHeaders:      []string{"*"},
		ExposedHeaders:      c.ExposedHeaders,
		AllowCredentials:    c.Credentials,
		AllowPrivateNetwork: c.PrivateNetwork,
	}
	if len(c.Methods) > 0 {
		options.AllowedMethods = c.Methods
	}
	if len(c.Headers) > 0 {
		options.AllowedHeaders = slices.Clone(c.Headers)
	}
	if c.MaxAge != nil {
		options.MaxAge = *c.MaxAge
		if options.MaxAge == 0 {
			options.MaxAge = -1 // what rs/cors takes for zero; its zero is for nothing
		}
	}
	if origins.all && !c.CredentialsForAll {
		options.AllowedOrigins = []string{"*"}
	} else {
		options.AllowOriginVaryRequestFunc = func(r *http.Request, origin string) (bool, []string) {
			// Of two Origin headers the one that is judged need not be the one
			// that is repeated.
			return len(r.Header["Origin"]) == 1 && (origins.all || origins.allow(origin)), nil
		}
	}
	return options
}

// check refuses what cannot be right.
func (c *CORS) check() (*origins, error) {
	origins, err := parseOrigins(c.Origins)
	if err != nil {
		return nil, err
	}
	if c.CredentialsForAll && !c.Credentials {
		return nil, errors.New("credentials_for_all is about credentials: write credentials true too, or remove it")
	}
	if c.Credentials && !c.CredentialsForAll {
		if err := origins.checkCredentials(); err != nil {
			return nil, err
		}
	}
	return origins, c.checkValues()
}

// checkValues refuses what is wrong with an option by itself, whatever the
// others are. The Caddyfile parser calls it after each, to name its line.
func (c *CORS) checkValues() error {
	for _, method := range c.Methods {
		if !isToken(method) || strings.ContainsAny(method, "*|") {
			return fmt.Errorf("methods: %q is not a valid method: name those that are allowed, for example GET POST", method)
		}
		if upper := strings.ToUpper(method); upper != method && slices.Contains(defaultMethods, upper) {
			return fmt.Errorf("methods: %q is not %s, methods are case-sensitive: write %[2]s", method, upper)
		}
	}
	for name, list := range map[string][]string{"headers": c.Headers, "exposed_headers": c.ExposedHeaders} {
		for _, header := range list {
			if !isToken(header) {
				return fmt.Errorf("%s: %q is not a valid header name: use letters, digits and -", name, header)
			}
		}
	}
	if c.MaxAge != nil && *c.MaxAge < 0 {
		return fmt.Errorf("max_age cannot be negative, got %d", *c.MaxAge)
	}
	return nil
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2), as methods
// and names of headers are.
func isToken(s string) bool {
	const special = "!#$%&'*+-.^_`|~"
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune(special, r)
	})
}

// ServeHTTP answers a preflight request, or passes the request on and sees to
// the CORS headers of the response.
func (c *CORS) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if isPreflight(r) && c.app != nil && c.app.IsPublic(c.site, r.URL.Path) {
		return next.ServeHTTP(w, r)
	}
	if isPreflight(r) && !c.PreflightContinue {
		tidyRequestHeaders(r.Header)
		c.cors.HandlerFunc(w, r)
		return nil
	}
	if c.app != nil {
		c.app.Stripper().StripRequest(r)
	}
	if r.Method == http.MethodOptions && r.Header.Get(requestMethod) != "" {
		// A preflight for the upstream to answer, or something that is none
		// and looks so to rs/cors.
		return next.ServeHTTP(w, r)
	}
	c.cors.HandlerFunc(w, r)
	if _, crossOrigin := r.Header["Origin"]; !crossOrigin {
		return next.ServeHTTP(w, r)
	}
	deciding := newDecidingWriter(w, r, len(c.ExposedHeaders) == 0)
	err := next.ServeHTTP(deciding, r)
	deciding.decide() // for the error routes
	return err
}

const (
	requestMethod  = "Access-Control-Request-Method"
	requestHeaders = "Access-Control-Request-Headers"
)

// isPreflight reports whether a request asks for permission and nothing else.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get(requestMethod) != "" && r.Header.Get("Origin") != ""
}

// tidyRequestHeaders writes the headers that are asked for as a browser does,
// in lower case and in order. rs/cors relies on it; without it, a request
// written by hand would be refused without a reason.
func tidyRequestHeaders(h http.Header) {
	fields, ok := h[requestHeaders]
	if !ok {
		return
	}
	names := strings.Split(strings.ToLower(strings.Join(fields, ",")), ",")
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return !isToken(name) })
	if len(names) == 0 {
		delete(h, requestHeaders)
		return
	}
	h[requestHeaders] = []string{strings.Join(names, ",")}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*CORS)(nil)
	_ caddyhttp.MiddlewareHandler = (*CORS)(nil)
)
