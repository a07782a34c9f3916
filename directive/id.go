// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// SetID reads the option `id` of a handler, which becomes Caddy's `@id`: the
// handler's address in the admin API is then /id/<name>, wherever it is in the
// configuration.
func SetID(d *caddyfile.Dispenser, field *string) error {
	if err := SetString(d, field); err != nil {
		return err
	}
	if *field == "" || strings.ContainsFunc(*field, func(c rune) bool { return !isIDRune(c) }) {
		return d.Errf("id %q cannot be a part of an address: use letters, digits and -._ only, such as 'id todo-rules'", *field)
	}
	return nil
}

func isIDRune(c rune) bool {
	return c == '-' || c == '.' || c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
