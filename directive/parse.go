// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Begin consumes the name of a directive. What it returns stands on the first
// line of the directive, for errors that are about the whole of it.
func Begin(d *caddyfile.Dispenser) *caddyfile.Dispenser {
	d.Next()
	return At(d.Token())
}

// At returns a dispenser that stands on a token, for errors that are about
// what was read before.
func At(token caddyfile.Token) *caddyfile.Dispenser {
	d := caddyfile.NewDispenser([]caddyfile.Token{token})
	d.Next()
	return d
}

// Bool reads the one argument of the current subdirective as a boolean:
// true, false, on or off.
func Bool(d *caddyfile.Dispenser) (bool, error) {
	name := d.Val()
	var value string
	if !d.AllArgs(&value) {
		return false, d.Errf("%s takes one value: write '%s true' or '%s false'", name, name, name)
	}
	switch value {
	case "true", "on":
		return true, nil
	case "false", "off":
		return false, nil
	}
	return false, d.Errf("%s is true or false, not '%s'", name, value)
}

// String reads the one argument of the current subdirective.
func String(d *caddyfile.Dispenser) (string, error) {
	name, count := d.Val(), d.CountRemainingArgs()
	var value string
	if !d.AllArgs(&value) {
		return "", d.Errf("%s takes exactly one value, got %d", name, count)
	}
	return value, nil
}

// Strings reads one or more arguments of the current subdirective.
func Strings(d *caddyfile.Dispenser) ([]string, error) {
	name := d.Val()
	values := d.RemainingArgs()
	if len(values) == 0 {
		return nil, d.Errf("%s takes one or more values, got none", name)
	}
	return values, nil
}

// SetString reads the one argument of a subdirective that can stand only once
// into its field. Neither may be empty.
func SetString(d *caddyfile.Dispenser, field *string) error {
	return Set(d, field, func(d *caddyfile.Dispenser) (string, error) {
		name := d.Val()
		value, err := String(d)
		if err == nil && value == "" {
			err = d.Errf("%s is empty: write a value, or leave it out", name)
		}
		return value, err
	})
}

// AddStrings adds the arguments of a subdirective that can stand several times
// to its field.
func AddStrings(d *caddyfile.Dispenser, field *[]string) error {
	values, err := Strings(d)
	*field = append(*field, values...)
	return err
}

// Duration reads the one argument of the current subdirective as a duration
// that is not negative, in Caddy's notation (5s, 10m, 1h, 7d).
func Duration(d *caddyfile.Dispenser) (caddy.Duration, error) {
	name := d.Val()
	value, err := String(d)
	if err != nil {
		return 0, err
	}
	parsed, err := caddy.ParseDuration(value)
	if err != nil {
		return 0, d.Errf("%s is a duration such as 5s, 10m or 1h, not '%s'", name, value)
	}
	if parsed < 0 {
		return 0, d.Errf("%s cannot be negative, got %s", name, time.Duration(parsed))
	}
	return caddy.Duration(parsed), nil
}

// ErrEmptySecret is what Secret returns for a placeholder that stands for
// nothing. Going on with an empty secret would mean to run without one.
var ErrEmptySecret = errors.New("resolves to nothing")

var placeholder = regexp.MustCompile(`\{[^{}\s]+\}`)

// Secret resolves the placeholders that Caddy knows when a configuration
// loads ({env.X}, {file./path}) in a configured value. Anything else in
// braces is refused: request data must never choose a secret or an address.
// The error names the placeholder, never the value.
func Secret(value string) (string, error) {
	for _, name := range placeholder.FindAllString(value, -1) {
		if !strings.HasPrefix(name, "{env.") && !strings.HasPrefix(name, "{file.") {
			return "", fmt.Errorf("%s is not known when the configuration loads; only {env.NAME} and {file./path} can stand here", name)
		}
	}
	resolved, err := caddy.NewReplacer().ReplaceOrErr(value, true, true)
	if err != nil {
		return "", fmt.Errorf("%w: %v; set it before the gateway starts", ErrEmptySecret, err)
	}
	// A file that holds a secret usually ends with a line feed, which is
	// not part of it.
	if resolved != value {
		resolved = strings.TrimRight(resolved, "\r\n")
	}
	if value != "" && resolved == "" {
		return "", fmt.Errorf("%s %w; set it before the gateway starts", value, ErrEmptySecret)
	}
	return resolved, nil
}
