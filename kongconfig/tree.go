// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file reads YAML and JSON into one tree that knows its lines.

// maxNodes bounds the tree after aliases are resolved: a small file with
// aliases of aliases can stand for a huge one.
const maxNodes = 20_000_000

// maxDepth bounds how deep lists and objects are nested.
const maxDepth = 200

// parse reads the root object of a file.
func parse(body []byte) (*yaml.Node, error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) && json.Valid(body) {
		return parseJSON(body)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty: write at least _format_version: \"3.0\"")
		}
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file has more than one YAML document: keep one file for each")
	}
	root := document.Content[0]
	nodes := 0
	if err := resolveAliases(root, &nodes, 0); err != nil {
		return nil, err
	}
	return root, checkDuplicates(root)
}

// resolveAliases puts what an alias names in its place, and the members of
// merged objects ("<<") into theirs.
func resolveAliases(node *yaml.Node, nodes *int, depth int) error {
	if *nodes++; *nodes > maxNodes || depth > maxDepth {
		return fmt.Errorf("line %d: the file is too large or too deep once its aliases are resolved", node.Line)
	}
	if node.Kind == yaml.MappingNode {
		if err := merge(node); err != nil {
			return err
		}
	}
	for i, child := range node.Content {
		if child.Kind == yaml.AliasNode {
			resolved := *child.Alias
			resolved.Anchor, resolved.Line = "", child.Line
			node.Content[i] = &resolved
		}
		if err := resolveAliases(node.Content[i], nodes, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// merge adds the members of the objects under "<<" that the object has not got
// itself.
func merge(node *yaml.Node) error {
	var own, merged []*yaml.Node
	has := make(map[string]bool)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Tag != "!!merge" {
			own, has[key.Value] = append(own, key, value), true
			continue
		}
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		sources := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			sources = value.Content
		}
		merged = append(merged, sources...)
	}
	for _, source := range merged {
		if source.Kind == yaml.AliasNode {
			source = source.Alias
		}
		if source.Kind != yaml.MappingNode {
			return fmt.Errorf("line %d: << takes an object", source.Line)
		}
		for i := 0; i+1 < len(source.Content); i += 2 {
			if key := source.Content[i]; !has[key.Value] {
				own, has[key.Value] = append(own, key, source.Content[i+1]), true
			}
		}
	}
	node.Content = own
	return nil
}

// checkDuplicates refuses an object that has a member twice: only its author
// knows which one is meant.
func checkDuplicates(node *yaml.Node) error {
	if node.Kind == yaml.MappingNode {
		seen := make(map[string]bool, len(node.Content)/2)
		for i := 0; i < len(node.Content); i += 2 {
			if key := node.Content[i]; seen[key.Value] {
				return fmt.Errorf("line %d: %q is there twice: keep one", key.Line, key.Value)
			}
			seen[node.Content[i].Value] = true
		}
	}
	for _, child := range node.Content {
		if err := checkDuplicates(child); err != nil {
			return err
		}
	}
	return nil
}

// parseJSON reads JSON into the same tree. YAML is nearly a superset of JSON,
// but not where there are tabs or long keys.
func parseJSON(body []byte) (*yaml.Node, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	reader := &jsonReader{body: body, decoder: decoder, line: 1}
	root, err := reader.value(0)
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", reader.currentLine(), err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: there is something after the object", reader.currentLine())
	}
	return root, checkDuplicates(root)
}

type jsonReader struct {
	body         []byte
	decoder      *json.Decoder
	offset, line int // line is that of offset
}

// currentLine returns the line of what has been read last.
func (r *jsonReader) currentLine() int {
	offset := int(r.decoder.InputOffset())
	r.line += bytes.Count(r.body[r.offset:offset], []byte("\n"))
	r.offset = offset
	return r.line
}

func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, errors.New("the file is nested too deep")
	}
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	node := &yaml.Node{Line: r.currentLine()}
	switch token := token.(type) {
	case json.Delim:
		node.Kind = yaml.SequenceNode
		if token == '{' {
			node.Kind = yaml.MappingNode
		}
		for r.decoder.More() {
			child, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
		}
		_, err = r.decoder.Token()
		return node, err
	case string:
		node.Kind, node.Tag, node.Value = yaml.ScalarNode, "!!str", token
	case json.Number:
		node.Kind, node.Tag, node.Value = yaml.ScalarNode, "!!int", token.String()
		if strings.ContainsAny(node.Value, ".eE") {
			node.Tag = "!!float"
		}
	case bool:
		node.Kind, node.Tag, node.Value = yaml.ScalarNode, "!!bool", fmt.Sprint(token)
	default:
		node.Kind, node.Tag, node.Value = yaml.ScalarNode, "!!null", "null"
	}
	return node, nil
}
