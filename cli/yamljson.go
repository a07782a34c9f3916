// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/caddy-gluu/gateway/scopeexpr"
)

// This file converts a scope expression document inside a YAML file to JSON. It
// keeps duplicate members, so that they are refused as in any other document.

// maxInlineJSON stops a document with exponentially growing aliases, and
// maxInlineDepth one with an alias that contains itself.
const (
	maxInlineJSON  = 16 << 20
	maxInlineDepth = 200
)

var (
	errTooLong = errors.New("the document is too long once its aliases are expanded")
	errTooDeep = errors.New("the document is nested too deeply")
)

func writeJSON(b *bytes.Buffer, n *yaml.Node, depth int) error {
	if b.Len() > maxInlineJSON {
		return errTooLong
	}
	if depth > maxInlineDepth {
		return errTooDeep
	}
	switch n.Kind {
	case yaml.AliasNode:
		return writeJSON(b, n.Alias, depth+1)
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, element := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeJSON(b, element, depth+1); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	case yaml.MappingNode:
		return writeObject(b, n, depth)
	case yaml.ScalarNode:
		return writeScalar(b, n)
	}
	return fmt.Errorf("line %d: this is not a value", n.Line)
}

func writeObject(b *bytes.Buffer, n *yaml.Node, depth int) error {
	b.WriteByte('{')
	for i := 0; i+1 < len(n.Content); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		if n.Content[i].Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: the name of a member must be a string", n.Content[i].Line)
		}
		if err := encode(b, n.Content[i].Value); err != nil {
			return err
		}
		b.WriteByte(':')
		if err := writeJSON(b, n.Content[i+1], depth+1); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func writeScalar(b *bytes.Buffer, n *yaml.Node) error {
	switch n.Tag {
	case "!!null", "!!bool", "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			return err
		}
		return encode(b, v)
	}
	return encode(b, n.Value)
}

func encode(b *bytes.Buffer, v any) error {
	text, err := json.Marshal(v)
	b.Write(text)
	return err
}

// inlineSource compiles the document in a YAML node. Errors point into the YAML
// file.
func inlineSource(name string, n *yaml.Node, uma bool) *source {
	var b bytes.Buffer
	if err := writeJSON(&b, n, 0); err != nil {
		return &source{name: name, refused: err}
	}
	s := documentSource(name, b.Bytes(), uma)
	if e, ok := errors.AsType[*scopeexpr.Error](s.refused); ok && n.Kind != yaml.ScalarNode {
		at := follow(n, e.Path)
		e.Line, e.Column = at.Line, at.Column
	}
	return s
}

// follow returns the node at a path, or the last one on the way.
func follow(n *yaml.Node, path scopeexpr.JSONPath) *yaml.Node {
	for _, step := range path {
		for n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		next := n
		switch step := step.(type) {
		case int:
			if n.Kind == yaml.SequenceNode && step < len(n.Content) {
				next = n.Content[step]
			}
		case string:
			for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == step {
					next = n.Content[i+1]
				}
			}
		}
		if next == n {
			break
		}
		n = next
	}
	return n
}
