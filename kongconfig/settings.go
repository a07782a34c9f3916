// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// settings are those of kong.conf, read from the variables of Kong's
// container, and our own.
type settings struct {
	plain, secure []string // addresses to listen on
	plainPort     int      // of all in plain; 0: none
	trustedIPs    []string
	realIPHeader  string
	traditional   bool // KONG_ROUTER_FLAVOR
	cert, certKey string
	closeRoutes   bool   // GLUU_KONG_UNSUPPORTED
	rfc           bool   // GLUU_KONG_PROFILE
	debugHeader   bool   // KONG_ALLOW_DEBUG_HEADER
	baseURL       string // GLUU_KONG_BASE_URL
	store         string
	storeKey      string
}

// readSettings reads the environment.
func readSettings(getenv func(string) string, p *problems) settings {
	env := func(name, otherwise string, words ...string) string {
		value := strings.TrimSpace(getenv(name))
		if value == "" {
			return otherwise
		}
		if len(words) > 0 && !slices.Contains(words, value) {
			p.errorf(at{"environment", name, 0}, "there is no %q: write %s", value, either(words))
		}
		return value
	}
	s := settings{
		realIPHeader: env("KONG_REAL_IP_HEADER", "X-Real-IP"),
		cert:         env("KONG_SSL_CERT", ""),
		certKey:      env("KONG_SSL_CERT_KEY", ""),
		closeRoutes:  env("GLUU_KONG_UNSUPPORTED", "refuse", "refuse", "close") == "close",
		rfc:          env("GLUU_KONG_PROFILE", "kong", "kong", "rfc") == "rfc",
		baseURL:      strings.TrimSuffix(env("GLUU_KONG_BASE_URL", ""), "/"),
		debugHeader:  env("KONG_ALLOW_DEBUG_HEADER", "off", "on", "off") == "on",
		store:        env("GLUU_KONG_STORE", ""),
		storeKey:     env("GLUU_KONG_STORE_KEY", ""),
	}
	switch flavor := env("KONG_ROUTER_FLAVOR", "traditional_compatible"); flavor {
	case "traditional_compatible":
	case "traditional":
		s.traditional = true
	default:
		p.errorf(at{"environment", "KONG_ROUTER_FLAVOR", 0}, "routes of the flavor %q are not kept: write traditional_compatible, and routes with hosts, paths and methods", flavor)
	}
	if (s.cert == "") != (s.certKey == "") {
		p.errorf(at{"environment", "KONG_SSL_CERT", 0}, "a certificate needs its key: set KONG_SSL_CERT and KONG_SSL_CERT_KEY")
	}
	s.readTrusted(env("KONG_TRUSTED_IPS", ""), p)
	s.readListen(env("KONG_PROXY_LISTEN", "0.0.0.0:8000, 0.0.0.0:8443 http2 ssl"), p)
	s.checkStore(p)
	return s
}

func (s *settings) readTrusted(list string, p *problems) {
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		_, errPrefix := netip.ParsePrefix(entry)
		_, errAddress := netip.ParseAddr(entry)
		if errPrefix != nil && errAddress != nil {
			p.errorf(at{"environment", "KONG_TRUSTED_IPS", 0}, "%q is not an address or a range of addresses: write for example 10.0.0.0/8", entry)
		}
		s.trustedIPs = append(s.trustedIPs, entry)
	}
}

// readListen reads addresses with flags: "0.0.0.0:8000, 0.0.0.0:8443 http2 ssl".
func (s *settings) readListen(list string, p *problems) {
	where := at{"environment", "KONG_PROXY_LISTEN", 0}
	if list == "off" {
		p.errorf(where, "a gateway that does not listen has no use here: name an address, for example 0.0.0.0:8000")
		return
	}
	for entry := range strings.SplitSeq(list, ",") {
		flags := strings.Fields(entry)
		if len(flags) == 0 {
			continue
		}
		host, port, err := net.SplitHostPort(flags[0])
		number, errPort := strconv.Atoi(port)
		if err != nil || errPort != nil || number < 1 || number > 65535 {
			p.errorf(where, "%q is not an address with a port: write for example 0.0.0.0:8000", flags[0])
			continue
		}
		address := net.JoinHostPort(host, port)
		if host == "0.0.0.0" || host == "::" {
			address = ":" + port
		}
		if slices.Contains(flags, "proxy_protocol") {
			p.errorf(where, "proxy_protocol is not kept: remove it, and let the load balancer send X-Forwarded-For")
		}
		switch {
		case slices.Contains(flags, "ssl"):
			s.secure = append(s.secure, address)
		case s.plainPort != 0 && s.plainPort != number:
			p.errorf(where, "there are two ports without ssl, %d and %d: keep one of them", s.plainPort, number)
		default:
			s.plain, s.plainPort = append(s.plain, address), number
		}
	}
	slices.Sort(s.plain)
	slices.Sort(s.secure)
	s.plain, s.secure = slices.Compact(s.plain), slices.Compact(s.secure)
}

func (s *settings) checkStore(p *problems) {
	if s.store == "" {
		return
	}
	where := at{"environment", "GLUU_KONG_STORE", 0}
	engine, address, _ := strings.Cut(s.store, " ")
	if engine != "postgres" && engine != "redis" || strings.TrimSpace(address) == "" {
		p.errorf(where, "%q is not a store: write postgres <dsn> or redis <url>", engine)
	}
	if s.storeKey == "" {
		p.errorf(where, "a shared store needs a key: set GLUU_KONG_STORE_KEY to a secret of 32 bytes or more, the same on all gateways")
	}
}
