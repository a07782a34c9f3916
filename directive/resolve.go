// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// HasPlaceholder reports whether a value can be checked only once Resolve has
// been called for it.
func HasPlaceholder(value string) bool { return strings.Contains(value, "{") }

// ErrEmpty is returned by Resolve for a placeholder without a value. With an
// empty secret the gateway would run without one.
var ErrEmpty = errors.New("resolves to nothing")

// placeholder matches one, and also the backslash that makes Caddy take it as a text.
var placeholder = regexp.MustCompile(`\\?\{[^{}\s]+\}`)

// Resolve replaces the placeholders that Caddy knows when a configuration loads
// ({env.X}, {file./path}). All others are refused: request data must never
// choose a secret or an address. A backslash before a brace makes it a part of the
// value. The error names the placeholder, never the value.
func Resolve(value string) (string, error) {
	if err := CheckPlaceholders(value); err != nil {
		return "", err
	}
	resolved, err := caddy.NewReplacer().ReplaceOrErr(value, true, true)
	if err != nil {
		return "", fmt.Errorf("%w: %w; set it before the gateway starts", ErrEmpty, err)
	}
	// A file that holds a secret usually ends with a line feed, which is
	// not part of it.
	if resolved != value {
		resolved = strings.TrimRight(resolved, "\r\n")
	}
	if value != "" && resolved == "" {
		return "", fmt.Errorf("%s %w; set it before the gateway starts", value, ErrEmpty)
	}
	return resolved, nil
}

// CheckPlaceholders refuses the placeholders that Resolve refuses whatever their
// values. A Caddyfile parser calls it, to name the line.
func CheckPlaceholders(value string) error {
	for _, name := range placeholder.FindAllString(value, -1) {
		if !strings.HasPrefix(name, `\`) && !strings.HasPrefix(name, "{env.") && !strings.HasPrefix(name, "{file.") {
			return fmt.Errorf("%s is not known when the configuration loads; only {env.NAME} and {file./path} can be used here", name)
		}
	}
	return nil
}
