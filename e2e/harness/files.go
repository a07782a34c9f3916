// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Dir is where the server keeps its data: its log of changes, if it is a durable
// one.
func (r *Redis) Dir() string { return r.dir }

// Dir is where the server keeps its tables, and the log of changes to them.
func (p *Postgres) Dir() string { return p.data() }

// InFiles returns which of the texts, by name, are in the files of a folder and
// the folders in it.
func InFiles(t testing.TB, dir string, texts map[string]string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for name, text := range texts {
			if bytes.Contains(content, []byte(text)) {
				found[name] = path
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
