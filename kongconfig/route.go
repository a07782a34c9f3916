// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/internal/kongpath"
)

// route says which requests go to a service.
type route struct {
	entity
	serviceRef                  string
	service                     *service
	hosts, paths, methods, snis []string
	headers                     map[string][]string
	protocols                   []string
	httpsStatus                 int
	strip, preserveHost         bool
	pathHandling                string
	regexPriority               int
	responseBuffering           bool
	index                       int // in the file
}

func (f *file) readRoute(o *object, parent any, _ int) {
	r := &route{entity: entity{o: o, id: o.str("id"), name: o.str("name")}, index: len(f.routes)}
	if s, ok := parent.(*service); ok {
		r.service = s
	}
	if ref := reference(o, "service"); ref != "" {
		if r.serviceRef = ref; r.service != nil && ref != r.service.id && ref != r.service.name {
			o.errorf("service", "the route is nested in another service: remove service, or move the route")
		}
	}
	r.readMatch(f)
	r.strip = o.boolean("strip_path", true)
	r.preserveHost = o.boolean("preserve_host", false)
	r.responseBuffering = o.boolean("response_buffering", true)
	o.ignore("request_buffering")
	r.pathHandling = o.oneOf("path_handling", "v0", "v1")
	r.regexPriority = o.number("regex_priority", 0, 0)
	r.readPathHandling(f)
	switch {
	case r.id == "" && r.name == "":
		r.id = kongID("routes", fmt.Sprintf("#%d", r.index+1))
	case r.id == "":
		r.id = kongID("routes", r.name)
	}
	f.register(o, "routes", r, r.id, r.name)
	f.routes = append(f.routes, r)
	f.nested(o, r, "plugins")
}

// readMatch reads the conditions.
func (r *route) readMatch(f *file) {
	o := r.o
	r.hosts, r.methods, r.snis = o.strs("hosts"), o.strs("methods"), o.strs("snis")
	for _, path := range o.strs("paths") {
		r.paths = append(r.paths, f.readPath(o, path))
	}
	r.readHeaders()
	r.protocols = o.strs("protocols")
	if len(r.protocols) == 0 {
		r.protocols = []string{"http", "https"}
	}
	r.checkMatch()
	r.httpsStatus = o.number("https_redirect_status_code", 0, 426)
	if !slices.Contains([]int{426, 301, 302, 307, 308}, r.httpsStatus) {
		o.errorf("https_redirect_status_code", "there is no %d: write 426, 301, 302, 307 or 308", r.httpsStatus)
	}
	for _, field := range []string{"expression", "priority"} {
		if o.get(field) != nil {
			o.errorf(field, "routes of the flavor expressions are not kept: write hosts, paths, methods and headers")
		}
	}
	for _, field := range []string{"sources", "destinations"} {
		if len(o.list(field)) > 0 {
			o.errorf(field, "routes by address are not kept: use the plugin ip-restriction")
		}
	}
}

// plainPath is what Kong 2 took for a prefix; anything else was an expression.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9._~/%-]*$`)

// readPath returns a path as Kong 3 writes it.
func (f *file) readPath(o *object, path string) string {
	written := path
	if f.prefixOnly && !plainPath.MatchString(path) {
		path = "~" + path
	}
	if err := kongpath.Check(path); err != nil {
		o.errorfOf("paths", written, "%s", strings.TrimPrefix(err.Error(), "paths: "))
	}
	if source, isRegex := strings.CutPrefix(path, "~"); isRegex && hasAlternatives(source) {
		o.warnf(aboutRouting, "paths", "all alternatives of %q must match from the beginning of the path; in Kong only the first one must", path)
	}
	return path
}

// hasAlternatives reports whether an expression has a | outside of groups.
func hasAlternatives(source string) bool {
	depth, class := 0, false
	for i := 0; i < len(source); i++ {
		switch c := source[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '|' && depth == 0:
			return true
		}
	}
	return false
}

func (r *route) readHeaders() {
	headers := r.o.object("headers")
	if headers == nil {
		return
	}
	r.headers = make(map[string][]string)
	for i, name := range headers.names {
		values := headers.strs(name)
		switch {
		case slices.ContainsFunc(headers.names[:i], func(other string) bool { return strings.EqualFold(other, name) }):
			headers.errorf(name, "is there twice, since names of headers ignore case: write all its values below one of them")
		case strings.EqualFold(name, "host"):
			headers.errorf(name, "the host is not compared here: write hosts")
		case len(values) == 0:
			headers.errorf(name, "has no value: name those of which one must be there")
		default:
			headers.check(name, checkHeaderName(name))
		}
		for _, value := range values {
			if pattern, ok := strings.CutPrefix(value, "~*"); ok {
				if _, err := regexp.Compile("(?i)" + pattern); err != nil {
					headers.errorf(name, "%q is not a regular expression that Go's engine runs: %v", value, err)
				}
			}
		}
		r.headers[name] = values
	}
}

var hostName = regexp.MustCompile(`^(\*\.)?[^*/\\ :]+(\.\*)?(:[0-9]{1,5})?$|^\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?$`)

func (r *route) checkMatch() {
	o := r.o
	for _, host := range r.hosts {
		if !hostName.MatchString(host) || strings.Count(host, "*") > 1 {
			o.errorfOf("hosts", host, "%q is not a host name, which may have one '*' at an end: write for example example.com or *.example.com", host)
			continue
		}
		if _, port, found := strings.Cut(host[strings.LastIndex(host, "]")+1:], ":"); found {
			if err := checkPort(port); err != nil {
				o.errorfOf("hosts", host, "%v", err)
			}
		}
	}
	for _, method := range r.methods {
		if strings.ToUpper(method) != method || method == "" || strings.ContainsAny(method, " ,|*") {
			o.errorfOf("methods", method, "%q is not a method in capitals: write for example GET", method)
		}
	}
	o.checkEach("snis", r.snis, checkSNI)
	if len(r.snis) > 0 && !slices.Contains(r.protocols, "https") && !slices.Contains(r.protocols, "grpcs") {
		o.errorf("snis", "a request without TLS has no server name: add https to protocols, or remove snis")
	}
	for _, protocol := range r.protocols {
		switch {
		case slices.Contains(streamProtocols, protocol):
			o.errorf("protocols", "routes of %s are not kept: move it to a proxy of layer 4, such as the module caddy-l4", protocol)
		case !slices.Contains([]string{"http", "https", "grpc", "grpcs"}, protocol):
			o.errorf("protocols", "there is no %q: write http, https, grpc or grpcs", protocol)
		}
	}
	if len(r.hosts)+len(r.paths)+len(r.methods)+len(r.snis)+len(r.headers) == 0 {
		o.errorf("", "has no condition: write hosts, paths, methods, headers or snis")
	}
}

// readPathHandling honours v1 where Kong does.
func (r *route) readPathHandling(f *file) {
	if r.pathHandling != "v1" {
		return
	}
	if !f.prefixOnly && !f.settings.traditional {
		r.o.warnf(aboutRouting, "path_handling", "v1 has no effect, as in Kong with its default router: remove it, or set KONG_ROUTER_FLAVOR=traditional")
		r.pathHandling = "v0"
		return
	}
	r.o.warnf(aboutRouting, "path_handling", "v1 joins paths without a slash between them: v0 is the better choice for new routes")
}

// connect finds the service.
func (r *route) connect(f *file) {
	if r.serviceRef != "" {
		r.service = lookup[*service](f, r.o, "service", "services", r.serviceRef)
	}
	if slices.ContainsFunc(r.protocols, isGRPC) {
		r.checkGRPC()
	} else if r.service != nil && r.service.isGRPC() && r.strip && r.o.has("strip_path") && len(r.paths) > 0 {
		r.o.errorf("strip_path", "cannot be true with a service of %s: write false", r.service.protocol)
	}
	if r.service != nil && r.service.isGRPC() || slices.ContainsFunc(r.protocols, isGRPC) {
		r.strip = false
	}
}

// checkGRPC refuses what Kong does not let routes of gRPC have.
func (r *route) checkGRPC() {
	switch o := r.o; {
	case !isEach(r.protocols, isGRPC):
		o.errorf("protocols", "grpc and http exclude each other: write a route for each")
	case len(r.methods) > 0:
		o.errorf("methods", "calls of gRPC are all POST: remove methods")
	case r.strip && o.has("strip_path"):
		o.errorf("strip_path", "the path of gRPC says what is called: write false")
	}
}

func isEach(list []string, is func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !is(s) })
}

// matcher returns the configuration of gluu_route.
func (r *route) matcher() map[string]any {
	m := map[string]any{"id": r.id}
	if r.name != "" {
		m["name"] = r.name
	}
	for name, list := range map[string][]string{"hosts": r.hosts, "paths": r.paths, "methods": r.methods, "snis": r.snis} {
		if len(list) > 0 {
			m[name] = list
		}
	}
	if len(r.headers) > 0 {
		m["headers"] = r.headers
	}
	if !slices.Contains(r.protocols, "http") {
		m["protocols"] = r.protocols
		if r.httpsStatus != 426 {
			m["https_redirect_status_code"] = r.httpsStatus
		}
	}
	if r.regexPriority > 0 {
		m["regex_priority"] = r.regexPriority
	}
	return m
}

// warnTies warns of routes that are alike in all that Kong compares and have a
// host and path in common: of these the first in the file gets the request.
func (f *file) warnTies() {
	seen := make(map[string]*route)
	for _, r := range f.routes {
		shape := fmt.Sprint(len(r.methods) > 0, len(r.hosts) > 0, len(r.headers), len(r.snis) > 0, slices.ContainsFunc(r.hosts, func(h string) bool { return strings.Contains(h, "*") }), r.regexPriority)
		warned := false
		for _, host := range orAny(r.hosts) {
			for _, path := range orAny(r.paths) {
				key := shape + "\x00" + strings.ToLower(host) + "\x00" + path
				other := seen[key]
				if other == nil {
					seen[key] = r
				} else if !warned && other != r && overlap(r.methods, other.methods) {
					r.o.warnf(aboutRouting, "", "%s is alike in all that Kong compares: a request for both goes to that one, which is first in the file", other.o.entity)
					warned = true
				}
			}
		}
	}
}

func orAny(list []string) []string {
	if len(list) == 0 {
		return []string{""}
	}
	return list
}

func overlap(a, b []string) bool {
	return len(a) == 0 || slices.ContainsFunc(a, func(method string) bool { return slices.Contains(b, method) })
}

// takes reports whether a request with this method and path goes to the route, if the rest of
// its conditions holds.
func (r *route) takes(method, path string) bool {
	if len(r.methods) > 0 && !slices.Contains(r.methods, method) {
		return false
	}
	return len(r.paths) == 0 || slices.ContainsFunc(r.paths, func(own string) bool {
		source, isRegex := strings.CutPrefix(own, "~")
		if !isRegex {
			return strings.HasPrefix(path, own)
		}
		expression, err := kongpath.Compile(source)
		if err != nil {
			return false // reported where it was read
		}
		matches, err := expression.Matches(path)
		return matches && err == nil
	})
}
