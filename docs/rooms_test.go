// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// Every folder of Go code, or one that it is in, has a line in the table of
// rooms. What a room may import is for the test beside gateway.go.
func TestEveryRoomIsDescribed(t *testing.T) {
	content, err := os.ReadFile("../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(content), "\n## Rooms\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rooms := map[string]bool{".": true} // gateway.go
	for _, row := range regexp.MustCompile(`(?m)^\|([^|]*)\|`).FindAllStringSubmatch(section, -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			rooms[name[1]] = true
		}
	}
	if len(rooms) < 20 {
		t.Fatalf("CONTRIBUTING.md describes %d rooms", len(rooms))
	}
	for file := range files(t, ".go") {
		folder := path.Dir(strings.TrimPrefix(file, "../"))
		if !described(folder, rooms) {
			t.Errorf("CONTRIBUTING.md has no line for the room %s", folder)
			rooms[folder] = true
		}
	}
}

// described reports whether a folder or one that it is in has a line. The root
// has one for itself alone.
func described(folder string, rooms map[string]bool) bool {
	for !rooms[folder] {
		if folder = path.Dir(folder); folder == "." {
			return false
		}
	}
	return true
}
