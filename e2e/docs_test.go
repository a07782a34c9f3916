// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// texts returns all documentation, by path from the root.
func texts(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(harness.Root(), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules" || entry.Name() == "testdata"):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".md"):
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(harness.Root(), path)
		found[relative] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What the documentation tells people to write is accepted. The pages below
// docs are read by their own test, but for what only the standard build has.
func TestDocumentedConfigurations(t *testing.T) {
	t.Parallel()
	for name, text := range texts(t) {
		for i, block := range fence.FindAllStringSubmatch(text, -1) {
			language, content := block[1], block[2]
			if language != "caddyfile" && language != "json" {
				continue
			}
			if language == "caddyfile" && strings.HasPrefix(name, "docs") && !strings.Contains(content, "rate_limit") {
				continue
			}
			t.Run(fmt.Sprintf("%s/%s block %d", name, language, i+1), func(t *testing.T) {
				t.Parallel()
				if language == "json" {
					if !json.Valid([]byte(content)) {
						t.Errorf("not JSON:\n%s", content)
					}
					return
				}
				output, ok := harness.RunCaddy(t, harness.GatewayConfig{
					Caddyfile: content,
					Binary:    harness.StandardBinary(t),
				}, "adapt", "--config", "Caddyfile", "--adapter", "caddyfile")
				if !ok {
					t.Errorf("refused:\n%s\n%s", content, output)
				}
			})
		}
	}
}
