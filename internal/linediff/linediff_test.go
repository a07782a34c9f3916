// SPDX-License-Identifier: Apache-2.0

package linediff

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func write(lines []Line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.Kind.Mark() + l.Text + "\n")
	}
	return b.String()
}

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct{ before, after, want string }{
		"the same":        {"a\nb\n", "a\nb\n", ""},
		"nothing at all":  {"", "", ""},
		"to something":    {"", "a\n", "+a\n"},
		"to nothing":      {"a\n", "", "-a\n"},
		"one line":        {"a\nb\nc\n", "a\nx\nc\n", " a\n-b\n+x\n c\n"},
		"added":           {"a\nc\n", "a\nb\nc\n", " a\n+b\n c\n"},
		"far from it":     {"1\n2\n3\n4\n5\n", "1\n2\n3\n4\nx\n", "@\n 4\n-5\n+x\n"},
		"two places":      {"a\n1\n2\n3\nb\n", "x\n1\n2\n3\ny\n", "-a\n+x\n 1\n@\n 3\n-b\n+y\n"},
		"no line at last": {"a\nb", "a\nb\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := write(Compare(c.before, c.after, 1)); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// Whatever the texts are: the lines that stay and were removed are the old text, those
// that stay and were added the new one.
func TestTheLinesAreThoseOfBothTexts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var b strings.Builder
		for range random.IntN(30) {
			fmt.Fprintf(&b, "%d\n", random.IntN(5))
		}
		return b.String()
	}
	for range 2000 {
		before, after := text(), text()
		var was, is strings.Builder
		for _, l := range Compare(before, after, 1000) {
			if l.Kind != Added {
				was.WriteString(l.Text + "\n")
			}
			if l.Kind != Removed {
				is.WriteString(l.Text + "\n")
			}
		}
		if before != after && (was.String() != before || is.String() != after) {
			t.Fatalf("%q and %q: got %q and %q", before, after, was.String(), is.String())
		}
	}
}

func TestTextsThatDifferInTooMuchAreReplaced(t *testing.T) {
	var before, after strings.Builder
	for i := range maxEdits {
		fmt.Fprintf(&before, "a%d\nsame\n", i)
		fmt.Fprintf(&after, "b%d\nsame\n", i)
	}
	got := Compare(before.String(), after.String(), 3)
	removed := 0
	for _, l := range got {
		if l.Kind == Removed {
			removed++
		}
	}
	if removed < maxEdits || len(got) > 4*maxEdits+10 {
		t.Errorf("%d lines, %d removed", len(got), removed)
	}
}
