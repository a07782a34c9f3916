// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWatcher(t *testing.T) {
	folder := t.TempDir()
	main, part := filepath.Join(folder, "openapi.yaml"), filepath.Join(folder, "part.yaml")
	clock := time.Unix(1_000_000, 0)
	put := func(file, content string) {
		t.Helper()
		write(t, file, content)
		clock = clock.Add(time.Second) // however coarse the clock of the file system is
		if err := os.Chtimes(file, clock, clock); err != nil {
			t.Fatal(err)
		}
	}
	document := func(path string) string {
		return head + "paths:\n  " + path + ": {get: {security: [{o: [r]}]}}\n  /part: {$ref: part.yaml}\n"
	}
	put(part, "get: {security: [{o: [r]}]}\n")
	put(main, document("/a"))
	api, err := Load(main, Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := NewWatcher(api, main, Options{})
	poll := func(step, pattern, failure string) {
		t.Helper()
		api, err := w.Poll()
		switch {
		case failure != "" && (err == nil || !strings.Contains(err.Error(), failure)):
			t.Errorf("%s: got %v, want %s", step, err, failure)
		case failure == "" && err != nil:
			t.Errorf("%s: got %v", step, err)
		case (api != nil) != (pattern != ""):
			t.Errorf("%s: got a document: %t", step, api != nil)
		case api != nil && api.Operations[0].Pattern != pattern:
			t.Errorf("%s: got %s, want %s", step, api.Operations[0].Pattern, pattern)
		}
	}
	poll("at first", "", "")
	poll("without a change", "", "")
	put(main, document("/b"))
	poll("while it may still be written", "", "")
	poll("after a change", "/b", "")
	poll("once only", "", "")
	put(main, document("/b")+"  /b: {}\n")
	poll("while it may still be written", "", "")
	poll("a mistake", "", "twice")
	poll("a mistake is reported once", "", "")
	put(main, document("/b"))
	poll("while it may still be written", "", "")
	poll("the mistake is fixed", "/b", "")
	put(part, "get: {security: [{none: []}]}\n")
	poll("while it may still be written", "", "")
	poll("a mistake in the other file", "", `"none" is not defined`)
	put(part, "put: {security: [{o: [r]}]}\n")
	poll("while it may still be written", "", "")
	poll("the other file is fixed", "/b", "")
	if err := os.Remove(part); err != nil {
		t.Fatal(err)
	}
	poll("while it may still be written", "", "")
	poll("the other file is missing", "", "part.yaml")
	put(main, strings.ReplaceAll(document("/c"), "part.yaml", "new.yaml"))
	poll("while it may still be written", "", "")
	poll("a file that does not exist yet", "", "new.yaml")
	put(filepath.Join(folder, "new.yaml"), "get: {security: [{o: [r]}]}\n")
	for range retryPolls - 1 {
		poll("before the next attempt", "", "")
	}
	poll("the file exists", "/c", "")
}
