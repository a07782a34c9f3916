// SPDX-License-Identifier: Apache-2.0

package routemap

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Map is all that the HTTP app has.
type Map struct {
	Servers []Server `json:"servers"`

	handlers map[string]*Handler // by pointer
	sites    map[string]*Site    // by pointer
}

// Server listens on addresses. Its sites are tried one after the other.
type Server struct {
	Name   string   `json:"name"`
	Listen []string `json:"listen"`
	Sites  []*Site  `json:"sites"`

	named map[string]json.RawMessage
}

// Site is a route that a server has at the top: in a Caddyfile, a site.
type Site struct {
	// Kind is "" for a route of the server, and errors for one that answers what
	// others have refused (handle_errors).
	Kind string `json:"kind,omitempty"`

	Server string   `json:"server"`
	Listen []string `json:"listen"`
	Hosts  []string `json:"hosts"` // none: all

	// Unprotected says that a request may get to an upstream without a decision.
	Unprotected bool `json:"unprotected"`

	*Route
}

// Route is a list of handlers, with the conditions under which they run.
type Route struct {
	// Pointer is where it stands in the configuration: a path below /config.
	Pointer string `json:"pointer"`

	// Match are conditions of which one must hold, as people read them; none: always.
	Match []string `json:"match,omitempty"`

	// Group names routes of which only the first runs whose condition holds.
	Group    string     `json:"group,omitempty"`
	Terminal bool       `json:"terminal,omitempty"` // no route after it runs
	Handle   []*Handler `json:"handle"`

	always bool // no condition, not even a host
}

// Handler is one handler of a route.
type Handler struct {
	Pointer string `json:"pointer"`
	Name    string `json:"handler"`
	Role    Role   `json:"role,omitempty"`

	// Summary says what it does, as far as a line can.
	Summary string `json:"summary,omitempty"`

	// Protection is what stands before it, for a handler that answers with content.
	Protection Protection `json:"protection,omitempty"`

	// Routes are those inside of it, and Named is the named route that they come from.
	Routes []*Route `json:"routes,omitempty"`
	Named  string   `json:"named_route,omitempty"`

	raw json.RawMessage
}

// Raw is the configuration of the handler, with its secrets.
func (h *Handler) Raw() json.RawMessage { return h.raw }

// Handler returns the handler at a pointer, nil if there is none.
func (m *Map) Handler(pointer string) *Handler { return m.handlers[pointer] }

// Site returns the site at a pointer, or the one around it, nil if there is none.
func (m *Map) Site(pointer string) *Site {
	for at := pointer; at != ""; at = parent(at) {
		if site := m.sites[at]; site != nil {
			return site
		}
	}
	return nil
}

func parent(pointer string) string {
	for i := len(pointer) - 1; i >= 0; i-- {
		if pointer[i] == '/' {
			return pointer[:i]
		}
	}
	return ""
}

// The configuration as it is written.
type (
	rawApp struct {
		Servers map[string]rawServer `json:"servers"`
	}
	rawServer struct {
		Listen      []string                   `json:"listen"`
		Routes      []rawRoute                 `json:"routes"`
		NamedRoutes map[string]json.RawMessage `json:"named_routes"`
		Errors      struct {
			Routes []rawRoute `json:"routes"`
		} `json:"errors"`
	}
	rawRoute struct {
		Group    string            `json:"group"`
		Match    []rawMatch        `json:"match"`
		Handle   []json.RawMessage `json:"handle"`
		Terminal bool              `json:"terminal"`
	}
	rawMatch   map[string]json.RawMessage
	rawHandler struct {
		Handler string     `json:"handler"`
		Name    string     `json:"name"` // of invoke
		Routes  []rawRoute `json:"routes"`
	}
)

// newMap reads a configuration of the HTTP app.
func newMap(raw json.RawMessage) (*Map, error) {
	var app rawApp
	if err := json.Unmarshal(raw, &app); err != nil {
		return nil, fmt.Errorf("reading the configuration of the HTTP app: %w", err)
	}
	m := &Map{Servers: []Server{}, handlers: map[string]*Handler{}, sites: map[string]*Site{}}
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		m.Servers = append(m.Servers, m.server(name, app.Servers[name]))
	}
	return m, nil
}

func (m *Map) server(name string, raw rawServer) Server {
	s := Server{Name: name, Listen: raw.Listen, Sites: []*Site{}, named: raw.NamedRoutes}
	at := "/apps/http/servers/" + name
	for i, route := range raw.Routes {
		s.Sites = append(s.Sites, m.site(&s, "", at+"/routes/"+strconv.Itoa(i), route))
	}
	for i, route := range raw.Errors.Routes {
		s.Sites = append(s.Sites, m.site(&s, "errors", at+"/errors/routes/"+strconv.Itoa(i), route))
	}
	s.protect()
	return s
}

func (m *Map) site(s *Server, kind, at string, raw rawRoute) *Site {
	site := &Site{Kind: kind, Server: s.Name, Listen: s.Listen, Hosts: hostsOf(raw.Match), Route: m.route(s, at, raw, 0)}
	site.Match = conditions(raw.Match, true)
	m.sites[at] = site
	return site
}

// maxDepth bounds named routes that invoke each other.
const maxDepth = 16

func (m *Map) route(s *Server, at string, raw rawRoute, depth int) *Route {
	r := &Route{Pointer: at, Match: conditions(raw.Match, false), Group: raw.Group, Terminal: raw.Terminal, Handle: []*Handler{}}
	r.always = len(raw.Match) == 0 || slices.ContainsFunc(raw.Match, func(set rawMatch) bool { return len(set) == 0 })
	for i, handler := range raw.Handle {
		r.Handle = append(r.Handle, m.handler(s, at+"/handle/"+strconv.Itoa(i), handler, depth))
	}
	return r
}

func (m *Map) handler(s *Server, at string, raw json.RawMessage, depth int) *Handler {
	var read rawHandler
	if json.Unmarshal(raw, &read) != nil { // a member of another module may have another type
		var named struct {
			Handler string `json:"handler"`
		}
		_ = json.Unmarshal(raw, &named) // it was loaded, so it has a name
		read = rawHandler{Handler: named.Handler}
	}
	h := &Handler{Pointer: at, Name: read.Handler, Role: roleOf(read.Handler, raw), Summary: summaryOf(read.Handler, raw), raw: raw}
	m.handlers[at] = h
	if depth == maxDepth {
		return h
	}
	for i, route := range read.Routes {
		h.Routes = append(h.Routes, m.route(s, at+"/routes/"+strconv.Itoa(i), route, depth+1))
	}
	var route rawRoute
	if read.Handler == "invoke" && json.Unmarshal(s.named[read.Name], &route) == nil {
		h.Named = read.Name
		h.Routes = append(h.Routes, m.route(s, "/apps/http/servers/"+s.Name+"/named_routes/"+read.Name, route, depth+1))
	}
	return h
}

// hostsOf returns the hosts that matchers name, none if one of them names none.
func hostsOf(match []rawMatch) []string {
	hosts := []string{}
	for _, set := range match {
		var names []string
		if json.Unmarshal(orNull(set["host"]), &names) != nil || len(names) == 0 {
			return []string{}
		}
		hosts = append(hosts, names...)
	}
	return hosts
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

// Mentions reports whether a text is part of a host or an address of a site, of a
// condition, or of the name or summary of a handler, in any case of its letters.
func (s *Site) Mentions(text string) bool {
	text = strings.ToLower(text)
	has := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), text) })
	}
	return text == "" || has(s.Hosts...) || has(s.Listen...) || has(s.Server, s.Kind) || s.mentions(has)
}

func (r *Route) mentions(has func(texts ...string) bool) bool {
	return has(r.Match...) || slices.ContainsFunc(r.Handle, func(h *Handler) bool {
		return has(h.Name, h.Summary) || slices.ContainsFunc(h.Routes, func(r *Route) bool { return r.mentions(has) })
	})
}

// Serves reports whether a host is one of the site.
func (s *Site) Serves(host string) bool {
	if len(s.Hosts) == 0 {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, parent, _ := strings.Cut(host, ".")
	return slices.ContainsFunc(s.Hosts, func(own string) bool {
		return strings.EqualFold(own, host) || strings.EqualFold(own, "*."+parent)
	})
}
