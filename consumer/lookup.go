// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"errors"
	"math"
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

// OfClient returns the consumers with an OAuth client id as their custom_id,
// whatever provider they name, in the order of their ids. An error is ErrNotLoaded:
// none was found, but there may be one.
func (d *Directory) OfClient(customID string) (found []*Consumer, err error) {
	ready := d.Ready() // before the lookup, so that a miss is a proof
	if c := d.ByClient("", customID); c != nil {
		found = append(found, c)
	}
	if d.hasNamed() {
		found = d.scan(customID)
	}
	if len(found) == 0 && !ready {
		return nil, ErrNotLoaded
	}
	return found, nil
}

// scan finds the consumers of a client by looking at all consumers.
func (d *Directory) scan(customID string) (found []*Consumer) {
	ofClient := func(c *Consumer) *Consumer {
		if c.CustomID != customID {
			return nil
		}
		return d.visible(c)
	}
	for _, c := range d.byID {
		if c.CustomID == customID {
			found = append(found, c)
		}
	}
	if d.store != nil {
		found = append(found, d.store.list("", math.MaxInt, ofClient)...)
	}
	slices.SortFunc(found, byID)
	return found
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
