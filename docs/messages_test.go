// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"regexp"
	"strings"
	"testing"
)

var (
	messageTable = regexp.MustCompile(`(?ms)^\| message \|.*?\n\n`)
	messageCell  = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
	variable     = regexp.MustCompile(`'[^']*'|"[^"]*"|[0-9]+|\bGET\b|\breplace\b`)
)

// ofLibraries are parts of messages that come from a library.
var ofLibraries = map[string]bool{": undeclared reference to ": true}

// The messages that pages quote are those of the code: the text between the
// values of a message is found there.
func TestQuotedMessagesAreThoseOfTheCode(t *testing.T) {
	var code strings.Builder
	for file, source := range files(t, ".go") {
		if !strings.HasSuffix(file, "_test.go") {
			code.WriteString(source)
		}
	}
	quoted := 0
	for file, page := range files(t, ".md") {
		for _, table := range messageTable.FindAllString(page+"\n\n", -1) {
			for _, cell := range messageCell.FindAllStringSubmatch(table, -1) {
				quoted++
				for _, part := range variable.Split(cell[1], -1) {
					if !ofLibraries[part] && !strings.Contains(code.String(), part) {
						t.Errorf("%s quotes %q, but %q is not in the code", file, cell[1], part)
					}
				}
			}
		}
	}
	if quoted < 10 {
		t.Errorf("%d messages are quoted", quoted)
	}
}
