// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(new(ResourceMetadata))
	directive.RegisterHandler("gluu_resource_metadata", parseResourceMetadata)
}

// wellKnown is where the metadata of a resource is (RFC 9728, section 3). A
// path of the resource follows it.
const wellKnown = "/.well-known/oauth-protected-resource"

// metadataMaxAge is how long clients may keep the metadata, in seconds.
const metadataMaxAge = 300

// ResourceMetadata is a middleware that serves the metadata of a protected
// resource (RFC 9728): which authorization servers issue tokens for it and
// which scopes there are. A client that knows nothing but the address of an
// API finds its way from there; clients of the Model Context Protocol do.
//
// It answers at `/.well-known/oauth-protected-resource`, and for a resource
// with a path also at that address followed by the path. On everything else
// that it passes on, the challenges of the handlers that follow point to the
// metadata.
type ResourceMetadata struct {
	// The address of this handler in Caddy's admin API: `/id/<name>`. In a Caddyfile
	// the option is called `id`. Default: none, the handler is found by its place.
	ID string `json:"@id,omitempty"`

	// The address of the API, as clients know it, and as the audience of tokens
	// should name it. Required. It is never taken from a request, which may say
	// anything. Placeholders that are known when the configuration loads are
	// allowed.
	Resource string `json:"resource,omitempty"`

	// The providers of the app `gluu` that issue tokens for it. Default: all,
	// with those that stand in handlers, the one called `default` first.
	Providers []string `json:"providers,omitempty"`

	// The scopes to name. Default: those that the rules of all `gluu_oauth_pep`
	// of the whole configuration ask for. A configuration with several sites
	// names them here, for each resource its own.
	Scopes []string `json:"scopes,omitempty"`

	// A name of the API for people.
	ResourceName string `json:"resource_name,omitempty"`

	// The address of a page for developers who want to use the API.
	ResourceDocumentation string `json:"resource_documentation,omitempty"`

	// The address of the keys that the API itself signs with, if it does.
	JWKSURI string `json:"jwks_uri,omitempty"`

	app   *introspect.App
	paths []string // where the metadata is
	where identity.ResourceMetadata

	// Made with the first request, since all handlers are provisioned then, and again
	// when rules have changed.
	made atomic.Pointer[revisedDocument]
}

// revisedDocument is the metadata at a revision of the scopes.
type revisedDocument struct {
	document

	revision uint64
}

// CaddyModule returns the Caddy module information.
func (*ResourceMetadata) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_resource_metadata",
		New: func() caddy.Module { return new(ResourceMetadata) },
	}
}

// UnmarshalJSON implements json.Unmarshaler, for errors that name the option.
func (m *ResourceMetadata) UnmarshalJSON(text []byte) error {
	type plain ResourceMetadata
	return directive.UnmarshalJSON("gluu_resource_metadata", text, (*plain)(m))
}

// Provision sets up the handler.
func (m *ResourceMetadata) Provision(ctx caddy.Context) error {
	for name, value := range map[string]*string{
		"resource": &m.Resource, "resource_documentation": &m.ResourceDocumentation, "jwks_uri": &m.JWKSURI,
	} {
		var err error
		if *value, err = directive.Resolve(*value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := m.check(true); err != nil {
		return err
	}
	var err error
	if m.app, err = introspect.FromContext(ctx); err != nil {
		return err
	}
	if err := siteguard.Protect(ctx, m.app); err != nil {
		return err
	}
	for _, name := range m.Providers {
		if _, err := m.app.Provider(name); err != nil {
			return err
		}
	}
	resource, err := url.Parse(m.Resource)
	if err != nil {
		return err
	}
	m.locate(resource)
	m.app.AnnouncePublic(siteguard.Site(ctx), m.paths...)
	return nil
}

// locate says where the metadata of a resource is: between host and path
// (RFC 9728, section 3.1). Clients that do not know that there is a path ask
// without it, and some leave out its last slash.
func (m *ResourceMetadata) locate(resource *url.URL) {
	at := *resource
	at.Path, at.RawPath = wellKnown, ""
	m.paths = []string{wellKnown}
	if resource.Path != "" && resource.Path != "/" {
		at.Path = wellKnown + resource.Path
		if resource.RawPath != "" {
			at.RawPath = wellKnown + resource.RawPath
		}
		m.paths = append(m.paths, at.Path, strings.TrimSuffix(at.Path, "/"))
	}
	m.where = identity.ResourceMetadata{URL: at.String(), Path: strings.TrimSuffix(resource.Path, "/")}
}

// check refuses what cannot be right. Addresses with placeholders can only be
// checked when they are resolved.
func (m *ResourceMetadata) check(resolved bool) error {
	if m.Resource == "" {
		return errors.New("gluu_resource_metadata needs the address of the API, since a request cannot be trusted to know it: write 'resource https://api.example.com'")
	}
	return m.checkValues(resolved)
}

// checkValues refuses what is wrong with an option by itself, whatever the
// others are. The Caddyfile parser calls it after each, to name its line.
func (m *ResourceMetadata) checkValues(resolved bool) error {
	for _, c := range []struct{ name, value string }{
		{"resource", m.Resource}, {"resource_documentation", m.ResourceDocumentation}, {"jwks_uri", m.JWKSURI},
	} {
		if c.value == "" || (!resolved && strings.Contains(c.value, "{")) {
			continue
		}
		if _, err := directive.URL(c.name, c.value); err != nil {
			return err
		}
	}
	if u, err := url.Parse(m.Resource); err == nil && (u.RawQuery != "" || u.ForceQuery) {
		// RFC 9728, section 1.2, advises against it, and its well-known
		// address could not be told from another request's.
		return fmt.Errorf("resource %q has a query: name the API by its path", m.Resource)
	}
	for _, scope := range m.Scopes {
		if !isScope(scope) {
			return fmt.Errorf("%q is not a valid scope: a scope has no spaces, quotes or backslashes", scope)
		}
	}
	return nil
}

// isScope reports whether s is a scope-token (RFC 6749, section 3.3).
func isScope(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x21 || r > 0x7e || r == '"' || r == '\\'
	})
}

// metadata is the document (RFC 9728, section 2).
type metadata struct {
	Resource               string   `json:"resource"`
	AuthorizationServers   []string `json:"authorization_servers,omitempty"`
	JWKSURI                string   `json:"jwks_uri,omitempty"`
	ScopesSupported        []string `json:"scopes_supported,omitempty"`
	BearerMethodsSupported []string `json:"bearer_methods_supported"`
	ResourceName           string   `json:"resource_name,omitempty"`
	ResourceDocumentation  string   `json:"resource_documentation,omitempty"`
	DPoPAlgorithms         []string `json:"dpop_signing_alg_values_supported,omitempty"`
}

// document returns the metadata with the scopes that rules ask for now.
func (m *ResourceMetadata) document() document {
	revision := m.app.ScopesRevision()
	if made := m.made.Load(); made != nil && made.revision == revision {
		return made.document
	}
	made := &revisedDocument{m.makeDocument(), revision}
	m.made.Store(made)
	return made.document
}

func (m *ResourceMetadata) makeDocument() document {
	doc := metadata{
		Resource:               m.Resource,
		AuthorizationServers:   m.issuers(),
		JWKSURI:                m.JWKSURI,
		ScopesSupported:        m.Scopes,
		BearerMethodsSupported: []string{"header"},
		ResourceName:           m.ResourceName,
		ResourceDocumentation:  m.ResourceDocumentation,
		DPoPAlgorithms:         strings.Fields(introspect.DPoPAlgorithms()),
	}
	if len(doc.ScopesSupported) == 0 {
		doc.ScopesSupported = m.app.AllScopes()
	}
	body, err := json.Marshal(doc)
	if err != nil {
		panic(err) // strings can always be encoded
	}
	sum := sha256.Sum256(body)
	return document{body, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, metadataMaxAge}
}

func (m *ResourceMetadata) issuers() []string {
	if len(m.Providers) == 0 {
		return m.app.Issuers()
	}
	var issuers []string
	for _, name := range m.Providers {
		if p, err := m.app.Provider(name); err == nil && p.PublicIssuer() != "" && !slices.Contains(issuers, p.PublicIssuer()) {
			issuers = append(issuers, p.PublicIssuer())
		}
	}
	return issuers
}

// ServeHTTP answers with the metadata, or passes the request on.
func (m *ResourceMetadata) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if strings.HasPrefix(r.URL.Path, wellKnown) && slices.Contains(m.paths, r.URL.Path) {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			serveDocument(w, r, m.document())
			return nil
		case http.MethodOptions:
			if r.Header.Get("Access-Control-Request-Method") != "" {
				allowToRead(w)
				return nil
			}
		}
	}
	m.app.Stripper().StripRequest(r)
	identity.SetResourceMetadata(r, &m.where)
	return next.ServeHTTP(w, r)
}

// allowToRead answers a preflight. Clients that run in a browser ask for the
// metadata with headers of their protocol.
func allowToRead(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, HEAD")
	h.Set("Access-Control-Allow-Headers", "*")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}

// parseResourceMetadata sets up gluu_resource_metadata.
func parseResourceMetadata(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	m := new(ResourceMetadata)
	if err := m.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return m, introspect.References{Providers: m.Providers}.Check(h)
}

// UnmarshalCaddyfile sets up the handler. Syntax:
//
//	gluu_resource_metadata [<matcher>] {
//		id <name>
//		resource <url>
//		provider <name>...
//		scopes <scope>...
//		resource_name <text>
//		resource_documentation <url>
//		jwks_uri <url>
//	}
func (m *ResourceMetadata) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	start, err := directive.BeginBlock(d, "write 'resource %s' into the block")
	if err != nil {
		return err
	}
	for d.NextBlock(0) {
		if err := m.unmarshalOption(d); err != nil {
			return err
		}
	}
	if err := m.check(false); err != nil {
		return start.WrapErr(err)
	}
	return nil
}

func (m *ResourceMetadata) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch name := d.Val(); name {
	case "id":
		err = directive.SetID(d, &m.ID)
	case "resource":
		err = directive.SetString(d, &m.Resource)
	case "provider":
		err = directive.AddStrings(d, &m.Providers)
	case "scopes":
		err = directive.AddStrings(d, &m.Scopes)
	case "resource_name":
		err = directive.SetString(d, &m.ResourceName)
	case "resource_documentation":
		err = directive.SetString(d, &m.ResourceDocumentation)
	case "jwks_uri":
		err = directive.SetString(d, &m.JWKSURI)
	default:
		err = directive.Unknown(d, "gluu_resource_metadata", "resource", "provider", "scopes", "resource_name", "resource_documentation", "jwks_uri", "id")
	}
	if err != nil {
		return err
	}
	if err := m.checkValues(false); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*ResourceMetadata)(nil)
	_ caddyhttp.MiddlewareHandler = (*ResourceMetadata)(nil)
	_ caddyfile.Unmarshaler       = (*ResourceMetadata)(nil)
)
