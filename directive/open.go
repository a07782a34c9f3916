// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Begin consumes the name of a directive and returns a dispenser that stays on
// it, for errors about the directive as a whole.
func Begin(d *caddyfile.Dispenser) *caddyfile.Dispenser {
	d.Next()
	return At(d.Token())
}

// BeginBlock is Begin for a directive whose options are all in its block. It
// refuses a value after the name and tells what to write instead: hint is a
// format that may quote the value, such as "write 'origins %s' into the block".
func BeginBlock(d *caddyfile.Dispenser, hint string) (start *caddyfile.Dispenser, err error) {
	start = Begin(d)
	if d.NextArg() {
		return start, d.Errf("%s takes a block and no value, got %q: %s", start.Val(), d.Val(), fmt.Sprintf(hint, d.Val()))
	}
	return start, nil
}

// BeginNamed is Begin for a directive that takes one optional value before its
// block: what says what the value names.
func BeginNamed(d *caddyfile.Dispenser, what string, value *string) (start *caddyfile.Dispenser, err error) {
	start = Begin(d)
	if d.NextArg() {
		*value = d.Val()
	}
	if d.NextArg() {
		return start, d.Errf("%s takes one %s, got %q as well: remove one of them", start.Val(), what, d.Val())
	}
	return start, nil
}

// At returns a dispenser positioned on a token, for errors about something that
// was read earlier.
func At(token caddyfile.Token) *caddyfile.Dispenser {
	d := caddyfile.NewDispenser([]caddyfile.Token{token})
	d.Next()
	return d
}
