// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// RegisterHandler registers a directive for a handler, as Caddy's
// RegisterHandlerDirective does. Where Caddy would leave a handler out of the
// configuration without a word, the file is refused.
func RegisterHandler(name string, parse httpcaddyfile.UnmarshalHandlerFunc) {
	httpcaddyfile.RegisterHandlerDirective(name, func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		if err := CheckNamedRoute(h); err != nil {
			return nil, err
		}
		return parse(h)
	})
}

// CheckNamedRoute refuses, before a directive is read, one that is one of several without a matcher in a
// named route. Caddy 2.11 makes one route of them and keeps its first handler alone
// (extractNamedRoutes in caddyconfig/httpcaddyfile/httptype.go): authentication would
// be left, and the rules be gone.
func CheckNamedRoute(h httpcaddyfile.Helper) error {
	if !h.IsNamedRoute() {
		return nil
	}
	h.Next()
	at := At(h.Token())
	h.Reset()
	directives := namedRouteDirectives(h)
	isHere := func(segment caddyfile.Segment) bool {
		return segment[0].File == at.File() && segment[0].Line == at.Line() && segment[0].Text == at.Val()
	}
	if len(directives) < 2 || !slices.ContainsFunc(directives, isHere) || slices.ContainsFunc(directives, isRouteOfItsOwn) {
		return nil
	}
	return at.Errf("%s is one of several directives of a named route, of which Caddy keeps the first alone: write 'route { ... }' around all of them", at.Val())
}

// isRouteOfItsOwn reports whether Caddy surely makes another route of a directive than
// of those without a matcher. With two routes it keeps all handlers. A path counts only
// where it cannot be a value, as it is in `root /srv` and in `gluu_jwks /keys`.
func isRouteOfItsOwn(segment caddyfile.Segment) bool {
	if len(segment) < 2 || segment[1].Line != segment[0].Line {
		return false
	}
	name, first := segment.Directive(), segment[1].Text
	hasPath := strings.HasPrefix(name, "gluu_") && name != "gluu_jwks" || slices.Contains([]string{"handle", "handle_path", "route", "reverse_proxy", "basic_auth"}, name)
	return strings.HasPrefix(first, "@") || hasPath && strings.HasPrefix(first, "/")
}

// namedRouteDirectives returns the directives directly in the block of the named
// route. Caddy does not export the block; a test notices when it is called otherwise.
func namedRouteDirectives(h httpcaddyfile.Helper) (directives []caddyfile.Segment) {
	block, isBlock := reflect.TypeFor[httpcaddyfile.Helper]().FieldByName("parentBlock")
	if !isBlock || block.Type != reflect.TypeFor[caddyfile.ServerBlock]() {
		return nil
	}
	segments := reflect.ValueOf(h).FieldByIndex(block.Index).FieldByName("Segments")
	var tokens []caddyfile.Token
	for i := range segments.Len() {
		for j := range segments.Index(i).Len() {
			token := segments.Index(i).Index(j)
			tokens = append(tokens, caddyfile.Token{
				File: token.FieldByName("File").String(), Line: int(token.FieldByName("Line").Int()), Text: token.FieldByName("Text").String(),
			})
		}
	}
	d := caddyfile.NewDispenser(tokens)
	for d.Next() {
		for nesting := d.Nesting(); d.NextBlock(nesting); {
			if segment := d.NextSegment(); !strings.HasPrefix(segment.Directive(), "@") {
				directives = append(directives, segment)
			}
		}
	}
	return directives
}
