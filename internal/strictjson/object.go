// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Member is one member of an object: its name, decoded, and its value as it was
// spelled, so that no number loses a digit.
type Member struct {
	Name, Value string
}

const (
	maxDepth   = 32   // of objects and lists within each other
	maxMembers = 1000 // of one object

	usualMembers = 16 // of one object, with those around it
)

// ErrNotObject says that the text is valid JSON, but not an object.
var ErrNotObject = errors.New("not a JSON object")

// Object reads one JSON object and refuses whatever two parties could read
// differently: data after the object, two members of one name in it or in any
// object inside it, and names that are not valid Unicode. It also refuses what
// is too deep or too wide to be meant. The caller limits the size of data:
// reading costs time and memory in proportion to it.
func Object(data []byte) ([]Member, error) {
	if !json.Valid(data) || !utf8.Valid(data) {
		return nil, errors.New("not valid JSON")
	}
	var names [usualMembers]string
	c := checker{Cursor: NewCursor(string(data)), members: make([]Member, 0, usualMembers), names: names[:0]}
	if c.Kind() != '{' {
		return nil, ErrNotObject
	}
	if err := c.object(0); err != nil {
		return nil, err
	}
	return c.members, nil
}

// Elements returns the elements of a valid JSON list, as they were spelled.
func Elements(list string) []string {
	c := NewCursor(list)
	var elements []string
	for c.Open(); c.More(); {
		elements = append(elements, c.Skip())
	}
	return elements
}

// checker keeps the members of the outermost object. Of the others it keeps
// only the names, and those only while it is inside them.
type checker struct {
	Cursor
	members []Member
	names   []string // of the objects around the cursor, innermost last
}

func (c *checker) value(depth int) error {
	if depth > maxDepth {
		return errors.New("JSON nested too deeply")
	}
	switch c.text[c.pos] {
	case '{':
		return c.object(depth)
	case '[':
		return c.list(depth)
	case '"':
		c.skipString()
	default:
		c.skipScalar()
	}
	return nil
}

func (c *checker) list(depth int) error {
	for c.Open(); c.More(); {
		if err := c.value(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) object(depth int) error {
	outer := len(c.names)
	for c.Open(); c.More(); {
		name, err := c.Name()
		if err != nil {
			return fmt.Errorf("a member name is %w", err)
		}
		if c.names = append(c.names, name); len(c.names)-outer > maxMembers {
			return errors.New("JSON object with too many members")
		}
		start := c.pos
		if err := c.value(depth + 1); err != nil {
			return err
		}
		if depth == 0 {
			c.members = append(c.members, Member{name, c.text[start:c.pos]})
		}
	}
	if name, twice := duplicate(c.names[outer:]); twice {
		return fmt.Errorf("two members are named %.40q", name)
	}
	c.names = c.names[:outer]
	return nil
}

// duplicate returns a name that occurs twice. The objects in tokens are small,
// and comparing each pair is then faster than a map.
func duplicate(names []string) (string, bool) {
	if len(names) > 24 {
		seen := make(map[string]struct{}, len(names))
		for _, name := range names {
			if _, ok := seen[name]; ok {
				return name, true
			}
			seen[name] = struct{}{}
		}
		return "", false
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return name, true
		}
	}
	return "", false
}
