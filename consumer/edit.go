// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"context"

	"github.com/google/uuid"
)

// Create adds a live consumer and returns it. Without an id it gets a random
// one. Errors: *InvalidError, *ConflictError, ErrNoStore, or what went wrong
// with the storage.
func (d *Directory) Create(ctx context.Context, c Consumer) (*Consumer, error) {
	if d.store == nil {
		return nil, ErrNoStore
	}
	created := &c
	if err := d.prepare(created); err != nil {
		return nil, err
	}
	err := d.store.change(ctx, func(state *draft) (*Consumer, *Consumer, error) {
		return nil, created, state.conflict(created, nil)
	})
	if err != nil {
		return nil, err
	}
	return created, nil
}

// prepare completes and checks a consumer that is to be created.
func (d *Directory) prepare(c *Consumer) error {
	if c.ID == "" {
		c.ID = uuid.NewString()
	}
	if c.CreatedAt == 0 {
		c.CreatedAt = d.store.live.now().Unix()
	}
	return d.check(c)
}

func (d *Directory) check(c *Consumer) error {
	if err := c.normalize(); err != nil {
		return err
	}
	if c.Provider != "" && d.CheckProvider != nil {
		if err := d.CheckProvider(c.Provider); err != nil {
			return &InvalidError{"provider", "is not usable: " + err.Error()}
		}
	}
	if conflict := d.conflict(c); conflict != nil {
		return conflict
	}
	return nil
}

// Update changes a live consumer through a function that is given a copy of
// it, and returns the result. The id cannot be changed. Errors: ErrNotFound,
// ErrConfigured, those of Create, or that of the function.
func (d *Directory) Update(ctx context.Context, usernameOrID string, edit func(*Consumer) error) (*Consumer, error) {
	var updated *Consumer
	err := d.edit(ctx, usernameOrID, func(old *Consumer) (*Consumer, error) {
		if old == nil {
			return nil, ErrNotFound
		}
		c := *old
		if err := edit(&c); err != nil {
			return nil, err
		}
		if id, _ := canonicalID(c.ID); id != old.ID {
			return nil, &InvalidError{"id", "cannot be changed; create another consumer instead"}
		}
		updated = &c
		return updated, d.check(updated)
	})
	if err != nil {
		return nil, err
	}
	return updated, nil
}

// Put creates a live consumer under a username or id, or replaces it wholly.
// It reports whether the consumer is new. Errors: those of Update.
func (d *Directory) Put(ctx context.Context, usernameOrID string, c Consumer) (put *Consumer, created bool, err error) {
	id, isID := canonicalID(usernameOrID)
	err = d.edit(ctx, usernameOrID, func(old *Consumer) (*Consumer, error) {
		put, created = &c, old == nil
		if old != nil {
			id = old.ID
			if c.CreatedAt == 0 {
				c.CreatedAt = old.CreatedAt
			}
		}
		if id != "" && c.ID == "" {
			c.ID = id
		}
		if given, _ := canonicalID(c.ID); id != "" && given != id {
			return nil, &InvalidError{"id", "is not that of the consumer named in the address"}
		}
		switch {
		case !isID && c.Username == "":
			c.Username = usernameOrID
		case !isID && c.Username != usernameOrID:
			return nil, &InvalidError{"username", "is not that of the consumer named in the address"}
		}
		return put, d.prepare(put)
	})
	if err != nil {
		return nil, false, err
	}
	return put, created, nil
}

// Delete removes a live consumer, by its id also where one of the configuration
// has the same. Errors: ErrNotFound, ErrConfigured, ErrNoStore, or what went
// wrong with the storage.
func (d *Directory) Delete(ctx context.Context, usernameOrID string) error {
	edit := d.edit
	if id, isID := canonicalID(usernameOrID); isID && d.store != nil && d.store.live.byID.get(id) != nil {
		edit = d.editLive
	}
	return edit(ctx, usernameOrID, func(old *Consumer) (*Consumer, error) {
		if old == nil {
			return nil, ErrNotFound
		}
		return nil, nil
	})
}

// edit replaces the live consumer of a name by what decide returns for it. A
// live consumer that one of the configuration hides can be reached too, by
// the name that it does not share.
func (d *Directory) edit(ctx context.Context, usernameOrID string, decide func(old *Consumer) (*Consumer, error)) error {
	id, isID := canonicalID(usernameOrID)
	if d.byUsername[usernameOrID] != nil || (isID && d.byID[id] != nil) {
		return ErrConfigured
	}
	if d.store == nil {
		return ErrNoStore
	}
	return d.editLive(ctx, usernameOrID, decide)
}

func (d *Directory) editLive(ctx context.Context, usernameOrID string, decide func(old *Consumer) (*Consumer, error)) error {
	id, isID := canonicalID(usernameOrID)
	return d.store.change(ctx, func(state *draft) (*Consumer, *Consumer, error) {
		var old *Consumer
		if isID {
			old = state.withID(id)
		}
		if old == nil {
			old = state.withUsername(usernameOrID)
		}
		replacement, err := decide(old)
		if err != nil || replacement == nil {
			return old, nil, err
		}
		return old, replacement, state.conflict(replacement, old)
	})
}
