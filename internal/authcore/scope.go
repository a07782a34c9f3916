// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// CheckScope refuses anything but a scope-token of RFC 6749 section 3.3.
func CheckScope(scope string) error {
	if scope == "" {
		return errors.New("a scope is empty")
	}
	for _, c := range []byte(scope) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return fmt.Errorf("scope %q has a character that no scope can have (RFC 6749 section 3.3)", scope)
		}
	}
	return nil
}

// ParseScopes reads the parameter `scope`.
func ParseScopes(text string) ([]string, error) {
	var scopes []string
	for scope := range strings.SplitSeq(text, " ") {
		if scope == "" || slices.Contains(scopes, scope) {
			continue
		}
		if CheckScope(scope) != nil {
			return nil, fault(InvalidScope, ReasonScope, "the parameter scope is not a list of scopes with spaces in between")
		}
		scopes = append(scopes, scope)
	}
	return scopes, nil
}

// AllowedScopes are the scopes that a client asks for, or all that it can have if it asks
// for none. One that it cannot have refuses the whole request: the client would
// take a token without it for what it asked for.
func AllowedScopes(asked, allowed []string) ([]string, error) {
	if !isSubset(asked, allowed) {
		return nil, fault(InvalidScope, ReasonScope, "this client cannot have all of the scopes it asks for")
	}
	if len(asked) == 0 {
		return allowed, nil
	}
	return asked, nil
}

// CheckResource says why a text cannot name a resource (RFC 8707 section 2).
func CheckResource(text string) error {
	u, err := url.Parse(text)
	if err != nil || !u.IsAbs() || strings.Contains(text, "#") || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
		return fmt.Errorf("resource %q is not an absolute URI without fragment (RFC 8707 section 2)", text)
	}
	return nil
}

// AllowedResources are the resources that a client asks for, as the server spells them, or
// the first that it can have if it asks for none: a token is never for any resource.
func AllowedResources(asked, allowed []string) ([]string, error) {
	if len(asked) == 0 {
		return allowed[:min(1, len(allowed))], nil
	}
	var resources []string
	for _, text := range asked {
		i := slices.IndexFunc(allowed, func(known string) bool { return isSameResource(known, text) })
		if i < 0 {
			return nil, fault(InvalidTarget, ReasonTarget, "the server does not know a resource of this name, or this client cannot have tokens for it")
		}
		if !slices.Contains(resources, allowed[i]) {
			resources = append(resources, allowed[i])
		}
	}
	return resources, nil
}

// isSameResource compares byte for byte. An empty path is the same as a slash (RFC 3986
// section 6.2.3), which URL parsers add.
func isSameResource(a, b string) bool {
	return a == b || originOnly(a) && a+"/" == b || originOnly(b) && b+"/" == a
}

func originOnly(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.Path == "" && u.RawQuery == "" && !u.ForceQuery
}
