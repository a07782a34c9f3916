// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"fmt"
	"strings"

	"github.com/pb33f/go-yaml"
)

// An Error says where a document cannot be turned into rules, why, and what to write
// instead. A Warning has the same parts.
type Error struct {
	File      string
	Line      int    // from 1; 0 if unknown
	Operation string // its operationId, or its method and path
	Reason    string
	Hint      string
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Operation != "" {
		fmt.Fprintf(&b, ": operation %q", e.Operation)
	}
	b.WriteString(": " + e.Text())
	return b.String()
}

// errorAt returns an error about a node.
func (l *loader) errorAt(node *yaml.Node, hint, format string, args ...any) *Error {
	return &Error{File: l.fileOf(node), Line: lineOf(node), Hint: hint, Reason: fmt.Sprintf(format, args...)}
}

// warn notes something that probably was not meant.
func (l *loader) warn(op *operation, node *yaml.Node, hint, format string, args ...any) {
	warning := l.errorAt(node, hint, format, args...)
	if op != nil {
		warning.Operation = op.name
	}
	l.warnings = append(l.warnings, warning)
}

func lineOf(node *yaml.Node) int {
	if node == nil {
		return 0
	}
	return node.Line
}

// Text returns what is wrong and what to write instead, without the place.
func (e *Error) Text() string {
	if e.Hint == "" {
		return e.Reason
	}
	return e.Reason + ": " + e.Hint
}
