// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// A Once refuses options that are set twice in a block. The second one may have
// been added years later or by an imported file, and it may be the one that
// loosens something. Only the author knows which of the two is meant. The zero
// value is for a block of which nothing has been read.
type Once struct{ names []string }

// Check refuses the option at the dispenser's position if its block has set it
// before. Options whose values add up, named in adding, may be repeated.
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

// EachOption reads the options of the block that follows, each once except for those
// named in adding, whose values add up. option reads the one at the dispenser's
// position.
func EachOption(d *caddyfile.Dispenser, option func(*caddyfile.Dispenser) error, adding ...string) error {
	var once Once
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.Check(d, adding...); err != nil {
			return err
		}
		if err := option(d); err != nil {
			return err
		}
	}
	return nil
}

// Set reads an option that may be set only once into its field. A field that
// is not zero has been set, also by an earlier block for the same settings, so
// this is for options whose zero value cannot be written.
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
	return d.Errf("%s is set twice: keep one of them", d.Val())
}
