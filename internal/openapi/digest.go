// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pb33f/go-yaml"
)

// Bounds on what aliases and references can make of a small document.
const (
	maxNodes = 4 << 20
	maxDepth = 32
)

// pair is a member of a mapping.
type pair struct{ key, value *yaml.Node }

// fields returns the members of a mapping, without duplicates, with YAML's aliases
// and merge keys followed. A duplicate would be read one way by one program and
// another way by the next.
func (l *loader) fields(node *yaml.Node, what string) ([]pair, error) {
	node = follow(node)
	if node == nil || node.Kind != yaml.MappingNode {
		return nil, l.errorAt(node, "write an object", "%s is not an object", what)
	}
	pairs, seen := make([]pair, 0, len(node.Content)/2), make(map[string]int, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := follow(node.Content[i]), follow(node.Content[i+1])
		if key == nil || key.Kind != yaml.ScalarNode {
			return nil, l.errorAt(node.Content[i], "write a text", "a name in %s is not a text", what)
		}
		if key.Value == "<<" && key.Tag == "!!merge" {
			return nil, l.errorAt(key, "write the members out, or use a $ref", "%s has a YAML merge key, which programs read differently", what)
		}
		if line, dup := seen[key.Value]; dup {
			return nil, l.errorAt(key, "keep one of them", "%s has %q twice, also in line %d", what, key.Value, line)
		}
		seen[key.Value] = key.Line
		pairs = append(pairs, pair{key, value})
	}
	l.budget -= len(pairs)
	if l.budget < 0 {
		return nil, l.errorAt(node, "write less in aliases and references", "the document is too large")
	}
	return pairs, nil
}

// follow returns the node that an alias stands for.
func follow(node *yaml.Node) *yaml.Node {
	for range 100 {
		if node == nil || node.Kind != yaml.AliasNode {
			return node
		}
		node = node.Alias
	}
	return nil
}

// resolve follows the $ref of an object, through any number of files, and returns
// the object.
func (l *loader) resolve(node *yaml.Node, what string) (*yaml.Node, error) {
	for range 32 {
		pairs, err := l.fields(node, what)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(pairs, func(p pair) bool { return p.key.Value == "$ref" })
		if i < 0 {
			return follow(node), nil
		}
		for _, p := range pairs {
			switch name := p.key.Value; {
			case name == "$ref", name == "summary", name == "description", strings.HasPrefix(name, "x-"):
			default:
				return nil, l.errorAt(p.key, "move it into what the $ref refers to", "%s has a $ref and %q beside it, which programs read differently", what, name)
			}
		}
		if node, err = l.target(pairs[i].value); err != nil {
			return nil, err
		}
	}
	return nil, l.errorAt(node, "", "%s is a $ref that leads in a circle", what)
}

// target returns the node that a reference points to.
func (l *loader) target(ref *yaml.Node) (*yaml.Node, error) {
	if ref.Kind != yaml.ScalarNode {
		return nil, l.errorAt(ref, "", "$ref is not a text")
	}
	refused := func(err any) error { return l.errorAt(ref, "", "$ref %q: %v", ref.Value, err) }
	file, pointer, _ := strings.Cut(ref.Value, "#")
	from := l.mainBase
	if origin, ok := l.origins[ref]; ok {
		from = l.within(origin)
	}
	name := from
	if file != "" {
		unescaped, err := url.PathUnescape(file)
		if err != nil {
			return nil, refused(err)
		}
		if name, err = beside(from, unescaped); err != nil {
			return nil, refused(err)
		}
	}
	root, err := l.file(name)
	if err != nil {
		return nil, refused(err)
	}
	found, err := l.at(root, pointer)
	if err != nil {
		return nil, refused(err)
	}
	return found, nil
}

// within is the reverse of display.
func (l *loader) within(display string) string {
	for name := range l.files {
		if l.display(name) == display {
			return name
		}
	}
	return l.mainBase
}

// at returns the node at a JSON pointer (RFC 6901) in a URI fragment.
func (l *loader) at(node *yaml.Node, pointer string) (*yaml.Node, error) {
	pointer, err := url.PathUnescape(pointer)
	if err != nil {
		return nil, err
	}
	if pointer == "" || pointer == "/" {
		return node, nil
	}
	if !strings.HasPrefix(pointer, "/") {
		return nil, fmt.Errorf("#%s is not a JSON pointer: write it as in #/components/parameters/id", pointer)
	}
	for name := range strings.SplitSeq(pointer[1:], "/") {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		next := member(node, name)
		if next == nil {
			return nil, fmt.Errorf("there is no %q in what it points to", name)
		}
		node = next
	}
	return node, nil
}

// member returns the member of an object or the element of a list, nil if there is
// none.
func member(node *yaml.Node, name string) *yaml.Node {
	node = follow(node)
	switch {
	case node == nil:
	case node.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if key := follow(node.Content[i]); key != nil && key.Value == name {
				return follow(node.Content[i+1])
			}
		}
	case node.Kind == yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(node.Content) {
			return follow(node.Content[i])
		}
	}
	return nil
}

// isNull reports whether a node is absent or YAML's null.
func isNull(node *yaml.Node) bool {
	return node == nil || node.Kind == yaml.ScalarNode && node.Tag == "!!null"
}

// A shape says which members of an object are copied, and how.
type shape map[string]func(l *loader, node *yaml.Node, what string) (*yaml.Node, error)

// copyObject copies the members that a shape has; others have no bearing on rules.
// The original keys keep their lines.
func (l *loader) copyObject(node *yaml.Node, what string, s shape) (*yaml.Node, error) {
	pairs, err := l.fields(node, what)
	if err != nil {
		return nil, err
	}
	out := l.mapping(follow(node))
	for _, p := range pairs {
		copyMember := s[p.key.Value]
		if copyMember == nil {
			continue
		}
		value, err := copyMember(l, p.value, p.key.Value)
		if err != nil {
			return nil, err
		}
		out.Content = append(out.Content, p.key, value)
	}
	return out, nil
}

// copyMap copies an object whose names are the document's own.
func (l *loader) copyMap(node *yaml.Node, what string, copyMember func(l *loader, node *yaml.Node, what string) (*yaml.Node, error)) (*yaml.Node, error) {
	pairs, err := l.fields(node, what)
	if err != nil {
		return nil, err
	}
	out := l.mapping(follow(node))
	for _, p := range pairs {
		if strings.HasPrefix(p.key.Value, "x-") {
			continue
		}
		value, err := copyMember(l, p.value, fmt.Sprintf("%q", p.key.Value))
		if err != nil {
			return nil, err
		}
		out.Content = append(out.Content, p.key, value)
	}
	return out, nil
}

func (l *loader) mapping(like *yaml.Node) *yaml.Node {
	return l.like(like, &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"})
}

// like gives a new node the place of an original one.
func (l *loader) like(original, node *yaml.Node) *yaml.Node {
	node.Line, node.Column = original.Line, original.Column
	if file, ok := l.origins[original]; ok {
		l.origins[node] = file
	}
	return node
}

// copyAll copies a node with everything in it.
func copyAll(l *loader, node *yaml.Node, what string) (*yaml.Node, error) {
	node = follow(node)
	if l.depth++; l.depth > maxDepth { // an alias may stand within what it repeats
		return nil, l.errorAt(node, "", "%s is nested too deeply", what)
	}
	defer func() { l.depth-- }()
	switch {
	case node == nil:
		return nil, l.errorAt(node, "", "%s is an alias that leads in a circle", what)
	case node.Kind == yaml.MappingNode:
		if member(node, "$ref") != nil {
			return nil, l.errorAt(node, "write it out here", "a $ref in %s is not possible", what)
		}
		pairs, err := l.fields(node, what)
		if err != nil {
			return nil, err
		}
		out := l.mapping(node)
		for _, p := range pairs {
			value, err := copyAll(l, p.value, what)
			if err != nil {
				return nil, err
			}
			out.Content = append(out.Content, p.key, value)
		}
		return out, nil
	case node.Kind == yaml.SequenceNode:
		return l.copyList(node, what, copyAll)
	}
	return l.like(node, &yaml.Node{Kind: yaml.ScalarNode, Tag: node.Tag, Value: node.Value, Style: node.Style}), nil
}

// copyList copies a list.
func (l *loader) copyList(node *yaml.Node, what string, copyElement func(l *loader, node *yaml.Node, what string) (*yaml.Node, error)) (*yaml.Node, error) {
	node = follow(node)
	if node == nil || node.Kind != yaml.SequenceNode {
		return nil, l.errorAt(node, "write a list", "%s is not a list", what)
	}
	l.budget -= len(node.Content)
	if l.budget < 0 {
		return nil, l.errorAt(node, "write less in aliases and references", "the document is too large")
	}
	out := l.like(node, &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"})
	for _, element := range node.Content {
		value, err := copyElement(l, element, what)
		if err != nil {
			return nil, err
		}
		if value != nil {
			out.Content = append(out.Content, value)
		}
	}
	return out, nil
}
