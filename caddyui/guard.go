// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// guard decides which requests are for this site at all, regardless of the role.
type guard struct {
	hosts   []string // in lower case; a leading `*.` stands for one label
	isLocal bool     // loopback names are the site's too
	origins *http.CrossOriginProtection
}

func newGuard(p place) *guard {
	g := &guard{isLocal: p.isLocal, origins: http.NewCrossOriginProtection()}
	for _, host := range p.hosts {
		g.hosts = append(g.hosts, strings.ToLower(strings.Trim(host, "[]")))
	}
	return g
}

// allowsHost reports whether a Host header names this site. A page of another
// name that resolves to this machine does not (DNS rebinding). Ports are not
// compared: a tunnel changes them, and a name is all that an attacker can bend.
func (g *guard) allowsHost(hostport string) bool {
	host := strings.ToLower(hostport)
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = strings.ToLower(name)
	}
	host = strings.Trim(host, "[]")
	if g.isLocal && isLoopbackName(host) {
		return true
	}
	_, parent, _ := strings.Cut(host, ".")
	for _, own := range g.hosts {
		if own == host || parent != "" && own == "*."+parent {
			return true
		}
	}
	return false
}

func isLoopbackName(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// isLocal reports whether no other machine reaches an address of a server.
func isLocal(address string) bool {
	parsed, err := caddy.ParseNetworkAddress(address)
	return err == nil && (parsed.IsUnixNetwork() || isLoopbackName(parsed.Host))
}

// address is where a browser opens the pages of a local site.
func (p place) address(prefix string) string {
	scheme, host, port := "http", "localhost", ""
	if p.isSecure {
		scheme = "https"
	}
	for _, listen := range p.listen {
		if parsed, err := caddy.ParseNetworkAddress(listen); err == nil && !parsed.IsUnixNetwork() {
			host, port = parsed.Host, portOf(parsed)
			break
		}
	}
	for _, name := range p.hosts {
		if isLoopbackName(strings.Trim(name, "[]")) {
			host = strings.Trim(name, "[]")
			break
		}
	}
	if port == "" {
		return scheme + "://" + host + prefix + "/open"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + prefix + "/open"
}

func portOf(address caddy.NetworkAddress) string {
	_, port, err := net.SplitHostPort(address.JoinHostPort(0))
	if err != nil {
		return ""
	}
	return port
}

// changeTokens makes the tokens that a change needs beside the cookie: each is the
// MAC of what identifies the session, so that none has to be stored, and one that
// another session was given is worth nothing.
type changeTokens string

func (key changeTokens) of(session string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte("gluu_ui change\x00" + session))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (key changeTokens) isValid(session, token string) bool {
	return hmac.Equal([]byte(key.of(session)), []byte(token))
}
