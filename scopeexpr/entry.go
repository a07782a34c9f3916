// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/caddy-gluu/gateway/pathmatch"
)

// An entry is one line of a rule's data. All rules of a policy that name the
// same scope share its entry.
type entry struct {
	text    string
	pattern pathmatch.Regexp // nil: the scope itself
	bound   []boundGroup     // groups that must equal captures of the path
	id      int              // number of its facts or bindings in Scopes, -1 until an expression needs it
}

// A boundGroup ties a group of a pattern to a capture of the path.
type boundGroup struct {
	group   int // which of the pattern's groups, from 0
	capture int // PC1 is 0
}

// maxCapture is the highest capture that a group can name (PC9).
const maxCapture = 9

// captureName matches group names that are, or look like, names of captures.
var captureName = regexp.MustCompile(`^(?i:pc)[0-9]+$`)

// newEntry compiles one line of data. The caller fills in the path of an error.
func newEntry(text string) (*entry, *Error) {
	e := &entry{text: text, id: -1}
	if len(text) > maxEntryBytes {
		return nil, &Error{Reason: fmt.Sprintf("the entry has %d bytes, more than %d", len(text), maxEntryBytes),
			Hint: "no scope is that long; split the pattern"}
	}
	if !strings.HasPrefix(text, "^") {
		return e, nil
	}
	if i := strings.Index(text, "{http."); i >= 0 {
		placeholder, _, _ := strings.Cut(text[i:], "}")
		return nil, &Error{Reason: fmt.Sprintf("Caddy expanded a word in braces to its placeholder %q in this pattern", placeholder+"}"),
			Hint: "do not write braces around a word in a pattern; to compare with the path, use (?<PC1>...)"}
	}
	pattern, err := pathmatch.CompileRegexp(text)
	if err != nil {
		return nil, &Error{Reason: fmt.Sprintf("the pattern %q is not a valid regular expression: %v", clip(text), err),
			Hint: "fix the expression; a scope that starts with a literal ^ cannot be named", Err: err}
	}
	e.pattern = pattern
	for group, name := range pattern.GroupNames() {
		if !captureName.MatchString(name) {
			continue
		}
		n, _ := strconv.Atoi(name[2:])
		if name != fmt.Sprintf("PC%d", n) || n < 1 || n > maxCapture {
			return nil, &Error{Reason: fmt.Sprintf("the group %q is named like a capture of the path that cannot exist", name),
				Hint: fmt.Sprintf("captures are PC1 to PC%d; rename a group that means something else", maxCapture)}
		}
		e.bound = append(e.bound, boundGroup{group, n - 1})
	}
	return e, nil
}

// isBound reports whether the entry depends on the path.
func (e *entry) isBound() bool { return len(e.bound) > 0 }

// checkCaptures refuses an entry that refers to a capture beyond n.
func (e *entry) checkCaptures(n int) *Error {
	for _, b := range e.bound {
		if b.capture >= n {
			return undefinedCapture(b.capture+1, n)
		}
	}
	return nil
}

func undefinedCapture(number, n int) *Error {
	switch n {
	case 0:
		return &Error{Reason: fmt.Sprintf("the path has no captures, so PC%d is undefined", number),
			Hint: "add a `?` or `{...}` to the path, or rename the group"}
	case 1:
		return &Error{Reason: fmt.Sprintf("the path has only one capture (PC1), so PC%d is undefined", number),
			Hint: "use PC1, or add a `?` or `{...}` to the path"}
	}
	return &Error{Reason: fmt.Sprintf("the path has only %d captures (PC1 to PC%d), so PC%d is undefined", n, n, number),
		Hint: fmt.Sprintf("use PC1 to PC%d, or add a `?` or `{...}` to the path", n)}
}
