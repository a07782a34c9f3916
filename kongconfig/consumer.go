// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"errors"
	"slices"

	consumers "github.com/caddy-gluu/gateway/consumer"
)

// consumer is a party that calls.
type consumer struct {
	entity
	customID string
	tags     []string
	groups   []string
	created  int
}

func (f *file) readConsumer(o *object, _ any, _ int) {
	c := &consumer{entity: entity{o: o, id: o.str("id"), name: o.str("username")}, customID: o.str("custom_id"), tags: o.strs("tags")}
	o.read["created_at"] = false
	c.created = o.number("created_at", 0, 0)
	o.ignore("type", "username_lower")
	switch {
	case c.name == "" && c.customID == "":
		o.errorf("username", "is required: write username or custom_id")
	case c.id == "" && c.name == "":
		c.id = kongID("consumers", c.customID)
	case c.id == "":
		c.id = kongID("consumers", c.name)
	}
	c.check()
	if len(o.list("groups")) > 0 {
		o.errorf("groups", "consumer groups are not kept: give the plugins to the consumer, or use acls with the plugin acl")
	}
	c = f.addConsumer(o, c)
	f.nested(o, c, "acls", "oauth2_credentials", "plugins")
	for _, kind := range credentialCollections {
		if len(o.list(kind)) > 0 {
			f.noteCredential(kind, o.at(kind))
		}
	}
}

// addConsumer makes a consumer known. In files of version 1.1 the last one of an id
// counts, as it did for Gluu Gateway; later versions of Kong refuse the second one.
func (f *file) addConsumer(o *object, c *consumer) *consumer {
	other, _ := f.byRef["consumers\x00"+c.id].(*consumer)
	if other == nil || other.id != c.id || f.version != "1.1" {
		f.register(o, "consumers", c, c.id, c.name)
		f.consumers = append(f.consumers, c)
		return c
	}
	o.warnf(aboutProtection, "id", "%q is that of %s already, which this one replaces, as in Gluu Gateway: remove one of them", c.id, other.o.entity)
	delete(f.byRef, "consumers\x00"+other.name)
	c.groups = other.groups // they belong to the id
	*other = *c
	f.register(o, "consumers", other, other.id, other.name)
	return other
}

// readGroup reads a group of a consumer.
func (f *file) readGroup(o *object, parent any, _ int) {
	o.ignore("id")
	group, ref := o.str("group"), reference(o, "consumer")
	c, _ := parent.(*consumer)
	if c == nil {
		c = lookup[*consumer](f, o, "consumer", "consumers", ref)
	}
	switch {
	case group == "":
		o.errorf("group", "is required: write the name of a group")
	case c == nil && ref == "":
		o.errorf("consumer", "is required: name the consumer that has the group")
	case consumers.CheckGroup(group) != nil:
		o.check("group", consumers.CheckGroup(group))
	case c != nil && !slices.Contains(c.groups, group):
		c.groups = append(c.groups, group)
	}
}

// check refuses what the registry of consumers would not take.
func (c *consumer) check() {
	var invalid *consumers.InvalidError
	entry := consumers.Consumer{ID: c.id, Username: c.name, CustomID: c.customID, Tags: c.tags}
	if c.id != "" && errors.As(entry.Check(), &invalid) {
		c.o.errorf(invalid.Field, "%s", invalid.Reason)
	}
}

// connectConsumers refuses two consumers that a client could be.
func (f *file) connectConsumers() {
	byCustomID := make(map[string]*consumer)
	for _, c := range f.consumers {
		if c.customID == "" {
			continue
		}
		if other := byCustomID[c.customID]; other != nil {
			c.o.errorf("custom_id", "%q is that of %s already: a client can be one consumer only", c.customID, other.o.entity)
		}
		byCustomID[c.customID] = c
	}
}

// json returns the consumer for the app gluu.
func (c *consumer) json() map[string]any {
	m := map[string]any{"id": c.id}
	if c.name != "" {
		m["username"] = c.name
	}
	if c.customID != "" {
		m["custom_id"] = c.customID
	}
	if len(c.tags) > 0 {
		m["tags"] = c.tags
	}
	if len(c.groups) > 0 {
		m["groups"] = c.groups
	}
	if c.created > 0 {
		m["created_at"] = c.created
	}
	return m
}
