// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/decisions"
)

// The admin API says of each reason what records.md says.
func TestTheMeaningsOfReasonsAreThoseOfTheAdminAPI(t *testing.T) {
	content, err := os.ReadFile("records.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| \\d{3}[^|]* \\| ([^|]*) \\| ([^|]*) \\|$").FindAllStringSubmatch(string(content), -1)
	if len(rows) < 38 {
		t.Fatalf("records.md has %d reasons", len(rows))
	}
	for _, row := range rows {
		want := decisions.Meaning{Meaning: plain(row[2]), Fix: plain(row[3])}
		if got := decisions.MeaningOf(row[1]); got != want {
			t.Errorf("%s: the admin API says %q, the page %q", row[1], got, want)
		}
	}
}

// plain is a cell without its marks.
func plain(cell string) string {
	cell = regexp.MustCompile(`\[([^\]]+)\]\([^)]*\)`).ReplaceAllString(cell, "$1")
	return strings.TrimSpace(strings.ReplaceAll(cell, "`", ""))
}
