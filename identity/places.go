// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/headers"
)

// TokenPlace is a place of a request where a token may be.
type TokenPlace struct {
	// `authorization`: the Authorization header; `header`: another header, with or
	// without `Bearer` before the token; `query`: a parameter of the query;
	// `cookie`: a cookie; `form`: the parameter `access_token` of an urlencoded
	// body (RFC 6750, section 2.2).
	In string `json:"in,omitempty"`

	// The name of the header, parameter or cookie.
	Name string `json:"name,omitempty"`
}

// Kinds of places.
const (
	inAuthorization = "authorization"
	inHeader        = "header"
	inQuery         = "query"
	inCookie        = "cookie"
	inForm          = "form"
)

// What several_tokens may be.
const (
	refuseTokens = "refuse"
	firstToken   = "first"
)

// formParameter is the name of the token in a form (RFC 6750, section 2.2).
const formParameter = "access_token"

func (p TokenPlace) String() string { return strings.TrimSpace(p.In + " " + p.Name) }

// check refuses a place that does not exist.
func (p TokenPlace) check() error {
	switch p.In {
	case inAuthorization, inForm:
		if p.Name != "" {
			return fmt.Errorf("token_from %s takes no name, got %q: remove it", p.In, p.Name)
		}
		return nil
	case inHeader, inQuery, inCookie:
	default:
		return fmt.Errorf("token_from is authorization, header <name>, query <name>, cookie <name> or form, not %q", p.In)
	}
	switch {
	case p.Name == "":
		return fmt.Errorf("token_from %s needs a name: write 'token_from %s <name>'", p.In, p.In)
	case strings.Contains(p.Name, "{"):
		return fmt.Errorf("token_from %s %q is a fixed name, in which placeholders are not replaced: write the name itself", p.In, p.Name)
	case p.In == inHeader:
		return p.checkHeader()
	case p.In == inCookie && !httpguts.ValidHeaderFieldName(p.Name):
		return fmt.Errorf("token_from cookie %q is not the name of a cookie: use letters, digits, - and _", p.Name)
	}
	return nil
}

// checkHeader refuses headers that mean something else.
func (p TokenPlace) checkHeader() error {
	if strings.EqualFold(p.Name, "Authorization") {
		return fmt.Errorf("token_from header %q has a word of its own: write 'token_from authorization'", p.Name)
	}
	if _, err := headers.CanonicalName(p.Name, false); err != nil {
		return fmt.Errorf("token_from header %q: no token can be in this header; choose one such as X-Access-Token", p.Name)
	}
	if slices.ContainsFunc(headers.StandardNames(), func(name string) bool { return headers.Fold(name) == headers.Fold(p.Name) }) {
		return fmt.Errorf("token_from header %q: the gateway sets this header itself and removes what clients send; choose another one", p.Name)
	}
	return nil
}

// same reports whether two places are one.
func (p TokenPlace) same(other TokenPlace) bool {
	if p.In == inHeader {
		return other.In == inHeader && headers.Fold(p.Name) == headers.Fold(other.Name)
	}
	return p == other
}

// checkPlaces refuses places that cannot be right beside each other.
func (c *Config) checkPlaces() error {
	for i, place := range c.TokenFrom {
		if err := place.check(); err != nil {
			return err
		}
		if slices.ContainsFunc(c.TokenFrom[:i], place.same) {
			return fmt.Errorf("token_from %s is named twice: keep one of them", place)
		}
	}
	return nil
}

// checkPlaceNames refuses to read the token from a header that the handler sets.
func (c *Config) checkPlaceNames(set *headers.Set) error {
	for _, place := range c.TokenFrom {
		for _, name := range set.Names() {
			if place.In == inHeader && headers.Fold(name) == headers.Fold(place.Name) {
				return fmt.Errorf("token_from header %q: the option header sets it, so that what clients send under this name is removed; choose another one", place.Name)
			}
		}
	}
	return nil
}

// addPlace reads one place from a Caddyfile.
func (c *Config) addPlace(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 {
		return d.Errf("token_from takes one place on each line: authorization, header <name>, query <name>, cookie <name> or form; got %d values", len(args))
	}
	place := TokenPlace{In: args[0]}
	if len(args) == 2 {
		if args[1] == "" {
			return d.Errf("token_from %s has an empty name: write a name or remove it", args[0])
		}
		place.Name = args[1]
	}
	c.TokenFrom = append(c.TokenFrom, place)
	return directive.Located(d, c.checkPlaces())
}

// varyOn returns the headers that an answer depends on because a token may be in
// them.
func varyOn(places []TokenPlace) (names []string) {
	for _, place := range places {
		switch place.In {
		case inAuthorization:
			names = append(names, "Authorization")
		case inHeader:
			names = append(names, http.CanonicalHeaderKey(place.Name))
		case inCookie:
			names = append(names, "Cookie")
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// provisionPlaces prepares where tokens are looked for.
func (a *Authenticator) provisionPlaces() {
	a.maxToken = a.longestToken()
	places := a.TokenFrom
	if len(places) == 0 {
		places = []TokenPlace{{In: inAuthorization}}
	} else {
		a.takeout = &takeout{places: places, most: a.maxToken, first: a.SeveralTokens == firstToken, keep: a.DryRun}
	}
	// A cache before the gateway may keep the answer to a caller without a token,
	// and RFC 9111 lets it show that to callers with one. The other way round
	// section 3.5 sees to it, but only for tokens in the Authorization header.
	if a.Anonymous != "" || a.Optional || a.takeout.hasPlace(inHeader) || a.takeout.hasPlace(inCookie) {
		a.vary = varyOn(places)
	}
	if a.takeout.hasPlace(inQuery) {
		a.logger.Warn("token_from query: tokens of the query are in Caddy's access log unless it removes them: see 'Tokens elsewhere' on the page of gluu_oauth_auth")
	}
	if a.takeout.hasPlace(inCookie) {
		a.logger.Warn("token_from cookie: browsers send cookies with requests that other sites cause (CSRF): set the cookie with SameSite=Strict, or check the Origin header")
	}
}

// credential reads the token of a request, and says whether it was elsewhere than in
// the Authorization header.
func (a *Authenticator) credential(r *http.Request) (credential Credential, elsewhere bool, err error) {
	if a.takeout == nil {
		credential, err = readCredential(r.Header, a.maxToken)
		return credential, false, err
	}
	return a.takeout.take(r)
}
