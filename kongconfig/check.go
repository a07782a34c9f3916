// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"errors"
	"fmt"
	"net/netip"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/pathmatch"
)

// This file refuses values that the gateway would refuse when it loads the output,
// where the line of the file is no longer known.

// check refuses a field for an error.
func (o *object) check(field string, err error) {
	if err != nil {
		o.errorf(field, "%v", err)
	}
}

// checkEach refuses a field for each of its values that has an error.
func (o *object) checkEach(field string, values []string, check func(string) error) {
	for _, value := range values {
		if err := check(value); err != nil {
			o.errorfOf(field, value, "%v", err)
		}
	}
}

// maxSeconds is some thirty years. Longer times do not fit into a duration when they
// are added to the date.
const maxSeconds = 1_000_000_000

// seconds reads a time.
func (o *object) seconds(field string) int {
	n := o.number(field, 0, 0)
	if n > maxSeconds {
		o.errorf(field, "%d s is more than thirty years: write at most %d, or 0 for no end", n, maxSeconds)
	}
	return n
}

// scopesOf reads scopes, each of them once.
func scopesOf(o *object, field string) []string {
	var scopes []string
	o.checkEach(field, o.strs(field), authcore.CheckScope)
	for _, scope := range o.strs(field) {
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

func checkRedirectURI(uri string) error { return authcore.CheckRedirectURI(uri, true) }

func checkClientID(id string) error {
	if strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fmt.Errorf("%q has a character that is not printable ASCII, which no client_id can have", id)
	}
	return nil
}

// hashForms are the hashes of secrets that can be verified.
var hashForms = regexp.MustCompile(`^\$(argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{22,}|2[aby]\$\d\d\$[./A-Za-z0-9]{53}|pbkdf2-sha512\$i=[1-9]\d{3,6}(,l=\d+)?\$[A-Za-z0-9+/]{11,}=*\$[A-Za-z0-9+/]{22,}=*)$`)

func checkHash(hash string) error {
	if !hashForms.MatchString(hash) {
		return errors.New("begins like a hash, but is not a complete one: write the hash as Kong or 'caddy gluu hash-secret' has made it, or the secret")
	}
	return nil
}

func checkRealm(realm string) error {
	if strings.ContainsFunc(realm, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }) {
		return fmt.Errorf("%q contains characters that a challenge cannot: use printable ASCII without quotes", realm)
	}
	return nil
}

// checkTokenHeader refuses headers that mean something else.
func checkTokenHeader(name string) error {
	_, err := headers.CanonicalName(name, false)
	if err != nil || slices.ContainsFunc(headers.StandardNames(), func(ours string) bool { return headers.Fold(ours) == headers.Fold(name) }) {
		return fmt.Errorf("%q is not the name of a header that can carry a token: write for example x-access-token", name)
	}
	return nil
}

// checkUserinfo refuses an address with a password.
func checkUserinfo(u *url.URL) error {
	if u.User != nil {
		return errors.New("contains a user name or password, which logs would show: remove them")
	}
	return nil
}

// checkIssuer refuses addresses that cannot be the issuer of an authorization server.
func checkIssuer(u *url.URL) error {
	base, _, metadata := strings.Cut(u.String(), "/.well-known/")
	switch {
	case u.User != nil:
		return checkUserinfo(u)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fmt.Errorf("%q has a query or a fragment: write the address without it", u)
	case metadata:
		return fmt.Errorf("%q is the address of the server's metadata: write %q", u, base)
	}
	return nil
}

// checkHeader refuses names and combinations of custom headers.
func checkHeader(o *object, name string, iterate bool, format string, taken map[string]string) {
	canonical, err := headers.CanonicalName(name, iterate)
	if err != nil {
		o.check("header_name", err)
		return
	}
	if iterate && format == "list" {
		o.errorf("format", "list makes one header of a list, and iterate makes one of each member: write string, base64 or urlencoded")
	}
	canonical = textproto.CanonicalMIMEHeaderKey(canonical)
	if other, ok := taken[canonical]; ok {
		o.errorf("header_name", "%q is set twice (before as %q): remove one of them", name, other)
	}
	taken[canonical] = name
}

// methods of Kong's plugin cors.
var corsMethods = strings.Fields("GET HEAD PUT PATCH POST DELETE OPTIONS TRACE CONNECT")

func checkCORSMethod(method string) error {
	if !slices.Contains(corsMethods, method) {
		return fmt.Errorf("%q is not a method: write some of %s", method, strings.Join(corsMethods, ", "))
	}
	return nil
}

func checkHeaderName(name string) error {
	if name != "*" && !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%q is not the name of a header: use letters, digits and -", name)
	}
	return nil
}

// plainOrigin is an origin that is compared as it is; others are expressions.
var plainOrigin = regexp.MustCompile(`^[A-Za-z0-9.:/-]+$`)

func checkOrigin(origin string) error {
	switch {
	case origin == "*" || origin == "null":
		return nil
	case origin == "":
		return errors.New("has an empty origin: write https://app.example.com, or * for all")
	case plainOrigin.MatchString(origin):
		u, err := url.Parse(origin)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" {
			return fmt.Errorf("%q is not an origin, which has a scheme and a host: write for example https://app.example.com", origin)
		}
		return nil
	case strings.HasPrefix(origin, "*") || strings.Contains(origin, "/*"):
		return fmt.Errorf("%q has a wildcard but is not a regular expression: write for example https://[a-z0-9-]+\\.example\\.com", origin)
	}
	if _, err := pathmatch.CompileRegexp(origin); err != nil {
		return fmt.Errorf("%q is not a valid regular expression: %w", origin, err)
	}
	return nil
}

// checkHashed refuses what is not the name of a header or cookie.
func checkHashed(name, kind string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%q is not the name of a %s, which hash_on needs: use letters, digits, - and _", name, kind)
	}
	return nil
}

func checkSNI(name string) error {
	if _, err := netip.ParseAddr(name); err == nil || name == "" || strings.ContainsAny(name, ": /") {
		return fmt.Errorf("%q is not a name that a client asks for: write a host name without a port", name)
	}
	return nil
}

// finalStatus reads a status that ends a request.
func (o *object) finalStatus(field string, otherwise int) int {
	status := o.number(field, 100, otherwise)
	if status < 200 || status > 599 {
		o.errorf(field, "%d is not the status of a final answer: write one of 200 to 599", status)
	}
	return status
}

// checkFieldValue refuses what no header can carry.
func checkFieldValue(value string) error {
	if !httpguts.ValidHeaderFieldValue(value) {
		return fmt.Errorf("%q has a character that no header can have, such as a line break", value)
	}
	return nil
}

// checkOwnPath refuses what cannot be a path that the gateway answers itself.
func checkOwnPath(path string) error {
	if path == "/" {
		return errors.New(`"/" is the front page, which no one could open any more; choose a path of its own`)
	}
	if err := pathmatch.CheckFixed(path); err != nil {
		return fmt.Errorf("%q %w", path, err)
	}
	return nil
}

// checkPathOrURL refuses what cannot be a place to send browsers to.
func checkPathOrURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || !strings.HasPrefix(text, "/") && (u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("%q is neither a path nor an address: write for example /bye or https://www.example.com/bye", text)
	}
	return nil
}

func checkPort(text string) error {
	if n, err := strconv.Atoi(text); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%q is not a port: write a number of 1 to 65535", text)
	}
	return nil
}
