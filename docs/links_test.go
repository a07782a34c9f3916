// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	codeBlock = regexp.MustCompile("(?ms)^```.*?^```$")
	heading   = regexp.MustCompile(`(?m)^#+ (.*)$`)
	link      = regexp.MustCompile(`\]\(([^)\s#]*)(?:#([^)\s]*))?\)`)
)

// A link within the repository leads to a file that exists and, where it names
// one, to a heading of that page.
func TestLinksLeadSomewhere(t *testing.T) {
	pages := map[string]string{}
	for file, text := range files(t, ".md") {
		pages[file] = codeBlock.ReplaceAllString(text, "")
	}
	if len(pages) < 20 {
		t.Fatalf("%d pages", len(pages))
	}
	for file, text := range pages {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			target, anchor := match[1], match[2]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			leads := file
			if target != "" {
				leads = path.Join(path.Dir(file), target)
			}
			if _, err := os.Stat(filepath.FromSlash(leads)); err != nil {
				t.Errorf("%s: %s leads nowhere", file, target)
			} else if page, ok := pages[leads]; ok && anchor != "" && !anchors(page)[anchor] {
				t.Errorf("%s: %s has no heading #%s", file, leads, anchor)
			}
		}
	}
}

// anchors returns the names that GitHub gives to the headings of a page.
func anchors(page string) map[string]bool {
	names := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(page, -1) {
		name := strings.ToLower(strings.TrimSpace(match[1]))
		name = regexp.MustCompile(`[^\pL\pN_ -]`).ReplaceAllString(name, "")
		names[strings.ReplaceAll(name, " ", "-")] = true
	}
	return names
}
