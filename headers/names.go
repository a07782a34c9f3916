// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
)

// maxNameLength bounds a configured name; a real one has 20 to 40 bytes.
const maxNameLength = 128

// foreign are the headers, folded, that are not the gateway's to set: those
// that frame a message or end at the next hop, that carry the client's
// credentials, or that a proxy writes itself. Each of them would also be
// removed from all requests, which no site survives.
var foreign = map[string]struct{}{
	"authorization": {}, "cookie": {}, "dpop": {}, "proxy-authorization": {}, "proxy-authenticate": {},
	"host": {}, "content-length": {}, "content-type": {}, "content-encoding": {}, "date": {}, "expect": {}, "origin": {}, "range": {},
	"connection": {}, "keep-alive": {}, "proxy-connection": {}, "te": {}, "trailer": {}, "transfer-encoding": {}, "upgrade": {},
	"http2-settings": {}, "proxy": {},
	"forwarded": {}, "via": {}, "early-data": {},
}

// foldedStandard is the standard set, folded.
var foldedStandard = func() []string {
	names := StandardNames()
	for i, name := range names {
		names[i] = Fold(name)
	}
	return names
}()

// notOurs reports whether a folded name is one that the gateway never sets.
func notOurs(folded string) bool {
	_, ok := foreign[folded]
	return ok || strings.HasPrefix(folded, "sec-") || strings.HasPrefix(folded, "x-forwarded-") || strings.HasPrefix(folded, "access-control-")
}

// CanonicalName returns a configured header name as it is sent: in the
// canonical form of http.Header, and with `-` for every `_`, because many
// servers drop names with an underscore silently. An error says why the name
// cannot be set and what to write instead.
func CanonicalName(name string, iterate bool) (string, error) {
	canonical := strings.ReplaceAll(name, "_", "-")
	prefix, suffix, found := strings.Cut(canonical, Wildcard)
	switch {
	case name == "":
		return "", errors.New("a header needs a name")
	case len(name) > maxNameLength:
		return "", fmt.Errorf("header name of %d bytes: at most %d are allowed", len(name), maxNameLength)
	case iterate && !found:
		return "", fmt.Errorf("header name %q has no %s: the header is set once per key, so write where the key goes, for example %q", name, Wildcard, name+"-"+Wildcard)
	case !iterate && found:
		return "", fmt.Errorf("header name %q has a %s, which only iteration replaces: write header_each (in JSON \"iterate\": true)", name, Wildcard)
	case strings.Contains(suffix, Wildcard):
		return "", fmt.Errorf("header name %q has more than one %s: write it once", name, Wildcard)
	case !isToken(prefix + "x" + suffix):
		return "", fmt.Errorf("%q is not a valid header name: use letters, digits and -", name)
	case iterate && !hasLetterOrDigit(prefix):
		return "", fmt.Errorf("header name %q begins with the key, so it could become any header: write a prefix, for example %q", name, "X-Token-"+Wildcard)
	case !iterate && notOurs(Fold(canonical)):
		return "", fmt.Errorf("header %q is not the gateway's to set: choose a name of your own, for example %q", name, "X-Token-"+canonical)
	}
	if iterate {
		return canonical, nil // made canonical with the key
	}
	return textproto.CanonicalMIMEHeaderKey(canonical), nil
}

func hasLetterOrDigit(s string) bool {
	return strings.Trim(Fold(s), "-") != ""
}

// keyedName returns the name of the header that an iterated object sets for one
// of its keys; false if the key is not valid in a name, or would form a name
// that is not the gateway's to set or belongs to the standard set: a claim does
// not say who the consumer is.
func keyedName(name, key string) (string, bool) {
	key = strings.ReplaceAll(key, "_", "-")
	if key == "" || len(key) > maxNameLength || !isToken(key) {
		return "", false
	}
	name = textproto.CanonicalMIMEHeaderKey(strings.Replace(name, Wildcard, key, 1))
	folded := Fold(name)
	return name, !notOurs(folded) && !slices.Contains(foldedStandard, folded)
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2), the only
// thing that a header name can be.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; class(foldByte(c)) == otherClass && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
