// SPDX-License-Identifier: Apache-2.0

package caddykong

import (
	"strings"

	"github.com/caddy-gluu/gateway/internal/kongpath"
)

// tree holds the rules of a host by their paths: at the node of a prefix the
// rules with that prefix, and at the node of the literal text that begins a
// regular expression the rules with that expression. Rules without a path are at
// the root.
type tree struct{ root node }

// node is a part of a path. Its children begin with different bytes.
type node struct {
	label    string
	depth    int // length of the path down to the end of the label
	places   []place
	first    string // the bytes that the children begin with
	children []*node
}

// add puts a rule at a node for each of its paths.
func (t *tree) add(r *rule, port int) error {
	if len(r.paths) == 0 {
		t.root.insert("", place{rule: r, port: port})
	}
	for _, path := range r.paths {
		source, isRegex := strings.CutPrefix(path, "~")
		if !isRegex {
			t.root.insert(path, place{rule: r, port: port})
			continue
		}
		regex, err := kongpath.Compile(source)
		if err != nil {
			return r.of.located(err)
		}
		t.root.insert(regex.Literal(), place{rule: r, regex: regex, port: port})
	}
	return nil
}

// insert adds a place at the node for a path, which it makes if needed. Rules
// come in order, so the places of a node are in order too.
func (n *node) insert(path string, p place) {
	for path != "" {
		i := strings.IndexByte(n.first, path[0])
		if i < 0 {
			child := &node{label: path, depth: n.depth + len(path)}
			n.first += path[:1]
			n.children = append(n.children, child)
			n = child
			break
		}
		common := commonPrefix(n.children[i].label, path)
		if common < len(n.children[i].label) {
			n.children[i] = n.children[i].splitAt(common)
		}
		n, path = n.children[i], path[common:]
	}
	n.places = append(n.places, p)
}

// splitAt returns a new parent for a node, with the first bytes of its label.
func (n *node) splitAt(length int) *node {
	parent := &node{label: n.label[:length], depth: n.depth - len(n.label) + length, first: n.label[length : length+1], children: []*node{n}}
	n.label = n.label[length:]
	return parent
}

func commonPrefix(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// find looks for a better rule along the path of a request.
func (t *tree) find(s *search) {
	n, rest := &t.root, s.path
	for {
		for i := range n.places {
			if s.best != nil && n.places[i].rule.position >= s.best.rule.position {
				break
			}
			s.consider(&n.places[i], n.depth)
		}
		if rest == "" {
			return
		}
		i := strings.IndexByte(n.first, rest[0])
		if i < 0 || !strings.HasPrefix(rest, n.children[i].label) {
			return
		}
		n = n.children[i]
		rest = rest[len(n.label):]
	}
}
