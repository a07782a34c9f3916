// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/kongpath"
)

// service is an API upstream.
type service struct {
	entity
	enabled        bool
	protocol       string
	host           string // a name, an address, or the name of an upstream
	port           int
	path           string
	retries        int
	connectTimeout int // milliseconds
	writeTimeout   int
	readTimeout    int
	tlsVerify      *bool
	clientCert     string
	authorities    []string
}

// streamProtocols are those of layer 4.
var streamProtocols = []string{"tcp", "tls", "udp", "tls_passthrough", "ws", "wss"}

func (f *file) readService(o *object, _ any, index int) {
	s := &service{entity: entity{o: o, id: o.str("id"), name: o.str("name")}}
	s.enabled = o.boolean("enabled", true)
	s.protocol = o.str("protocol")
	s.host = o.secret("host")
	s.port = o.number("port", 1, 0)
	s.path = o.str("path")
	s.readURL(o)
	s.checkAddress()
	s.retries = o.number("retries", 0, 5)
	s.connectTimeout = o.number("connect_timeout", 1, 60000)
	s.writeTimeout = o.number("write_timeout", 1, 60000)
	s.readTimeout = o.number("read_timeout", 1, 60000)
	if o.has("tls_verify") {
		verify := o.boolean("tls_verify", false)
		s.tlsVerify = &verify
	}
	s.readNarrowerTLS(o)
	s.authorities = o.strs("ca_certificates")
	s.clientCert = reference(o, "client_certificate")
	switch {
	case s.id == "" && s.name == "":
		s.id = kongID("services", fmt.Sprintf("#%d", index+1))
	case s.id == "":
		s.id = kongID("services", s.name)
	}
	f.register(o, "services", s, s.id, s.name)
	f.services = append(f.services, s)
	f.nested(o, s, "routes", "plugins")
}

// readNarrowerTLS reads what narrows the verification of the service's certificate.
func (s *service) readNarrowerTLS(o *object) {
	if sans := o.object("tls_sans"); sans != nil {
		for _, kind := range sans.names {
			if len(sans.strs(kind)) > 0 {
				sans.errorf(kind, "the names in a certificate are not compared with a list: remove tls_sans, and give host the name that the certificate has")
			}
		}
	}
	if o.has("tls_verify_depth") && s.tlsVerify != nil && *s.tlsVerify {
		o.warnf(aboutProtection, "tls_verify_depth", "a chain of certificates may have any length: trust an authority that issues to the service only")
	}
	o.ignore("tls_verify_depth")
}

// readURL takes an address apart that is written as one text.
func (s *service) readURL(o *object) {
	text := o.secret("url")
	if text == "" {
		return
	}
	if s.host != "" || s.port != 0 || s.path != "" {
		o.errorf("url", "already says protocol, host, port and path: remove these, or the url")
	}
	u, err := url.Parse(text)
	switch {
	case strings.Contains(text, "{env."):
		o.errorf("url", "%q refers to the environment as a whole: write protocol, host, port and path, of which host can refer to it", text)
		return
	case err != nil || u.Hostname() == "" || u.Scheme == "":
		o.errorf("url", "%q is not a URL with a host: write for example http://todos.internal:9000", text)
		return
	case u.User != nil:
		o.errorf("url", "contains a user name or password, which Kong ignores: remove it, and set the Authorization header with the plugin request-transformer")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		o.errorf("url", "%q has a query or fragment, which Kong ignores: remove it, and add the query with the plugin request-transformer", text)
	}
	s.protocol, s.host, s.path = u.Scheme, u.Hostname(), u.EscapedPath()
	if port := u.Port(); port != "" {
		o.check("url", checkPort(port))
		s.port, _ = strconv.Atoi(port)
	}
}

// hostWithPort is a name or an address of IPv4, or one of IPv6 in brackets, with a port.
var hostWithPort = regexp.MustCompile(`^([^:]*|\[.*\]):[^:\]]*$`)

func (s *service) checkAddress() {
	if s.protocol == "" {
		s.protocol = "http"
	}
	switch {
	case slices.Contains(streamProtocols, s.protocol):
		s.o.errorf("protocol", "services of %s are not kept: move it to a proxy of layer 4, such as the module caddy-l4", s.protocol)
	case !slices.Contains([]string{"http", "https", "grpc", "grpcs"}, s.protocol):
		s.o.errorf("protocol", "there is no %q: write http, https, grpc or grpcs", s.protocol)
	}
	if s.host == "" {
		s.o.errorf("host", "is required: write host, or url")
	}
	switch {
	case strings.ContainsAny(s.host, "/ @?#"), strings.Contains(s.host, `\{`):
		s.o.errorf("host", "%q is not a host name: write the path in path, and nothing else", strings.ReplaceAll(s.host, `\{`, "{"))
	case hostWithPort.MatchString(s.host):
		s.o.errorf("host", "%q has a port: write it in port", s.host)
	}
	if s.port > 65535 && s.o.has("port") {
		s.o.check("port", checkPort(strconv.Itoa(s.port)))
	}
	if s.port == 0 {
		s.port = 80
		if s.secure() {
			s.port = 443
		}
	}
	if s.path == "" {
		return
	}
	if s.isGRPC() {
		s.o.errorf("path", "a service of %s has no path: remove it", s.protocol)
	}
	if !strings.HasPrefix(s.path, "/") || kongpath.CheckEscapes(s.path) != nil || kongpath.Escape(kongpath.Normalize(s.path)) != s.path {
		s.o.errorf("path", "%q is not a path in its normal form: write %q", s.path, kongpath.Escape(kongpath.Normalize("/"+strings.TrimPrefix(s.path, "/"))))
	}
}

func (s *service) secure() bool { return s.protocol == "https" || s.protocol == "grpcs" }

func (s *service) isGRPC() bool { return isGRPC(s.protocol) }

func isGRPC(protocol string) bool { return strings.HasPrefix(protocol, "grpc") }

// hostHeader is the Host for the upstream if that of the client is not kept.
func (s *service) hostHeader(u *upstream) string {
	if u == nil {
		return hostPort(s.host, s.port, s.secure())
	}
	if u.hostHeader != "" {
		return u.hostHeader
	}
	if u.usesDefaultPorts(s.secure()) {
		return "{http.reverse_proxy.upstream.host}"
	}
	return "{http.reverse_proxy.upstream.hostport}"
}

// hostPort leaves a port out that the protocol implies.
func hostPort(host string, port int, secure bool) string {
	if port == 443 && secure || port == 80 && !secure {
		if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") && !strings.HasPrefix(host, "{") {
			return "[" + host + "]"
		}
		return host
	}
	return joinHostPort(host, port)
}

func joinHostPort(host string, port int) string {
	if strings.HasPrefix(host, "{") {
		return host + ":" + strconv.Itoa(port) // a placeholder
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port))
}

// proxy returns the handler that sends requests to the service.
func (f *file) proxy(s *service, r *route) map[string]any {
	u, _ := f.byRef["upstreams\x00"+s.host].(*upstream)
	handler := map[string]any{"handler": "reverse_proxy", "transport": f.transport(s, u), "headers": map[string]any{"request": map[string]any{"set": f.proxyHeaders(s, r, u)}}}
	balancing := map[string]any{}
	if s.retries > 0 {
		balancing["retries"], balancing["try_interval"] = s.retries, "10ms"
	}
	if u == nil {
		handler["upstreams"] = []any{map[string]any{"dial": joinHostPort(s.host, s.port)}}
	} else {
		if len(u.live()) == 0 {
			return answer(503, "failure to get a peer from the ring-balancer")
		}
		u.addTo(handler, balancing)
	}
	if len(balancing) > 0 {
		handler["load_balancing"] = balancing
	}
	if !r.responseBuffering || s.isGRPC() {
		handler["flush_interval"] = -1
	}
	return handler
}

// proxyHeaders are those that upstreams of Kong get.
func (f *file) proxyHeaders(s *service, r *route, u *upstream) map[string]any {
	set := map[string]any{
		"X-Real-IP":        []string{"{http.vars.client_ip}"},
		"X-Forwarded-Port": []string{"{http.request.local.port}"},
		"X-Forwarded-Path": []string{"{gluu.route.path}"},
	}
	if r.strip && len(r.paths) > 0 {
		set["X-Forwarded-Prefix"] = []string{"{gluu.route.prefix}"}
	}
	if !r.preserveHost {
		set["Host"] = []string{s.hostHeader(u)}
	}
	return set
}

func (f *file) transport(s *service, u *upstream) map[string]any {
	t := map[string]any{
		"protocol": "http", "dial_timeout": milliseconds(s.connectTimeout), "read_timeout": milliseconds(s.readTimeout),
		"write_timeout": milliseconds(s.writeTimeout), "response_header_timeout": milliseconds(s.readTimeout), "compression": false,
	}
	switch {
	case s.protocol == "grpc":
		t["versions"] = []string{"h2c"}
	case s.protocol == "grpcs":
		t["versions"] = []string{"2"}
	default:
		t["versions"] = []string{"1.1"}
	}
	if s.secure() {
		t["tls"] = f.upstreamTLS(s, u)
	}
	return t
}

// upstreamTLS verifies certificates unless the file says not to. Kong does not
// verify unless it is told to.
func (f *file) upstreamTLS(s *service, u *upstream) map[string]any {
	config := map[string]any{}
	if s.tlsVerify != nil && !*s.tlsVerify {
		config["insecure_skip_verify"] = true
	}
	for _, id := range s.authorities {
		if ca := lookup[*authority](f, s.o, "ca_certificates", "ca_certificates", id); ca != nil {
			pool, _ := config["ca"].(map[string]any)
			if pool == nil {
				pool = map[string]any{"provider": "inline"}
				config["ca"] = pool
			}
			trusted, _ := pool["trusted_ca_certs"].([]string)
			pool["trusted_ca_certs"] = append(trusted, ca.der)
		}
	}
	id := s.clientCert
	if id == "" && u != nil {
		id = u.clientCert
	}
	if id != "" {
		if c := lookup[*certificate](f, s.o, "client_certificate", "certificates", id); c != nil {
			s.o.errorf("client_certificate", "Caddy reads a client certificate from files, and %s is in this one: remove it, adapt, and write client_certificate_file and client_certificate_key_file into the transport", c.o.entity)
		}
	}
	return config
}

// warnServices says what changes for services.
func (f *file) warnServices() {
	for _, s := range f.services {
		if !s.secure() {
			continue
		}
		switch {
		case s.tlsVerify == nil:
			s.o.warnf(aboutProtection, "tls_verify", "the certificate of %s is verified now, which Kong did not do: if its authority is not one of the system's, name it in ca_certificates", s.host)
		case !*s.tlsVerify:
			s.o.warnf(aboutProtection, "tls_verify", "the certificate of %s is not verified, as the file says: anyone on the way can read and change requests", s.host)
		}
	}
}

// label is a name for what belongs to the service: its own, where names of
// providers can be like that, or its id.
func (s *service) label() string {
	if providerName.MatchString(s.name) {
		return s.name
	}
	return s.id
}

var providerName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// milliseconds writes a time as people do: 60000 is 1m.
func milliseconds(n int) string {
	text := (time.Duration(n) * time.Millisecond).String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		return short + "m"
	}
	return text
}
