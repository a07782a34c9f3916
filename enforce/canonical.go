// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/pathmatch"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// canonicalize sets the path of a request to the canonical one, everywhere where
// an upstream may read it, and returns it decoded. It refuses a method or a path
// that can be read in two ways.
func canonicalize(r *http.Request, checkMethod func(string) error, opts pathmatch.Options) (string, error) {
	if r.Method == "" {
		// From Caddy's `method` directive with an empty placeholder. The upstream
		// then receives GET.
		r.Method = http.MethodGet
	}
	if r.Method == http.MethodConnect {
		// There is no path, or with extended CONNECT the path is only part of the
		// target.
		return "", &pathmatch.AmbiguousError{Kind: pathmatch.NotAbsolute}
	}
	if err := checkMethod(r.Method); err != nil {
		return "", err
	}
	path, err := pathmatch.Canonicalize(r.URL, opts)
	if err != nil {
		return "", err
	}
	if path.Escaped != "" {
		path.Apply(r.URL)
		r.RequestURI = r.URL.RequestURI() // as Caddy's rewrite does
	}
	return path.Decoded, canonicalizeOriginal(r, opts)
}

// canonicalizeOriginal does the same with the copy of the request that Caddy keeps
// from before all handlers. FastCGI upstreams receive it as REQUEST_URI, and others
// find it in {http.request.orig_uri}, which a header_up may contain.
func canonicalizeOriginal(r *http.Request, opts pathmatch.Options) error {
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || original.URL == nil {
		return nil
	}
	path, err := pathmatch.Canonicalize(original.URL, opts)
	if err != nil {
		return err
	}
	if path.Escaped == "" && strings.HasPrefix(original.RequestURI, "/") {
		return nil
	}
	path.Apply(original.URL) // all copies of the request share it
	identity.SetOriginal(r, original)
	return nil
}

// checkMethod refuses a method that an upstream may take for another, known one.
func checkMethod(method string) error {
	if known := pathmatch.FoldedMethod(method); known != "" {
		return fmt.Errorf("%w: methods are case-sensitive; write %s", scopeexpr.ErrMethod, known)
	}
	return nil
}

// asRefusal returns the refusal for an error of canonicalize.
func asRefusal(err error) identity.Refusal {
	if errors.Is(err, scopeexpr.ErrMethod) {
		return identity.AmbiguousMethod(err)
	}
	return identity.PathRefusal(err)
}
