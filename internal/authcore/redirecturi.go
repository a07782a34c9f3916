// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// maxRedirectURI is how long a redirect URI may be.
const maxRedirectURI = 2048

// CheckRedirectURI says why a URI cannot be registered as a redirect URI. Accepted are
// https, http at a literal loopback address, and private-use schemes with a dot (RFC
// 8252). A URI that two readers could understand in two ways is refused, since a code goes
// where the browser thinks that it points. anyHTTP also accepts http at other hosts.
func CheckRedirectURI(text string, anyHTTP bool) error {
	if err := checkSpelling(text); err != nil {
		return err
	}
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Errorf("redirect URI %q is not a URI", text)
	}
	switch scheme := strings.ToLower(u.Scheme); {
	case u.User != nil:
		return fmt.Errorf("redirect URI %q has a user name in it, which makes one host look like another: remove it", text)
	case hasDotSegments(u):
		return fmt.Errorf("redirect URI %q has empty or dot segments, which browsers remove: write the path that is meant", text)
	case scheme == "https":
		return checkHost(text, u)
	case scheme == "http":
		if !anyHTTP && u.Hostname() != "127.0.0.1" && u.Host != "[::1]" && !strings.HasPrefix(u.Host, "[::1]:") {
			return fmt.Errorf("redirect URI %q sends codes in clear: write https, or http://127.0.0.1 or http://[::1] for a program on the user's machine (localhost by name may resolve to another host)", text)
		}
		return checkHost(text, u)
	case !strings.Contains(scheme, "."):
		return fmt.Errorf("redirect URI %q: the scheme is neither https nor one of an app, which has a dot as in com.example.app:/callback (RFC 8252 section 7.1)", text)
	case u.Opaque != "" || u.Host != "" || u.Path == "":
		return fmt.Errorf("redirect URI %q: after the scheme of an app there is one slash and a path, as in com.example.app:/callback (RFC 8252 section 7.1)", text)
	}
	return nil
}

// checkSpelling refuses what no URI can have, or no redirect URI should.
func checkSpelling(text string) error {
	switch {
	case text == "":
		return fmt.Errorf("a redirect URI is empty")
	case len(text) > maxRedirectURI:
		return fmt.Errorf("a redirect URI has %d bytes, %d is the most", len(text), maxRedirectURI)
	case strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("\"\\<>^`{|}", c) }):
		return fmt.Errorf("redirect URI %q has a character that no URI can have: percent-encode it", text)
	case strings.Contains(text, "#"):
		return fmt.Errorf("redirect URI %q has a fragment: remove it (RFC 6749 section 3.1.2)", text)
	case strings.Contains(text, "*"):
		return fmt.Errorf("redirect URI %q has a wildcard: register each URI, they are compared exactly", text)
	}
	return nil
}

func checkHost(text string, u *url.URL) error {
	if u.Hostname() == "" || u.Opaque != "" || strings.Contains(u.Host, "%") {
		return fmt.Errorf("redirect URI %q has no host", text)
	}
	if n, err := strconv.Atoi(u.Port()); strings.HasSuffix(u.Host, ":") || u.Port() != "" && (err != nil || n < 1 || n > 65535) {
		return fmt.Errorf("redirect URI %q has a port that does not exist", text)
	}
	return nil
}

// hasDotSegments reports whether a browser would change the path.
func hasDotSegments(u *url.URL) bool {
	for segment := range strings.SplitSeq(strings.ReplaceAll(u.Path, "\\", "/"), "/") {
		if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
			return true
		}
	}
	return u.Path != "" && strings.HasPrefix(u.Path, "/") && path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") && u.Path != "/"
}

// MatchRedirectURI reports whether a redirect URI is one of those that a client has
// registered: byte for byte, but for the port of a literal loopback address, which the
// client's system chooses (RFC 8252 section 7.3).
func MatchRedirectURI(registered []string, sent string) bool {
	if slices.Contains(registered, sent) {
		return true
	}
	host, rest, ok := cutLoopback(sent)
	return ok && slices.ContainsFunc(registered, func(uri string) bool {
		otherHost, otherRest, ok := cutLoopback(uri)
		return ok && otherHost == host && otherRest == rest
	})
}

// cutLoopback splits an http URI at a literal loopback address around its port.
func cutLoopback(uri string) (host, rest string, ok bool) {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, found := strings.CutPrefix(uri, host)
		if !found {
			continue
		}
		if after, found := strings.CutPrefix(rest, ":"); found {
			digits := len(after) - len(strings.TrimLeft(after, "0123456789"))
			if n, err := strconv.Atoi(after[:digits]); err != nil || n < 1 || n > 65535 || after[0] == '0' {
				return "", "", false
			}
			rest = after[digits:]
		}
		if rest != "" && rest[0] != '/' && rest[0] != '?' || checkSpelling(uri) != nil {
			return "", "", false
		}
		return host, rest, true
	}
	return "", "", false
}
