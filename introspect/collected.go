// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/siteguard"
)

// ReserveHeaders tells, while a handler is provisioned, which request headers
// it can set. Names may contain a wildcard, {*}. No site of this configuration
// accepts them from clients.
func (a *App) ReserveHeaders(names ...string) { a.reserved.Add(names...) }

// Stripper removes the standard set and all reserved headers from requests.
// It is complete when all handlers are provisioned.
func (a *App) Stripper() *headers.Stripper { return a.reserved.Get(headers.NewStripper) }

// GuardSite strips forged identity headers where a site of a gateway handler
// begins ([siteguard.Guard]).
func (a *App) GuardSite(r *http.Request) error {
	a.Stripper().StripRequest(r)
	escapeQuery(r)
	return nil
}

// NoteEnforcement tells, while a handler is provisioned, that it enforces rules on
// a site ([siteguard.Site]).
func (a *App) NoteEnforcement(site string) { a.enforcing.Add(site) }

// Enforces reports whether a handler may enforce rules on a site: there is one, or
// one whose site is unknown. It is right when all handlers are provisioned.
func (a *App) Enforces(site string) bool {
	sites := a.enforcing.Get(func(sites []string) []string { return sites })
	return slices.Contains(sites, site) || slices.Contains(sites, "")
}

// escapeQuery writes spaces of the query as %20. Over HTTP/2 and HTTP/3 a request
// can have them, although no URI can. In the request line of an upstream that is
// asked over HTTP/1.1 they would end the request target.
func escapeQuery(r *http.Request) {
	if strings.IndexByte(r.URL.RawQuery, ' ') < 0 {
		return
	}
	escape := func(u *url.URL) { u.RawQuery = strings.ReplaceAll(u.RawQuery, " ", "%20") }
	escape(r.URL)
	r.RequestURI = r.URL.RequestURI() // as Caddy's rewrite does
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		escape(original.URL) // what placeholders and FastCGI read
	}
}

// SiteValue returns, while a handler is provisioned, what all handlers of its site
// share. The key is that of the site ([siteguard.Key]); the first handler creates
// the value.
func (a *App) SiteValue(key string, create func() any) any {
	a.mu.Lock()
	defer a.mu.Unlock()
	if value, ok := a.sites[key]; ok {
		return value
	}
	if a.sites == nil {
		a.sites = make(map[string]any)
	}
	value := create()
	a.sites[key] = value
	return value
}

// demand says whether an authentication handler of a site refuses callers without
// a token.
type demand struct {
	site  string
	token bool
}

// NoteAuthentication tells, while a handler is provisioned, that it authenticates
// the callers of a site, and whether it refuses those without a token.
func (a *App) NoteAuthentication(site string, demandsToken bool) {
	a.demands.Add(demand{site, demandsToken})
}

// DemandsToken reports whether a site has authentication handlers and all of them
// refuse callers without a token. It is right when all handlers are provisioned.
func (a *App) DemandsToken(site string) bool {
	demands := a.demands.Get(func(all []demand) []demand { return all })
	lenient := func(d demand) bool { return !d.token && (d.site == site || d.site == "") }
	return slices.Contains(demands, demand{site, true}) && !slices.ContainsFunc(demands, lenient)
}

// AddExplained tells, while a handler is provisioned, that it can be asked what it
// would do.
func (a *App) AddExplained(part explain.Part) { a.explained.Add(part) }

// Explain says what the handlers of this configuration would do. An error says what
// is wrong with the question.
func (a *App) Explain(ctx context.Context, q explain.Question) (*explain.Answer, error) {
	return explain.Ask(ctx, a.explained.Get(func(parts []explain.Part) []explain.Part { return parts }), q)
}

// announcedScopes are the scopes that the rules of a handler ask for.
type announcedScopes struct {
	handler any
	scopes  []string
}

// AnnounceScopes tells which scopes the rules of a handler ask for: while the handler
// is provisioned, and again whenever its rules change. What it announced before no
// longer counts.
func (a *App) AnnounceScopes(handler any, scopes []string) {
	a.scopes.Replace(announcedScopes{handler, scopes}, func(old announcedScopes) bool { return old.handler == handler })
}

// ScopesRevision changes whenever AllScopes may return something else.
func (a *App) ScopesRevision() uint64 { return a.scopes.Changes() }

// AllScopes returns the scopes that the rules of this configuration ask for and
// a client can request, each once and in order. They are complete when all
// handlers are provisioned.
func (a *App) AllScopes() []string {
	return slices.DeleteFunc(slices.Clone(a.scopes.Get(sortedOnce)), func(scope string) bool { return !a.CanRequest(scope) })
}

// CanRequest reports whether a client can ask its authorization server for what a
// rule asks for: not for a role, which is written under the prefix of its claim.
func (a *App) CanRequest(scope string) bool {
	for _, p := range a.all() {
		if p.server != nil && p.server.Mapping().IsAssigned(scope) {
			return false
		}
	}
	return true
}

func sortedOnce(all []announcedScopes) []string {
	var names []string
	for _, announced := range all {
		names = append(names, announced.scopes...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// AnnouncePublic tells, while a handler is provisioned, at which paths of its
// site it answers every request, including the preflight requests of all web
// pages.
func (a *App) AnnouncePublic(site string, paths ...string) {
	for _, path := range paths {
		a.public.Add(publicPath{site, path})
	}
}

// IsPublic reports whether a path of a site was announced as public.
func (a *App) IsPublic(site, path string) bool {
	return site != "" && a.public.Get(setOf)[publicPath{site, path}]
}

// publicPath is a path of a site that is open to every client.
type publicPath struct{ site, path string }

func setOf[T comparable](items []T) map[T]bool {
	set := make(map[T]bool, len(items))
	for _, item := range items {
		set[item] = true
	}
	return set
}

// Interface guard
var _ siteguard.Guard = (*App)(nil)

// returnPath is a path of a site that another server sends people back to.
type returnPath struct{ site, path string }

// ReturnPathOption is the option that names such a path.
const ReturnPathOption = "claims_redirect_path"

// NoteReturnPath tells, while a handler is provisioned, that people come back from
// another server at a path of a site ([siteguard.Site]), where the login handler
// receives them.
func (a *App) NoteReturnPath(site, path string) error {
	if err := a.ReservePath(site, path, ReturnPathOption); err != nil {
		return err
	}
	a.returns.Add(returnPath{site, path})
	return nil
}

// IsReturnPath reports whether people come back at a path of a site. It is right
// when all handlers are provisioned.
func (a *App) IsReturnPath(site, path string) bool {
	known := a.returns.Get(func(all []returnPath) map[returnPath]bool {
		known := make(map[returnPath]bool, len(all))
		for _, each := range all {
			known[each] = true
		}
		return known
	})
	return len(known) > 0 && (known[returnPath{site, path}] || known[returnPath{"", path}])
}

// SessionCookie is a cookie by which people have a session on a site.
type SessionCookie struct {
	Site string // of siteguard
	Base string // the configured origin, "" for that of the request
	Name string
}

// ReserveCookie tells, while a handler is provisioned, under which name it keeps the
// sessions of people. It is an error if another OpenID Provider, or another client of
// it, has the name at the same origin: each login would end the other's session.
func (a *App) ReserveCookie(cookie SessionCookie, issuer, clientID string) error {
	if cookie.Site == "" {
		return nil // a named route: which sites it serves is unknown
	}
	a.cookieNames.Add(cookie)
	a.mu.Lock()
	defer a.mu.Unlock()
	owner := issuer + " " + clientID
	if other, taken := a.cookies[cookie]; taken && other != owner {
		return fmt.Errorf("two handlers of this site log people in at different providers (%s and %s) and keep both sessions in the cookie %q: give one of them a cookie_name of its own", other, owner, cookie.Name)
	}
	if a.cookies == nil {
		a.cookies = make(map[SessionCookie]string)
	}
	a.cookies[cookie] = owner
	return nil
}

// IsSessionCookie reports whether some handler of a site keeps sessions in a cookie of
// a name, so that no upstream of the site may see it. It is right when all handlers are
// provisioned.
func (a *App) IsSessionCookie(site, name string) bool {
	known := a.cookieNames.Get(func(all []SessionCookie) map[SessionCookie]bool {
		known := make(map[SessionCookie]bool, len(all))
		for _, each := range all {
			known[SessionCookie{Site: each.Site, Name: each.Name}] = true
		}
		return known
	})
	return known[SessionCookie{Site: site, Name: name}]
}

// ReservePath tells, while a handler is provisioned, that an option makes a path of
// a site one of a protocol. It is an error if people come back there from another
// server as well: which of the two a request is could not be told.
func (a *App) ReservePath(site, path, option string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := returnPath{site, path}
	other, taken := a.paths[key]
	if taken && other != option && (other == ReturnPathOption || option == ReturnPathOption) {
		return fmt.Errorf("%s and %s of this site are both %q: give each a path of its own", other, option, path)
	}
	if a.paths == nil {
		a.paths = make(map[returnPath]string)
	}
	a.paths[key] = option
	return nil
}
