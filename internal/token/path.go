// SPDX-License-Identifier: Apache-2.0

package token

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-gluu/gateway/internal/strictjson"
	"github.com/caddy-gluu/gateway/jose"
)

// ClaimPath leads to a claim: the name of a member, then those of members within
// it.
type ClaimPath []string

// ParseClaimPath reads a path such as `scope`, `realm_access.roles`,
// `resource_access["todo.api"].roles` or `["https://example.com/roles"]`. Names
// are separated by dots; one that contains a dot is written in brackets and quotes.
func ParseClaimPath(text string) (ClaimPath, error) {
	if before, _, _ := strings.Cut(text, "["); strings.Contains(before, "://") {
		return nil, fmt.Errorf("a claim whose name is an address is written in brackets and quotes: '[%q]'", text)
	}
	var path ClaimPath
	rest := text
	for {
		name, after, err := cutName(rest)
		if err != nil {
			return nil, err
		}
		path = append(path, name)
		switch {
		case after == "":
			return path, nil
		case after[0] == '[':
			rest = after
		case after[0] == '.' && !strings.HasPrefix(after, ".["):
			rest = after[1:]
		default:
			return nil, fmt.Errorf("%q cannot follow %q: separate names with dots", after, name)
		}
	}
}

// cutName cuts the first name off a path.
func cutName(path string) (name, rest string, err error) {
	if quoted, isQuoted := strings.CutPrefix(path, `["`); isQuoted {
		end := closingQuote(quoted)
		if end < 0 || !strings.HasPrefix(quoted[end+1:], "]") {
			return "", "", fmt.Errorf(`%q does not end with '"]'`, path)
		}
		if name, err = strictjson.Unquote(path[1 : 1+end+2]); err != nil {
			return "", "", fmt.Errorf("%q is not a name in JSON's notation: %w", path, err)
		}
		rest = quoted[end+2:]
	} else {
		end := strings.IndexAny(path, ".[")
		if strings.HasPrefix(path, "[") {
			end = -1 // a bracket without quotes
		}
		if end < 0 {
			end = len(path)
		}
		name, rest = path[:end], path[end:]
		if strings.ContainsAny(name, " \t\"'`[]{}") {
			return "", "", fmt.Errorf(`%q is not a name: write '["..."]' around one with such characters`, name)
		}
	}
	if name == "" {
		return "", "", errors.New("a name in it is empty")
	}
	return name, rest, nil
}

// closingQuote returns where a JSON string ends that began before text, -1 if it
// does not.
func closingQuote(text string) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// find returns the value that the path leads to, and whether there is one.
func (p ClaimPath) find(claims jose.Object) (jose.Value, bool) {
	for _, name := range p[:len(p)-1] {
		value, ok := claims.Get(name)
		if !ok {
			return jose.Value{}, false
		}
		inner, err := value.Object()
		if err != nil {
			return jose.Value{}, false
		}
		claims = inner
	}
	return claims.Get(p[len(p)-1])
}

// isScope reports whether the path leads to a claim whose text is a list of
// scopes (RFC 8693, section 4.2).
func (p ClaimPath) isScope() bool {
	return len(p) == 1 && (p[0] == "scope" || p[0] == "scp")
}
