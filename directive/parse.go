// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"math"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
)

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
	return false, d.Errf("%s is true or false, not %q", name, value)
}

// Flag parses the value of a subdirective that can be true or false, and is true
// where it stands without a value.
func Flag(d *caddyfile.Dispenser) (bool, error) {
	if d.CountRemainingArgs() == 0 {
		return true, nil
	}
	return Bool(d)
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

// SetString reads the one argument of a subdirective that may be set only once
// into its field. The argument must not be empty.
func SetString(d *caddyfile.Dispenser, field *string) error {
	return Set(d, field, func(d *caddyfile.Dispenser) (string, error) {
		name := d.Val()
		value, err := String(d)
		if err == nil && value == "" {
			err = d.Errf("%s is empty: write a value or remove it", name)
		}
		return value, err
	})
}

// AddStrings appends the arguments of a subdirective that may be repeated to its
// field.
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
		return 0, d.Errf("%s is a duration such as 5s, 10m or 1h, not %q", name, value)
	}
	if parsed < 0 {
		return 0, d.Errf("%s cannot be negative, got %s", name, parsed)
	}
	return caddy.Duration(parsed), nil
}

// Positive reads the one argument of the current subdirective as a whole number
// of 1 or more.
func Positive(d *caddyfile.Dispenser) (int, error) {
	name := d.Val()
	value, err := String(d)
	if err != nil {
		return 0, err
	}
	number, err := strconv.Atoi(value)
	if err != nil || number < 1 {
		return 0, d.Errf("%s is a whole number of at least 1, not %q", name, value)
	}
	return number, nil
}

// Bytes reads the one argument of the current subdirective as a size in bytes,
// such as 256MiB, of 1 or more.
func Bytes(d *caddyfile.Dispenser) (int64, error) {
	name := d.Val()
	value, err := String(d)
	if err != nil {
		return 0, err
	}
	size, err := humanize.ParseBytes(value)
	if err != nil || size < 1 || size > math.MaxInt64 {
		return 0, d.Errf("%s is a size such as 256MiB or 64KiB, not %q", name, value)
	}
	return int64(size), nil
}
