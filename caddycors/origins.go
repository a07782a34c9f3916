// SPDX-License-Identifier: Apache-2.0

package caddycors

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/pathmatch"
)

// origins are the configured origins, ready to be looked at.
type origins struct {
	all         bool
	exact       []string // normal
	expressions []expression
	loose       []string // expressions in which a dot matches any character
}

// expression is a regular expression over origins, or over their hosts.
type expression struct {
	pathmatch.Regexp
	byHost bool
}

// plain matches an entry that is not an expression, as in Kong.
var plain = regexp.MustCompile(`^[A-Za-z0-9.:/-]+$`)

func parseOrigins(entries []string) (*origins, error) {
	o := &origins{all: len(entries) == 0}
	for _, entry := range entries {
		var err error
		switch {
		case entry == "":
			err = errors.New("an origin is empty: write https://app.example.com, or * for all")
		case entry == "*":
			o.all = true
		case entry == "null":
			// What a browser says for a page that has no origin, a local file
			// or a sandboxed frame of any page.
			o.exact = append(o.exact, entry)
		case plain.MatchString(entry):
			err = o.addExact(entry)
		default:
			err = o.addExpression(entry)
		}
		if err != nil {
			return nil, fmt.Errorf("origins: %w", err)
		}
	}
	return o, nil
}

func (o *origins) addExact(entry string) error {
	u, err := url.Parse(entry)
	switch {
	case err != nil || u.Scheme == "" || u.Hostname() == "":
		return fmt.Errorf("%q is not a valid origin, which begins with a scheme: write https://%[1]s", entry)
	case u.Path != "":
		return fmt.Errorf("origin %q has a path: write %s://%s", entry, u.Scheme, u.Host)
	}
	o.exact = append(o.exact, normal(u))
	return nil
}

func (o *origins) addExpression(entry string) error {
	if strings.HasPrefix(entry, "*") || strings.Contains(entry, "/*") {
		return fmt.Errorf("origin %q has a wildcard but is not a regular expression: write %s", entry, wildcardAsExpression(entry))
	}
	compiled, err := pathmatch.CompileRegexp(entry)
	if err != nil {
		return fmt.Errorf("origin %q is not a valid regular expression: %w", entry, err)
	}
	o.expressions = append(o.expressions, expression{compiled, !strings.Contains(entry, ":")})
	if looseDot.MatchString(entry) {
		o.loose = append(o.loose, entry)
	}
	return nil
}

// looseDot finds a dot that was meant literally: it precedes a letter and is
// not escaped. With it `https://.*.example.com` allows
// https://evil-example.com.
var looseDot = regexp.MustCompile(`(^|[^\\])\.[A-Za-z]`)

func wildcardAsExpression(entry string) string {
	quoted := strings.ReplaceAll(entry, ".", `\.`)
	return strings.ReplaceAll(quoted, "*", "[a-z0-9-]+")
}

// checkCredentials refuses credentials for everybody: any page that a user
// opens could act as that user.
func (o *origins) checkCredentials() error {
	if o.all {
		return errors.New("credentials true for all origins would let every web page act as its visitor: name the origins (origins https://app.example.com), or leave out credentials")
	}
	if slices.Contains(o.exact, "null") {
		return errors.New("credentials true for the origin 'null' would let every web page act as its visitor, since any page can have a frame without an origin: leave out null, or credentials")
	}
	unknown := strings.ToLower(rand.Text())
	for _, e := range o.expressions {
		if slices.ContainsFunc([]string{"https://" + unknown + ".invalid", "http://" + unknown + ".invalid:8080", "https://" + unknown}, e.allows) {
			return fmt.Errorf("credentials true with the origins %q would let every web page act as its visitor: the expression matches any origin; write the domain into it", e)
		}
	}
	return nil
}

// allow reports whether pages of an origin may use the API.
func (o *origins) allow(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	name := origin
	if origin != "null" {
		if name = normal(u); !strings.EqualFold(name, withoutDefaultPort(origin)) {
			return false // a path, a user name or the like: no browser says so
		}
	}
	if slices.Contains(o.exact, name) {
		return true
	}
	return slices.ContainsFunc(o.expressions, func(e expression) bool { return e.allows(name) })
}

func (e expression) allows(origin string) bool {
	if e.byHost {
		u, err := url.Parse(origin)
		return err == nil && e.MatchWhole(u.Hostname())
	}
	return e.MatchWhole(origin)
}

// normal returns an origin as a browser writes it: lower case, and no port where
// it is the scheme's own.
func normal(u *url.URL) string {
	return withoutDefaultPort(strings.ToLower(u.Scheme + "://" + u.Host))
}

func withoutDefaultPort(origin string) string {
	lower := strings.ToLower(origin)
	switch {
	case strings.HasPrefix(lower, "https://"):
		return strings.TrimSuffix(origin, ":443")
	case strings.HasPrefix(lower, "http://"):
		return strings.TrimSuffix(origin, ":80")
	}
	return origin
}
