// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(new(JWKS))
	httpcaddyfile.RegisterDirective("gluu_jwks", parseJWKS)
}

// DefaultJWKSPath is where the gateway's public keys are unless the
// configuration says otherwise.
const DefaultJWKSPath = "/.well-known/jwks.json"

// JWKS is a middleware that serves the public keys with which upstreams verify
// what the gateway signs, phantom tokens and headers of the format jwt, as a
// JWK Set (RFC 7517).
//
// It answers GET and HEAD at one path and passes everything else on. The set
// holds the keys in use, those that are about to be used and those with which
// a token that is still valid may have been signed. Upstreams may keep it for
// as long as Cache-Control says: no key is used before that time is over.
type JWKS struct {
	// The address of this handler in Caddy's admin API: `/id/<name>`. In a Caddyfile
	// the option is called `id`. Default: none, the handler is found by its place.
	ID string `json:"@id,omitempty"`

	// The path to answer at, exactly. Default: `/.well-known/jwks.json`
	Path string `json:"path,omitempty"`

	app *introspect.App
}

// CaddyModule returns the Caddy module information.
func (*JWKS) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_jwks",
		New: func() caddy.Module { return new(JWKS) },
	}
}

// UnmarshalJSON implements json.Unmarshaler, for errors that name the option.
func (j *JWKS) UnmarshalJSON(text []byte) error {
	type plain JWKS
	return directive.UnmarshalJSON("gluu_jwks", text, (*plain)(j))
}

// Provision sets up the handler.
func (j *JWKS) Provision(ctx caddy.Context) (err error) {
	if j.Path == "" {
		j.Path = DefaultJWKSPath
	}
	if j.app, err = introspect.FromContext(ctx); err != nil {
		return err
	}
	return siteguard.Protect(ctx, j.app)
}

// Validate refuses anything but a path.
func (j *JWKS) Validate() error { return checkJWKSPath(j.Path) }

func checkJWKSPath(path string) error {
	switch {
	case !strings.HasPrefix(path, "/"):
		return fmt.Errorf("gluu_jwks answers at a path, such as %s, not at %q", DefaultJWKSPath, path)
	case strings.ContainsAny(path, "*?#{}%"):
		return fmt.Errorf("gluu_jwks answers at exactly one path: %q cannot have wildcards, placeholders, a query or percent-encoding", path)
	}
	return nil
}

// ServeHTTP answers with the key set, or passes the request on.
func (j *JWKS) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.URL.Path != j.Path || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
		j.app.Stripper().StripRequest(r)
		return next.ServeHTTP(w, r)
	}
	jwks, err := j.app.Signer().JWKS()
	if err != nil {
		// The storage has not answered since the start. An empty set would be
		// taken for the truth, and kept.
		return serveUnavailable(w, errors.New("the keys are not available yet"))
	}
	serveDocument(w, r, document{jwks.Body, jwks.ETag, int(jwks.MaxAge.Seconds())})
	return nil
}

// document is a public JSON document.
type document struct {
	body   []byte
	etag   string
	maxAge int // seconds
}

// serveDocument answers GET and HEAD. Any web page may read a public document:
// there is nothing in it that the page could not fetch otherwise.
func serveDocument(w http.ResponseWriter, r *http.Request, d document) {
	identity.MarkPublic(r)
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(d.maxAge))
	h.Set("ETag", d.etag)
	h.Set("X-Content-Type-Options", "nosniff")
	if matchesETag(r.Header["If-None-Match"], d.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	// Not application/jwk-set+json: there are clients that ask for JSON and
	// look at nothing else.
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(d.body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(d.body)
	}
}

// matchesETag compares as RFC 9110, section 13.1.2, asks: weakly.
func matchesETag(fields []string, etag string) bool {
	for _, field := range fields {
		for candidate := range strings.SplitSeq(field, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == etag {
				return true
			}
		}
	}
	return false
}

func serveUnavailable(w http.ResponseWriter, err error) error {
	w.Header().Set("Retry-After", "1")
	w.Header().Set("Cache-Control", "no-store")
	return caddyhttp.Error(http.StatusServiceUnavailable, err)
}

// parseJWKS sets up gluu_jwks. Syntax:
//
//	gluu_jwks [<path>] {
//		id <name>
//	}
//
// It takes no matcher: what would be one for other directives is the path.
func parseJWKS(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	if err := directive.CheckNamedRoute(h); err != nil {
		return nil, err
	}
	h.Next() // consume the directive's name
	j := new(JWKS)
	if h.NextArg() {
		j.Path = h.Val()
		if err := checkJWKSPath(j.Path); err != nil {
			return nil, h.WrapErr(err)
		}
	}
	if h.NextArg() {
		return nil, h.Errf("gluu_jwks takes only a path, got also %q: remove it", h.Val())
	}
	for h.NextBlock(0) {
		if h.Val() != "id" {
			return nil, directive.Unknown(h.Dispenser, "gluu_jwks", "id")
		}
		if err := directive.SetID(h.Dispenser, &j.ID); err != nil {
			return nil, err
		}
	}
	return h.NewRoute(nil, j), nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*JWKS)(nil)
	_ caddy.Validator             = (*JWKS)(nil)
	_ caddyhttp.MiddlewareHandler = (*JWKS)(nil)
)
