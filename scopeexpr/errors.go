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
	// Path leads to the fault: [2].conditions[0].scope_expression.rule.and[1].
	// It is empty if the text is not JSON, or is a short expression.
	Path JSONPath

	// Line and Column locate the fault in the text, counting from 1, columns in
	// characters. Both are 0 if there is no text.
	Line, Column int

	// Reason says what is wrong, and Hint what to write instead.
	Reason, Hint string

	// Err is the underlying error of another package, if there is one.
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

// Unwrap returns the underlying error.
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

// A trail is the path to the current value. It is copied only into errors,
// because most documents have none.
type trail struct{ steps JSONPath }

// at descends one step.
func (t *trail) at(step any, look func() *Error) *Error {
	t.steps = append(t.steps, step)
	err := look()
	t.steps = t.steps[:len(t.steps)-1]
	return err
}

// errorf builds an error about the current value, or about one below it. The
// error has no line and column yet.
func (t *trail) errorf(below JSONPath, hint, format string, args ...any) *Error {
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

// place fills in the line and column of e. A path to a missing value is located
// at the innermost value that exists.
func (s *source) place(e *Error, path JSONPath) *Error {
	if s != nil {
		e.Line, e.Column = s.position(locate(s.text, path))
	}
	return e
}
