// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"net/http"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/caddy-gluu/gateway/internal/provider"
)

// Scheme is how a token is presented (RFC 9110, section 11.1).
type Scheme string

const (
	Bearer Scheme = "Bearer" // RFC 6750
	DPoP   Scheme = "DPoP"   // RFC 9449
)

// Credential is what a request presents. Without a token it is empty.
type Credential struct {
	Scheme Scheme
	Token  string
}

// Errors of ReadCredential. Their text is for the client.
var (
	errSeveralCredentials = errors.New("the request has more than one Authorization header")
	errMissingToken       = errors.New("the Authorization header has no token: send 'Authorization: Bearer <token>'")
	errTokenCharacters    = errors.New("the token contains characters that no token has (RFC 6750, section 2.1)")
)

// ReadCredential reads the token from the Authorization header. A missing
// header, an empty one and one of another scheme do not count as a credential.
// An error means that the header is malformed, and its text says how, for the
// client. Which characters the token is made of is left to CheckToken.
//
// Tokens in the query or in a form are not looked for (RFC 6750, sections 2.2
// and 2.3): they end up in logs and histories. A takeout does, where that is
// configured.
func ReadCredential(h http.Header) (Credential, error) {
	return readCredential(h, provider.DefaultMaxToken)
}

func readCredential(h http.Header, most int) (Credential, error) {
	values := h["Authorization"]
	if len(values) == 0 {
		return Credential{}, nil
	}
	if len(values) > 1 {
		return Credential{}, errSeveralCredentials
	}
	value := strings.Trim(values[0], " \t")
	name, token := value, ""
	for i := range len(value) {
		if value[i] == ' ' || value[i] == '\t' {
			// One or more spaces, says RFC 6750, section 2.1. A tab stays and is
			// no character of a token.
			name, token = value[:i], strings.TrimLeft(value[i:], " ")
			break
		}
	}
	var scheme Scheme
	switch {
	case strings.EqualFold(name, string(Bearer)):
		scheme = Bearer
	case strings.EqualFold(name, string(DPoP)):
		scheme = DPoP
	default:
		return Credential{}, nil
	}
	switch {
	case token == "":
		return Credential{}, errMissingToken
	case len(token) > most:
		return Credential{}, tooLong(most)
	}
	return Credential{scheme, token}, nil
}

// tooLong is the error for a token of more than so many bytes.
type tooLong int

func (e tooLong) Error() string {
	return "the token is longer than " + humanize.IBytes(uint64(e))
}

// CheckToken refuses a token that contains what no token does, with a text
// for the client. A token that has been verified needs no such check, and most
// requests bring one of those.
func (c Credential) CheckToken() error {
	if !isToken68(c.Token) {
		return errTokenCharacters
	}
	return nil
}

// token68 holds the characters of a token68 before its padding.
var token68 = func() (table [256]bool) {
	for i := range table {
		c := byte(i)
		table[i] = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~+/", c) >= 0
	}
	return table
}()

// isToken68 reports whether s is a token68 (RFC 9110, section 11.2): letters,
// digits and -._~+/ with any number of = at the end.
func isToken68(s string) bool {
	text := strings.TrimRight(s, "=")
	for i := range len(text) {
		if !token68[text[i]] {
			return false
		}
	}
	return text != ""
}
