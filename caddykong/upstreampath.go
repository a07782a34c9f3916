// SPDX-License-Identifier: Apache-2.0

package caddykong

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/kongpath"
)

func init() {
	caddy.RegisterModule(new(UpstreamPath))
}

// UpstreamPath is a middleware that makes the path for the upstream as Kong
// does: of the request's path, without the part that `gluu_route` has matched if
// that is to be stripped, behind a base path.
//
// It belongs after every handler that decides by the path, just before
// `reverse_proxy`. For those handlers the path is what the client has sent.
type UpstreamPath struct {
	// The address of this handler in Caddy's admin API: `/id/<name>`. In a Caddyfile
	// the option is called `id`. Default: none, the handler is found by its place.
	ID string `json:"@id,omitempty"`

	// Remove the part of the path that the route has matched. Default: false
	StripPath bool `json:"strip_path,omitempty"`

	// The path of the service, put before what is left. Default: `/`
	Base string `json:"base,omitempty"`

	// How the two are joined: `v0` has exactly one slash between them, `v1`
	// joins the base and what follows the first slash as they are. Default: v0
	PathHandling string `json:"path_handling,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler, for errors that name the option.
func (u *UpstreamPath) UnmarshalJSON(text []byte) error {
	type plain UpstreamPath
	return directive.UnmarshalJSON("gluu_upstream_path", text, (*plain)(u))
}

// CaddyModule returns the Caddy module information.
func (*UpstreamPath) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_upstream_path",
		New: func() caddy.Module { return new(UpstreamPath) },
	}
}

// Validate refuses what cannot be right.
func (u *UpstreamPath) Validate() error { return u.check() }

func (u *UpstreamPath) check() error {
	if u.PathHandling != "" && u.PathHandling != "v0" && u.PathHandling != "v1" {
		return fmt.Errorf("path_handling is v0 or v1, not %q", u.PathHandling)
	}
	if u.Base == "" {
		return nil
	}
	if !strings.HasPrefix(u.Base, "/") {
		return fmt.Errorf("base: %q does not begin with a slash: write %q", u.Base, "/"+u.Base)
	}
	if normal := kongpath.Normalize(u.Base); kongpath.Escape(normal) != u.Base {
		return fmt.Errorf("base: %q is not in its normal form: write %q", u.Base, kongpath.Escape(normal))
	}
	return kongpath.CheckEscapes(u.Base)
}

// ServeHTTP sets the path and passes the request on.
func (u *UpstreamPath) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !strings.HasPrefix(r.URL.Path, "/") {
		return next.ServeHTTP(w, r) // "*" of OPTIONS
	}
	path := kongpath.Of(r.URL)
	var prefix string
	if m := matchOf(r); m != nil && u.StripPath {
		prefix = m.prefix()
	}
	if err := kongpath.Set(r.URL, u.join(path, prefix)); err != nil {
		return caddyhttp.Error(http.StatusBadRequest, err)
	}
	r.RequestURI = r.URL.RequestURI()
	return next.ServeHTTP(w, r)
}

// join makes the path for the upstream of a normal path, whose prefix is to be
// stripped.
func (u *UpstreamPath) join(path, prefix string) string {
	base := u.Base
	if base == "" {
		base = "/"
	}
	rest, stripped := path[1:], false
	if after, ok := strings.CutPrefix(path, prefix); ok && prefix != "" {
		rest, stripped = withoutDots(after), true
	}
	if u.PathHandling == "v1" {
		return joinV1(base, rest, stripped)
	}
	return joinV0(base, rest, path)
}

// withoutDots removes a dot segment that stripping has made: of "/a../x" without
// "/a" remains "../x".
func withoutDots(rest string) string {
	switch {
	case rest == "." || rest == "..":
		return ""
	case strings.HasPrefix(rest, "./"):
		return rest[2:]
	case strings.HasPrefix(rest, "../"):
		return rest[3:]
	}
	return rest
}

// joinV0 puts exactly one slash between base and rest. Without a rest, there is a
// slash at the end if the request has one; that of "/" itself counts only
// if the base has one too.
func joinV0(base, rest, path string) string {
	bare := strings.TrimSuffix(base, "/")
	switch {
	case rest != "":
		return bare + "/" + strings.TrimPrefix(rest, "/")
	case bare == "", strings.HasSuffix(path, "/") && (path != "/" || bare != base):
		return bare + "/"
	}
	return bare
}

// joinV1 appends the rest as it is; only of two slashes that meet where a
// prefix was stripped, one is dropped.
func joinV1(base, rest string, stripped bool) string {
	if stripped && strings.HasSuffix(base, "/") {
		rest = strings.TrimPrefix(rest, "/")
	}
	return base + rest
}

// Interface guards
var (
	_ caddy.Validator             = (*UpstreamPath)(nil)
	_ caddyhttp.MiddlewareHandler = (*UpstreamPath)(nil)
)
