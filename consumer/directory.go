// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Directory looks consumers up. It is safe for concurrent use.
type Directory struct {
	// Consumers of the configuration, immutable.
	byID       map[string]*Consumer
	byUsername map[string]*Consumer
	byClient   map[string]*Consumer // by clientKey
	named      bool                 // a consumer of the configuration names a provider
	configured func() []*Consumer   // in the order of their ids, sorted when first listed

	store *Store

	// CheckProvider refuses the name of a provider that does not exist, in a
	// consumer that is created or changed. Set it before the first use; nil: any
	// name will do.
	CheckProvider func(name string) error
}

// NewDirectory joins the consumers of the configuration with those of a
// store, which may be nil. It refuses consumers that are not valid, and two
// of the configuration with the same id, username or custom_id.
func NewDirectory(static []Consumer, store *Store) (*Directory, error) {
	d := &Directory{
		byID:       make(map[string]*Consumer, len(static)),
		byUsername: make(map[string]*Consumer, len(static)),
		byClient:   make(map[string]*Consumer, len(static)),
		store:      store,
	}
	all := slices.Clone(static) // one block of memory, and the configuration stays as it is
	for i := range all {
		c := &all[i]
		if err := c.normalize(); err != nil {
			return nil, fmt.Errorf("consumer %s: %w", describe(c, i), err)
		}
		for _, unique := range []struct {
			in         map[string]*Consumer
			field, key string
		}{{d.byUsername, "username", c.Username}, {d.byClient, "custom_id", clientKeyOf(c)}, {d.byID, "id", c.ID}} {
			if unique.key == "" {
				continue
			}
			if other, taken := unique.in[unique.key]; taken {
				return nil, fmt.Errorf("consumers %s and %s have the same %s %q: give each its own",
					describe(other, -1), describe(c, i), unique.field, newConflict(unique.field, c, true).Value)
			}
			unique.in[unique.key] = c
		}
		d.named = d.named || c.Provider != ""
	}
	d.configured = sync.OnceValue(func() []*Consumer { return sorted(d.byID) })
	return d, nil
}

func byID(a, b *Consumer) int { return cmp.Compare(a.ID, b.ID) }

func describe(c *Consumer, position int) string {
	if name := c.Name(); name != "" {
		return strconv.Quote(name)
	}
	return fmt.Sprintf("number %d", position+1)
}

// ByClient returns the consumer whose custom_id is the given OAuth client id, or
// nil: one that names this provider, else one that names none. As long as the
// consumer does not change, the pointer is the same at every call.
func (d *Directory) ByClient(provider, customID string) *Consumer {
	if customID == "" {
		return nil
	}
	if d.hasNamed() {
		if strings.IndexByte(customID, 0) >= 0 {
			return nil // a token cannot write the name of another provider into its client id
		}
		if c := d.byClientOf(provider, customID); c != nil {
			return c
		}
	}
	if c, ok := d.byClient[customID]; ok {
		return c
	}
	if d.store == nil {
		return nil
	}
	return d.visible(d.store.live.byClient.get(customID))
}

// byClientOf returns the consumer that names this provider, or nil.
func (d *Directory) byClientOf(provider, customID string) *Consumer {
	if provider == "" {
		return nil
	}
	var room [128]byte // a request must not allocate
	key := append(append(append(room[:0], provider...), 0), customID...)
	if c, ok := d.byClient[string(key)]; ok {
		return c
	}
	if d.store == nil {
		return nil
	}
	return d.visible(d.store.live.byClient.getBytes(key))
}

// hasNamed reports whether any consumer names a provider.
func (d *Directory) hasNamed() bool {
	return d.named || d.store != nil && d.store.live.named.Load() > 0
}

// Find returns the consumer with the given id or username, or nil.
func (d *Directory) Find(usernameOrID string) *Consumer {
	if usernameOrID == "" {
		return nil
	}
	id, isID := canonicalID(usernameOrID)
	if isID {
		if c, ok := d.byID[id]; ok {
			return c
		}
	}
	if c, ok := d.byUsername[usernameOrID]; ok {
		return c
	}
	if d.store == nil {
		return nil
	}
	if isID {
		if c := d.visible(d.store.live.byID.get(id)); c != nil {
			return c
		}
	}
	return d.visible(d.store.live.byUsername.get(usernameOrID))
}

// visible hides a live consumer that shares a name, id or custom_id with one
// of the configuration: two consumers must never answer to the same name, and
// the configuration wins.
func (d *Directory) visible(c *Consumer) *Consumer {
	if c == nil || d.conflict(c) == nil {
		return c
	}
	return nil
}

// conflict returns the field that a live consumer shares with one of the
// configuration.
func (d *Directory) conflict(c *Consumer) *ConflictError {
	if len(d.byID) == 0 {
		return nil
	}
	if _, taken := d.byUsername[c.Username]; taken {
		return newConflict("username", c, true)
	}
	if _, taken := d.byClient[clientKeyOf(c)]; taken {
		return newConflict("custom_id", c, true)
	}
	if _, taken := d.byID[c.ID]; taken {
		return newConflict("id", c, true)
	}
	return nil
}

// Ready reports whether the live consumers are known. Until they are, a failed
// lookup does not prove that a consumer does not exist.
func (d *Directory) Ready() bool {
	return d.store == nil || d.store.live.loaded.Load()
}

// IsConfigured reports whether a consumer is part of the configuration.
func (d *Directory) IsConfigured(c *Consumer) bool {
	return d.byID[c.ID] == c
}

// ErrOffset is returned for an offset that List did not return.
var ErrOffset = errors.New("offset is not one that a listing returned")

// List returns up to size consumers from an offset on, and the offset of the
// next page, "" after the last. The first page has the offset "". The
// consumers of the configuration come first. The order has no meaning, but a
// consumer that exists all the while is listed exactly once. Errors: ErrOffset
// and ErrNotLoaded, since a list that looks complete must be complete.
func (d *Directory) List(size int, offset string) (page []*Consumer, next string, err error) {
	if !d.Ready() {
		return nil, "", ErrNotLoaded
	}
	size = max(size, 1)
	section, after, err := parseOffset(offset)
	if err != nil {
		return nil, "", err
	}
	if section == configuredSection {
		configured := d.configured()
		i, found := slices.BinarySearchFunc(configured, &Consumer{ID: after}, byID)
		if found {
			i++
		}
		page = append(page, configured[i:min(i+size, len(configured))]...)
		if i+size < len(configured) {
			return page, formatOffset(configuredSection, page[len(page)-1].ID), nil
		}
		after = ""
	}
	if d.store == nil {
		return page, "", nil
	}
	// One more than asked for tells whether there is a next page.
	live := d.store.list(after, size+1-len(page), d.visible)
	if page = append(page, live...); len(page) <= size {
		return page, "", nil
	}
	page = page[:size]
	if last := page[size-1]; !d.IsConfigured(last) {
		return page, formatOffset(liveSection, last.ID), nil
	}
	return page, formatOffset(liveSection, ""), nil
}

const (
	configuredSection = "c"
	liveSection       = "l"
)

func formatOffset(section, after string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(section + after))
}

func parseOffset(offset string) (section, after string, err error) {
	if offset == "" {
		return configuredSection, "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(offset)
	if err != nil || len(b) == 0 {
		return "", "", ErrOffset
	}
	section, after = string(b[:1]), string(b[1:])
	if !strings.Contains(configuredSection+liveSection, section) {
		return "", "", ErrOffset
	}
	if _, isID := canonicalID(after); after != "" && !isID {
		return "", "", ErrOffset
	}
	return section, after, nil
}
