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
	id      int              // number of its facts or bindings in Scopes, -1 until somebody needs it
}

// A boundGroup ties a group of a pattern to a capture of the path.
type boundGroup struct {
	group   int // which of the pattern's groups, from 0
	capture int // PC1 is 0
}

// maxCapture is the highest capture that a group can name (PC9).
const maxCapture = 9

// captureName is a group name that says, or seems to say, a capture.
var captureName = regexp.MustCompile(`^(?i:pc)[0-9]+$`)

// newEntry compiles one line of data. The path of an error is the caller's to
// fill in.
func newEntry(text string) (*entry, *Error) {
	e := &entry{text: text, id: -1}
	if len(text) > maxEntryBytes {
		return nil, &Error{Reason: fmt.Sprintf("the entry has %d bytes, more than %d", len(text), maxEntryBytes),
			Mend: "no scope is that long: split the pattern"}
	}
	if !strings.HasPrefix(text, "^") {
		return e, nil
	}
	if i := strings.Index(text, "{http."); i >= 0 {
		placeholder, _, _ := strings.Cut(text[i:], "}")
		return nil, &Error{Reason: fmt.Sprintf("Caddy has put its placeholder %s} into the pattern", placeholder),
			Mend: "a word in braces is a placeholder in a Caddyfile and means nothing in a pattern; the path is at hand as (?<PC1>...)"}
	}
	pattern, err := pathmatch.CompileRegexp(text)
	if err != nil {
		return nil, &Error{Reason: fmt.Sprintf("the pattern %q is no regular expression: %v", clip(text), err),
			Mend: "mend it; a scope that only begins with ^ cannot be named", Err: err}
	}
	e.pattern = pattern
	for group, name := range pattern.GroupNames() {
		if !captureName.MatchString(name) {
			continue
		}
		n, _ := strconv.Atoi(name[2:])
		if name != fmt.Sprintf("PC%d", n) || n < 1 || n > maxCapture {
			return nil, &Error{Reason: fmt.Sprintf("the group %q is named like a capture of the path but is none", name),
				Mend: fmt.Sprintf("captures are PC1 to PC%d; give a group of another meaning another name", maxCapture)}
		}
		e.bound = append(e.bound, boundGroup{group, n - 1})
	}
	return e, nil
}

// isBound says whether what the entry makes of a token depends on the path.
func (e *entry) isBound() bool { return len(e.bound) > 0 }

// checkCaptures refuses an entry that refers to a capture beyond n.
func (e *entry) checkCaptures(n int) *Error {
	for _, b := range e.bound {
		if b.capture < n {
			continue
		}
		err := &Error{Reason: fmt.Sprintf("PC%d is no capture of the path, which has %d", b.capture+1, n),
			Mend: fmt.Sprintf("write PC1 to PC%d, or a path with more ? and {...}", n)}
		if n == 0 {
			err.Mend = "write a path with ? or {...}, or name the group something else"
		}
		return err
	}
	return nil
}
