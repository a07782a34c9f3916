// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// A Once refuses options that stand twice in a block. The second one may be
// years younger than the first, or come from an imported file, and may be the
// one that loosens something: which of the two is meant, only who wrote them
// knows. Its zero value is for a block of which nothing has been read.
type Once struct{ names []string }

// Check refuses the option on which the dispenser stands if its block has had
// it, unless it is one of those whose values add up.
func (o *Once) Check(d *caddyfile.Dispenser, adding ...string) error {
	name := d.Val()
	if slices.Contains(adding, name) {
		return nil
	}
	if slices.Contains(o.names, name) {
		return twice(d)
	}
	o.names = append(o.names, name)
	return nil
}

// Set reads an option that can stand only once into its field. The field tells
// whether it has been there, so this is for options that cannot be set to what
// the field is without them, and sees also what stood in another block for the
// same settings.
func Set[T comparable](d *caddyfile.Dispenser, field *T, read func(*caddyfile.Dispenser) (T, error)) error {
	var without T
	if *field != without {
		return twice(d)
	}
	value, err := read(d)
	*field = value
	return err
}

func twice(d *caddyfile.Dispenser) error {
	return d.Errf("%s stands here twice: keep one of them", d.Val())
}
