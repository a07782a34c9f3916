// SPDX-License-Identifier: Apache-2.0

package routemap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/caddy-gluu/gateway/internal/siteguard"
)

// Taken says which handlers a request would meet.
type Taken struct {
	Request string `json:"request"`
	Server  string `json:"server,omitempty"`
	Site    string `json:"site,omitempty"` // pointer of the route at the top

	// Handlers are those that would run, by pointer, if each of them lets the request
	// pass. The last one answers, unless Note says otherwise.
	Handlers []string `json:"handlers"`
	Note     string   `json:"note,omitempty"`

	// NotAsked are conditions on the way that were not asked, because they read files or
	// what they do is not known. The way is shown as if they did not hold.
	NotAsked []string `json:"not_asked,omitempty"`

	// Seen has for each of Handlers what it would see: handlers before it may have
	// rewritten the request.
	Seen []Line `json:"-"`
}

// Line is the request line of a request.
type Line struct {
	Method string
	URL    url.URL
}

// Has reports whether a handler is among those that run.
func (t *Taken) Has(pointer string) bool { return t != nil && slices.Contains(t.Handlers, pointer) }

// Take says which handlers of the running configuration a request would meet. It asks
// their own matchers, as far as these only look at the request, and handlers that only
// rewrite a request rewrite it. The request is one of a client at 192.0.2.1 without
// header fields; nothing is sent, and no other handler runs.
func Take(ctx context.Context, request string) (*Taken, error) {
	method, target, _ := strings.Cut(strings.TrimSpace(request), " ")
	address, err := url.Parse(strings.TrimSpace(target))
	if err != nil || method == "" || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" || strings.ContainsAny(target, " \r\n") {
		return nil, fmt.Errorf("write a method and an address, for example %q, not %q", "GET https://api.example.com/todos", request)
	}
	r, err := http.NewRequestWithContext(ctx, method, address.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("a client cannot send %q: %w", request, err)
	}
	app, err := caddy.ActiveContext().AppIfConfigured("http")
	if err != nil {
		return nil, errors.New("the running configuration has no HTTP app")
	}
	taken := &Taken{Request: method + " " + address.String(), Handlers: []string{}}
	name, server := serverFor(app.(*caddyhttp.App), address)
	if server == nil {
		taken.Note = fmt.Sprintf("No server listens for %s at port %s.", address.Scheme, portOf(address))
		return taken, nil
	}
	taken.Server = name
	taken.walk(server, asReceived(r, server, address, "192.0.2.1"), plainMatcher)
	return taken, nil
}

// Received is a request as a server of this process has received it.
type Received struct {
	Method, Host, Target string
	Header               http.Header
	ClientIP             string
	Port                 string // of the server
	IsSecure             bool
}

// TakeReceived says which handlers of the running configuration a request would meet
// that was received before, maybe under another configuration. It asks all matchers: a
// client has sent this request, so that they were asked then.
func TakeReceived(ctx context.Context, received Received) (*Taken, error) {
	// The host is not parsed: a server takes what no client of Go's would send, and then
	// all that it has received counts.
	address, err := url.ParseRequestURI(received.Target)
	if err != nil {
		return nil, err
	}
	address.Scheme, address.Host = "http", received.Host
	if received.IsSecure {
		address.Scheme = "https"
	}
	r := (&http.Request{
		Method: received.Method, URL: new(url.URL), Header: received.Header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	*r.URL = *address
	app, err := caddy.ActiveContext().AppIfConfigured("http")
	if err != nil {
		return nil, errors.New("the running configuration has no HTTP app")
	}
	if received.Port != "" {
		address.Host = net.JoinHostPort(address.Hostname(), received.Port)
	}
	taken := &Taken{Handlers: []string{}}
	name, server := serverFor(app.(*caddyhttp.App), address)
	if server == nil {
		return taken, nil
	}
	address.Host = received.Host
	taken.Server = name
	taken.walk(server, asReceived(r, server, address, received.ClientIP), anyMatcher)
	return taken, nil
}

// asReceived turns a request of a client into one as a server has it.
func asReceived(r *http.Request, server *caddyhttp.Server, address *url.URL, clientIP string) *http.Request {
	r.RequestURI, r.RemoteAddr = address.RequestURI(), net.JoinHostPort(clientIP, "40000")
	r.Host = address.Host
	if address.Scheme == "https" {
		r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: address.Hostname()}
	}
	r.URL.Scheme, r.URL.Host, r.URL.User, r.URL.Fragment = "", "", nil, ""
	r.Body = http.NoBody
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), server)
}

func portOf(address *url.URL) string {
	switch {
	case address.Port() != "":
		return address.Port()
	case address.Scheme == "http":
		return "80"
	}
	return "443"
}

// serverFor returns the server that listens where an address leads to. One that
// listens at the very address is better than one that listens at all of them.
func serverFor(app *caddyhttp.App, address *url.URL) (string, *caddyhttp.Server) {
	var found string
	for name, server := range app.Servers {
		secure := len(server.TLSConnPolicies) > 0
		for _, listen := range server.Listen {
			fits, exact := listensFor(listen, address)
			if !fits || secure != (address.Scheme == "https") {
				continue
			}
			if exact {
				return name, server
			}
			if found == "" || name < found {
				found = name
			}
		}
	}
	return found, app.Servers[found]
}

func listensFor(listen string, address *url.URL) (fits, exact bool) {
	parsed, err := caddy.ParseNetworkAddress(listen)
	if err != nil || parsed.IsUnixNetwork() {
		return false, false
	}
	port, err := strconv.ParseUint(portOf(address), 10, 16)
	if err != nil || uint(port) < parsed.StartPort || uint(port) > parsed.EndPort {
		return false, false
	}
	ip := net.ParseIP(address.Hostname())
	return true, ip != nil && ip.Equal(net.ParseIP(parsed.Host))
}

// walk follows the request through the routes of a server.
func (t *Taken) walk(server *caddyhttp.Server, r *http.Request, mayAsk func(matcher any) (name string, ok bool)) {
	w := &walker{taken: t, server: server, r: r, mayAsk: mayAsk, groups: map[string]bool{}, at: "/apps/http/servers/" + t.Server}
	for i := range server.Routes {
		before := len(t.Handlers)
		ended := w.route(&server.Routes[i], w.at+"/routes/"+strconv.Itoa(i))
		if len(t.Handlers) > before && t.Site == "" {
			t.Site = w.at + "/routes/" + strconv.Itoa(i)
		}
		if ended {
			return
		}
	}
	t.Note = "No handler answers: Caddy sends an empty 200."
	if len(t.Handlers) == 0 {
		t.Note = "No route takes it: Caddy sends an empty 200."
	}
}

// walker follows one request.
type walker struct {
	taken  *Taken
	server *caddyhttp.Server
	r      *http.Request
	mayAsk func(matcher any) (name string, ok bool)
	groups map[string]bool // that have had their route
	at     string
	depth  int
}

// route follows the request through one route. It reports whether the way ends there.
func (w *walker) route(route *caddyhttp.Route, at string) (ended bool) {
	if route.Group != "" && w.groups[route.Group] {
		return false
	}
	matches, err := w.matches(route.MatcherSets, at)
	switch {
	case err != nil:
		w.taken.Note = "A condition of " + at + " refuses it: " + err.Error() + "."
		return true
	case !matches:
		return false
	case route.Group != "":
		w.groups[route.Group] = true
	}
	for i, handler := range route.Handlers {
		if w.handler(handler, at+"/handle/"+strconv.Itoa(i)) {
			return true
		}
	}
	if route.Terminal {
		w.taken.Note = "No handler answers: Caddy sends an empty 200."
	}
	return route.Terminal
}

// matches asks the matchers of a route, but not the guards of this gateway, which are
// no conditions. A set with a matcher that is not asked does not hold, unless another
// of its matchers says so anyway.
func (w *walker) matches(sets caddyhttp.MatcherSets, at string) (bool, error) {
	if len(sets) == 0 {
		return true, nil
	}
	for _, set := range sets {
		conditions := slices.DeleteFunc(slices.Clone(set), siteguard.IsGuard)
		var unknown []string
		conditions = slices.DeleteFunc(conditions, func(matcher any) bool {
			name, ok := w.mayAsk(matcher)
			if !ok {
				unknown = append(unknown, name)
			}
			return !ok
		})
		matches, err := conditions.MatchWithError(w.r)
		switch {
		case err != nil:
			return false, err
		case matches && len(unknown) == 0:
			return true, nil
		case matches:
			w.taken.notAsked(strings.Join(unknown, " and ") + " of " + at)
		}
	}
	return false, nil
}

// maxNotAsked bounds how many conditions are named.
const maxNotAsked = 20

func (t *Taken) notAsked(condition string) {
	if len(t.NotAsked) < maxNotAsked {
		t.NotAsked = append(t.NotAsked, condition)
	}
}

// handler follows the request through a handler.
func (w *walker) handler(handler caddyhttp.MiddlewareHandler, at string) (ended bool) {
	w.taken.Handlers = append(w.taken.Handlers, at)
	w.taken.Seen = append(w.taken.Seen, Line{w.r.Method, *w.r.URL})
	switch h := handler.(type) {
	case *caddyhttp.Subroute:
		for i := range h.Routes {
			if w.route(&h.Routes[i], at+"/routes/"+strconv.Itoa(i)) {
				return true
			}
		}
		return false
	case *caddyhttp.Invoke:
		route := w.server.NamedRoutes[h.Name]
		if w.depth++; route == nil || w.depth > maxDepth {
			return true
		}
		return w.route(route, w.at+"/named_routes/"+h.Name)
	case *rewrite.Rewrite, *headers.Handler, *caddyhttp.VarsMiddleware, caddyhttp.VarsMiddleware:
		return w.run(handler)
	}
	return endsAt(caddy.GetModuleName(handler), handler)
}

// run runs a handler that only changes the request.
func (w *walker) run(handler caddyhttp.MiddlewareHandler) (ended bool) {
	passed := false
	next := caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		w.r, passed = r, true
		return nil
	})
	if err := handler.ServeHTTP(httptest.NewRecorder(), w.r, next); err != nil {
		w.taken.Note = "The last handler refuses it: " + err.Error() + "."
	}
	return !passed
}

// endsAt reports whether no request goes on behind a handler. One with routes of its
// own that are not Caddy's is not looked into.
func endsAt(name string, handler caddyhttp.MiddlewareHandler) bool {
	switch name {
	case "reverse_proxy", "static_response", "error", "metrics", "gluu_routes":
		return true
	}
	files, ok := handler.(*fileserver.FileServer)
	return ok && !files.PassThru
}
