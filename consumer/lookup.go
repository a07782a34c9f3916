// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"errors"
	"slices"
)

// ErrNotLoaded is returned for a consumer that was not found, but may exist:
// the live consumers have not been read from the storage yet.
var ErrNotLoaded = errors.New("the live consumers are not known yet, because the storage could not be read")

// Lookup returns the consumer with the given id or username. Unlike [Find], it
// says why there is none: ErrNotFound or ErrNotLoaded.
//
// [Find]: Directory.Find
func (d *Directory) Lookup(usernameOrID string) (*Consumer, error) {
	ready := d.Ready() // before the lookup, so that a miss is a proof
	return foundOr(d.Find(usernameOrID), ready)
}

// LookupClient returns the consumer whose custom_id is the given OAuth client
// id. Unlike [ByClientID], it says why there is none: ErrNotFound or
// ErrNotLoaded.
//
// [ByClientID]: Directory.ByClientID
func (d *Directory) LookupClient(customID string) (*Consumer, error) {
	ready := d.Ready() // before the lookup, so that a miss is a proof
	return foundOr(d.ByClientID(customID), ready)
}

// HasGroup reports whether there is a consumer in a group. It looks at all
// consumers, so it is not for requests.
func (d *Directory) HasGroup(group string) bool {
	for _, c := range d.byID {
		if slices.Contains(c.Groups, group) {
			return true
		}
	}
	return d.store != nil && d.store.live.has(func(c *Consumer) bool {
		return slices.Contains(c.Groups, group) && d.visible(c) != nil
	})
}

func foundOr(c *Consumer, ready bool) (*Consumer, error) {
	switch {
	case c != nil:
		return c, nil
	case !ready:
		return nil, ErrNotLoaded
	}
	return nil, ErrNotFound
}
