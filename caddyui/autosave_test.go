// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// What Caddy saves is replaced if it is what a trial knows, byte by byte. A large file
// that another gateway has left there costs nothing.
func TestWhatIsResumedIsReplacedOnlyIfItIsKnown(t *testing.T) {
	former := caddy.ConfigAutosavePath
	caddy.ConfigAutosavePath = filepath.Join(t.TempDir(), "autosave.json")
	t.Cleanup(func() { caddy.ConfigAutosavePath = former })
	for name, c := range map[string]struct{ now, saved, want string }{
		"as it was saved":     {`{"a":1,"b":"\u003c"}`, "{\n \"b\": \"<\", \"a\": 1.0 }\n", `{"new":true}`},
		"another one":         {`{"a":2,"b":"\u003c"}`, `{"a":1,"b":"<"}`, `{"a":2,"b":"\u003c"}`},
		"of another length":   {`{"a":1,"b":"\u003c","c":0}`, `{"a":1,"b":"<"}`, `{"a":1,"b":"\u003c","c":0}`},
		"not as Caddy writes": {`{"b":"\u003c","a":1}`, `{"a":1,"b":"<"}`, `{"b":"\u003c","a":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(caddy.ConfigAutosavePath, []byte(c.now), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := saveForRestart(canonical([]byte(c.saved)), []byte(`{"new":true}`)); err != nil {
				t.Fatal(err)
			}
			if got := contentOf(t, caddy.ConfigAutosavePath); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	if err := os.Remove(caddy.ConfigAutosavePath); err != nil {
		t.Fatal(err)
	}
	if err := saveForRestart([]byte(`{}`), []byte(`{"new":true}`)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(caddy.ConfigAutosavePath); err == nil {
		t.Error("a gateway whose configuration Caddy does not save has a saved one")
	}
}
