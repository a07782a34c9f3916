// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Located adds the dispenser's file and line to an error, if there is one.
func Located(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// Unknown refuses the option at the dispenser's position and lists those that
// the block has.
func Unknown(d *caddyfile.Dispenser, block string, options ...string) error {
	return d.Errf("there is no %q in %s: it has %s", d.Val(), block, strings.Join(options, ", "))
}

// Either writes a choice as "a, b or c".
func Either(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
