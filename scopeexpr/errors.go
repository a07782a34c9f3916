// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Error says why a document or an expression is refused.
type Error struct {
	// Path leads to what is wrong: [2].conditions[0].scope_expression.rule.and[1].
	// It is empty where the text is no JSON, or a short expression.
	Path JSONPath

	// Line and Column say where that stands in the text, counting from 1 and
	// columns in characters. Both are 0 where there is no text.
	Line, Column int

	// Reason is what is wrong, Hint what to write instead.
	Reason, Hint string

	// Err is the error of the part that refused, if it was another package's.
	Err error
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d, column %d: ", e.Line, e.Column)
	}
	if len(e.Path) > 0 {
		b.WriteString(e.Path.String())
		b.WriteString(": ")
	}
	b.WriteString(e.Reason)
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// Unwrap returns the error of the part that refused.
func (e *Error) Unwrap() error { return e.Err }

// JSONPath leads from the top of a document to one of its values. Its
// elements are member names (string) and positions in a list (int).
type JSONPath []any

func (p JSONPath) String() string {
	var b strings.Builder
	for _, step := range p {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		case string:
			if isWord(step) {
				if b.Len() > 0 {
					b.WriteByte('.')
				}
				b.WriteString(step)
			} else {
				fmt.Fprintf(&b, "[%s]", strconv.Quote(step))
			}
		}
	}
	return b.String()
}

func isWord(s string) bool {
	for _, c := range s {
		if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}

// A trail is the path to what is being looked at. Errors copy it; nothing else
// does, since most documents have none.
type trail struct{ steps JSONPath }

// at looks at something one step further down.
func (t *trail) at(step any, look func() *Error) *Error {
	t.steps = append(t.steps, step)
	err := look()
	t.steps = t.steps[:len(t.steps)-1]
	return err
}

// refuse builds an error about what is being looked at, or about something
// further down. It has no place in the text yet.
func (t *trail) refuse(below JSONPath, hint, format string, args ...any) *Error {
	return &Error{Path: slices.Concat(t.steps, below), Reason: fmt.Sprintf(format, args...), Hint: hint}
}

// source is the text of a document, kept to turn offsets into lines.
type source struct{ text string }

// position returns line and column of an offset, both from 1.
func (s *source) position(offset int) (line, column int) {
	before := s.text[:min(max(offset, 0), len(s.text))]
	line = 1 + strings.Count(before, "\n")
	column = 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return line, column
}

// place fills in where e stands in the text. A path that leads nowhere, as to
// a member that is missing, stands at the innermost value that is there.
func (s *source) place(e *Error, path JSONPath) *Error {
	if s != nil {
		e.Line, e.Column = s.position(locate(s.text, path))
	}
	return e
}
